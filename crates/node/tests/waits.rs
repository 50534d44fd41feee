//! The waiting room: one state side without its consensus side, whose log and leadership the test writes by hand. Clients are
//! letters; those of `x` to `z` are connected to another node.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.

mod support;

use bytes::Bytes;
use cluster::{Request, Unblock};
use command::{Command, Fault, Reply, SessionId, Work};
use consensus::{Entry, EntryKind, Role};
use node::{ConsensusInput, Ended, ShardHandle, StateEvent, StateInput, StateOutput, StateSide, Task};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId};
use support::{BEGIN, SHARD, WALL, founded};

struct Bench {
    side: StateSide<char>,
    handle: Arc<ShardHandle>,
    term: u64,
    last: u64,
    sequence: u64,
    /// What was proposed and is not committed.
    open: Vec<Entry>,
    now: Mono,
    /// What came back, to be dispatched again.
    back: Vec<Task<char>>,
    ended: BTreeMap<char, Ended>,
}

fn session(client: char) -> SessionId {
    SessionId { node: NodeId(if client >= 'x' { 2 } else { 1 }), client: u64::from(u32::from(client)) }
}

impl Bench {
    /// It leads under a lease, and the first entry of its term is applied.
    fn new() -> Bench {
        let (side, handle, _) = founded();
        let last = handle.applied();
        let (open, back, ended) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut bench = Bench { side, handle, term: 1, last, sequence: 0, open, now: BEGIN, back, ended };
        bench.handle.set_lease(Mono(u64::MAX));
        bench.lead();
        bench
    }

    /// Becomes leader of the next term.
    fn lead(&mut self) {
        self.term += 1;
        assert_eq!(self.role(Role::Leader), "");
        self.last += 1;
        self.open.push(Entry { index: self.last, term: self.term, kind: EntryKind::Normal, data: Bytes::new() });
        assert_eq!(self.commit(), "");
    }

    fn role(&mut self, role: Role) -> String {
        let leader = (role == Role::Leader).then_some(NodeId(1));
        self.tell(StateInput::Event(StateEvent::Role { shard: SHARD, role, term: self.term, leader }))
    }

    /// What becomes of a command. Commands parted by semicolons are one transaction; a blocking one is wait 1 of its client.
    fn ask(&mut self, client: char, line: &str) -> String {
        let parse = |line: &str| {
            Command::parse(line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()).unwrap()
        };
        let mut commands: Vec<Command> = line.split("; ").map(parse).collect();
        let work = match commands.pop().unwrap() {
            last if !commands.is_empty() => {
                commands.push(last);
                Work::Transaction { commands, watched: false }
            }
            command if command.may_wait() => Work::Blocking { command, number: 1, waited_ms: 0 },
            command => Work::Single(command),
        };
        let session = session(client);
        let request = Request { shard: SHARD, session, db: 0, resp: 2, timeout_ms: 5000, stale_ok: false, work };
        self.send(Task::new(request, self.now, client))
    }

    fn send(&mut self, task: Task<char>) -> String {
        if let Some(patience) = &task.patience {
            self.ended.insert(task.to, patience.ended.clone());
        }
        self.tell(StateInput::Tasks(vec![task]))
    }

    /// What came back is sent again.
    fn again(&mut self) -> String {
        let words: Vec<String> = std::mem::take(&mut self.back).into_iter().map(|task| self.send(task)).collect();
        words.join(" ").trim().to_owned()
    }

    fn unblock(&mut self, client: char, number: u64, how: Unblock) -> String {
        self.tell(StateInput::Unblock { shard: SHARD, session: session(client), number, how })
    }

    /// The oldest open proposal becomes committed.
    fn commit(&mut self) -> String {
        let entries = vec![self.open.remove(0)];
        self.tell(StateInput::Event(StateEvent::Committed(SHARD, entries)))
    }

    /// Everything proposed becomes committed, and what that leads to.
    fn settle(&mut self) -> String {
        let mut words = Vec::new();
        while !self.open.is_empty() {
            words.push(self.commit());
        }
        words.retain(|w| !w.is_empty());
        words.join(" ")
    }

    /// A command, and everything that follows from it.
    fn done(&mut self, client: char, line: &str) -> String {
        let (now, later) = (self.ask(client, line), self.settle());
        [now, later].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn wait(&mut self, ms: u64) -> String {
        self.now = self.now + Duration::from_millis(ms);
        let (now, later) = (self.tell(StateInput::Tick), self.settle());
        [now, later].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// One input, and who was answered what.
    fn tell(&mut self, input: StateInput<char>) -> String {
        let (mut out, mut answered) = (Vec::new(), Vec::new());
        self.side.handle(input, self.now, WALL, &mut out);
        self.side.advance(self.now, WALL, &mut out);
        for output in out {
            match output {
                StateOutput::Reply(to, outcome) => answered.push(format!("{to}={}", show(&outcome))),
                StateOutput::Waits(to, _) => answered.push(format!("{to} waits")),
                StateOutput::Bounce(task, _) => {
                    answered.push(format!("{} back", task.to));
                    self.back.push(task);
                }
                StateOutput::Consensus(ConsensusInput::Propose { sequence, entries, .. }) => {
                    let index = self.last + 1;
                    for data in entries {
                        self.last += 1;
                        self.open.push(Entry { index: self.last, term: self.term, kind: EntryKind::Normal, data });
                    }
                    self.sequence = sequence;
                    let (count, term) = (self.last + 1 - index, self.term);
                    let placed = StateEvent::Proposed { shard: SHARD, sequence, count, term, index };
                    let more = self.tell(StateInput::Event(placed));
                    assert_eq!(more, "", "a place in the log answers nobody");
                }
                StateOutput::Consensus(_) => {}
                other => panic!("{other:?}"),
            }
        }
        answered.join(" ")
    }
}

fn show(outcome: &Result<Reply, Fault>) -> String {
    fn reply(r: &Reply) -> String {
        match r {
            Reply::Bulk(value) => String::from_utf8_lossy(value).into_owned(),
            Reply::Integer(n) => n.to_string(),
            Reply::Double(n) => n.to_string(),
            Reply::Null | Reply::NullArray => "nil".to_owned(),
            Reply::Array(items) => format!("[{}]", items.iter().map(reply).collect::<Vec<_>>().join(" ")),
            Reply::Simple(line) | Reply::Error(line) => line.split(' ').next().unwrap_or_default().to_owned(),
            other => format!("{other:?}"),
        }
    }
    match outcome {
        Ok(r) => reply(r),
        Err(fault) => fault.to_string().split(' ').next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn who_came_first_is_served_first_and_one_push_serves_several() {
    let mut bench = Bench::new();
    for client in ['a', 'b', 'c'] {
        assert_eq!(bench.done(client, "blpop k 0"), "");
    }
    assert_eq!(bench.done('p', "rpush k 1 2"), "p=2 a=[k 1] b=[k 2]");
    assert_eq!(bench.done('p', "lpush k 3"), "p=1 c=[k 3]");
    assert_eq!(bench.done('p', "llen k"), "p=0");
}

#[test]
fn a_push_and_what_it_serves_share_an_entry() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask('a', "blpop k 0"), "");
    assert_eq!(bench.ask('p', "rpush k 1"), "");
    assert_eq!(bench.open.len(), 1);
    assert_eq!(bench.commit(), "p=1 a=[k 1]");
}

#[test]
fn the_first_ready_key_in_the_order_of_arguments_serves() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('a', "blpop k1 k2 k3 0"), "");
    assert_eq!(bench.done('p', "rpush k3 3; rpush k2 2"), "p=[1 1] a=[k2 2]");
    assert_eq!(bench.done('a', "bzmpop 0 2 z1 z2 min"), "");
    assert_eq!(bench.done('p', "zadd z2 1 m"), "p=1 a=[z2 [[m 1]]]");
}

#[test]
fn they_are_served_behind_the_whole_transaction() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('a', "blpop k 0"), "");
    assert_eq!(bench.done('p', "rpush k 1; del k"), "p=[1 1]", "there was nothing left");
    assert_eq!(bench.done('p', "rpush k 1; lpush k 2"), "p=[1 2] a=[k 2]");
}

#[test]
fn in_a_transaction_nothing_waits() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('a', "blpop k 0; blmove k l left left 0; bzpopmin k 0"), "a=[nil nil nil]");
}

#[test]
fn a_value_of_another_type_wakes_nobody() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('a', "blpop k 0"), "");
    assert_eq!(bench.done('b', "bzpopmin k 0"), "");
    assert_eq!(bench.done('p', "set k v"), "p=OK");
    assert_eq!(bench.done('p', "del k"), "p=1");
    assert_eq!(bench.done('p', "zadd k 1 m 2 n"), "p=2 b=[k m 1]");
    assert_eq!(bench.done('p', "del k"), "p=1");
    assert_eq!(bench.done('p', "rpush k 1"), "p=1 a=[k 1]");
}

#[test]
fn what_brings_a_list_under_a_key_wakes() {
    let mut bench = Bench::new();
    for line in ["rename other k", "copy other k", "sort other store k", "restore-like"] {
        assert_eq!(bench.done('p', "rpush other 1"), "p=1");
        assert_eq!(bench.done('a', "blpop k 0"), "");
        let served = match line {
            "restore-like" => bench.done('p', "lmove other k left left"),
            line => bench.done('p', line),
        };
        assert!(served.ends_with("a=[k 1]"), "{line}: {served}");
        bench.done('p', "del other k");
    }
}

#[test]
fn moves_wake_others_in_turn() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('a', "blmove k1 k2 left right 0"), "");
    assert_eq!(bench.done('b', "blmove k2 k3 left right 0"), "");
    assert_eq!(bench.done('c', "blpop k3 0"), "");
    assert_eq!(bench.done('p', "rpush k1 e"), "p=1 a=e b=e c=[k3 e]");
    assert_eq!(bench.done('a', "brpoplpush k1 k2 0"), "");
    assert_eq!(bench.done('p', "set k2 string"), "p=OK");
    assert_eq!(bench.done('p', "rpush k1 e"), "p=1 a=WRONGTYPE", "the element stays");
    assert_eq!(bench.done('p', "llen k1"), "p=1");
}

#[test]
fn time_ends_a_wait_and_not_earlier() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('a', "blpop k 0.5"), "");
    assert_eq!(bench.done('b', "blmove k l left left 10"), "");
    assert_eq!(bench.wait(499), "");
    assert_eq!(bench.wait(1), "a=nil");
    assert_eq!(bench.wait(9_499), "", "the deadline of requests does not count");
    assert_eq!(bench.wait(1), "b=nil");
    assert_eq!(bench.done('p', "rpush k 1"), "p=1", "nobody waits");
    assert_eq!(bench.side.unanswered(), 0);
}

#[test]
fn a_wait_is_ended_once_and_by_its_number() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask('a', "blpop k 0"), "");
    assert_eq!(bench.unblock('a', 2, Unblock::Error), "", "another wait of the session");
    assert_eq!(bench.unblock('a', 1, Unblock::Error), "a=UNBLOCKED");
    assert_eq!(bench.unblock('a', 1, Unblock::Timeout), "");
    assert_eq!(bench.ask('b', "blpop k 0"), "");
    assert_eq!(bench.unblock('b', 1, Unblock::Timeout), "b=nil");
    assert_eq!(bench.done('p', "rpush k 1"), "p=1");
}

#[test]
fn waits_go_back_in_order_when_leadership_ends_and_keep_their_time() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask('a', "blpop k 6"), "");
    assert_eq!(bench.ask('b', "blpop k 0"), "");
    assert_eq!(bench.wait(5_900), "");
    assert_eq!(bench.role(Role::Follower), "a back b back");
    bench.lead();
    assert_eq!(bench.again(), "");
    assert_eq!(bench.wait(99), "");
    assert_eq!(bench.wait(1), "a=nil");
    assert_eq!(bench.done('p', "rpush k 1"), "p=1 b=[k 1]");
}

/// What was served may not have been: then it waits again, in its place.
#[test]
fn a_refused_proposal_gives_the_places_back() {
    let mut bench = Bench::new();
    for client in ['a', 'b'] {
        assert_eq!(bench.ask(client, "blpop k 0"), "");
    }
    assert_eq!(bench.ask('p', "rpush k 1"), "");
    bench.open.clear();
    bench.last -= 1;
    let refused = StateEvent::Refused {
        shard: SHARD,
        sequence: bench.sequence,
        count: 1,
        fault: Fault::NotLeader { leader: None },
    };
    assert_eq!(bench.tell(StateInput::Event(refused)), "");
    assert_eq!(bench.wait(20), "p=1 a=[k 1]");
    assert_eq!(bench.done('p', "rpush k 2"), "p=1 b=[k 2]");
}

/// The pop that emptied the list will never be: whoever found nothing because of it is asked again.
#[test]
fn a_refused_pop_serves_who_found_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('p', "rpush k 1"), "p=1");
    assert_eq!(bench.ask('q', "lpop k"), "");
    assert_eq!(bench.ask('a', "blpop k 0"), "");
    bench.open.clear();
    bench.last -= 1;
    let refused = StateEvent::Refused { shard: SHARD, sequence: bench.sequence, count: 1, fault: Fault::DiskFull };
    assert_eq!(bench.tell(StateInput::Event(refused)), "q=OOM");
    assert_eq!(bench.settle(), "a=[k 1]");
}

#[test]
fn a_wait_that_was_ended_while_it_was_served_is_not_taken_up_again() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask('a', "blpop k 0"), "");
    assert_eq!(bench.ask('p', "rpush k 1"), "");
    assert_eq!(bench.unblock('a', 1, Unblock::Gone), "", "it is being answered");
    assert_eq!(bench.role(Role::Follower), "");
    bench.open.clear();
    bench.last -= 1;
    let refused = StateEvent::Refused {
        shard: SHARD,
        sequence: bench.sequence,
        count: 1,
        fault: Fault::NotLeader { leader: None },
    };
    assert_eq!(bench.tell(StateInput::Event(refused)), "a back p back");
    assert_eq!(bench.ended[&'a'].get(), Some(Unblock::Gone), "whoever has the task now knows");
}

#[test]
fn peers_are_told_and_forgotten_with_their_link() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask('x', "blpop k 0"), "x waits");
    assert_eq!(bench.ask('a', "blpop k 0"), "");
    assert_eq!(bench.tell(StateInput::PeerLost(NodeId(3))), "");
    assert_eq!(bench.tell(StateInput::PeerLost(NodeId(2))), "x=UNBLOCKED");
    assert_eq!(bench.done('p', "rpush k 1"), "p=1 a=[k 1]");
}

#[test]
fn a_drain_ends_all_waits() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask('a', "blpop k 0"), "");
    assert_eq!(bench.ask('x', "blpop k 0"), "x waits");
    assert_eq!(bench.tell(StateInput::Drain), "a=UNBLOCKED x=TRYAGAIN");
    assert_eq!(bench.ask('a', "blpop k 0"), "a=UNBLOCKED");
    assert_eq!(bench.done('p', "rpush k 1"), "p=1");
    assert_eq!(bench.ask('a', "blpop k 0"), "", "what is there is still served");
    assert_eq!(bench.settle(), "a=[k 1]");
}

#[test]
fn streams_are_read_as_they_grow() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('p', "xadd s 1-0 a 1"), "p=1-0");
    assert_eq!(bench.done('a', "xread block 0 streams s $"), "");
    assert_eq!(bench.done('b', "xread block 0 streams other s $ 1-0"), "");
    assert_eq!(bench.done('c', "xread block 100 streams s 5-0"), "");
    assert_eq!(bench.done('p', "xadd s 2-0 a 2"), "p=2-0 a=[[s [[2-0 [a 2]]]]] b=[[s [[2-0 [a 2]]]]]");
    assert_eq!(bench.wait(100), "c=nil");
}

#[test]
fn groups_deliver_to_one_and_end_with_their_stream() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('p', "xgroup create s g $ mkstream"), "p=OK");
    for client in ['a', 'b'] {
        let line = if client == 'a' {
            "xreadgroup group g a block 0 streams s >"
        } else {
            "xreadgroup group g b block 0 streams s >"
        };
        assert_eq!(bench.done(client, line), "");
    }
    assert_eq!(bench.done('p', "xadd s 1-0 k 1"), "p=1-0 a=[[s [[1-0 [k 1]]]]]");
    assert_eq!(bench.done('p', "del s"), "p=1 b=NOGROUP");
    assert_eq!(bench.done('p', "xgroup create s g $ mkstream"), "p=OK");
    assert_eq!(bench.done('b', "xreadgroup group g b block 0 streams s >"), "");
    assert_eq!(bench.done('p', "xgroup destroy s g"), "p=1 b=NOGROUP");
    assert_eq!(bench.done('p', "xgroup create s g $ mkstream"), "p=OK");
    assert_eq!(bench.done('b', "xreadgroup group g b block 0 streams s >"), "");
    assert_eq!(bench.done('p', "set s v"), "p=OK b=WRONGTYPE");
}

#[test]
fn a_database_that_is_swapped_in_wakes() {
    let mut bench = Bench::new();
    assert_eq!(bench.done('a', "blpop k 0"), "");
    assert_eq!(bench.done('p', "select 1; rpush k 1"), "p=[OK 1]");
    assert_eq!(bench.done('p', "swapdb 0 1"), "p=OK a=[k 1]");
}

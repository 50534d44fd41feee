//! Replies that rest on leadership wait for proof of it: one state side without its consensus side, whose lease and log the
//! test writes by hand.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.

mod support;

use bytes::Bytes;
use cluster::Request;
use command::{Command, Reply, SessionId, Work};
use consensus::{Entry, EntryKind, Role};
use node::{ConsensusInput, ShardHandle, StateEvent, StateInput, StateOutput, StateSide, Task};
use std::sync::Arc;
use stdx::{Mono, NodeId};
use storage::Store;
use support::{BEGIN, FLUSH_BYTES, SHARD, WALL, founded};

/// Long before and long after anything here.
const NO_LEASE: Mono = Mono(0);
const LEASE: Mono = Mono(u64::MAX);

/// A replica that leads.
struct Bench {
    side: StateSide<&'static str>,
    handle: Arc<ShardHandle>,
    store: Store,
    term: u64,
    last: u64,
    /// What was proposed and is not committed.
    open: Vec<Entry>,
    barriers: usize,
    now: Mono,
}

impl Bench {
    /// It leads under a lease, and the first entry of its term is applied.
    fn new() -> Bench {
        let (side, handle, store) = founded();
        let last = handle.applied();
        let mut bench = Bench { side, handle, store, term: 2, last, open: Vec::new(), barriers: 0, now: BEGIN };
        bench.handle.set_lease(LEASE);
        let role = StateEvent::Role { shard: SHARD, role: Role::Leader, term: 2, leader: Some(NodeId(1)) };
        assert_eq!(bench.tell(StateInput::Event(role)), "");
        bench.last += 1;
        bench.open.push(Entry { index: bench.last, term: 2, kind: EntryKind::Normal, data: Bytes::new() });
        assert_eq!(bench.commit(), "");
        bench
    }

    /// A request named by its words.
    fn ask(&mut self, line: &'static str) -> String {
        self.ask_for(line, line)
    }

    fn ask_for(&mut self, name: &'static str, line: &str) -> String {
        let args = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let request = Request {
            shard: SHARD,
            session: SessionId { node: NodeId(1), client: 1 },
            db: 0,
            resp: 2,
            timeout_ms: 5000,
            stale_ok: false,
            work: Work::Single(Command::parse(args).unwrap()),
        };
        self.tell(StateInput::Tasks(vec![Task::new(request, self.now, name)]))
    }

    /// The oldest open proposal becomes committed.
    fn commit(&mut self) -> String {
        let entries = vec![self.open.remove(0)];
        self.tell(StateInput::Event(StateEvent::Committed(SHARD, entries)))
    }

    /// One input, and who was answered what.
    fn tell(&mut self, input: StateInput<&'static str>) -> String {
        let (mut out, mut answered) = (Vec::new(), Vec::new());
        self.side.handle(input, self.now, WALL, &mut out);
        self.side.advance(self.now, WALL, &mut out);
        for output in out {
            match output {
                StateOutput::Reply(to, Ok(Reply::Bulk(value))) => {
                    answered.push(format!("{to}={}", String::from_utf8_lossy(&value)));
                }
                StateOutput::Reply(to, outcome) => answered.push(format!("{to}={outcome:?}")),
                StateOutput::Consensus(ConsensusInput::Propose { sequence, entries, .. }) => {
                    let index = self.last + 1;
                    for data in entries {
                        self.last += 1;
                        self.open.push(Entry { index: self.last, term: self.term, kind: EntryKind::Normal, data });
                    }
                    let (count, term) = (self.last + 1 - index, self.term);
                    let placed = StateEvent::Proposed { shard: SHARD, sequence, count, term, index };
                    let more = self.tell(StateInput::Event(placed));
                    assert_eq!(more, "", "a place in the log answers nobody");
                }
                StateOutput::Consensus(ConsensusInput::Barrier { .. }) => self.barriers += 1,
                StateOutput::Consensus(ConsensusInput::Applied { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        answered.join(" ")
    }
}

#[test]
fn under_a_lease_a_read_of_an_open_write_leaves_with_that_write() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask("set k 1"), "");
    assert_eq!(bench.ask("get k"), "");
    assert_eq!(bench.commit(), "set k 1=Ok(Simple(\"OK\")) get k=1");
}

/// The write may be committed by a later leader, which has acknowledged others since: its commit proves nothing about when
/// the read was evaluated.
#[test]
fn without_a_lease_a_read_of_an_open_write_needs_an_entry_that_was_proposed_after_it() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask("set k 1"), "");
    bench.handle.set_lease(NO_LEASE);
    assert_eq!(bench.ask("get k"), "");
    assert_eq!(bench.commit(), "set k 1=Ok(Simple(\"OK\"))", "the read waits");
    assert_eq!(bench.open.len(), 1, "an entry that does nothing but prove");
    assert_eq!(bench.commit(), "get k=1");
    assert_eq!(bench.barriers, 0);
}

#[test]
fn without_a_lease_a_read_of_applied_state_needs_a_barrier() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask("set k 1"), "");
    assert_eq!(bench.commit(), "set k 1=Ok(Simple(\"OK\"))");
    bench.handle.set_lease(NO_LEASE);
    assert_eq!(bench.ask("get k"), "");
    assert_eq!(bench.barriers, 1);
}

/// What is applied stays in memory until it is flushed: a leader whose engine falls behind lets writes wait.
#[test]
fn writes_wait_while_tables_are_far_above_their_limit() {
    let mut bench = Bench::new();
    let value = "v".repeat(FLUSH_BYTES as usize);
    for key in ["a", "b"] {
        assert_eq!(bench.ask_for("set", &format!("set {key} {value}")), "");
        assert_eq!(bench.commit(), "set=Ok(Simple(\"OK\"))");
    }
    assert_eq!(bench.ask("set c 1"), "");
    assert!(bench.open.is_empty(), "it waits for a flush");
    bench.store.replica(SHARD).unwrap().snapshot().unwrap();
    assert!(bench.store.needs_flush(), "also when a snapshot has frozen what waits for it");
    bench.store.flush().unwrap();
    assert_eq!(bench.tell(StateInput::Flushed), "");
    assert_eq!(bench.commit(), "set c 1=Ok(Simple(\"OK\"))");
}

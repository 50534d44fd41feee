//! The dispatcher keeps the order of one session's requests to one shard while leadership moves.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.

mod support;

use bytes::Bytes;
use cluster::{ForwardedReply, PeerMessage, Request, Unblock, bootstrap};
use command::{Command, Fault, Reply, SessionId, Work};
use node::{DispatchOutput, Dispatcher, RouteTable, ShardHandle, Shared, Task};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, ShardId};
use support::{BEGIN, SHARD, records};

const MOVED: Fault = Fault::NotLeader { leader: None };

/// A dispatcher on node 1, which is linked to nodes 2 and 3.
struct Bench {
    dispatcher: Dispatcher<&'static str>,
    shared: Arc<Shared>,
    now: Mono,
    out: Vec<DispatchOutput<&'static str>>,
    sent: BTreeMap<&'static str, u64>,
}

impl Bench {
    fn new() -> Bench {
        let now = BEGIN;
        let map = Arc::new(bootstrap(records(), 16));
        let handle = |(id, shard): (&u32, &cluster::ShardRecord)| {
            let layout = map.namespaces.get(&shard.namespace).map_or(cluster::Layout::System, |n| n.layout);
            let handle = ShardHandle::new(ShardId(*id), shard.namespace, layout, 0, None, now);
            (ShardId(*id), Arc::new(handle))
        };
        let handles = map.shards.iter().map(handle).collect();
        let shared = Arc::new(Shared::new(NodeId(1), RouteTable::new(map.clone(), handles)));
        let mut dispatcher = Dispatcher::new(shared.clone(), Duration::from_secs(2), 100);
        let mut out = Vec::new();
        dispatcher.link_up(NodeId(2), now, &mut out);
        dispatcher.link_up(NodeId(3), now, &mut out);
        let mut bench = Bench { dispatcher, shared, now, out, sent: BTreeMap::new() };
        bench.leader(2, 5);
        bench
    }

    fn leader(&mut self, node: u64, term: u64) {
        self.shared.table().shards[&SHARD].set_leader(Some(NodeId(node)), term, self.now);
        self.dispatcher.leaders_changed(self.now, &mut self.out);
    }

    fn submit(&mut self, name: &'static str, client: u64) {
        let task = task(name, client, self.now);
        self.dispatcher.submit(task, self.now, &mut self.out);
    }

    fn submit_wait(&mut self, name: &'static str, client: u64) {
        self.dispatcher.submit(wait(name, client, self.now), self.now, &mut self.out);
    }

    /// Milliseconds that the request sent last had waited.
    fn waited_ms(&self) -> u64 {
        let sent = self.out.iter().rev().find_map(|output| match output {
            DispatchOutput::Send(_, PeerMessage::Forward { request, .. }) => Some(&request.work),
            _ => None,
        });
        let Some(Work::Blocking { waited_ms, .. }) = sent else { panic!("{:?}", self.out) };
        *waited_ms
    }

    fn unblock(&mut self, client: u64, number: u64, how: Unblock) {
        let session = SessionId { node: NodeId(1), client };
        self.dispatcher.unblock(SHARD, session, number, how, &mut self.out);
    }

    fn replied(&mut self, name: &'static str, outcome: ForwardedReply) {
        self.dispatcher.replied(self.sent[name], outcome, self.now, &mut self.out);
    }

    /// What happened since the last call, one word for each.
    fn seen(&mut self) -> String {
        let mut words = Vec::new();
        for output in std::mem::take(&mut self.out) {
            words.push(match output {
                DispatchOutput::Send(to, PeerMessage::Forward { id, request }) => {
                    let name = name_of(&request);
                    self.sent.insert(name, id);
                    format!("{name}>{}", to.0)
                }
                DispatchOutput::Send(to, PeerMessage::Unblock { session, number, how, .. }) => {
                    format!("client {} wait {number} {how:?}>{}", session.client, to.0)
                }
                DispatchOutput::Send(to, message) => panic!("{to}: {message:?}"),
                DispatchOutput::Local { task, .. } => format!("{}>here", task.to),
                DispatchOutput::Reply(to, Ok(_)) => format!("{to}:done"),
                DispatchOutput::Reply(to, Err(fault)) => {
                    format!("{to}:{}", fault.to_string().split(' ').next().unwrap_or_default())
                }
            });
        }
        words.join(" ")
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.dispatcher.tick(self.now, &mut self.out);
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "x"];

fn name_of(request: &Request) -> &'static str {
    let (Work::Single(command) | Work::Blocking { command, .. }) = &request.work else { panic!("{request:?}") };
    let key = command.args[1].clone();
    NAMES.into_iter().find(|name| key == name.as_bytes()).unwrap()
}

fn task(name: &'static str, client: u64, now: Mono) -> Task<&'static str> {
    task_of(Work::Single(command(&["incr", name])), name, client, now)
}

/// Wait 1 of a client.
fn wait(name: &'static str, client: u64, now: Mono) -> Task<&'static str> {
    let work = Work::Blocking { command: command(&["blpop", name, "0"]), number: 1, waited_ms: 0 };
    task_of(work, name, client, now)
}

fn command(words: &[&str]) -> Command {
    Command::parse(words.iter().map(|w| Bytes::copy_from_slice(w.as_bytes())).collect()).unwrap()
}

fn task_of(work: Work, name: &'static str, client: u64, now: Mono) -> Task<&'static str> {
    let request = Request {
        shard: SHARD,
        session: SessionId { node: NodeId(1), client },
        db: 0,
        resp: 2,
        timeout_ms: 5000,
        stale_ok: false,
        work,
    };
    Task::new(request, now, name)
}

#[test]
fn what_came_back_is_sent_again_after_its_successors_came_back() {
    let mut bench = Bench::new();
    ["a", "b", "c"].iter().for_each(|name| bench.submit(name, 1));
    assert_eq!(bench.seen(), "a>2 b>2 c>2");
    bench.replied("a", ForwardedReply::Failed(MOVED));
    bench.leader(3, 6);
    bench.wait(100);
    assert_eq!(bench.seen(), "", "b may be carried out by node 2, which may lead again");
    bench.replied("c", ForwardedReply::Failed(Fault::ShuttingDown));
    bench.replied("b", ForwardedReply::Failed(MOVED));
    bench.wait(100);
    assert_eq!(bench.seen(), "a>3 b>3 c>3");
}

#[test]
fn what_came_back_fails_when_a_successor_was_carried_out() {
    let mut bench = Bench::new();
    ["a", "b", "c"].iter().for_each(|name| bench.submit(name, 1));
    bench.submit("x", 2);
    bench.seen();
    bench.replied("a", ForwardedReply::Failed(MOVED));
    bench.replied("x", ForwardedReply::Failed(MOVED));
    bench.replied("b", ForwardedReply::Done(Reply::OK));
    assert_eq!(bench.seen(), "a:TRYAGAIN b:done");
    bench.replied("c", ForwardedReply::Failed(MOVED));
    bench.wait(100);
    assert_eq!(bench.seen(), "c>2 x>2", "in the order in which they first came");
}

#[test]
fn what_came_back_fails_when_the_fate_of_a_successor_is_unknown() {
    let mut bench = Bench::new();
    ["a", "b"].iter().for_each(|name| bench.submit(name, 1));
    bench.seen();
    bench.replied("a", ForwardedReply::Failed(MOVED));
    bench.dispatcher.link_down(NodeId(2), bench.now, &mut bench.out);
    assert_eq!(bench.seen(), "a:TRYAGAIN b:UNKNOWNOUTCOME");
}

#[test]
fn what_a_worker_gave_back_stays_in_order() {
    let mut bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.dispatcher.bounced(task(name, 1, bench.now), bench.now, &mut bench.out);
    }
    bench.submit("x", 1);
    bench.wait(100);
    assert_eq!(bench.seen(), "a>2 b>2 c>2 x>2");
}

#[test]
fn no_deadline_counts_while_a_request_waits_at_its_leader() {
    let mut bench = Bench::new();
    bench.submit_wait("a", 1);
    bench.submit_wait("b", 2);
    assert_eq!(bench.seen(), "a>2 b>2");
    bench.replied("a", ForwardedReply::Waits(None));
    bench.wait(5_000);
    assert_eq!(bench.seen(), "client 2 wait 1 Gone>2 b:UNKNOWNOUTCOME", "nothing was heard of b");
    bench.wait(100_000);
    bench.replied("a", ForwardedReply::Done(Reply::OK));
    assert_eq!(bench.seen(), "a:done");
}

#[test]
fn a_wait_goes_on_at_the_next_leader() {
    let mut bench = Bench::new();
    bench.submit_wait("a", 1);
    assert_eq!(bench.waited_ms(), 0);
    assert_eq!(bench.seen(), "a>2");
    bench.replied("a", ForwardedReply::Waits(Some(command(&["blpop", "x", "0"]))));
    bench.wait(60_000);
    bench.replied("a", ForwardedReply::Failed(MOVED));
    bench.leader(3, 6);
    bench.wait(100);
    assert_eq!(bench.waited_ms(), 60_100);
    assert_eq!(bench.seen(), "x>3", "as the command that it became");
}

#[test]
fn a_wait_is_ended_where_it_is() {
    let mut bench = Bench::new();
    bench.submit_wait("a", 1);
    assert_eq!(bench.seen(), "a>2");
    bench.unblock(1, 2, Unblock::Timeout);
    assert_eq!(bench.seen(), "", "another wait of the session");
    bench.unblock(1, 1, Unblock::Timeout);
    assert_eq!(bench.seen(), "client 1 wait 1 Timeout>2");
    bench.replied("a", ForwardedReply::Failed(MOVED));
    bench.unblock(1, 1, Unblock::Error);
    assert_eq!(bench.seen(), "a:done", "it had come back");
}

/// Its connection ended it while it was on its way back here.
#[test]
fn a_wait_that_was_ended_is_not_dispatched_again() {
    let mut bench = Bench::new();
    let task = wait("a", 1, bench.now);
    task.patience.as_ref().unwrap().ended.set(Unblock::Gone);
    bench.dispatcher.bounced(task, bench.now, &mut bench.out);
    assert_eq!(bench.seen(), "a:UNBLOCKED");
}

#[test]
fn a_wait_behind_a_broken_link_is_ended_when_there_is_one() {
    let mut bench = Bench::new();
    bench.submit_wait("a", 1);
    assert_eq!(bench.seen(), "a>2");
    bench.replied("a", ForwardedReply::Waits(None));
    bench.dispatcher.link_down(NodeId(2), bench.now, &mut bench.out);
    assert_eq!(bench.seen(), "a:UNKNOWNOUTCOME", "it may have been served");
    bench.dispatcher.link_up(NodeId(2), bench.now, &mut bench.out);
    assert_eq!(bench.seen(), "client 1 wait 1 Gone>2");
}

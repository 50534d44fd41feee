//! A leader whose disk is full: three consensus sides with their logs, messages that arrive at once, and a clock that is
//! moved by hand.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.

use bytes::Bytes;
use cluster::{Fitness, Layout, PeerMessage};
use command::Fault;
use consensus::{Config, Membership, Restored};
use node::{ConsensusConfig, ConsensusInput, ConsensusOutput, ConsensusSide, ReplicaBoot, ShardHandle, StateEvent};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, ShardId};
use storage::MemDisk;
use storage::log::{HardState, Log, LogOptions, LogWriter, Record, WriteSet};

const SHARD: ShardId = ShardId(1);
const TICK: Duration = Duration::from_millis(25);

struct Process {
    side: ConsensusSide<MemDisk>,
    writer: LogWriter<MemDisk>,
    handle: Arc<ShardHandle>,
    refusals: Vec<Fault>,
    proposed: u64,
    sequence: u64,
}

struct Nodes {
    all: Vec<Process>,
    now: Mono,
}

impl Nodes {
    /// Three of them, of which the first is preferred as leader, after they settled.
    fn new() -> Nodes {
        let mut rng = Rng::new(7);
        let now = Mono(1_000_000_000);
        let all = (1..=3).map(|id| process(NodeId(id), &mut rng, now)).collect();
        let mut nodes = Nodes { all, now };
        nodes.run(Duration::from_secs(7));
        let leader = nodes.leader().unwrap();
        assert_eq!(leader, 0, "the preferred one");
        nodes.propose(leader);
        nodes.run(Duration::from_millis(200));
        nodes
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + TICK;
            for at in 0..self.all.len() {
                self.tell(at, ConsensusInput::Tick);
            }
        }
    }

    /// One input, and everything that follows from it.
    fn tell(&mut self, at: usize, input: ConsensusInput) {
        let mut queue = VecDeque::from([(at, input)]);
        while let Some((at, input)) = queue.pop_front() {
            let mut out = Vec::new();
            let process = &mut self.all[at];
            process.side.handle(input, self.now, &mut out);
            process.side.advance(self.now, &mut out);
            queue.extend(out.into_iter().filter_map(|output| process.carry_out(at, output)));
        }
    }

    fn leader(&self) -> Option<usize> {
        (0..self.all.len()).find(|at| self.all[*at].side.leading().next().is_some())
    }

    fn propose(&mut self, at: usize) {
        let epoch = self.all[at].sequence + 1;
        self.propose_in(at, epoch);
    }

    fn propose_in(&mut self, at: usize, epoch: u64) {
        let process = &mut self.all[at];
        process.sequence += 1;
        let (sequence, term) = (process.sequence, process.handle.term());
        let entries = vec![Bytes::from_static(b"entry")];
        self.tell(at, ConsensusInput::Propose { shard: SHARD, epoch, sequence, term, entries });
    }

    /// Everybody hears that a node's disk is full, or has room again.
    fn full(&mut self, at: usize, full: bool) {
        for other in 0..self.all.len() {
            let fitness = if full { Fitness::Full } else { Fitness::Fit };
            self.tell(other, ConsensusInput::Fitness(id(at), fitness));
        }
        self.tell(at, ConsensusInput::DiskFull(full));
    }
}

fn id(at: usize) -> NodeId {
    NodeId(at as u64 + 1)
}

fn process(id: NodeId, rng: &mut Rng, now: Mono) -> Process {
    let options = LogOptions { identity: id.0, segment_bytes: 64 << 10, max_recycled: 2, reserve_bytes: 0 };
    let (mut writer, reader, _) = Log::open(MemDisk::new(), options).unwrap();
    let state = HardState { term: 1, vote: 0, commit: 1 };
    let founded = vec![Record::Start { shard: SHARD, index: 1, term: 1 }, Record::HardState { shard: SHARD, state }];
    writer.append(&WriteSet { records: founded }).and_then(|()| writer.sync()).unwrap();
    let handle = Arc::new(ShardHandle::new(SHARD, 0, Layout::Colocated, 0, None, now));
    let restored = Restored::founder(Membership::of_voters((1..=3).map(NodeId)));
    let boot = ReplicaBoot {
        handle: handle.clone(),
        restored,
        members: (1..=3).map(NodeId).collect(),
        preferred_leader: NodeId(1),
    };
    let config = ConsensusConfig {
        raft: Config::new(id),
        hibernate_after: Duration::from_secs(3),
        log_bytes_kept: 1 << 20,
        balance_interval: Duration::from_secs(5),
    };
    let side = ConsensusSide::new(id, config, reader, vec![boot], rng, now).unwrap();
    Process { side, writer, handle, refusals: Vec::new(), proposed: 0, sequence: 0 }
}

impl Process {
    /// Carries out an effect, and says whose input follows from it.
    fn carry_out(&mut self, at: usize, output: ConsensusOutput) -> Option<(usize, ConsensusInput)> {
        let place = |to: NodeId| to.0 as usize - 1;
        match output {
            ConsensusOutput::Send(to, PeerMessage::Raft { shard, message }) => {
                Some((place(to), ConsensusInput::Raft(shard, message)))
            }
            ConsensusOutput::Send(to, PeerMessage::Hibernate { shards }) => {
                Some((place(to), ConsensusInput::Hibernate(id(at), shards)))
            }
            ConsensusOutput::Persist(ticket, set) => {
                self.writer.append(&set).and_then(|()| self.writer.sync()).unwrap();
                Some((at, ConsensusInput::Persisted(ticket)))
            }
            ConsensusOutput::State(StateEvent::Committed(shard, entries)) => {
                let applied = entries.last()?.index;
                Some((at, ConsensusInput::Applied { shard, applied, flushed: (0, 0) }))
            }
            ConsensusOutput::State(StateEvent::Refused { fault, .. }) => {
                self.refusals.push(fault);
                None
            }
            ConsensusOutput::State(StateEvent::Proposed { count, .. }) => {
                self.proposed += count;
                None
            }
            ConsensusOutput::Send(..) | ConsensusOutput::State(_) => None,
        }
    }
}

#[test]
fn a_leader_without_room_hands_over_and_leads_again_with_room() {
    let mut nodes = Nodes::new();
    nodes.full(0, true);
    nodes.propose(0);
    nodes.run(Duration::from_millis(200));
    let second = nodes.leader().unwrap();
    assert_ne!(second, 0);
    assert!(matches!(nodes.all[0].refusals[..], [Fault::NotLeader { .. }]), "{:?}", nodes.all[0].refusals);
    nodes.propose(second);
    assert_eq!(nodes.all[second].proposed, 1);
    nodes.run(Duration::from_secs(20));
    assert_eq!(nodes.leader(), Some(second), "without room it is not preferred");
    nodes.full(0, false);
    // A group that sleeps moves with its next write.
    nodes.propose(second);
    nodes.run(Duration::from_secs(6));
    assert_eq!(nodes.leader(), Some(0));
}

#[test]
fn a_group_that_sleeps_moves_too() {
    let mut nodes = Nodes::new();
    nodes.run(Duration::from_secs(20));
    nodes.full(0, true);
    nodes.run(Duration::from_millis(500));
    assert!(nodes.leader().is_some_and(|at| at != 0));
}

#[test]
fn without_room_on_a_majority_writes_are_refused_and_nobody_steps_down() {
    let mut nodes = Nodes::new();
    nodes.full(1, true);
    nodes.full(2, true);
    let term = nodes.all[0].handle.term();
    nodes.propose(0);
    assert_eq!(nodes.all[0].refusals, [Fault::DiskFull], "it has room, but no majority has");
    nodes.full(0, true);
    nodes.propose(0);
    nodes.run(Duration::from_secs(10));
    assert_eq!((nodes.leader(), nodes.all[0].handle.term()), (Some(0), term));
    assert_eq!(nodes.all[0].refusals, [Fault::DiskFull, Fault::DiskFull]);
    nodes.full(2, false);
    nodes.full(1, false);
    nodes.run(Duration::from_millis(500));
    let second = nodes.leader().unwrap();
    assert_ne!(second, 0, "one that has room again");
    nodes.propose(second);
    assert_eq!(nodes.all[second].proposed, 1);
}

/// Later proposals of an epoch may build on the one that was refused, also when the reason for that is gone.
#[test]
fn nothing_of_an_epoch_is_taken_after_a_refusal() {
    let mut nodes = Nodes::new();
    (1..3).for_each(|at| nodes.full(at, true));
    let proposed = nodes.all[0].proposed;
    nodes.propose_in(0, 50);
    (1..3).for_each(|at| nodes.full(at, false));
    nodes.propose_in(0, 50);
    let process = &nodes.all[0];
    assert!(matches!(process.refusals[..], [Fault::DiskFull, Fault::NotLeader { .. }]), "{:?}", process.refusals);
    assert_eq!(process.proposed, proposed);
    nodes.propose_in(0, 51);
    assert_eq!(nodes.all[0].proposed, proposed + 1);
}

#[test]
fn a_leader_that_steps_down_prefers_a_node_with_room() {
    let mut nodes = Nodes::new();
    nodes.full(1, true);
    nodes.run(Duration::from_secs(20));
    nodes.tell(0, ConsensusInput::StepDown);
    nodes.run(Duration::from_millis(200));
    assert_eq!(nodes.leader(), Some(2), "also when the group slept");
}

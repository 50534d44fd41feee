//! A worker: its two machines and its log, each stepped by an event of its own, as if it had a thread.

use super::{NodeEffect, SimNode, Waiter};
use crate::invariants::Seen;
use cluster::{ForwardedReply, PeerMessage};
use command::Fault;
use node::{ConsensusInput, ConsensusOutput, ConsensusSide, StateEvent, StateInput, StateOutput, StateSide};
use std::collections::VecDeque;
use std::time::Duration;
use stdx::{Mono, Rng, WallMs};
use storage::MemDisk;
use storage::log::{Damage, LogError, LogWriter, Preparer, Reclaimed, WriteSet};

/// A sync that takes longer means a disk that stalls: leaderships are better held by others.
const STALL_LIMIT: Duration = Duration::from_secs(2);
/// A disk that did not stall for so long is trusted again.
const STALL_RECOVERY: Duration = Duration::from_secs(5);

/// What one worker owns.
pub struct Worker {
    consensus: ConsensusSide<MemDisk>,
    /// The machine that evaluates and applies.
    pub state: StateSide<Waiter>,
    writer: LogWriter<MemDisk>,
    /// Makes segments ahead of need.
    pub preparer: Preparer<MemDisk>,
    /// Inputs in order of arrival.
    pub to_consensus: VecDeque<ConsensusInput>,
    /// Inputs in order of arrival.
    pub to_state: VecDeque<StateInput<Waiter>>,
    /// Write sets in order of their tickets.
    pub to_log: VecDeque<(u64, WriteSet)>,
    /// Since when a write set waits for the disk.
    waiting_since: Option<Mono>,
    /// When the disk last stalled; nothing when it is trusted.
    pub stalled_at: Option<Mono>,
    /// Whether the disk has no room.
    pub full: bool,
}

impl Worker {
    /// A worker with empty queues.
    pub fn new(consensus: ConsensusSide<MemDisk>, state: StateSide<Waiter>, writer: LogWriter<MemDisk>) -> Worker {
        Worker {
            consensus,
            state,
            preparer: writer.preparer(),
            writer,
            to_consensus: VecDeque::new(),
            to_state: VecDeque::new(),
            to_log: VecDeque::new(),
            waiting_since: None,
            stalled_at: None,
            full: false,
        }
    }

    /// Whether the log thread has something to do that nobody tells it: to try again what found no room.
    pub fn log_has_work(&self) -> bool {
        self.full || !self.to_log.is_empty()
    }
}

impl SimNode {
    /// Steps a consensus side over everything queued.
    pub fn step_consensus(&mut self, worker: usize, now: Mono, out: &mut Vec<NodeEffect>) {
        let w = &mut self.workers[worker];
        let mut effects = Vec::new();
        while let Some(input) = w.to_consensus.pop_front() {
            w.consensus.handle(input, now, &mut effects);
        }
        w.consensus.advance(now, &mut effects);
        let mut leaders = false;
        for effect in effects {
            match effect {
                ConsensusOutput::Send(to, message) => out.push(NodeEffect::Send(to, message)),
                ConsensusOutput::Persist(ticket, set) => {
                    let w = &mut self.workers[worker];
                    w.to_log.push_back((ticket, set));
                    w.waiting_since.get_or_insert(now);
                    out.push(NodeEffect::SyncLog(worker));
                }
                ConsensusOutput::State(event) => {
                    leaders |= matches!(event, StateEvent::Role { .. });
                    out.extend(Seen::of(&event).map(NodeEffect::Seen));
                    self.state_input(worker, StateInput::Event(event), out);
                }
            }
        }
        if leaders {
            self.dispatch(out, |d, o| d.leaders_changed(now, o));
        }
    }

    /// Steps a state side over everything queued.
    pub fn step_state(&mut self, worker: usize, now: Mono, wall: WallMs, out: &mut Vec<NodeEffect>) {
        let w = &mut self.workers[worker];
        let mut effects = Vec::new();
        while let Some(input) = w.to_state.pop_front() {
            w.state.handle(input, now, wall, &mut effects);
        }
        w.state.advance(now, wall, &mut effects);
        for effect in effects {
            match effect {
                StateOutput::Reply(to, outcome) => self.answer(to, outcome, out),
                StateOutput::Waits(to, again) => {
                    if let Waiter::Peer { node, id, .. } = to {
                        let outcome = ForwardedReply::Waits(again);
                        out.push(NodeEffect::Send(node, PeerMessage::ForwardReply { id, outcome }));
                    }
                }
                StateOutput::Bounce(task, leader) => match task.to {
                    Waiter::Peer { .. } => self.answer(task.to, Err(Fault::NotLeader { leader }), out),
                    Waiter::Client { .. } => self.dispatch(out, |d, o| d.bounced(task, now, o)),
                },
                StateOutput::Consensus(input) => {
                    if let ConsensusInput::SnapshotInstalled { shard, .. } = &input {
                        out.push(NodeEffect::SnapshotInstalled(*shard));
                    }
                    self.consensus_input(worker, input, out);
                }
                StateOutput::Send(to, message) => {
                    debug_assert!(!matches!(message, PeerMessage::Raft { .. }), "the consensus side speaks Raft");
                    out.push(NodeEffect::Send(to, message));
                }
                StateOutput::MapChanged(_) => {}
                StateOutput::Restored(shard) => {
                    self.fenced.remove(&shard);
                    out.push(NodeEffect::Rebuilt(shard));
                }
                StateOutput::Fenced(shard, why) => {
                    self.fenced.insert(shard);
                    out.push(NodeEffect::Fenced(shard, why));
                }
            }
        }
    }

    /// The log thread's round: everything queued becomes durable at once. Without room it is tried again later.
    pub fn sync_log(&mut self, worker: usize, out: &mut Vec<NodeEffect>) {
        if let Err(error) = self.write_all(worker, out) {
            out.push(NodeEffect::Fatal(error.to_string()));
        }
    }

    fn write_all(&mut self, worker: usize, out: &mut Vec<NodeEffect>) -> Result<(), LogError> {
        let mut done = Vec::new();
        while let Some((ticket, set)) = self.workers[worker].to_log.pop_front() {
            match self.append(worker, &set, out) {
                Ok(set) => done.push((ticket, set)),
                Err(LogError::Full) => {
                    self.workers[worker].to_log.push_front((ticket, set));
                    self.set_full(worker, true, out);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let w = &mut self.workers[worker];
        w.writer.sync()?;
        if w.to_log.is_empty() {
            w.waiting_since = None;
        }
        for (ticket, set) in done {
            out.push(NodeEffect::Seen(Seen::Durable(set)));
            self.consensus_input(worker, ConsensusInput::Persisted(ticket), out);
        }
        self.reclaim(worker, out)?;
        let w = &self.workers[worker];
        if w.full && w.to_log.is_empty() && w.writer.headroom() > 0 {
            self.set_full(worker, false, out);
        }
        Ok(())
    }

    /// Writes a set, without the records of shards whose log is fenced.
    fn append(&mut self, worker: usize, set: &WriteSet, out: &mut Vec<NodeEffect>) -> Result<WriteSet, LogError> {
        let mut set = set.clone();
        while let Err(error) = self.workers[worker].writer.append(&set) {
            let LogError::Damaged(Damage { shard: Some(shard), .. }) = error else { return Err(error) };
            self.consensus_input(worker, ConsensusInput::Rebuild(shard, error.to_string()), out);
            set.records.retain(|r| r.shard() != shard);
        }
        Ok(set)
    }

    fn reclaim(&mut self, worker: usize, out: &mut Vec<NodeEffect>) -> Result<(), LogError> {
        let damaged = match self.workers[worker].writer.reclaim() {
            Ok(Reclaimed { damaged, .. }) => damaged,
            // The log goes on as it was, and a later attempt may find room.
            Err(LogError::Full) => return Ok(()),
            Err(error) => return Err(error),
        };
        for damage in damaged {
            if let Some(shard) = damage.shard {
                self.consensus_input(worker, ConsensusInput::Rebuild(shard, damage.to_string()), out);
            }
        }
        Ok(())
    }

    fn set_full(&mut self, worker: usize, full: bool, out: &mut Vec<NodeEffect>) {
        if self.workers[worker].full != full {
            self.workers[worker].full = full;
            self.consensus_input(worker, ConsensusInput::DiskFull(full), out);
        }
    }

    /// Hands leaderships over while the disk does not answer.
    pub fn watch_sync(&mut self, worker: usize, now: Mono, out: &mut Vec<NodeEffect>) {
        let w = &mut self.workers[worker];
        if w.waiting_since.is_some_and(|since| now.since(since) > STALL_LIMIT) {
            if w.stalled_at.replace(now).is_none() {
                self.consensus_input(worker, ConsensusInput::StepDown, out);
            }
        } else if w.stalled_at.is_some_and(|last| now.since(last) > STALL_RECOVERY) {
            w.stalled_at = None;
            self.consensus_input(worker, ConsensusInput::Resume, out);
        }
    }

    /// What was appended but not synced when the process dies: some of it reached the disk.
    pub fn append_unsynced(&mut self, rng: &mut Rng) {
        for w in &mut self.workers {
            while rng.one_in(2)
                && let Some((_, set)) = w.to_log.pop_front()
            {
                // A log that refuses writes nothing, which is as good an end as any.
                let _ = w.writer.append(&set);
            }
        }
    }
}

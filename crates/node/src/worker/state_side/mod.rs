//! The state side of a worker: evaluates commands where it leads, applies what is committed everywhere, and answers.

mod pending;
mod room;
mod shard;
mod system;
mod transfer;

pub use transfer::TransferConfig;

use crate::io::{ConsensusInput, StateEvent, StateInput, StateOutput, Task};
use crate::shared::ShardHandle;
use cluster::{Layout, NodeRecord, PeerMessage};
use consensus::SnapshotMeta;
use shard::Shard;
use state::ScriptLimits;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, ShardId, WallMs};
use storage::{Applied, EngineError, Replica};
use system::SystemShard;
use transfer::Transfers;

/// How the state side behaves.
#[derive(Clone, Debug)]
pub struct StateConfig {
    /// Snapshot transfer.
    pub transfer: TransferConfig,
    /// How often a leader looks for expired keys and garbage.
    pub sweep_interval: Duration,
    /// The nodes as this node's configuration lists them, for the system shard's records.
    pub nodes: BTreeMap<u64, NodeRecord>,
    /// Shards of the sharded namespace, should the cluster be a new one.
    pub shards: u16,
    /// What one run of a script may use.
    pub scripts: ScriptLimits,
}

/// How often a leader looks for expired keys by default: as often as Redis does at `hz 10`.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// All shards of one worker.
pub struct StateSide<R> {
    config: StateConfig,
    shards: BTreeMap<ShardId, Shard<R>>,
    touched: BTreeSet<ShardId>,
    transfers: Transfers,
    system: SystemShard,
    rng: Rng,
    draining: bool,
}

impl<R: Clone> StateSide<R> {
    /// The state side of the replicas in `replicas`.
    #[must_use]
    pub fn new(
        node: NodeId,
        config: StateConfig,
        replicas: Vec<(Arc<ShardHandle>, Arc<Replica>)>,
        mut rng: Rng,
    ) -> StateSide<R> {
        let first_snapshot = rng.next_u64() >> 1;
        StateSide {
            transfers: Transfers::new(node, config.transfer, first_snapshot),
            system: SystemShard::new(config.nodes.clone(), config.shards),
            shards: replicas
                .into_iter()
                .map(|(handle, replica)| (handle.id, Shard::new(node, handle, replica, config.scripts)))
                .collect(),
            config,
            touched: BTreeSet::new(),
            rng,
            draining: false,
        }
    }

    /// The only door in. What it leads to across shards appears at the next `advance`.
    pub fn handle(&mut self, input: StateInput<R>, now: Mono, wall: WallMs, out: &mut Vec<StateOutput<R>>) {
        match input {
            StateInput::Tasks(tasks) => {
                for task in tasks {
                    self.task(task, now, wall, out);
                }
            }
            StateInput::Event(event) => self.event(event, now, out),
            StateInput::Tick => self.tick(now, wall, out),
            StateInput::SessionClosed(session) => self.shards.values_mut().for_each(|s| s.session_closed(session)),
            StateInput::Flushed => self.touched.extend(self.shards.keys()),
            StateInput::Snapshot(from, message) => self.snapshot(from, message, now, out),
            StateInput::Unblock { shard, session, number, how } => {
                if let Some(shard) = self.shards.get_mut(&shard) {
                    shard.unblock(session, number, how, out);
                }
            }
            StateInput::PeerLost(node) => self.shards.values_mut().for_each(|s| s.peer_lost(node, out)),
            StateInput::Drain => {
                self.draining = true;
                self.shards.values_mut().for_each(|s| s.drain(out));
            }
        }
    }

    /// Ends a round: settles, proposes, and reports progress of every shard that was touched.
    pub fn advance(&mut self, now: Mono, wall: WallMs, out: &mut Vec<StateOutput<R>>) {
        for id in std::mem::take(&mut self.touched) {
            let Some(shard) = self.shards.get_mut(&id) else { continue };
            let settled = shard.settle(now, wall, &mut self.rng, out);
            if let Err(error) = settled.and_then(|()| shard.advance(now, wall, &mut self.rng, out)) {
                fence(shard, &error, now, out);
                continue;
            }
            if let Some(progress) = shard.progress() {
                out.push(StateOutput::Consensus(progress));
            }
        }
    }

    /// Tasks and proposals whose answer is still due: a drain waits for zero.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.shards.values().map(Shard::unanswered).sum()
    }

    fn task(&mut self, task: Task<R>, now: Mono, wall: WallMs, out: &mut Vec<StateOutput<R>>) {
        let id = task.request.shard;
        let Some(shard) = self.shards.get_mut(&id) else {
            out.push(StateOutput::Bounce(task, None));
            return;
        };
        self.touched.insert(id);
        if let Err(error) = shard.task(task, now, wall, &mut self.rng, out) {
            fence(shard, &error, now, out);
        }
    }

    fn event(&mut self, event: StateEvent, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let id = event.shard();
        let Some(shard) = self.shards.get_mut(&id) else { return };
        self.touched.insert(id);
        // Whatever Raft handed out may not have changed the state (a snapshot had brought it): Raft is told all the same.
        shard.told = None;
        let mut step = Ok(());
        match event {
            StateEvent::Role { role, term, leader, .. } => shard.role(role, term, leader, now),
            StateEvent::Proposed { sequence, count, term, index, .. } => {
                shard.pending.placed(sequence, count, term, index)
            }
            StateEvent::Refused { sequence, fault, .. } => shard.refused(sequence, &fault, now, out),
            StateEvent::Committed(_, entries) if !shard.fenced => {
                let watch_map = shard.handle.layout == Layout::System;
                step = shard.commit(entries, out);
                if watch_map && step.is_ok() {
                    step = self.system.observe(shard, out);
                }
            }
            StateEvent::Committed(..) => {}
            StateEvent::BarrierPassed { token, .. } => shard.barrier_passed(token, out),
            StateEvent::BarrierFailed { token, .. } => shard.barrier_failed(token, out),
            StateEvent::SnapshotWanted(_, to) => step = snapshot_for(shard, to, &mut self.transfers, now, out),
            StateEvent::SnapshotAnnounced(_, message) => self.transfers.announce(id, message, now, out),
            StateEvent::Damaged(..) if shard.fenced => {}
            StateEvent::Damaged(_, why) => {
                self.transfers.cancel(id);
                shard.fence(now, out);
                out.push(StateOutput::Fenced(id, why));
            }
            StateEvent::SnapshotAccepted(_, meta) => shard.accepted(meta.index, out),
            StateEvent::MembershipChanged(_, index, membership) => shard.membership(index, membership.encode()),
        }
        if let Err(error) = step {
            fence(shard, &error, now, out);
        }
    }

    fn tick(&mut self, now: Mono, wall: WallMs, out: &mut Vec<StateOutput<R>>) {
        self.transfers.tick(now, out);
        for (id, shard) in &mut self.shards {
            shard.expire(now, out);
            match shard.end_due_waits(now, wall, &mut self.rng, out) {
                Ok(false) => {}
                Ok(true) => drop(self.touched.insert(*id)),
                Err(error) => fence(shard, &error, now, out),
            }
            if shard.is_settling() {
                self.touched.insert(*id);
            }
            if !shard.leads() || self.draining || now < shard.sweep_at || !shard.may_sweep(wall) {
                continue;
            }
            shard.sweep_at = now + self.config.sweep_interval;
            let swept = match shard.handle.layout {
                Layout::System => self.system.lead(shard, wall, out).map(|()| false),
                Layout::Colocated | Layout::Sharded => shard.sweep(wall, &mut self.rng),
            };
            match swept {
                Ok(more) => {
                    if more {
                        shard.sweep_at = now;
                    }
                    self.touched.insert(*id);
                }
                Err(error) => fence(shard, &error, now, out),
            }
        }
    }

    fn snapshot(&mut self, from: NodeId, message: PeerMessage, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let id = match &message {
            PeerMessage::SnapshotOffer { shard, .. }
            | PeerMessage::SnapshotFetch { shard, .. }
            | PeerMessage::SnapshotData { shard, .. } => *shard,
            PeerMessage::SnapshotGone { shard, id } => return self.transfers.gone(from, *shard, *id),
            PeerMessage::SnapshotDone { shard, id, node, installed } => {
                return self.transfers.done(*shard, *id, *node, *installed, out);
            }
            _ => return debug_assert!(false, "only snapshot messages come through this door"),
        };
        let Some(shard) = self.shards.get_mut(&id) else { return };
        match transfer_step(&mut self.transfers, shard, from, message, now, out) {
            Ok(false) => {}
            Ok(true) => {
                self.touched.insert(id);
            }
            // Nothing is damaged: the replica goes on with what it has, and the leader offers again.
            Err(EngineError::Full(_)) => {}
            Err(error) => fence(shard, &error, now, out),
        }
    }
}

/// Takes a transfer one step further; whether the replica was replaced.
fn transfer_step<R: Clone>(
    transfers: &mut Transfers,
    shard: &mut Shard<R>,
    from: NodeId,
    message: PeerMessage,
    now: Mono,
    out: &mut Vec<StateOutput<R>>,
) -> Result<bool, EngineError> {
    match message {
        PeerMessage::SnapshotOffer { id, meta, stamp_ms, message, .. } => {
            let membership = meta.membership.encode();
            let applied = Applied { index: meta.index, term: meta.term, stamp_ms, membership };
            let held = if shard.fenced { 0 } else { shard.applied.index };
            transfers.offered(from, id, applied, message, &shard.replica, held, now, out)?;
        }
        PeerMessage::SnapshotFetch { shard, id, after, max_bytes } => {
            transfers.fetch(from, shard, id, after, max_bytes, now, out)?;
        }
        PeerMessage::SnapshotData { shard: at, id, after, chunk } => {
            if !shard.fenced {
                transfers.overtaken(at, shard.applied.index, out);
            }
            let replaced = transfers.received(from, at, id, after, chunk, now, out)?;
            if replaced {
                shard.installed(out)?;
            }
            return Ok(replaced);
        }
        _ => {}
    }
    Ok(false)
}

/// The replica's data cannot be used: it is fenced, and its group starts anew.
fn fence<R: Clone>(shard: &mut Shard<R>, error: &EngineError, now: Mono, out: &mut Vec<StateOutput<R>>) {
    shard.fence(now, out);
    out.push(StateOutput::Fenced(shard.handle.id, error.to_string()));
    out.push(StateOutput::Consensus(ConsensusInput::Rebuild(shard.handle.id, error.to_string())));
}

fn snapshot_for<R: Clone>(
    shard: &mut Shard<R>,
    to: NodeId,
    transfers: &mut Transfers,
    now: Mono,
    out: &mut Vec<StateOutput<R>>,
) -> Result<(), EngineError> {
    let id = shard.handle.id;
    let snapshot = shard.replica.snapshot()?;
    let applied = snapshot.applied().clone();
    let meta = consensus::Membership::decode(applied.membership.clone())
        .map(|membership| SnapshotMeta { index: applied.index, term: applied.term, membership })
        .map_err(|e| EngineError::Damaged(format!("membership of {id}: {e}")))?;
    transfers.offer(id, to, snapshot, meta.clone(), now);
    out.push(StateOutput::Consensus(ConsensusInput::SnapshotTaken { shard: id, to, meta: Some(meta) }));
    Ok(())
}

impl StateEvent {
    /// The shard it is about.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        match self {
            StateEvent::Role { shard, .. }
            | StateEvent::Proposed { shard, .. }
            | StateEvent::Refused { shard, .. }
            | StateEvent::Committed(shard, _)
            | StateEvent::BarrierPassed { shard, .. }
            | StateEvent::BarrierFailed { shard, .. }
            | StateEvent::SnapshotWanted(shard, _)
            | StateEvent::SnapshotAnnounced(shard, _)
            | StateEvent::Damaged(shard, _)
            | StateEvent::SnapshotAccepted(shard, _)
            | StateEvent::MembershipChanged(shard, ..) => *shard,
        }
    }
}

//! Carrying out what nodes want, their starts and their ends.

use super::slot::{Doom, Due};
use super::{Event, World};
use crate::fault::Kind;
use crate::invariants::LeaseView;
use crate::node::{NodeEffect, SimNode, Start, TICK};
use cluster::PeerMessage;
use node::Origin;
use std::time::Duration;
use stdx::{Mono, NodeId, ShardId, WallMs};

/// How soon a thread takes up what is in its queue, at most, in microseconds.
const STEP_US_MAX: u64 = 50;
/// The same of the thread that applies.
const STATE_STEP_US_MAX: u64 = 100;
/// Most fsyncs take up to so long, in microseconds.
const SYNC_US_MAX: u64 = 500;
/// One step in so many of the state side stalls.
const APPLY_STALL_ONE_IN: u64 = 500;
/// One fsync in so many is slow.
const SYNC_SLOW_ONE_IN: u64 = 20;
/// A process whose disks refuse is started again after so long.
const RESTART: Duration = Duration::from_millis(500);
/// A process that stopped by itself is started again after so long.
const RESTART_FAILED: Duration = Duration::from_millis(200);
/// A connection that broke is noticed after so long.
const NOTICE: Duration = Duration::from_micros(100);
/// It stands again after so long.
const DIAL: Duration = Duration::from_millis(5);

impl World {
    /// Lets a node act and carries out what it wants.
    pub(super) fn with(
        &mut self,
        id: NodeId,
        life: Option<u64>,
        f: impl FnOnce(&mut SimNode, Mono, WallMs, &mut Vec<NodeEffect>),
    ) {
        let Some(slot) = self.nodes.get_mut(&id).filter(|s| life.is_none_or(|l| l == s.life)) else { return };
        let (now, wall, life) = (slot.mono(self.now), slot.wall(self.now), slot.life);
        let Some(process) = slot.process.as_mut() else { return };
        let mut effects = Vec::new();
        f(process, now, wall, &mut effects);
        self.carry_out(id, life, effects);
    }

    pub(super) fn carry_out(&mut self, id: NodeId, life: u64, effects: Vec<NodeEffect>) {
        for effect in effects {
            if self.dies_here(id, life) {
                return;
            }
            self.effect(id, life, effect);
        }
    }

    /// A thread takes up what is in its queue.
    pub(super) fn step_consensus(&mut self, id: NodeId, life: u64, worker: usize) {
        let until = self.nodes.get(&id).map_or(Mono(0), |slot| slot.stuck.consensus);
        let step = |node: &mut SimNode, now, _, out: &mut Vec<NodeEffect>| node.step_consensus(worker, now, out);
        if until > self.now {
            if let Some(effects) = self.take_up(id, life, step) {
                self.counts.hit(Kind::StuckConsensus);
                self.at(until, Event::EndConsensus(id, life, worker, effects));
            }
            return;
        }
        self.due(id, life, worker, |due| due.consensus = false);
        self.with(id, Some(life), step);
    }

    /// The same of the thread that evaluates and applies.
    pub(super) fn step_state(&mut self, id: NodeId, life: u64, worker: usize) {
        let until = self.nodes.get(&id).map_or(Mono(0), |slot| slot.stuck.state);
        let step = |node: &mut SimNode, now, wall, out: &mut Vec<NodeEffect>| node.step_state(worker, now, wall, out);
        if until > self.now {
            if let Some(effects) = self.take_up(id, life, step) {
                self.counts.hit(Kind::StuckState);
                self.at(until, Event::EndState(id, life, worker, effects));
            }
            return;
        }
        self.due(id, life, worker, |due| due.state = false);
        self.with(id, Some(life), step);
    }

    /// A step that is stuck has taken its inputs, and what it makes of them is not there yet. What the rules are about is
    /// told at once.
    fn take_up(
        &mut self,
        id: NodeId,
        life: u64,
        step: impl FnOnce(&mut SimNode, Mono, WallMs, &mut Vec<NodeEffect>),
    ) -> Option<Vec<NodeEffect>> {
        let slot = self.nodes.get_mut(&id).filter(|s| s.life == life)?;
        let (now, wall) = (slot.mono(self.now), slot.wall(self.now));
        let mut effects = Vec::new();
        step(slot.process.as_mut()?, now, wall, &mut effects);
        let (seen, rest) = effects.into_iter().partition(|e| matches!(e, NodeEffect::Seen(_)));
        self.carry_out(id, life, seen);
        Some(rest)
    }

    /// Counts an effect of a process that is to die after some. Whether it is dead.
    fn dies_here(&mut self, id: NodeId, life: u64) -> bool {
        let Some(slot) = self.nodes.get_mut(&id) else { return true };
        if slot.life != life || slot.process.is_none() {
            return true;
        }
        let Some(doom) = &mut slot.doom else { return false };
        if doom.effects > 0 {
            doom.effects -= 1;
            return false;
        }
        let Doom { down, kind, .. } = *doom;
        self.counts.hit(kind);
        self.kill(id, down);
        true
    }

    fn effect(&mut self, id: NodeId, life: u64, effect: NodeEffect) {
        match effect {
            NodeEffect::Send(to, message) => self.send(id, to, message),
            NodeEffect::Replies(connection, replies) => {
                self.after(Duration::from_micros(100), Event::Replies(connection, replies));
            }
            NodeEffect::GoOn(connection) => {
                let more = Event::Commands { node: id, connection, port: None, commands: Vec::new() };
                self.after(Duration::from_micros(1), more);
            }
            NodeEffect::StepConsensus(w) => {
                let delay = Duration::from_micros(1 + self.steps.below(STEP_US_MAX));
                self.schedule(id, life, w, delay, |d| &mut d.consensus, Event::StepConsensus(id, life, w));
            }
            NodeEffect::StepState(w) => {
                if self.nodes[&id].due[w].state {
                    return;
                }
                let stalls = self.steps.one_in(APPLY_STALL_ONE_IN);
                let limit = if stalls { self.plan.rates.apply_stall_max.as_micros() as u64 } else { STATE_STEP_US_MAX };
                let delay = Duration::from_micros(1 + self.steps.below(limit)) + self.nodes[&id].slow_engine;
                self.schedule(id, life, w, delay, |d| &mut d.state, Event::StepState(id, life, w));
            }
            NodeEffect::SyncLog(w) => {
                if self.nodes[&id].due[w].sync {
                    return;
                }
                let slow = self.steps.one_in(SYNC_SLOW_ONE_IN);
                let limit = if slow { self.plan.rates.sync_max.as_micros() as u64 } else { SYNC_US_MAX };
                let delay = Duration::from_micros(1 + self.steps.below(limit)) + self.nodes[&id].slow_disk;
                self.schedule(id, life, w, delay, |d| &mut d.sync, Event::SyncLog(id, life, w));
            }
            NodeEffect::Seen(seen) => {
                let (nodes, now) = (&self.nodes, self.now);
                let leases = |shard: ShardId| {
                    let lease = |id: &NodeId, slot: &super::Slot| {
                        let table = slot.process.as_ref()?.table();
                        let handle = table.shards.get(&shard)?;
                        let valid = handle.lease_valid(slot.mono(now)) && !handle.fenced();
                        Some(LeaseView { node: *id, term: handle.term(), valid })
                    };
                    nodes.iter().filter_map(|(id, slot)| lease(id, slot)).collect()
                };
                if let Err(why) = self.invariants.saw(id, seen, leases) {
                    self.break_rule(why);
                }
            }
            NodeEffect::Fatal(why) => self.fatal(id, &why),
            NodeEffect::Fenced(shard, why) => {
                self.note(format!("{id} rebuilds {shard}: {why}"));
                if let Some(slot) = self.nodes.get_mut(&id)
                    && let Some(doom) = slot.doom_in_rebuild.take()
                {
                    slot.doom = Some(doom);
                }
            }
            NodeEffect::Rebuilt(shard) => {
                self.transfers.1 += 1;
                self.note(format!("{id} has rebuilt {shard}"));
            }
            NodeEffect::SnapshotInstalled(shard) => {
                self.transfers.0 += 1;
                self.note(format!("{id} installed a snapshot of {shard}"));
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: PeerMessage) {
        let Some(life) = self.nodes.get(&to).filter(|s| s.process.is_some()).map(|s| s.life) else { return };
        for arrival in self.network.send(from, to, message, self.now) {
            let (generation, message) = (arrival.generation, arrival.message);
            self.at(arrival.at, Event::Deliver { from, to, life, generation, message });
        }
    }

    pub(super) fn due(&mut self, id: NodeId, life: u64, worker: usize, f: impl FnOnce(&mut Due)) {
        if let Some(slot) = self.nodes.get_mut(&id).filter(|s| s.life == life) {
            f(&mut slot.due[worker]);
        }
    }

    fn schedule(
        &mut self,
        id: NodeId,
        life: u64,
        worker: usize,
        delay: Duration,
        due: impl FnOnce(&mut Due) -> &mut bool,
        event: Event,
    ) {
        let Some(slot) = self.nodes.get_mut(&id).filter(|s| s.life == life) else { return };
        if !std::mem::replace(due(&mut slot.due[worker]), true) {
            self.after(delay, event);
        }
    }

    pub(super) fn sync_log(&mut self, id: NodeId, life: u64, worker: usize) {
        let Some(slot) = self.nodes.get_mut(&id).filter(|s| s.life == life) else { return };
        if self.now < slot.hung_until {
            let until = slot.hung_until;
            self.at(until, Event::SyncLog(id, life, worker));
            return;
        }
        slot.due[worker].sync = false;
        self.with(id, Some(life), |node, _, _, out| node.sync_log(worker, out));
    }

    /// A process stopped by itself. With a broken disk that is right: after a failed write or fsync nobody knows what
    /// the disk holds. Without one it is a bug.
    fn fatal(&mut self, id: NodeId, why: &str) {
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        let faults = slot.disks.faults();
        let injected = faults > std::mem::replace(&mut slot.faults_seen, faults);
        if slot.disks.is_halted() {
            let down = slot.down;
            self.counts.hit(Kind::KillInWrite);
            self.kill(id, down);
        } else if injected {
            self.note(format!("{id} stops: {why}"));
            self.kill(id, RESTART_FAILED);
        } else {
            self.break_rule(format!("{id} stopped without a fault of its disk: {why}"));
        }
    }

    pub(super) fn start(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_none_or(|s| s.process.is_some()) {
            return;
        }
        self.destroy_at_rest(id);
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        slot.life += 1;
        slot.due.iter_mut().for_each(|due| *due = Due::default());
        slot.deferred.clear();
        (slot.doom, slot.down) = (None, Duration::ZERO);
        let (life, now) = (slot.life, slot.mono(self.now));
        let origin = if slot.founded { Origin::Existing } else { Origin::Founding };
        match Start::run(id, &self.plan.shape, &slot.disks, origin, now, &mut self.disks) {
            Ok(Start { process, recovered }) => {
                (slot.process, slot.founded) = (Some(process), true);
                if let Err(why) = self.invariants.started(id, &recovered) {
                    self.break_rule(why);
                }
            }
            Err(why) => {
                let faults = slot.disks.faults();
                // As everywhere here, the end of a process is one of its machine, too.
                slot.disks.crash(&mut self.disks);
                let injected = faults > std::mem::replace(&mut slot.faults_seen, faults) || slot.disks.refuses();
                if injected && !self.healed {
                    self.note(format!("{id} does not start: {why}"));
                    self.after(RESTART, Event::Start(id));
                } else {
                    self.break_rule(format!("{id} does not start although its disk is well: {why}"));
                }
                return;
            }
        }
        self.note(format!("{id} starts"));
        self.mix(id.0 << 32 | life);
        self.after(TICK, Event::Tick(id, life, 0));
        for peer in self.living() {
            self.relink(id, peer);
        }
    }

    /// The connections between two nodes are made anew, if the network lets them; what was under way is lost.
    pub(super) fn relink(&mut self, a: NodeId, b: NodeId) {
        let alive = |id| self.nodes.get(&id).is_some_and(|s| s.process.is_some());
        if a == b || !alive(a) || !alive(b) || !self.network.passes(a, b) {
            return;
        }
        self.network.reset(a, b);
        for (here, there) in [(a, b), (b, a)] {
            self.after(NOTICE, Event::Link(here, there, false));
            self.after(DIAL, Event::Link(here, there, true));
        }
    }

    /// Kills a process. What was not synced is lost in part.
    pub(super) fn kill(&mut self, id: NodeId, down: Duration) {
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        let Some(mut process) = slot.process.take() else { return };
        process.append_unsynced(&mut self.disks);
        drop(process);
        slot.paused = false;
        slot.doom = None;
        slot.deferred.clear();
        let lost = slot.disks.crash(&mut self.disks);
        slot.faults_seen = slot.disks.faults();
        self.counts.add(Kind::LostSector, lost);
        self.note(format!("{id} is dead for {:.3} s", down.as_secs_f64()));
        self.mix(id.0 << 40);
        for peer in self.living() {
            // The kernel of a dead process says so, if the network lets it.
            if self.network.passes(id, peer) {
                self.after(Duration::from_micros(200), Event::Link(peer, id, false));
            }
        }
        self.break_connections(id);
        self.after(down, Event::Start(id));
    }
}

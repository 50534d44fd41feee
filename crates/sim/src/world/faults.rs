//! Doing the faults of the plan.

use super::slot::{Doom, Slot, Stuck};
use super::{Event, World, told};
use crate::atlas::{NodeView, may_destroy};
use crate::fault::{Fault, Kind};
use crate::node::Disks;
use crate::plan::CLOCK_STEP_MS_MAX;
use std::time::Duration;
use stdx::{NodeId, Rng};

/// A slow link adds up to so much, in milliseconds.
const SLOW_LINK_MS_MAX: u64 = 400;
/// Each second of congestion makes the delay longer by one of these, in seconds.
const CONGESTION: [f64; 3] = [0.3, 0.6, 0.9];
/// A slow disk adds up to so much to each fsync, in milliseconds.
const SLOW_DISK_MS_MAX: u64 = 200;
/// A slow engine adds up to so much to each step, in milliseconds.
const SLOW_ENGINE_MS_MAX: u64 = 100;
/// A disk that fills up has room for up to so many bytes.
const ROOM_BYTES_MAX: u64 = 100_000;
/// A process that is to die in a step does so after up to so many effects.
const EFFECTS_MAX: u64 = 200;
/// A process that is to die between two writes does so after up to so many of them.
const WRITES_MAX: u64 = 12;
/// Between two restarts of a rolling restart.
const ROLL_PAUSE: Duration = Duration::from_millis(1_500);

impl World {
    pub(super) fn fault(&mut self, number: usize) {
        if self.healed {
            return;
        }
        let fault = self.plan.faults[number];
        let counted = match fault.kind {
            Kind::Partition
            | Kind::PartialPartition
            | Kind::OneWayCut
            | Kind::SlowLink
            | Kind::Congestion
            | Kind::Reset
            | Kind::ClientReset => self.network_fault(number, fault),
            Kind::Kill
            | Kind::KillAtEffect
            | Kind::KillInWrite
            | Kind::KillInRebuild
            | Kind::RollingRestart
            | Kind::Pause
            | Kind::StuckState
            | Kind::StuckConsensus => self.process_fault(number, fault),
            _ => self.disk_fault(number, fault),
        };
        if counted {
            self.counts.hit(fault.kind);
        }
        self.note(told(&fault));
        self.after(fault.lasts, Event::End(number));
    }

    fn network_fault(&mut self, number: usize, fault: Fault) -> bool {
        let Fault { kind, node, peer, dice, .. } = fault;
        if node == peer && kind != Kind::ClientReset {
            return false;
        }
        match kind {
            Kind::ClientReset => return self.break_connections(node) > 0,
            Kind::SlowLink => {
                let by = Duration::from_millis(1 + dice % SLOW_LINK_MS_MAX);
                self.network.slow(node, peer, by);
                self.network.slow(peer, node, by);
            }
            Kind::Reset => {
                let alive = |id| self.nodes.get(&id).is_some_and(|s: &Slot| s.process.is_some());
                if !alive(node) || !alive(peer) {
                    return false;
                }
                self.relink(node, peer);
            }
            Kind::Congestion => {
                self.congest(node, Some(CONGESTION[dice as usize % CONGESTION.len()]));
                // The rest of its time nobody hears the node, which hears what was queued up.
                self.after(fault.lasts / 2, Event::Silence(number));
            }
            Kind::PartialPartition if self.nodes.len() < 3 => return false,
            _ => self.cut(fault, true),
        }
        true
    }

    fn congest(&mut self, node: NodeId, growth: Option<f64>) {
        for peer in self.ids().into_iter().filter(|peer| *peer != node) {
            self.network.congest(peer, node, growth, self.now);
        }
    }

    /// The second half of a congestion: nothing leaves the node any more.
    pub(super) fn silence(&mut self, number: usize) {
        if !self.healed {
            self.cut(self.plan.faults[number], true);
        }
    }

    /// Connections that lost a part of their stream are made anew where the network lets them.
    fn relink_torn(&mut self) {
        for a in self.ids() {
            for b in self.ids().into_iter().filter(|b| a < *b) {
                if self.network.is_torn(a, b) {
                    self.relink(a, b);
                }
            }
        }
    }

    /// Makes or ends the cuts of a fault.
    fn cut(&mut self, fault: Fault, cut: bool) {
        let Fault { kind, node, peer, dice, .. } = fault;
        match kind {
            Kind::OneWayCut => self.network.cut(node, peer, cut),
            Kind::Congestion => {
                for peer in self.ids().into_iter().filter(|peer| *peer != node) {
                    self.network.cut(node, peer, cut);
                }
            }
            Kind::PartialPartition => {
                self.network.cut(node, peer, cut);
                self.network.cut(peer, node, cut);
            }
            _ => {
                // The node is on one side; the dice say who is with it, never everybody.
                let side = |id: NodeId| id == node || (id != peer && dice >> (id.0 % 64) & 1 == 1);
                for a in self.ids() {
                    for b in self.ids() {
                        if side(a) != side(b) {
                            self.network.cut(a, b, cut);
                        }
                    }
                }
            }
        }
    }

    fn process_fault(&mut self, number: usize, fault: Fault) -> bool {
        let Fault { kind, node, lasts, dice, .. } = fault;
        let down = lasts;
        let allowed = kind != Kind::KillInRebuild || self.may_destroy(node, false);
        let nodes = self.nodes.len() as u64;
        let Some(slot) = self.nodes.get_mut(&node).filter(|s| s.process.is_some()) else { return false };
        match kind {
            Kind::Kill => {
                self.kill(node, down);
                return true;
            }
            // These are counted when the process dies.
            Kind::KillAtEffect => slot.doom = Some(Doom { effects: dice % EFFECTS_MAX, down, kind }),
            Kind::KillInWrite => {
                slot.down = down;
                let log = (dice >> 32) as usize % slot.disks.logs.len();
                slot.disks.logs[log].halt_after(1 + dice % WRITES_MAX);
            }
            Kind::KillInRebuild if allowed => {
                slot.being_destroyed |= slot.disks.damage_engine(number, &mut Rng::new(dice));
                slot.doom_in_rebuild = Some(Doom { effects: dice % EFFECTS_MAX, down, kind });
            }
            Kind::KillInRebuild => {}
            // These are counted when a step is caught.
            Kind::StuckState => slot.stuck.state = self.now + lasts,
            Kind::StuckConsensus => slot.stuck.consensus = self.now + lasts,
            Kind::RollingRestart => {
                for i in 0..nodes {
                    let id = NodeId(1 + (node.0 - 1 + i) % nodes);
                    self.after((ROLL_PAUSE + down) * i as u32, Event::Roll(id, down));
                }
                return true;
            }
            _ => {
                if slot.paused {
                    return false;
                }
                slot.paused = true;
                self.after(lasts, Event::Resume(node));
                return true;
            }
        }
        false
    }

    fn disk_fault(&mut self, number: usize, fault: Fault) -> bool {
        let Fault { kind, node, lasts, dice, .. } = fault;
        let now = self.now;
        let allowed = !kind.destroys() || self.may_destroy(node, false);
        let Some(slot) = self.nodes.get_mut(&node).filter(|s| s.process.is_some()) else { return false };
        let mut rng = Rng::new(dice);
        match kind {
            Kind::Rot | Kind::Misdirected | Kind::DiskLost => {
                // Counted when the process is dead, if the atlas allows it then.
                slot.destruction = Some((kind, dice));
                self.kill(node, lasts);
                return false;
            }
            Kind::ReadError => {
                let done = allowed && slot.disks.fail_reads(&mut rng);
                slot.being_destroyed |= done;
                return done;
            }
            Kind::EngineDamage => {
                let done = allowed && slot.disks.damage_engine(number, &mut rng);
                slot.being_destroyed |= done;
                return done;
            }
            Kind::WriteError => slot.disks.fail_writes(),
            Kind::SyncError => slot.disks.fail_syncs(),
            Kind::FullDisk => slot.disks.fill_up(number, dice % ROOM_BYTES_MAX),
            Kind::SlowDisk => slot.slow_disk = Duration::from_millis(1 + dice % SLOW_DISK_MS_MAX),
            Kind::HungDisk => slot.hung_until = slot.hung_until.max(now + lasts),
            Kind::SlowEngine => slot.slow_engine = Duration::from_millis(1 + dice % SLOW_ENGINE_MS_MAX),
            Kind::EngineError => slot.disks.fail_engine(number),
            _ => slot.wall_offset_ms += (dice % (2 * CLOCK_STEP_MS_MAX)) as i64 - CLOCK_STEP_MS_MAX as i64,
        }
        true
    }

    /// A fault of the plan is over.
    pub(super) fn end_fault(&mut self, number: usize) {
        if self.healed {
            return;
        }
        let fault = self.plan.faults[number];
        match fault.kind {
            Kind::Partition | Kind::OneWayCut => self.cut(fault, false),
            Kind::Congestion => {
                self.congest(fault.node, None);
                self.cut(fault, false);
            }
            Kind::PartialPartition if self.nodes.len() > 2 => self.cut(fault, false),
            Kind::SlowLink => {
                self.network.slow(fault.node, fault.peer, Duration::ZERO);
                self.network.slow(fault.peer, fault.node, Duration::ZERO);
            }
            _ => {}
        }
        self.relink_torn();
        let Some(slot) = self.nodes.get_mut(&fault.node) else { return };
        slot.disks.end_engine(number);
        match fault.kind {
            Kind::ReadError | Kind::EngineDamage | Kind::KillInRebuild => {
                slot.disks.end_log_errors();
                slot.being_destroyed = slot.disks.is_engine_broken();
                slot.doom_in_rebuild = None;
            }
            Kind::WriteError | Kind::SyncError => slot.disks.end_log_errors(),
            Kind::FullDisk => slot.disks.give_room(),
            Kind::SlowDisk => slot.slow_disk = Duration::ZERO,
            Kind::SlowEngine => slot.slow_engine = Duration::ZERO,
            _ => {}
        }
    }

    /// What a fault does to the data of a process that is down, if the atlas still allows it when it starts again.
    pub(super) fn destroy_at_rest(&mut self, id: NodeId) {
        let Some((kind, dice)) = self.nodes.get_mut(&id).and_then(|s| s.destruction.take()) else { return };
        if self.healed || !self.may_destroy(id, true) {
            return;
        }
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        let mut rng = Rng::new(dice);
        let done = match kind {
            Kind::Rot => slot.disks.rot(&mut rng),
            Kind::Misdirected => slot.disks.misdirect(&mut rng),
            _ => {
                slot.disks = Disks::new(slot.disks.logs.len());
                // The new disks count their failures from nothing.
                slot.faults_seen = 0;
                true
            }
        };
        if done {
            self.counts.hit(kind);
            self.note(format!("{}: on the disk of {id}", kind.name()));
        }
    }

    fn may_destroy(&self, victim: NodeId, at_rest: bool) -> bool {
        let view = |(id, slot): (&NodeId, &Slot)| {
            let table = slot.process.as_ref().map(|p| p.table());
            let applied =
                move |shard| table.as_ref().and_then(|t| t.shards.get(&shard)).map_or(0, |handle| handle.applied());
            NodeView { id: *id, well: slot.is_well(), applied: Box::new(applied) }
        };
        let nodes: Vec<NodeView> = self.nodes.iter().map(view).collect();
        may_destroy(victim, at_rest, &self.map, &nodes, &self.invariants)
    }

    pub(super) fn resume(&mut self, id: NodeId) {
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        if !std::mem::take(&mut slot.paused) {
            return;
        }
        for event in std::mem::take(&mut slot.deferred) {
            self.after(Duration::ZERO, event);
        }
    }

    /// No more faults: everything is joined, resumed, and has room. What is dead starts again in its time.
    pub fn heal(&mut self) {
        self.healed = true;
        self.note("the cluster is healed".into());
        self.network.heal();
        self.relink_torn();
        for id in self.ids() {
            self.resume(id);
            let Some(slot) = self.nodes.get_mut(&id) else { continue };
            slot.disks.heal();
            (slot.doom, slot.doom_in_rebuild, slot.being_destroyed) = (None, None, false);
            slot.slow_disk = Duration::ZERO;
            slot.slow_engine = Duration::ZERO;
            slot.hung_until = self.now;
            slot.stuck = Stuck::default();
        }
        self.queue.retain(|_, event| !matches!(**event, Event::Roll(..)));
        self.forget_answers();
    }
}

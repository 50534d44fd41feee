//! Replicas that are started anew because what they held is lost or damaged, and the snapshots that bring them, and those
//! that fell behind, up to date.

use super::{ConsensusSide, ReplicaBoot};
use crate::io::{ConsensusOutput, StateEvent};
use consensus::{Restored, SnapshotMeta};
use stdx::{Mono, NodeId, ShardId};
use storage::Disk;
use storage::log::Record;

impl<D: Disk + Clone> ConsensusSide<D> {
    /// Starts a group anew as one that knows nothing: it takes no part in elections until it has installed a snapshot,
    /// because it may have promised what it forgets here.
    pub(super) fn rebuild(&mut self, shard: ShardId, why: String, now: Mono, out: &mut Vec<ConsensusOutput>) {
        // One that waits for a snapshot anyway has nothing more to lose.
        let Some(old) = (match self.slots.get(&shard) {
            Some(slot) if slot.group.is_joining() => None,
            _ => self.slots.remove(&shard),
        }) else {
            return;
        };
        out.push(ConsensusOutput::State(StateEvent::Damaged(shard, why)));
        old.handle.set_lease(Mono(0));
        old.handle.forget_leader(self.node, now);
        for token in old.barriers.into_values() {
            out.push(ConsensusOutput::State(StateEvent::BarrierFailed { shard, token }));
        }
        // What is under way to the log belongs to the old group.
        for (_, numbers) in &mut self.in_flight {
            numbers.retain(|(s, _)| *s != shard);
        }
        self.wiped.insert(shard);
        let boot = ReplicaBoot {
            handle: old.handle,
            restored: Restored::joining(),
            members: old.members,
            preferred_leader: old.preferred_leader,
        };
        if let Err(why) = self.add(boot, now) {
            out.push(ConsensusOutput::State(StateEvent::Damaged(shard, why)));
        }
    }

    pub(super) fn snapshot_taken(&mut self, shard: ShardId, to: NodeId, meta: Option<SnapshotMeta>) {
        let Some(slot) = self.slots.get_mut(&shard) else { return };
        match meta {
            Some(meta) => slot.group.provide_snapshot(to, meta),
            None => {
                slot.snapshots.remove(&to);
            }
        }
        self.touched.insert(shard);
    }

    pub(super) fn snapshot_reported(&mut self, shard: ShardId, to: NodeId, installed: bool, now: Mono) {
        self.with(shard, now, |slot| {
            slot.snapshots.remove(&to);
            slot.group.report_snapshot(to, installed);
        });
    }
}

/// The records of a replica that forgets everything: the hard state of a log without a beginning is the mark of one
/// that is being rebuilt, should the process end before it is.
pub fn forget_records(shard: ShardId) -> [Record; 2] {
    [Record::Remove { shard }, Record::HardState { shard, state: storage::log::HardState::default() }]
}

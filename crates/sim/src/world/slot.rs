//! A node's place in the world: its disks, its clocks, its process if one runs, and what is wrong with it.

use super::Event;
use crate::fault::{Counts, Kind};
use crate::node::{Disks, SimNode};
use crate::plan::Shape;
use std::time::Duration;
use stdx::{Mono, Rng, ShardId, WallMs};

/// Wall clocks start here, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// Machines have been up for at most so long when a history begins.
const UPTIME_S_MAX: u64 = 100_000;

/// Steps of a worker that are in the queue.
#[derive(Clone, Copy, Default)]
pub struct Due {
    /// Of its consensus side.
    pub consensus: bool,
    /// Of its state side.
    pub state: bool,
    /// Of its log.
    pub sync: bool,
}

/// Until when a step of a machine that begins does not end.
#[derive(Clone, Copy, Default)]
pub struct Stuck {
    /// Of a consensus side.
    pub consensus: Mono,
    /// Of a state side.
    pub state: Mono,
}

/// A process that will die after some more effects, and how long it stays down.
#[derive(Clone, Copy)]
pub struct Doom {
    /// Effects it still carries out.
    pub effects: u64,
    /// Then it is down for so long.
    pub down: Duration,
    /// What this is counted as.
    pub kind: Kind,
}

/// A node.
pub struct Slot {
    /// What survives.
    pub disks: Disks,
    /// It has run before: whatever its disks hold, it belongs to a cluster that exists.
    pub founded: bool,
    /// The process.
    pub process: Option<SimNode>,
    /// Counts lives, so that events of an earlier one are void.
    pub life: u64,
    /// Whether it is paused.
    pub paused: bool,
    /// What it should have done meanwhile.
    pub deferred: Vec<Event>,
    /// By worker.
    pub due: Vec<Due>,
    /// It dies soon.
    pub doom: Option<Doom>,
    /// It dies so soon after a replica was fenced.
    pub doom_in_rebuild: Option<Doom>,
    /// The fault that destroys its data while it is down, as (kind, dice).
    pub destruction: Option<(Kind, u64)>,
    /// A fault that destroys its data is going on.
    pub being_destroyed: bool,
    /// How long the process that was killed stays down.
    pub down: Duration,
    /// Calls to its disks that had failed when the process last began or stopped.
    pub faults_seen: u64,
    /// Added to each fsync.
    pub slow_disk: Duration,
    /// No fsync returns before.
    pub hung_until: Mono,
    /// Threads that stand still.
    pub stuck: Stuck,
    /// Added to each step of the state side.
    pub slow_engine: Duration,
    uptime: u64,
    drift_ppm: i64,
    /// What the wall clock is off.
    pub wall_offset_ms: i64,
}

impl Slot {
    /// A node that was never started.
    pub fn draw(shape: &Shape, rng: &mut Rng, counts: &mut Counts) -> Slot {
        let around = |rng: &mut Rng, max: u64| rng.range(0, 2 * max + 1) as i64 - max as i64;
        let (drift_ppm, wall_offset_ms) = (around(rng, shape.drift_ppm_max), around(rng, shape.skew_ms_max));
        counts.add(Kind::Drift, u64::from(drift_ppm != 0));
        counts.add(Kind::Skew, u64::from(wall_offset_ms != 0));
        Slot {
            disks: Disks::new(shape.workers),
            founded: false,
            process: None,
            life: 0,
            paused: false,
            deferred: Vec::new(),
            due: vec![Due::default(); shape.workers],
            doom: None,
            doom_in_rebuild: None,
            destruction: None,
            being_destroyed: false,
            down: Duration::ZERO,
            faults_seen: 0,
            slow_disk: Duration::ZERO,
            hung_until: Mono(0),
            stuck: Stuck::default(),
            slow_engine: Duration::ZERO,
            uptime: rng.below(UPTIME_S_MAX) * 1_000_000_000,
            drift_ppm,
            wall_offset_ms,
        }
    }

    /// The node's monotonic clock when the world's says `now`.
    pub fn mono(&self, now: Mono) -> Mono {
        let drift = i128::from(now.0) * i128::from(self.drift_ppm) / 1_000_000;
        Mono((i128::from(now.0) + drift) as u64 + self.uptime)
    }

    /// Its wall clock.
    pub fn wall(&self, now: Mono) -> WallMs {
        WallMs((EPOCH_MS + now.0 / 1_000_000).saturating_add_signed(self.wall_offset_ms))
    }

    /// How far the process has applied a shard; 0 without one.
    pub fn applied(&self, shard: ShardId) -> u64 {
        let handle = |p: &SimNode| p.table().shards.get(&shard).map(|h| h.applied());
        self.process.as_ref().and_then(handle).unwrap_or(0)
    }

    /// Whether it runs, is not paused, and its data is whole.
    pub fn is_well(&self) -> bool {
        !self.paused
            && !self.being_destroyed
            && self.destruction.is_none()
            && self.process.as_ref().is_some_and(SimNode::is_whole)
    }
}

//! What one seed draws: the shape of the cluster, rates of chance, a list of faults, the workloads. A plan is explicit, so
//! that shrinking can leave something out and everything else stays as it was.

use crate::fault::{Fault, Kind};
use cluster::SHARDS_DEFAULT;
use std::fmt;
use std::time::Duration;
use stdx::{NodeId, Rng};

/// Longest time a killed process stays down.
const DOWN_MS_MAX: u64 = 5_000;
/// Faults a schedule holds at most.
const FAULTS_MAX: usize = 400;
/// Clocks step by up to so much at a time, either way.
pub const CLOCK_STEP_MS_MAX: u64 = 10_000;
/// After one of these, in milliseconds, a client gives up waiting, closes its connection and never learns the outcome.
const PATIENCE_MS: [u64; 4] = [7_000, 7_000, 2_000, 400];
/// Before this no fault happens, so that there is something to lose.
const CALM: Duration = Duration::from_secs(2);

/// One drawn experiment.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// What the streams of chance are derived from.
    pub seed: u64,
    /// The cluster.
    pub shape: Shape,
    /// What happens by chance.
    pub rates: Rates,
    /// What happens at its time, in order.
    pub faults: Vec<Fault>,
    /// How long faults are injected.
    pub faulty: Duration,
    /// How long clients wait for an answer. The impatient come back while what they gave up is still open.
    pub patience: Duration,
    /// Clients of each workload, and the seed it is drawn from.
    pub workloads: Vec<Load>,
}

/// One workload of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Decides which workload it is, and its details.
    pub seed: u64,
    /// How many clients run it, each with one request at a time.
    pub clients: u64,
}

/// The cluster and its limits.
#[derive(Clone, PartialEq, Debug)]
pub struct Shape {
    /// Nodes, 1 to 9.
    pub nodes: u64,
    /// Workers of each node, 1 to 3.
    pub workers: usize,
    /// Shards of the sharded namespace.
    pub shards: u16,
    /// Bytes of applied state at which a node flushes; small, so that flushes and truncation happen.
    pub flush_bytes: u64,
    /// Log bytes kept for followers that lag; small, so that snapshots happen.
    pub log_bytes_kept: u64,
    /// Bytes of a log segment; small, so that many are filled, freed and recycled.
    pub segment_bytes: u32,
    /// Payload of an append message.
    pub append_bytes: u64,
    /// Bytes of a chunk of a snapshot.
    pub chunk_bytes: u32,
    /// Frames that are larger are refused by the links; 0 for the real limit, without encoding each message.
    pub frame_bytes_max: usize,
    /// How far each wall clock is off, up to so many milliseconds.
    pub skew_ms_max: u64,
    /// How wrong the rate of each monotonic clock is, up to so many parts in a million.
    pub drift_ppm_max: u64,
}

/// Chance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Messages lost, one in so many; 0 none.
    pub lose_one_in: u64,
    /// Messages delivered twice, one in so many; 0 none.
    pub duplicate_one_in: u64,
    /// Messages that take long, one in so many; 0 none.
    pub delay_one_in: u64,
    /// Whether messages of one link may overtake each other.
    pub reorder: bool,
    /// Largest delay of a message.
    pub delay_max: Duration,
    /// Largest time an fsync takes; one in twenty takes that long.
    pub sync_max: Duration,
    /// Largest pause of the thread that applies; one step in 500 takes that long.
    pub apply_stall_max: Duration,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        let shape = Shape::draw(&mut rng.fork());
        let rates = Rates::draw(&mut rng.fork());
        let faulty = Duration::from_millis(rng.range(5_000, 30_000));
        let mut draw = rng.fork();
        let loads = draw.range(1, 4);
        let workloads = (0..loads)
            .map(|_| Load { seed: draw.next_u64(), clients: draw.range(2, 10).div_ceil(loads) + 1 })
            .collect();
        let faults = schedule(&shape, faulty, &mut rng.fork());
        let patience = Duration::from_millis(PATIENCE_MS[rng.below(PATIENCE_MS.len() as u64) as usize]);
        Plan { seed, shape, rates, faults, faulty, patience, workloads }
    }

    /// The farthest that any wall clock is ever from true time.
    #[must_use]
    pub fn clock_error(&self) -> Duration {
        let steps = self.faults.iter().filter(|f| f.kind == Kind::ClockStep).count() as u64;
        Duration::from_millis(self.shape.skew_ms_max + steps * CLOCK_STEP_MS_MAX)
    }

    /// Without faults: `nodes` nodes, two workers each, under a steady load of four clients for each of `workloads`, for
    /// measuring how fast the simulation is.
    #[must_use]
    pub fn steady(seed: u64, nodes: u64, workloads: u64, lasts: Duration) -> Plan {
        let mut plan = Plan::draw(seed);
        plan.shape = Shape { nodes, workers: 2, ..Shape::usual() };
        plan.rates = Rates::calm();
        plan.faults.clear();
        plan.faulty = lasts;
        plan.patience = Duration::from_millis(PATIENCE_MS[0]);
        plan.workloads = (0..workloads).map(|i| Load { seed: seed.wrapping_add(i), clients: 4 }).collect();
        plan
    }
}

impl Shape {
    fn usual() -> Shape {
        Shape {
            nodes: 3,
            workers: 1,
            shards: SHARDS_DEFAULT,
            flush_bytes: 20_000,
            log_bytes_kept: 50_000,
            segment_bytes: 64 << 10,
            append_bytes: 1 << 20,
            chunk_bytes: 2_000,
            frame_bytes_max: 0,
            skew_ms_max: 0,
            drift_ppm_max: 0,
        }
    }

    fn draw(rng: &mut Rng) -> Shape {
        let pick = |rng: &mut Rng, from: &[u64]| from[rng.below(from.len() as u64) as usize];
        Shape {
            nodes: pick(rng, &[1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7, 9]),
            workers: pick(rng, &[1, 1, 2, 3]) as usize,
            shards: pick(rng, &[1, 3, 16, 16, 16]) as u16,
            flush_bytes: rng.range(500, 20_000),
            log_bytes_kept: rng.range(2_000, 50_000),
            segment_bytes: pick(rng, &[16, 32, 64, 64]) as u32 * 1024,
            append_bytes: pick(rng, &[200, 2_000, 1 << 20, 1 << 20]),
            chunk_bytes: pick(rng, &[1_000, 5_000, 50_000]) as u32,
            frame_bytes_max: pick(rng, &[0, 0, 0, 4_000, 64_000]) as usize,
            skew_ms_max: pick(rng, &[0, 1_000, 10_000]),
            drift_ppm_max: pick(rng, &[0, 100, 500]),
        }
    }
}

impl Rates {
    fn calm() -> Rates {
        Rates {
            lose_one_in: 0,
            duplicate_one_in: 0,
            delay_one_in: 0,
            reorder: false,
            delay_max: Duration::from_millis(1),
            sync_max: Duration::from_millis(1),
            apply_stall_max: Duration::from_millis(1),
        }
    }

    fn draw(rng: &mut Rng) -> Rates {
        Rates {
            lose_one_in: [0, 0, 200, 50, 20][rng.below(5) as usize],
            duplicate_one_in: [0, 100, 20][rng.below(3) as usize],
            delay_one_in: [0, 10, 10, 4][rng.below(4) as usize],
            reorder: rng.one_in(3),
            delay_max: Duration::from_millis(rng.range(1, 60)),
            sync_max: Duration::from_millis(rng.range(1, 20)),
            apply_stall_max: Duration::from_millis(rng.range(1, 300)),
        }
    }
}

/// Draws a subset of the kinds, how often something happens, and then what happens when.
fn schedule(shape: &Shape, faulty: Duration, rng: &mut Rng) -> Vec<Fault> {
    let most = rng.range(1, 9);
    let mut kinds = Vec::new();
    for _ in 0..most {
        kinds.push(Kind::SCHEDULED[rng.below(Kind::SCHEDULED.len() as u64) as usize]);
    }
    // Most seeds kill: many of the other faults show only in what a process finds when it starts again.
    if !rng.one_in(3) {
        kinds.push(Kind::Kill);
    }
    let every = rng.range(200, 3_000);
    let mut at = CALM;
    let mut faults = Vec::new();
    while faults.len() < FAULTS_MAX {
        at += Duration::from_millis(rng.below(2 * every) + 1);
        if at >= faulty {
            break;
        }
        let kind = kinds[rng.below(kinds.len() as u64) as usize];
        let node = NodeId(1 + rng.below(shape.nodes));
        let peer = NodeId(1 + (node.0 - 1 + 1 + rng.below(shape.nodes.saturating_sub(1).max(1))) % shape.nodes);
        let lasts = Duration::from_millis(match kind {
            Kind::Pause | Kind::StuckState | Kind::StuckConsensus => rng.range(10, 4_000),
            Kind::Congestion => rng.range(1_000, 6_000),
            Kind::Kill | Kind::KillAtEffect | Kind::KillInWrite | Kind::KillInRebuild => rng.range(50, DOWN_MS_MAX),
            Kind::Rot | Kind::Misdirected | Kind::DiskLost => rng.range(1_500, DOWN_MS_MAX),
            Kind::RollingRestart => rng.range(50, 1_000),
            Kind::HungDisk => rng.range(500, 6_000),
            _ => rng.range(100, DOWN_MS_MAX),
        });
        faults.push(Fault { at, kind, node, peer, lasts, dice: rng.next_u64() });
    }
    faults
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { nodes, workers, .. } = self.shape;
        let clients: u64 = self.workloads.iter().map(|l| l.clients).sum();
        writeln!(
            f,
            "{nodes} nodes with {workers} workers, {clients} clients, {} faults within {:.1} s",
            self.faults.len(),
            self.faulty.as_secs_f64()
        )?;
        writeln!(f, "{:?}", self.shape)?;
        writeln!(f, "{:?}", self.rates)?;
        writeln!(f, "clients wait {:?}", self.patience)?;
        for fault in &self.faults {
            writeln!(f, "  {:>8.3} s  {fault}", fault.at.as_secs_f64())?;
        }
        Ok(())
    }
}

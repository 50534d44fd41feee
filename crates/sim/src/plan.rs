//! What one seed draws: the shape of the cluster, the mix of faults, the length of each phase.

use std::time::Duration;
use stdx::Rng;

/// One drawn experiment.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes, 1 to 5.
    pub nodes: u64,
    /// Clients, each with one operation at a time.
    pub clients: u64,
    /// Keys of the workload.
    pub keys: u64,
    /// How long faults are injected.
    pub faulty: Duration,
    /// How long the healed cluster has to answer everything.
    pub healing: Duration,
    /// Mean time between two faults.
    pub fault_every: Duration,
    /// Messages lost, one in so many; 0 none.
    pub lose_one_in: u64,
    /// Messages delivered twice, one in so many; 0 none.
    pub duplicate_one_in: u64,
    /// Whether messages of one link may overtake each other.
    pub reorder: bool,
    /// Largest delay of a message.
    pub delay_max: Duration,
    /// Largest time an fsync takes.
    pub sync_max: Duration,
    /// Bytes of applied state at which a node flushes; small, so that flushes and truncation happen.
    pub flush_bytes: u64,
    /// Log bytes kept for followers that lag; small, so that snapshots happen.
    pub log_bytes_kept: u64,
}

impl Plan {
    /// Draws a plan.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Plan {
        let ms = Duration::from_millis;
        Plan {
            nodes: [1, 3, 3, 3, 5][rng.below(5) as usize],
            clients: rng.range(2, 12),
            keys: rng.range(1, 8),
            faulty: ms(rng.range(5_000, 30_000)),
            healing: ms(20_000),
            fault_every: ms(rng.range(300, 4_000)),
            lose_one_in: [0, 0, 200, 50, 20][rng.below(5) as usize],
            duplicate_one_in: [0, 100, 20][rng.below(3) as usize],
            reorder: rng.one_in(3),
            delay_max: ms(rng.range(1, 30)),
            sync_max: ms(rng.range(1, 20)),
            flush_bytes: rng.range(500, 20_000),
            log_bytes_kept: rng.range(2_000, 50_000),
        }
    }
}

//! Queues and memory stay bounded.

use super::Broken;
use stdx::{Mono, NodeId};

/// Inputs that may wait in one queue: a paused process finds at most what its peers and clients sent meanwhile.
const QUEUE_MAX: usize = 20_000;
/// Tables in memory may grow to so many times the size at which a flush is due, while the engine does not take them.
const TABLES_FACTOR: usize = 200;
/// Room for the smallest flush sizes.
const TABLES_MIN: usize = 32 << 20;

/// The bounds of a cluster.
#[derive(Default)]
pub struct Bounds {
    tables_max: usize,
}

impl Bounds {
    /// Bounds for nodes that flush at so many bytes.
    pub fn new(flush_bytes: u64) -> Bounds {
        Bounds { tables_max: TABLES_MIN.max(flush_bytes as usize * TABLES_FACTOR) }
    }

    /// Checks what a node holds.
    pub fn check(&self, node: NodeId, amounts: &[(&'static str, usize)], now: Mono) -> Result<(), Broken> {
        for (name, amount) in amounts {
            let limit = if name.starts_with("bytes") { self.tables_max } else { QUEUE_MAX };
            if *amount > limit {
                return Err(format!("{node} holds {amount} {name} at {:.3} s, more than {limit}", now.0 as f64 / 1e9));
            }
        }
        Ok(())
    }
}

//! A worker: the consensus side steps every group it owns, the state side evaluates and applies. Two machines joined
//! by queues, so that a slow engine never delays a heartbeat.

mod consensus_side;
mod entry;
mod log_view;
mod state_side;

pub use consensus_side::forget_records;
pub use consensus_side::{ConsensusConfig, ConsensusSide, ReplicaBoot};
pub use state_side::{SWEEP_INTERVAL, StateConfig, StateSide, TransferConfig};

//! The other shell: a whole cluster in one thread, with a virtual clock, a network and disks that fail, driving the very
//! machines that the server drives. One seed is one history.
//!
//! ```text
//!   World ── events by virtual time ──▶ SimNode ── ConsensusSide, StateSide, Dispatcher, Liveness
//!     │                                    │
//!     ├── Network: delay, loss, duplication, cuts (also one way), broken links
//!     ├── disks: MemDisk (unsynced writes are lost or torn at a crash), MemEngine
//!     └── Workload: clients, and a checker that reads their history
//! ```
//!
//! Invariants: no clock, no thread, no randomness but the seed's; the same seed gives the same trace hash.
//!
//! Not here: anything that decides about data. A bug found here is in the core or in this shell, and a script or a seed
//! reproduces it.

mod check;
mod network;
mod node;
mod plan;
mod run;
mod world;

pub use check::Violation;
pub use plan::Plan;
pub use run::{Outcome, Summary, run_batch, run_seed};
pub use world::FaultCounts;

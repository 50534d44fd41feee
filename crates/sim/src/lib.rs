//! The other shell: a whole cluster in one thread, with a virtual clock, a network, disks and clocks that fail, driving the
//! very machines that the server drives. One seed is one history.
//!
//! ```text
//!   seed ─▶ Plan: shape, rates, faults, workloads ─▶ World ── events by virtual time ──▶ SimNode: gateway, Dispatcher,
//!             ▲                                       │                                   Liveness, workers (ConsensusSide,
//!             └ shrink: leave out what does           ├── Network, disks, clocks          StateSide, log), Store
//!               not matter to the failure             ├── atlas: which faults may happen now
//!                                                     ├── invariants: checked while it runs
//!                                                     └── clients ─▶ workload::Workload ─▶ check ─▶ Failure ─▶ Story
//! ```
//!
//! Invariants: no clock, no thread, no randomness but the seed's; the same plan gives the same trace hash. Faults are done by the
//! simulated environment; the machines have no hook for them.
//!
//! Not here: anything that decides about data, and what clients do and how it is judged (`workload`). A bug found here is in
//! the core or in this shell, and a seed reproduces it.

mod atlas;
mod batch;
mod fault;
mod invariants;
mod network;
mod node;
mod plan;
mod regressions;
mod run;
mod shrink;
mod story;
mod world;

pub use batch::{SEEDS_FOR_ALL_KINDS, Summary};
pub use fault::{Counts, Fault, Kind};
pub use plan::{Load, Plan, Rates, Shape};
pub use regressions::{Regression, parse_seed, regressions};
pub use run::{Failure, Outcome, run, run_seed};
pub use shrink::{RUNS_MAX, Shrunk, shrink};
pub use story::Story;
pub use world::Note;

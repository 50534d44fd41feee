//! The node: replicas, routing, proposals, reads and replies, as deterministic machines that a shell drives.
//!
//! ```text
//!  gateway::Session ─▶ local read under a lease ───────────────────────────────▶ reply
//!        │ work
//!        ▼
//!  Dispatcher ─ led here ─▶ StateSide ─ propose ─▶ ConsensusSide ─ persist ─▶ log writer (the shell's)
//!        │ led elsewhere       ▲  │ replies            │  ▲ persisted            │
//!        ▼                     │  ▼                    │  └──────────────────────┘
//!     peer link            committed ◀─────────────────┘ ── messages ─▶ peer links
//! ```
//!
//! Invariants: no clock, no I/O, no threads; every machine has one door, `handle(input, now)`, and returns effects.
//! A reply leaves only when what it depends on is committed and applied here.
//!
//! Not here: sockets, files, threads (`server`), the wire format (`protocol`).

mod boot;
mod dispatch;
pub mod gateway;
pub mod io;
mod liveness;
mod patience;
pub mod pubsub;
mod shared;
mod worker;

pub use boot::{Boot, Origin, WorkerBoot, boot, worker_of};
pub use dispatch::{DispatchOutput, Dispatcher};
pub use io::{ConsensusInput, ConsensusOutput, StateEvent, StateInput, StateOutput, Task};
pub use liveness::{Liveness, LivenessOutput};
pub use patience::{Ended, Patience};
pub use shared::{Local, RouteTable, ShardHandle, Shared};
pub use state::ScriptLimits;
pub use worker::{ConsensusConfig, ConsensusSide, ReplicaBoot, SWEEP_INTERVAL, StateConfig, StateSide, TransferConfig};

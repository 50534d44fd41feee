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

pub mod gateway;
pub mod io;
mod shared;

pub use io::{ConsensusInput, ConsensusOutput, StateEvent, StateInput, StateOutput, Task};
pub use shared::{RouteTable, ShardHandle, Shared};

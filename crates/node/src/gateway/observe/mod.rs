//! What clients asked and how it went: counters, times, slow commands.
//!
//! ```text
//!   Session::command ─▶ Call ─ answered here ─▶ Tally: the lap ─ Session::lap(now) ─────┐
//!                         │                                                             ├─▶ Tally ─ flush ─▶ Stats
//!                         └─ sent to shards ─▶ … the last answer ─ Session::finished ───┘       │
//!                                                                            thresholds ────────┴─▶ SlowLog, LatencyEvents
//! ```
//!
//! The clock is read once for a batch of commands, not once for each: commands that take constant or logarithmic time share
//! what passed since it was read last, and after any other command it is read again.

mod call;
mod histogram;
mod latency;
mod monitors;
mod redact;
mod slow_log;
mod stats;

pub use call::Call;
pub(super) use call::Lap;
pub use latency::LatencyEvents;
pub use monitors::Monitors;
pub use slow_log::SlowLog;
pub use stats::{Stats, Tally};

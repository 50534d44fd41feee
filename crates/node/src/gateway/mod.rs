//! The gateway: what a connection's commands mean, before any shard is asked.
//!
//! ```text
//!   words ─▶ Session::command ─▶ Outcome { action } ─ Reply ────────────▶ the gateway knew, or read locally under a lease
//!              │ multi: queue                        ├ Dispatch ─▶ one shard ─▶ Finish::apply ─▶ reply
//!              │ route: slot, MOVED                  └ Fan ──────▶ many shards ─▶ Finish::apply ─▶ reply
//!              └ connection, clients, config, info, cluster: answered here
//! ```
//!
//! Replies leave a connection in the order of its commands; `Pipeline` keeps that order, because answers of shards come
//! back in any. The shell tells the session how many requests are under way (`sent`, `answered`): a read is served from the
//! local replica only when the connection has nothing under way on that shard, so that it sees the connection's own
//! pipelined writes.
//!
//! Invariants: no clock and no I/O; a `Session` is one connection's and holds nothing that another could change; a
//! plain connection never sees MOVED.
//!
//! Not here: reading and writing sockets (`server`), evaluating commands on data (`state`).

mod action;
mod clients;
mod cluster_view;
mod commands;
mod context;
mod info;
mod observe;
mod pipeline;
mod queue;
mod route;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod turns;

pub use action::{Action, Finish, Outcome, Turn};
pub use clients::{Client, ClientKind, Clients, Closer, Filter, Profile};
pub use context::{Context, Facts, Gateway, Usage};
pub use observe::{Call, LatencyEvents, Monitors, SlowLog, Stats, Tally};
pub use pipeline::{Answer, Blocked, Delivered, Pipeline, Way};
pub use route::read;
pub use session::{Port, Session};
pub use settings::{Changed, Settings};
pub use turns::Told;

//! One Raft group of opaque entries, sans-IO: the only crate that names the consensus engine (`raft`, of TiKV).
//!
//! ```text
//!   step(message) ─┐                        ┌─ messages          send them at once, in any order with the rest
//!   tick(now) ─────┤                        ├─ persist #n        make durable in order; then persisted(n)
//!   propose(data) ─┼─▶ Group ── ready() ──▶ ├─ committed         durable here and decided: apply in order; then applied(i)
//!   persisted(n) ──┤     │                  ├─ barriers          linearizable reads whose index is known
//!   applied(i) ────┘     │                  └─ snapshot_wanted   a peer needs more than the log still holds
//!                        └─ lease_until()                        until when the leader may read without asking
//! ```
//!
//! What the engine is not asked for, because we need it stricter:
//! - **time**: its ticks are never used. Elections, heartbeats, the check for a quorum and the vote guard are counted
//!   here, in nanoseconds of a clock that runs through pauses (`clock`);
//! - **randomness**: it draws election timeouts from the thread's generator, but as it never ticks, they decide nothing;
//! - **reads under a lease**: `lease` measures from the moment a message was sent;
//! - **decoding**: peers' bytes are never parsed with protobuf. Membership changes travel in our own encoding;
//! - **order of messages**: what a message claims decides what must be durable before it leaves (`outbox`).
//!
//! Invariants: no clock, no randomness of its own, no I/O; entries are bytes; the same calls give the same answers;
//! `start <= applied <= committed <= last` after every call, in release too.
//!
//! Not here: which groups exist, where entries are kept, what they mean, how snapshots travel.

mod barrier;
mod check;
mod clock;
mod config;
mod convert;
mod error;
mod group;
mod lease;
mod log;
mod membership;
mod message;
mod outbox;
mod ready;

#[cfg(test)]
mod tests;

pub use barrier::Barrier;
pub use config::{Config, ConfigError};
pub use error::{GroupError, MembershipError, ProposeError, StepError};
pub use group::{Group, PeerProgress, Role};
pub use log::{LogUnavailable, OlderEntries};
pub use membership::{ChangeKind, MembershipChange, Transition};
pub use message::{Entry, EntryKind, HardState, Membership, Message, MessageKind, SnapshotMeta};
pub use ready::{Persist, Position, Ready, Restored};

//! The evaluator: a command and a shard's state go in, effects (a write batch) and a reply come out.
//!
//! ```text
//!   Command ─▶ ProposalBuilder::evaluate ─▶ Evaluated { reply, effects, observed, wait }     many per log entry
//!                │        ▲                      │ finish
//!                ▼        │ reads                ▼
//!             Overlay ── merged over ── View   Batch ─▶ log ─▶ apply, Directory::observe, Overlay::retire
//!
//!   read-only Command ─▶ evaluate_read ─▶ Reply       over the applied View alone
//! ```
//!
//! Only a leader evaluates; followers apply the batch's bytes. Time, randomness and the database mapping are inputs, so
//! the same inputs give the same bytes.
//!
//! Invariants: no clock, no I/O, no iteration over unordered maps; a command that answers an error has left no effect
//! a client could see; an `EngineError` is never a reply (it is local to this node, whose replica is then fenced).
//!
//! Not here: who may run a command, sessions and MULTI's queue (crate `node`), the table of commands (crate
//! `command`), when an entry is committed. The bytes of every record are drawn in docs/internals/keyspace-layout.md.

pub mod rdb;
pub mod records;

mod awaited;
mod directory;
mod overlay;
mod watches;

mod ctx;
mod env;
mod proposal;
mod read;
mod sweep;
mod txn;
mod wait;

mod bits;
mod dispatch;
mod geo;
mod hashes;
mod hyperloglog;
mod keys;
mod lists;
mod members;
mod scripting;
mod sets;
mod streams;
mod strings;
mod zsets;

mod decimal;
mod packed;
mod parse;
mod reply;

pub use awaited::Awaited;
pub use directory::{DATABASES, Directory};
pub use env::{Env, Layout};
pub use overlay::{Merged, Overlay};
pub use parse::REPLY_LIMIT_BYTES;
pub use proposal::{Evaluated, Leading, ProposalBuilder, Transaction};
pub use read::{evaluate_read, serves};
pub use scripting::{ScriptLimits, Scripts};
pub use sweep::{Collected, Expired};
pub use wait::Wait;
pub use watches::{Outcome as WatchOutcome, TooManyWatched, Watches};

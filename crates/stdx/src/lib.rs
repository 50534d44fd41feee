//! Helpers that know nothing of Polder's domain, and the few identifiers and clocks that every layer names.
//!
//! Invariants: no I/O, no threads, no clocks, no global state; everything here is deterministic.
//!
//! Not here: anything a single crate could own. A noun lives with its owner.

pub mod codec;
pub mod crc;
pub mod id;
pub mod leading;
pub mod rng;
pub mod time;

pub use id::{NodeId, ShardId};
pub use leading::LeadingBytes;
pub use rng::Rng;
pub use time::{Mono, WallMs};

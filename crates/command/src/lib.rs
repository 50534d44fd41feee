//! The narrow waist: what a client asks (`Command`), what it is told (`Reply`), and the table that describes every
//! command once.
//!
//! Every protocol parses into a `Command`; everything below works on commands and never sees protocol bytes.
//!
//! Invariants: knows no protocol, no shard, no storage. Not here: evaluation (crate `state`).

mod error;
mod reply;
mod table;
mod work;

pub use error::{Fault, Retry};
pub use reply::Reply;
pub use table::{Arity, Flags, Group, KeySpec, Spec, lookup, specs};
pub use work::{SessionId, Work};

use bytes::Bytes;
use smallvec::SmallVec;

/// The words of a command, the name first, exactly as the client sent them.
pub type Args = SmallVec<[Bytes; 4]>;

/// A command whose name is known and whose arity is right.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its row in the table.
    pub spec: &'static Spec,
    /// Its words, the name first.
    pub args: Args,
}

//! The narrow waist: what a client asks (`Command`), what it is told (`Reply`), and the table that describes every
//! command once.
//!
//! ```text
//! words ─ Command::parse ─▶ Command { spec, args } ─▶ Work ─▶ … ─▶ Reply
//!               │
//!         table: a row (`Spec`) for every command: arity, flags, keys, words about it
//!               └─ introspect: COMMAND, COMMAND INFO / DOCS / GETKEYS / LIST, HELP
//! ```
//!
//! Every protocol parses into a `Command`; everything below works on commands and never sees protocol bytes.
//!
//! Invariants: knows no protocol, no shard, no storage; a `Command` names a served row, has the right number of words,
//! and no key longer than [`MAX_KEY_BYTES`]. Not here: evaluation (crate `state`).

pub mod double;
mod error;
pub mod glob;
pub mod introspect;
mod keys;
mod parse;
mod reply;
mod slot;
mod table;
#[cfg(test)]
mod tests;
mod work;

pub use error::{Fault, Retry};
pub use keys::{InvalidKeys, KeyUse, Keys, Positions};
pub use parse::Refused;
pub use reply::Reply;
pub use slot::{SLOT_COUNT, Slot, hash_tag, slot_of};
pub use table::{
    Arity, Begin, COMMAND_COUNT, Categories, Category, CommandId, Find, Flag, Flags, Group, KeyFlag, KeyRange, KeySpec,
    Spec, lookup, specs,
};
pub use work::{SessionId, Work};

use bytes::Bytes;
use smallvec::SmallVec;

/// Longest key, hash field and member of a set, in bytes. The engine keeps the lengths of its own keys, which hold one of these and up
/// to 40 bytes of prefix, in 16 bits.
pub const MAX_KEY_BYTES: usize = 65_000;

/// Longest argument, in bytes: a value is proposed, replicated and cached whole.
pub const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;

/// Most words of one command, as in Redis.
pub const MAX_ARGUMENTS: usize = 1024 * 1024;

/// Longest request, in bytes, with all of its words: what a connection may make this node hold before anything is decided.
pub const MAX_REQUEST_BYTES: usize = 128 * 1024 * 1024;

/// Longest command typed without the protocol's framing, in bytes, as in Redis.
pub const MAX_INLINE_BYTES: usize = 64 * 1024;

/// Replies in one another, at most: nodes that pass them on refuse what lies deeper.
pub const MAX_REPLY_DEPTH: usize = 32;

const _: () = assert!(MAX_KEY_BYTES < MAX_VALUE_BYTES && MAX_VALUE_BYTES < MAX_REQUEST_BYTES);

/// The words of a command, the name first, exactly as the client sent them.
pub type Args = SmallVec<[Bytes; 4]>;

/// A command whose name is known and served, whose arity is right and whose keys are not too long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// Its row in the table; for a subcommand, the subcommand's own.
    pub spec: &'static Spec,
    /// Its words, the name first.
    pub args: Args,
}

impl Command {
    /// The row's number, an index below [`COMMAND_COUNT`].
    #[must_use]
    pub fn id(&self) -> CommandId {
        self.spec.id
    }

    /// The name in the table, such as `get` or `client|id`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Whether it may change data.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.spec.is_write()
    }

    /// Whether it may make its connection wait: a blocking command, unless it is one that has to be asked to.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        let asks = |word: &Bytes| word.eq_ignore_ascii_case(b"block");
        let option = |word: &&Bytes| !word.eq_ignore_ascii_case(b"streams");
        match self.spec.group {
            _ if !self.spec.flags.has(Flag::Blocking) => false,
            Group::Stream => self.args.iter().take_while(option).any(asks),
            _ => true,
        }
    }

    /// The size of its words, in bytes: what queues count.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.args.iter().map(Bytes::len).sum()
    }
}

//! One Raft group of opaque entries, sans-IO: the only crate that names the consensus engine.
//!
//! Invariants: no clock, no randomness of its own, no I/O; entries are bytes; the order
//! "persist, then send what depends on it, then commit, then apply" is encoded in the types of `Ready`.
//!
//! Not here: which groups exist, where entries are kept, what they mean.

mod message;

pub use message::{Entry, EntryKind, HardState, Membership, Message, MessageKind, SnapshotMeta};

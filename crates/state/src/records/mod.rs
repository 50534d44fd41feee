//! The records of a shard, byte by byte: what kinds there are, how their keys sort, how their values are read.
//!
//! Drawn in docs/internals/keyspace-layout.md; the golden bytes in `tests.rs` hold both to the same truth. All numbers
//! in keys are big-endian, so that byte order is numeric order.

mod hash;
mod key;
mod value;

#[cfg(test)]
mod tests;

pub use hash::key_hash;
pub use key::{
    Garbage, KeyBuf, Name, Part, collection_range, count_key, count_range, directory_key, directory_range, expiry_key,
    expiry_start, function_key, garbage_collection, garbage_keyspace, garbage_range, garbage_span, library_key,
    library_range, locator_of_expiry, meta_of_locator, meta_position, meta_range, script_key, script_range, sub_key,
    sub_prefix, sub_range, successor, system_key, user_key_of_meta,
};
pub(crate) use value::damaged;
pub use value::{Flags, Head, Home, Record, Type, write_value};

/// The first byte of every record's key. Persisted: a number is never given a second meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// One number of the shard itself; see [`System`].
    System = 0x01,
    /// Which keyspace a database uses.
    Directory = 0x02,
    /// How many keys a keyspace, or a slot of it, holds.
    Count = 0x03,
    /// What is to be deleted in the background.
    Garbage = 0x04,
    /// A script that EVALSHA finds.
    Script = 0x05,
    /// A library of functions, or which library a function is in.
    Library = 0x06,
    /// A user key: its type, its expiry, and its value or where the value is.
    Meta = 0x10,
    /// A part of a collection or of a fragmented string.
    Sub = 0x20,
    /// Keys by the time they expire.
    Expiry = 0x30,
    /// Hash fields by the time they expire (reserved).
    FieldExpiry = 0x31,
}

/// The second byte of a [`Kind::System`] key. The value is a number, eight bytes, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum System {
    /// The version the next collection gets; starts at 1.
    NextVersion = 0x01,
    /// The keyspace the next flush allocates; starts at [`FIRST_FLUSH_KEYSPACE`].
    NextKeyspace = 0x02,
}

/// Keyspaces below this are the databases' own; a flush allocates from here.
pub const FIRST_FLUSH_KEYSPACE: u32 = 1024;

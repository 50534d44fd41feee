//! Hashes. A small one is kept whole in its META record, in the order its fields came; a larger one has a sub-record for
//! each field, in the order of the fields' hashes.

mod basic;
mod counter;
mod inline;
mod random;
mod reader;
mod scan;
mod writer;

use crate::dispatch::{Row, reads, writes};
use crate::records::{self, Home, KeyBuf, Name, Part, Record};
use crate::reply::Outcome;
use bytes::Bytes;
use storage::EngineError;

pub(crate) const ROWS: &[Row] = &[
    writes("hset", basic::hset),
    writes("hmset", basic::hmset),
    writes("hsetnx", basic::hsetnx),
    writes("hdel", basic::hdel),
    reads("hget", basic::hget),
    reads("hmget", basic::hmget),
    reads("hgetall", basic::hgetall),
    reads("hkeys", basic::hkeys),
    reads("hvals", basic::hvals),
    reads("hlen", basic::hlen),
    reads("hexists", basic::hexists),
    reads("hstrlen", basic::hstrlen),
    writes("hincrby", counter::hincrby),
    writes("hincrbyfloat", counter::hincrbyfloat),
    reads("hrandfield", random::hrandfield),
    reads("hscan", scan::hscan),
];

/// Most bytes of a body kept in the META record: what one change of a field rewrites at most.
const INLINE_BYTES_MAX: usize = 1024;

/// Redis' `hash-max-listpack-entries`: beyond it OBJECT ENCODING says `hashtable`.
const LISTPACK_ENTRIES_MAX: u64 = 512;

/// Redis' `hash-max-listpack-value`, bytes of a field or a value.
const LISTPACK_VALUE_MAX: usize = 64;

/// Where the fields of a larger hash are: the body of its META record.
#[derive(Clone, Debug)]
struct Spilled {
    home: Home,
    /// What the fields' records start with, the part included.
    prefix: KeyBuf,
    /// Fields.
    count: u64,
}

impl Spilled {
    fn new(name: &Name, home: Home, count: u64) -> Spilled {
        let prefix = records::sub_prefix(name.keyspace(), home.slot, home.version);
        Spilled { home, prefix: records::sub_key(&prefix, Part::Member, &[]), count }
    }

    fn decode(name: &Name, record: &Record) -> Outcome<Option<Spilled>> {
        let Some(home) = record.home()? else { return Ok(None) };
        let count = inline::read_varint(&record.body, &mut Home::LEN.clone())?;
        Ok(Some(Spilled::new(name, home, count)))
    }

    fn field_key(&self, field: &[u8]) -> KeyBuf {
        let mut key = self.position_key(records::key_hash(field));
        key.extend_from_slice(field);
        key
    }

    /// Where the fields of a hash value begin.
    fn position_key(&self, hash: u32) -> KeyBuf {
        let mut key = self.prefix.clone();
        key.extend_from_slice(&hash.to_be_bytes());
        key
    }

    /// The position and the name inside a field record's key.
    fn split<'k>(&self, key: &'k [u8]) -> (u32, &'k [u8]) {
        let rest = key.get(self.prefix.len()..).unwrap_or_default();
        match rest.split_at_checked(4) {
            Some((hash, field)) => (hash.iter().fold(0, |v, b| (v << 8) | u32::from(*b)), field),
            None => (0, &[]),
        }
    }
}

/// How many fields a hash has.
pub(crate) fn field_count(name: &Name, record: &Record) -> Outcome<u64> {
    match Spilled::decode(name, record)? {
        Some(spilled) => Ok(spilled.count),
        None => Ok(inline::count(&record.body)?),
    }
}

/// A field record's value is one byte of flags, none of which is in use, and the field's value.
const FIELD_PLAIN: u8 = 0;

fn field_value(stored: &Bytes) -> Result<Bytes, EngineError> {
    match stored.first() {
        Some(&FIELD_PLAIN) => Ok(stored.slice(1..)),
        _ => Err(records::damaged("a hash field with flags this version does not know")),
    }
}

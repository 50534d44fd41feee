//! Hashes. A small one is kept whole in its META record, in the order its fields came; a larger one has a sub-record for
//! each field, in the order of the fields' hashes.

mod basic;
mod counter;
mod inline;
mod reader;
mod writer;

use crate::ctx::Ctx;
use crate::dispatch::{Row, reads, writes};
use crate::members::{Members, Spilled};
use crate::records::{self, Name, Record};
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
    reads("hrandfield", basic::hrandfield),
    reads("hscan", basic::hscan),
];

/// Most bytes of a body kept in the META record: what one change of a field rewrites at most.
const INLINE_BYTES_MAX: usize = 1024;

/// Redis' `hash-max-listpack-entries`: beyond it OBJECT ENCODING says `hashtable`.
const LISTPACK_ENTRIES_MAX: u64 = 512;

/// Redis' `hash-max-listpack-value`, bytes of a field or a value.
const LISTPACK_VALUE_MAX: usize = 64;

/// How many fields a hash has.
pub(crate) fn field_count(name: &Name, record: &Record) -> Outcome<u64> {
    match Spilled::decode(name, record)? {
        Some(spilled) => Ok(spilled.count),
        None => Ok(inline::count(&record.body)?),
    }
}

/// The value of a field of the hash that a record holds.
pub(crate) fn field(ctx: &Ctx<'_>, name: &Name, record: Record, field: &[u8]) -> Outcome<Option<Bytes>> {
    reader::Reader::of(name, record)?.get(ctx, field)
}

/// All fields and values of the hash that a record holds, when they fit into a reply.
pub(crate) fn all(ctx: &Ctx<'_>, name: &Name, record: Record) -> Outcome<Vec<(Bytes, Bytes)>> {
    reader::Reader::of(name, record)?.all(ctx)
}

/// Stores `pairs` under `user` in the place of whatever is there. Their fields differ.
pub(crate) fn store(ctx: &mut Ctx<'_>, user: &[u8], pairs: &[(Bytes, Bytes)]) -> Outcome<()> {
    let mut hash = writer::Writer::replacing(ctx, user)?;
    for (field, value) in pairs {
        hash.set(ctx, field, value)?;
    }
    hash.commit(ctx)
}

/// A field record's value is one byte of flags, none of which is in use, and the field's value.
const FIELD_PLAIN: u8 = 0;

fn field_value(stored: &Bytes) -> Result<Bytes, EngineError> {
    match stored.first() {
        Some(&FIELD_PLAIN) => Ok(stored.slice(1..)),
        _ => Err(records::damaged("a hash field with flags this version does not know")),
    }
}

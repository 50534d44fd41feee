//! Sets. A small one is kept whole in its META record, in the order its members came; a larger one has a sub-record for
//! each member, in the order of the members' hashes.

mod algebra;
mod basic;
mod random;
mod reader;
mod writer;

use crate::ctx::Ctx;
use crate::dispatch::{Row, reads, writes};
use crate::parse::integer;
use crate::records::{Flags, Name, Record};
use crate::reply::Outcome;
use bytes::Bytes;
use std::ops::ControlFlow;

pub(crate) use reader::Reader;

pub(crate) const ROWS: &[Row] = &[
    writes("sadd", basic::sadd),
    writes("srem", basic::srem),
    writes("smove", basic::smove),
    reads("scard", basic::scard),
    reads("sismember", basic::sismember),
    reads("smismember", basic::smismember),
    reads("smembers", basic::smembers),
    reads("sscan", basic::sscan),
    writes("spop", random::spop),
    reads("srandmember", random::srandmember),
    reads("sinter", algebra::sinter),
    reads("sintercard", algebra::sintercard),
    reads("sunion", algebra::sunion),
    reads("sdiff", algebra::sdiff),
    writes("sinterstore", algebra::sinterstore),
    writes("sunionstore", algebra::sunionstore),
    writes("sdiffstore", algebra::sdiffstore),
];

/// Most bytes of a body kept in the META record: what one change of a member rewrites at most.
const INLINE_BYTES_MAX: usize = 1024;

/// Redis' `set-max-listpack-entries`: beyond it OBJECT ENCODING says `hashtable`, unless all members are integers.
const LISTPACK_ENTRIES_MAX: u64 = 128;

/// Redis' `set-max-listpack-value`, bytes of a member.
const LISTPACK_VALUE_MAX: usize = 64;

/// Redis' `set-max-intset-entries`: beyond it OBJECT ENCODING says `hashtable` whatever the members are.
const INTSET_ENTRIES_MAX: u64 = 512;

const _: () = assert!(LISTPACK_ENTRIES_MAX < INTSET_ENTRIES_MAX);

/// Stores `members` under `user` in the place of whatever is there. Their lengths were checked.
pub(crate) fn store(ctx: &mut Ctx<'_>, user: &[u8], members: &[Bytes]) -> Outcome<()> {
    let mut set = writer::Writer::replacing(ctx, user)?;
    for member in members {
        set.add(ctx, member)?;
    }
    set.commit(ctx)
}

/// How many members a set has.
pub(crate) fn len(name: &Name, record: &Record) -> Outcome<u64> {
    Reader::of(name, record)?.len()
}

/// What OBJECT ENCODING answers. A set that never grew has so few members that they can be looked at.
pub(crate) fn encoding(ctx: &Ctx<'_>, name: &Name, record: &Record) -> Outcome<&'static str> {
    if record.head.flags.has(Flags::GREW) {
        return Ok("hashtable");
    }
    Ok(if only_integers(ctx, &Reader::of(name, record)?)? { "intset" } else { "listpack" })
}

fn only_integers(ctx: &Ctx<'_>, set: &Reader) -> Outcome<bool> {
    let mut only = true;
    set.visit(ctx, 0, |_, member| {
        only = integer(&member).is_some();
        if only { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(only)
}

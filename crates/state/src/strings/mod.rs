//! Strings: values kept whole in their META record.

mod counter;
mod lcs;
mod many;
mod range;
mod set;

use crate::ctx::{Ctx, string_head, string_of};
use crate::dispatch::{Row, reads, writes};
use crate::records::{Flags, Head, Name, Record};
use crate::reply::{Outcome, STRING_TOO_LONG, fail};
use command::{Command, MAX_VALUE_BYTES, Reply};

pub(crate) const ROWS: &[Row] = &[
    reads("get", get),
    reads("strlen", strlen),
    writes("set", set::set),
    writes("setex", set::setex),
    writes("psetex", set::psetex),
    writes("setnx", set::setnx),
    writes("getset", set::getset),
    writes("getdel", set::getdel),
    writes("getex", set::getex),
    reads("mget", many::mget),
    writes("mset", many::mset),
    writes("msetnx", many::msetnx),
    writes("append", range::append),
    writes("setrange", range::setrange),
    reads("getrange", range::getrange),
    reads("substr", range::getrange),
    writes("incr", counter::incr),
    writes("decr", counter::decr),
    writes("incrby", counter::incrby),
    writes("decrby", counter::decrby),
    writes("incrbyfloat", counter::incrbyfloat),
    reads("lcs", lcs::lcs),
];

fn get(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(ctx.read_string(&cmd.args[1])?.into())
}

fn strlen(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let len = ctx.read_string(&cmd.args[1])?.map_or(0, |v| v.len());
    Ok(Reply::Integer(len as i64))
}

/// Opens a key that must be a string or absent.
pub(crate) fn open_string(ctx: &mut Ctx<'_>, name: &Name) -> Outcome<Option<Record>> {
    let old = ctx.open(name)?;
    string_of(old.clone())?;
    Ok(old)
}

/// Overwrites a string that is a fresh value, keeping the expiry.
fn store(ctx: &mut Ctx<'_>, name: &Name, old: Option<&Record>, value: &[u8]) -> Outcome<()> {
    ctx.update(name, old, string_head(old.and_then(|r| r.head.expire_ms)), &[value])
}

/// The head of a string edited in place: OBJECT ENCODING calls it raw whatever it holds.
pub(crate) fn edited(expire_ms: Option<u64>) -> Head {
    let plain = string_head(expire_ms);
    Head { flags: plain.flags.with(Flags::GREW), ..plain }
}

/// Refuses a string that would exceed the limit of values.
pub(crate) fn check_length(len: usize) -> Outcome<()> {
    if len > MAX_VALUE_BYTES { fail(STRING_TOO_LONG) } else { Ok(()) }
}

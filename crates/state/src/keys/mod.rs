//! Commands on keys of any type, and on whole databases.

mod copy;
mod database;
mod dump;
mod expire;
mod object;
mod pattern;
mod scan;
mod slots;
mod sort;

use crate::ctx::Ctx;
use crate::dispatch::{Row, reads, writes};
use crate::reply::Outcome;
use command::{Command, Reply};

pub(crate) use scan::{ScanOptions, parse_cursor, scan_reply};

pub(crate) const ROWS: &[Row] = &[
    writes("del", del),
    writes("unlink", del),
    reads("exists", exists),
    reads("touch", exists),
    reads("type", kind),
    writes("expire", expire::expire),
    writes("pexpire", expire::pexpire),
    writes("expireat", expire::expireat),
    writes("pexpireat", expire::pexpireat),
    writes("persist", expire::persist),
    reads("ttl", expire::ttl),
    reads("pttl", expire::pttl),
    reads("expiretime", expire::expiretime),
    reads("pexpiretime", expire::pexpiretime),
    writes("rename", copy::rename),
    writes("renamenx", copy::renamenx),
    writes("copy", copy::copy),
    writes("move", copy::move_key),
    reads("object|encoding", object::encoding),
    reads("object|freq", object::freq),
    reads("object|idletime", object::idletime),
    reads("object|refcount", object::refcount),
    reads("memory|usage", object::memory_usage),
    reads("scan", scan::scan),
    reads("keys", scan::keys),
    reads("randomkey", scan::randomkey),
    reads("dbsize", database::dbsize),
    reads("dump", dump::dump),
    writes("restore", dump::restore),
    writes("swapdb", database::swapdb),
    writes("sort", sort::sort),
    reads("sort_ro", sort::sort_ro),
    writes("flushdb", database::flushdb),
    writes("flushall", database::flushall),
    reads("select", database::select),
    reads("cluster|countkeysinslot", slots::count_keys_in_slot),
    reads("cluster|getkeysinslot", slots::get_keys_in_slot),
];

fn del(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut removed = 0;
    for key in &cmd.args[1..] {
        let name = ctx.name(key)?;
        if let Some(record) = ctx.open(&name)? {
            ctx.remove(&name, &record)?;
            removed += 1;
        }
    }
    Ok(Reply::Integer(removed))
}

fn exists(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut found = 0;
    for key in &cmd.args[1..] {
        let name = ctx.name(key)?;
        found += i64::from(ctx.read(&name)?.is_some());
    }
    Ok(Reply::Integer(found))
}

fn kind(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[1])?;
    Ok(Reply::Simple(ctx.read(&name)?.map_or("none", |r| r.head.kind.name()).into()))
}

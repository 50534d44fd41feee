//! OBJECT and MEMORY USAGE. Encodings are named by Redis' thresholds, whatever the layout here; sizes are ours.

use crate::ctx::Ctx;
use crate::parse::{int_arg, integer, is};
use crate::records::{self, Flags, Name, Record, Type};
use crate::reply::{Outcome, SYNTAX, fail};
use crate::{hashes, lists, sets, streams, zsets};
use command::{Command, Reply};
use std::ops::ControlFlow;

/// Longest string that Redis embeds in its object, bytes.
const EMBSTR_MAX: usize = 44;

fn lookup(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome<Option<Record>> {
    let name = ctx.name(&cmd.args[2])?;
    ctx.read(&name)
}

pub(super) fn encoding(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[2])?;
    Ok(match ctx.read(&name)? {
        Some(record) if record.head.kind == Type::Set => Reply::bulk(sets::encoding(ctx, &name, &record)?.as_bytes()),
        Some(record) => Reply::bulk(encoding_name(&record).as_bytes()),
        None => Reply::Null,
    })
}

fn encoding_name(record: &Record) -> &'static str {
    let grew = record.head.flags.has(Flags::GREW);
    match record.head.kind {
        Type::String if grew => "raw",
        Type::String if integer(&record.body).is_some() => "int",
        Type::String if record.body.len() <= EMBSTR_MAX => "embstr",
        Type::String => "raw",
        Type::List if grew => "quicklist",
        Type::Set | Type::Hash if grew => "hashtable",
        Type::SortedSet if grew => "skiplist",
        Type::List | Type::Set | Type::Hash | Type::SortedSet => "listpack",
        Type::Stream => "stream",
    }
}

/// Polder never evicts, so there is no frequency to report.
pub(super) fn freq(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    match lookup(ctx, cmd)? {
        None => Ok(Reply::Null),
        Some(_) => fail(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ),
    }
}

/// Accesses are not recorded: a read would otherwise be a write.
pub(super) fn idletime(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(lookup(ctx, cmd)?.map_or(Reply::Null, |_| Reply::Integer(0)))
}

pub(super) fn refcount(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(lookup(ctx, cmd)?.map_or(Reply::Null, |_| Reply::Integer(1)))
}

/// The bytes of a key's records. Of a large collection a few parts are read and the rest is taken to be like them.
pub(super) fn memory_usage(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    /// Parts that are read at most, whatever SAMPLES says.
    const SAMPLES_MAX: usize = 10_000;
    let samples = match &cmd.args[3..] {
        [] => 5,
        [option, count] if is(option, "samples") => match usize::try_from(int_arg(count)?) {
            Ok(0) => SAMPLES_MAX,
            Ok(count) => count.min(SAMPLES_MAX),
            Err(_) => return fail(SYNTAX),
        },
        _ => return fail(SYNTAX),
    };
    let name = ctx.name(&cmd.args[2])?;
    let Some(value) = ctx.get(name.record())? else { return Ok(Reply::Null) };
    let record = Record::decode(&value)?;
    if ctx.is_gone(&record) {
        return Ok(Reply::Null);
    }
    let index = record.head.expire_ms.map_or(0, |at| name.expiry_key(at).len());
    let parts = parts_bytes(ctx, &name, &record, samples)?;
    let total = (name.record().len() + value.len() + index) as u64 + parts;
    Ok(Reply::Integer(i64::try_from(total).unwrap_or(i64::MAX)))
}

/// About how many bytes the sub-records of a key take.
fn parts_bytes(ctx: &Ctx<'_>, name: &Name, record: &Record, samples: usize) -> Outcome<u64> {
    let Some(home) = record.home()? else { return Ok(0) };
    let (start, end) = records::collection_range(&records::sub_prefix(name.keyspace(), home.slot, home.version));
    let (mut read, mut bytes) = (0, 0);
    ctx.scan(&start, &end, &mut |key, value| {
        read += 1;
        bytes += (key.len() + value.len()) as u64;
        if read < samples { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let parts = match record.head.kind {
        Type::List => lists::len(name, record)?,
        Type::Set => sets::len(name, record)?,
        Type::SortedSet => zsets::len(name, record)?,
        Type::Stream => streams::len(name, record)?,
        Type::String | Type::Hash => hashes::field_count(name, record)?,
    };
    Ok(bytes.saturating_mul(parts) / (read as u64).max(1))
}

//! OBJECT: what Redis would say about its memory. Encodings are named by Redis' thresholds, whatever the layout here.

use crate::ctx::Ctx;
use crate::parse::integer;
use crate::records::{Flags, Record, Type};
use crate::reply::{Outcome, fail};
use command::{Command, Reply};

/// Longest string that Redis embeds in its object, bytes.
const EMBSTR_MAX: usize = 44;

fn lookup(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome<Option<Record>> {
    let name = ctx.name(&cmd.args[2])?;
    ctx.read(&name)
}

pub(super) fn encoding(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(match lookup(ctx, cmd)? {
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

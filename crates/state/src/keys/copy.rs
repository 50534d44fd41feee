//! Giving a value another key.

use crate::ctx::Ctx;
use crate::env::Layout;
use crate::keys::database::number as database;
use crate::parse::is;
use crate::records::{self, Head, Home, Name, Record, Type};
use crate::reply::{NO_SUCH_KEY, Outcome, SAME_OBJECT, SYNTAX, fail};
use crate::streams;
use bytes::Bytes;
use command::{Command, MAX_VALUE_BYTES, Reply};
use std::ops::ControlFlow;

/// The largest collection that COPY or MOVE duplicates, bytes of its parts: the copy is one log entry.
const COPY_LIMIT_BYTES: usize = MAX_VALUE_BYTES;

/// Both renames: whether it happened; an absent source is an error.
fn rename_key(ctx: &mut Ctx<'_>, cmd: &Command, only_if_free: bool) -> Outcome<bool> {
    let (from, to) = (ctx.name(&cmd.args[1])?, ctx.name(&cmd.args[2])?);
    let Some(record) = ctx.open(&from)? else { return fail(NO_SUCH_KEY) };
    if from == to {
        return Ok(!only_if_free);
    }
    let target = ctx.open(&to)?;
    if only_if_free && target.is_some() {
        return Ok(false);
    }
    // Sub-records are found by the home in the body, not by the key's name, so they stay where they are.
    ctx.detach(&from, &record)?;
    ctx.replace(&to, target.as_ref(), record.head, &[&record.body])?;
    Ok(true)
}

pub(super) fn rename(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    rename_key(ctx, cmd, false)?;
    Ok(Reply::OK)
}

pub(super) fn renamenx(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(Reply::Integer(i64::from(rename_key(ctx, cmd, true)?)))
}

pub(super) fn copy(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut db = ctx.env.db;
    let mut overwrite = false;
    let mut rest = cmd.args[3..].iter();
    while let Some(word) = rest.next() {
        if is(word, "replace") {
            overwrite = true;
        } else if is(word, "db")
            && let Some(value) = rest.next()
        {
            db = database(value)?;
        } else {
            return fail(SYNTAX);
        }
    }
    if ctx.env.layout == Layout::Sharded && db != 0 {
        return fail("ERR Copying to another database is not allowed in cluster mode");
    }
    let (from, to) = (ctx.name(&cmd.args[1])?, ctx.name_in(db, &cmd.args[2])?);
    if from == to {
        return fail(SAME_OBJECT);
    }
    let Some(record) = ctx.read(&from)? else { return Ok(Reply::Integer(0)) };
    let target = ctx.open(&to)?;
    if target.is_some() && !overwrite {
        return Ok(Reply::Integer(0));
    }
    duplicate(ctx, &from, &record, &to, target.as_ref())?;
    Ok(Reply::Integer(1))
}

pub(super) fn move_key(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if ctx.env.layout == Layout::Sharded {
        return fail("ERR MOVE is not allowed in cluster mode");
    }
    let db = database(&cmd.args[2])?;
    if db == ctx.env.db {
        return fail(SAME_OBJECT);
    }
    let (from, to) = (ctx.name(&cmd.args[1])?, ctx.name_in(db, &cmd.args[1])?);
    let Some(record) = ctx.open(&from)? else { return Ok(Reply::Integer(0)) };
    if ctx.open(&to)?.is_some() {
        return Ok(Reply::Integer(0));
    }
    duplicate(ctx, &from, &record, &to, None)?;
    ctx.remove(&from, &record)?;
    Ok(Reply::Integer(1))
}

/// Writes a copy of `record` with its expiry under `to`. Sub-records are copied one by one: they belong to a keyspace
/// and to one version.
fn duplicate(ctx: &mut Ctx<'_>, from: &Name, record: &Record, to: &Name, target: Option<&Record>) -> Outcome<()> {
    let Head { flags, .. } = record.head;
    debug_assert!(!flags.has(records::Flags::EXPIRES), "decoding moves the expiry out of the flags");
    let Some(home) = record.home()? else {
        return ctx.replace(to, target, record.head, &[&record.body]);
    };
    let source = records::sub_prefix(from.keyspace(), home.slot, home.version);
    let mut parts = sub_records(ctx, &source)?;
    if record.head.kind == Type::Stream {
        streams::retain_living(from, record, &mut parts)?;
    }
    let fresh = Home { slot: to.slot(), version: ctx.txn()?.allocate_version()? };
    let prefix = records::sub_prefix(to.keyspace(), fresh.slot, fresh.version);
    ctx.replace(to, target, record.head, &[&fresh.encode(), &record.body[Home::LEN..]])?;
    for (suffix, value) in parts {
        let mut key = Vec::with_capacity(prefix.len() + suffix.len());
        key.extend_from_slice(&prefix);
        key.extend_from_slice(&suffix);
        ctx.txn()?.put(key.into(), value);
    }
    Ok(())
}

/// All sub-records under a prefix, their keys without it.
fn sub_records(ctx: &Ctx<'_>, prefix: &[u8]) -> Outcome<Vec<(Bytes, Bytes)>> {
    let (start, end) = records::collection_range(prefix);
    let mut parts = Vec::new();
    let mut bytes = 0;
    ctx.scan(&start, &end, &mut |key, value| {
        bytes += key.len() + value.len();
        parts.push((Bytes::copy_from_slice(&key[prefix.len()..]), value.clone()));
        if bytes > COPY_LIMIT_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if bytes > COPY_LIMIT_BYTES {
        return fail("ERR Polder copies collections of at most 64 MiB in one step");
    }
    Ok(parts)
}

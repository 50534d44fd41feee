//! Whole databases.

use crate::ctx::Ctx;
use crate::directory::DATABASES;
use crate::env::Layout;
use crate::parse::{int_arg, integer, is};
use crate::records::{Name, Record};
use crate::reply::{BAD_DB, Outcome, SYNTAX, fail};
use command::{Command, Reply};

pub(super) fn dbsize(ctx: &mut Ctx<'_>, _: &Command) -> Outcome {
    let keys = ctx.count_keys(ctx.env.db)?;
    Ok(Reply::Integer(i64::try_from(keys).unwrap_or(i64::MAX)))
}

/// SELECT inside a transaction: the commands after it use another database.
pub(super) fn select(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if ctx.env.layout == Layout::Sharded && int_arg(&cmd.args[1])? != 0 {
        return fail("ERR SELECT is not allowed in cluster mode");
    }
    ctx.env.db = number(&cmd.args[1])?;
    Ok(Reply::OK)
}

/// The number of an existing database.
pub(super) fn number(word: &[u8]) -> Outcome<u16> {
    let n = int_arg(word)?;
    if i32::try_from(n).is_err() {
        return fail("ERR value is out of range, value must between -2147483648 and 2147483647");
    }
    match u16::try_from(n) {
        Ok(db) if db < DATABASES => Ok(db),
        _ => fail(BAD_DB),
    }
}

pub(super) fn flushdb(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    check_mode(cmd)?;
    flush(ctx, ctx.env.db)?;
    Ok(Reply::OK)
}

pub(super) fn flushall(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    check_mode(cmd)?;
    for db in 0..DATABASES {
        flush(ctx, db)?;
    }
    Ok(Reply::OK)
}

/// Two databases exchange what they hold: an exchange of two entries of the directory.
pub(super) fn swapdb(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if ctx.env.layout == Layout::Sharded {
        return fail("ERR SWAPDB is not allowed in cluster mode");
    }
    let index = |word: &[u8], what| integer(word).filter(|n| i32::try_from(*n).is_ok()).map_or_else(|| fail(what), Ok);
    let first = index(&cmd.args[1], "ERR invalid first DB index")?;
    let second = index(&cmd.args[2], "ERR invalid second DB index")?;
    let (first, second) = match (u16::try_from(first), u16::try_from(second)) {
        (Ok(a), Ok(b)) if a.max(b) < DATABASES => (a, b),
        _ => return fail(BAD_DB),
    };
    if first != second {
        // Watched keys that exist before or after have changed.
        touch_watched(ctx, first)?;
        touch_watched(ctx, second)?;
        ctx.txn()?.swap_keyspaces(first, second)?;
        touch_watched(ctx, first)?;
        touch_watched(ctx, second)?;
    }
    Ok(Reply::OK)
}

/// SYNC and ASYNC are the same here: either way one small entry empties the database.
fn check_mode(cmd: &Command) -> Outcome<()> {
    match &cmd.args[1..] {
        [] => Ok(()),
        [mode] if is(mode, "sync") || is(mode, "async") => Ok(()),
        _ => fail(SYNTAX),
    }
}

/// Empties a database. One that is empty already keeps its keyspace, so that repeating a flush costs nothing.
fn flush(ctx: &mut Ctx<'_>, db: u16) -> Outcome<()> {
    if ctx.count_keys(db)? == 0 {
        return Ok(());
    }
    touch_watched(ctx, db)?;
    ctx.txn()?.replace_keyspace(db)?;
    Ok(())
}

/// Tells watchers of a database that the keys in it change which exist, and those who wait that any may.
fn touch_watched(ctx: &mut Ctx<'_>, db: u16) -> Outcome<()> {
    let keyspace = ctx.keyspace(db)?;
    ctx.txn()?.awaited.touch_all(db);
    for key in ctx.txn()?.watches.watched_in(db) {
        let Some(value) = ctx.get(Name::new(db, keyspace, &key).record())? else { continue };
        let expired = Record::decode(&value)?.expired(ctx.env.now_ms);
        let watches = &mut ctx.txn()?.watches;
        if expired { watches.touch_expired(db, &key) } else { watches.touch(db, &key) }
    }
    Ok(())
}

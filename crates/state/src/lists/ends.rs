//! Pushing and popping.

use super::Side;
use super::writer::Writer;
use crate::ctx::Ctx;
use crate::parse::{is, ranged};
use crate::reply::{Outcome, SYNTAX, fail, wrong_arity};
use bytes::Bytes;
use command::{Command, Reply};

fn push(ctx: &mut Ctx<'_>, cmd: &Command, side: Side, only_if_exists: bool) -> Outcome {
    let mut list = Writer::open(ctx, &cmd.args[1])?;
    if only_if_exists && !list.exists() {
        return Ok(Reply::Integer(0));
    }
    for element in &cmd.args[2..] {
        list.push(ctx, side, element)?;
    }
    let len = list.len();
    list.commit(ctx)?;
    Ok(Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX)))
}

pub(super) fn lpush(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    push(ctx, cmd, Side::Left, false)
}

pub(super) fn rpush(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    push(ctx, cmd, Side::Right, false)
}

pub(super) fn lpushx(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    push(ctx, cmd, Side::Left, true)
}

pub(super) fn rpushx(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    push(ctx, cmd, Side::Right, true)
}

/// Takes up to `count` elements from an end, in the order in which they leave.
fn take(ctx: &mut Ctx<'_>, list: &mut Writer, side: Side, count: u64) -> Outcome<Reply> {
    let len = list.len();
    let count = count.min(len);
    let (taken, kept) = match side {
        Side::Left => (0..count, count..len),
        Side::Right => (len - count..len, 0..len - count),
    };
    let elements = list.body.elements(ctx, taken, side == Side::Right)?;
    list.trim(ctx, kept, elements.iter().map(|e| e.len() as u64).sum())?;
    Ok(Reply::Array(elements.into_iter().map(Reply::Bulk).collect()))
}

fn pop(ctx: &mut Ctx<'_>, cmd: &Command, side: Side) -> Outcome {
    if cmd.args.len() > 3 {
        return wrong_arity(cmd.spec.name);
    }
    let count = match cmd.args.get(2) {
        Some(word) => Some(ranged(word, 0, i64::MAX, "ERR value is out of range, must be positive")?.unsigned_abs()),
        None => None,
    };
    let mut list = Writer::open(ctx, &cmd.args[1])?;
    let reply = match count {
        _ if !list.exists() => return Ok(if count.is_some() { Reply::NullArray } else { Reply::Null }),
        Some(count) => take(ctx, &mut list, side, count)?,
        None => list.pop(ctx, side)?.into(),
    };
    list.commit(ctx)?;
    Ok(reply)
}

pub(super) fn lpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop(ctx, cmd, Side::Left)
}

pub(super) fn rpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop(ctx, cmd, Side::Right)
}

pub(super) fn side(word: &[u8]) -> Outcome<Side> {
    match () {
        () if is(word, "left") => Ok(Side::Left),
        () if is(word, "right") => Ok(Side::Right),
        () => fail(SYNTAX),
    }
}

/// What LMPOP and BLMPOP are asked for, from the word on that says how many keys there are.
pub(super) fn several(words: &[Bytes]) -> Outcome<(&[Bytes], Side, u64)> {
    let keys = ranged(&words[0], 1, i64::MAX, "ERR numkeys should be greater than 0")?;
    let at = usize::try_from(keys).ok().and_then(|n| n.checked_add(1)).filter(|at| *at < words.len());
    let Some(at) = at else { return fail(SYNTAX) };
    let side = side(&words[at])?;
    let count = match &words[at + 1..] {
        [] => 1,
        [word, count, rest @ ..] if is(word, "count") => {
            let count = ranged(count, 1, i64::MAX, "ERR count should be greater than 0")?;
            if !rest.is_empty() {
                return fail(SYNTAX);
            }
            count.unsigned_abs()
        }
        _ => return fail(SYNTAX),
    };
    Ok((&words[1..at], side, count))
}

/// Takes up to `count` elements from the first list that has some, with its key.
pub(super) fn take_first(ctx: &mut Ctx<'_>, keys: &[Bytes], side: Side, count: u64) -> Outcome<Option<Reply>> {
    for key in keys {
        let mut list = Writer::open(ctx, key)?;
        if list.exists() {
            let elements = take(ctx, &mut list, side, count)?;
            list.commit(ctx)?;
            return Ok(Some(Reply::Array(vec![Reply::Bulk(key.clone()), elements])));
        }
    }
    Ok(None)
}

pub(super) fn lmpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (keys, side, count) = several(&cmd.args[1..])?;
    Ok(take_first(ctx, keys, side, count)?.unwrap_or(Reply::NullArray))
}

/// Moves an element; null when there is none.
pub(super) fn move_one(ctx: &mut Ctx<'_>, [from, to]: [&Bytes; 2], out: Side, into: Side) -> Outcome {
    let mut source = Writer::open(ctx, from)?;
    if !source.exists() {
        return Ok(Reply::Null);
    }
    if from == to {
        if source.len() == 1 {
            // The list stays what it is, but it was written.
            let element = source.body.get(ctx, 0)?;
            source.set(ctx, 0, &element)?;
            source.commit(ctx)?;
            return Ok(Reply::Bulk(element));
        }
        let Some(element) = source.pop(ctx, out)? else { return Ok(Reply::Null) };
        source.push(ctx, into, &element)?;
        source.commit(ctx)?;
        return Ok(Reply::Bulk(element));
    }
    let mut target = Writer::open(ctx, to)?;
    let Some(element) = source.pop(ctx, out)? else { return Ok(Reply::Null) };
    target.push(ctx, into, &element)?;
    source.commit(ctx)?;
    target.commit(ctx)?;
    Ok(Reply::Bulk(element))
}

pub(super) fn lmove(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (out, into) = (side(&cmd.args[3])?, side(&cmd.args[4])?);
    move_one(ctx, [&cmd.args[1], &cmd.args[2]], out, into)
}

pub(super) fn rpoplpush(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    move_one(ctx, [&cmd.args[1], &cmd.args[2]], Side::Right, Side::Left)
}

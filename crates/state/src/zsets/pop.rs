//! ZPOPMIN, ZPOPMAX, ZMPOP, and their blocking forms.

use super::Entry;
use super::range::{Collected, show};
use super::span::Span;
use super::writer::Writer;
use crate::ctx::Ctx;
use crate::parse::{is, ranged};
use crate::records::Type;
use crate::reply::{Outcome, SYNTAX, fail};
use crate::wait::{Wait, seconds};
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

/// Takes up to `count` entries from an end of the set under `key`; none when it is absent.
fn take(ctx: &mut Ctx<'_>, key: &Bytes, highest: bool, count: u64) -> Outcome<Vec<Entry>> {
    let mut set = Writer::open(ctx, key)?;
    let mut left = count;
    let mut taken = Collected::default();
    set.body.each(ctx, &Span::all(), highest, |entry| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        taken.add(entry)
    })?;
    let taken = taken.finish()?;
    set.remove_all(ctx, &taken)?;
    set.commit(ctx)?;
    Ok(taken)
}

fn pop(ctx: &mut Ctx<'_>, cmd: &Command, highest: bool) -> Outcome {
    if cmd.args.len() > 3 {
        return fail(SYNTAX);
    }
    let count = match cmd.args.get(2) {
        Some(word) => Some(ranged(word, 0, i64::MAX, "ERR value is out of range, must be positive")?.unsigned_abs()),
        None => None,
    };
    let taken = take(ctx, &cmd.args[1], highest, count.unwrap_or(1))?;
    Ok(show(taken, true, ctx.env.resp3 && count.is_some()))
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop(ctx, cmd, false)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop(ctx, cmd, true)
}

/// What ZMPOP and BZMPOP are asked for, from the word on that says how many keys there are: the keys, whether the highest
/// scores are wanted, and how many entries.
fn several(words: &[Bytes]) -> Outcome<(&[Bytes], bool, u64)> {
    let keys = ranged(&words[0], 1, i64::MAX, "ERR numkeys should be greater than 0")?;
    let at = usize::try_from(keys).ok().and_then(|n| n.checked_add(1)).filter(|at| *at < words.len());
    let Some(at) = at else { return fail(SYNTAX) };
    let highest = match () {
        () if is(&words[at], "max") => true,
        () if is(&words[at], "min") => false,
        () => return fail(SYNTAX),
    };
    let mut count = None;
    let mut rest = words[at + 1..].iter();
    while let Some(word) = rest.next() {
        match rest.next() {
            Some(value) if is(word, "count") && count.is_none() => {
                count = Some(ranged(value, 1, i64::MAX, "ERR count should be greater than 0")?.unsigned_abs());
            }
            _ => return fail(SYNTAX),
        }
    }
    Ok((&words[1..at], highest, count.unwrap_or(1)))
}

/// Takes up to `count` entries from the first set that has some, with its key.
fn take_first(ctx: &mut Ctx<'_>, keys: &[Bytes], highest: bool, count: u64) -> Outcome<Option<Reply>> {
    for key in keys {
        let taken = take(ctx, key, highest, count)?;
        if !taken.is_empty() {
            return Ok(Some(Reply::Array(vec![Reply::Bulk(key.clone()), show(taken, true, true)])));
        }
    }
    Ok(None)
}

pub(super) fn zmpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (keys, highest, count) = several(&cmd.args[1..])?;
    Ok(take_first(ctx, keys, highest, count)?.unwrap_or(Reply::NullArray))
}

pub(super) fn bzmpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (keys, highest, count) = several(&cmd.args[2..])?;
    let timeout = seconds(&cmd.args[1])?;
    if let Some(taken) = take_first(ctx, keys, highest, count)? {
        return Ok(taken);
    }
    ctx.wait(Wait::for_any(keys, Type::SortedSet, timeout));
    Ok(Reply::NullArray)
}

fn pop_or_wait(ctx: &mut Ctx<'_>, cmd: &Command, highest: bool) -> Outcome {
    let last = cmd.args.len() - 1;
    let timeout = seconds(&cmd.args[last])?;
    let keys = &cmd.args[1..last];
    for key in keys {
        if let Some(Entry { score, member }) = take(ctx, key, highest, 1)?.pop() {
            return Ok(Reply::Array(vec![Reply::Bulk(key.clone()), Reply::Bulk(member), Reply::Double(score)]));
        }
    }
    ctx.wait(Wait::for_any(keys, Type::SortedSet, timeout));
    Ok(Reply::NullArray)
}

pub(super) fn bzpopmin(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop_or_wait(ctx, cmd, false)
}

pub(super) fn bzpopmax(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop_or_wait(ctx, cmd, true)
}

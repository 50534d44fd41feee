//! ZPOPMIN, ZPOPMAX, ZMPOP.

use super::Entry;
use super::range::{Collected, show};
use super::span::Span;
use super::writer::Writer;
use crate::ctx::Ctx;
use crate::parse::{is, ranged};
use crate::reply::{Outcome, SYNTAX, fail};
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

pub(super) fn zmpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let keys = ranged(&cmd.args[1], 1, i64::MAX, "ERR numkeys should be greater than 0")?;
    let at = usize::try_from(keys).ok().and_then(|n| n.checked_add(2)).filter(|at| *at < cmd.args.len());
    let Some(at) = at else { return fail(SYNTAX) };
    let highest = match () {
        () if is(&cmd.args[at], "max") => true,
        () if is(&cmd.args[at], "min") => false,
        () => return fail(SYNTAX),
    };
    let mut count = None;
    let mut rest = cmd.args[at + 1..].iter();
    while let Some(word) = rest.next() {
        match rest.next() {
            Some(value) if is(word, "count") && count.is_none() => {
                count = Some(ranged(value, 1, i64::MAX, "ERR count should be greater than 0")?.unsigned_abs());
            }
            _ => return fail(SYNTAX),
        }
    }
    for key in &cmd.args[2..at] {
        let taken = take(ctx, key, highest, count.unwrap_or(1))?;
        if !taken.is_empty() {
            return Ok(Reply::Array(vec![Reply::Bulk(key.clone()), show(taken, true, true)]));
        }
    }
    Ok(Reply::NullArray)
}

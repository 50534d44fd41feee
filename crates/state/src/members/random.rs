//! Members chosen at random.

use super::{Members, Pair};
use crate::ctx::Ctx;
use crate::parse::{REPLY_ELEMENT_BYTES, REPLY_LIMIT_BYTES, is, magnitude_arg};
use crate::reply::{OUT_OF_RANGE, Outcome, REPLY_TOO_LARGE, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Up to this many members are all read, so that the choice is exactly even.
const READ_ALL_MAX: u64 = 4096;

/// From this many draws on, reading everything is cheaper than seeking for each.
const SEEKS_MAX: u64 = 512;

/// Members after a random position among which one draw chooses.
const WINDOW: usize = 32;

/// HRANDFIELD and ZRANDMEMBER: a name, or `count` of them and, if the word `with` says so, what `show` makes of what is
/// kept with each.
pub(crate) fn random<M: Members>(
    ctx: &mut Ctx<'_>,
    cmd: &Command,
    open: impl FnOnce(&mut Ctx<'_>, &[u8]) -> Outcome<Option<M>>,
    with: &str,
    show: impl Fn(Bytes) -> Reply,
) -> Outcome {
    let Some(count) = cmd.args.get(2) else {
        let Some(members) = open(ctx, &cmd.args[1])? else { return Ok(Reply::Null) };
        let drawn = draw(ctx, &members, 1, false)?;
        return Ok(drawn.into_iter().next().map(|(name, _)| name).into());
    };
    let count = magnitude_arg(count)?;
    let with_values = match &cmd.args[3..] {
        [] => false,
        [word] if is(word, with) => true,
        _ => return fail(SYNTAX),
    };
    if with_values && !(-(i64::MAX / 2)..=i64::MAX / 2).contains(&count) {
        return fail(OUT_OF_RANGE);
    }
    let Some(members) = open(ctx, &cmd.args[1])? else { return Ok(Reply::Array(Vec::new())) };
    let drawn = draw(ctx, &members, count.unsigned_abs(), count < 0)?;
    let mut out = Vec::with_capacity(drawn.len() * (1 + usize::from(with_values)));
    for (name, value) in drawn {
        match (with_values, ctx.env.resp3) {
            (false, _) => out.push(Reply::Bulk(name)),
            (true, false) => out.extend([Reply::Bulk(name), show(value)]),
            (true, true) => out.push(Reply::Array(vec![Reply::Bulk(name), show(value)])),
        }
    }
    Ok(Reply::Array(out))
}

/// `count` members: different ones, at most all, or with `repeat` each drawn from all.
pub(crate) fn draw(ctx: &mut Ctx<'_>, members: &impl Members, count: u64, repeat: bool) -> Outcome<Vec<Pair>> {
    let len = members.count()?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if !repeat && count >= len {
        return members.all(ctx);
    }
    if len > READ_ALL_MAX && count < SEEKS_MAX {
        return seek(ctx, members, count as usize, repeat);
    }
    if repeat && count > (REPLY_LIMIT_BYTES / REPLY_ELEMENT_BYTES) as u64 {
        return fail(REPLY_TOO_LARGE);
    }
    let mut all = members.all(ctx)?;
    if !repeat {
        for i in 0..count as usize {
            let chosen = ctx.rng.range(i as u64, all.len() as u64) as usize;
            all.swap(i, chosen);
        }
        all.truncate(count as usize);
        return Ok(all);
    }
    let mut out = Vec::with_capacity(count as usize);
    let mut bytes = 0;
    for _ in 0..count {
        let Some(pair) = all.get(ctx.rng.below(all.len() as u64) as usize) else { break };
        bytes += pair.0.len() + pair.1.len() + REPLY_ELEMENT_BYTES;
        if bytes > REPLY_LIMIT_BYTES {
            return fail(REPLY_TOO_LARGE);
        }
        out.push(pair.clone());
    }
    Ok(out)
}

/// Draws from a large collection by seeking to random positions. Chances are even up to how names happen to lie.
fn seek(ctx: &mut Ctx<'_>, members: &impl Members, count: usize, repeat: bool) -> Outcome<Vec<Pair>> {
    /// Draws per wanted member, repetitions included, before the search ends.
    const ATTEMPTS: usize = 32;
    let mut out = Vec::with_capacity(count);
    let mut seen: BTreeSet<Bytes> = BTreeSet::new();
    for _ in 0..count * ATTEMPTS {
        if out.len() == count {
            break;
        }
        let from = ctx.rng.next_u64() as u32;
        let mut window = read_window(ctx, members, from)?;
        if window.is_empty() {
            window = read_window(ctx, members, 0)?;
        }
        let chosen = ctx.rng.below(window.len() as u64) as usize;
        let Some(pair) = window.into_iter().nth(chosen) else { break };
        if repeat || seen.insert(pair.0.clone()) {
            out.push(pair);
        }
    }
    Ok(out)
}

fn read_window(ctx: &Ctx<'_>, members: &impl Members, from: u32) -> Outcome<Vec<Pair>> {
    let mut window = Vec::with_capacity(WINDOW);
    members.each(ctx, from, &mut |_, name, value| {
        window.push((name, value));
        if window.len() < WINDOW { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(window)
}

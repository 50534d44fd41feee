//! HRANDFIELD.

use super::reader::Reader;
use crate::ctx::Ctx;
use crate::parse::{REPLY_ELEMENT_BYTES, REPLY_LIMIT_BYTES, int_arg, is};
use crate::reply::{OUT_OF_RANGE, Outcome, REPLY_TOO_LARGE, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Up to this many fields are all read, so that the choice is exactly even.
const READ_ALL_MAX: u64 = 4096;

/// From this many draws on, reading everything is cheaper than seeking for each.
const SEEKS_MAX: u64 = 512;

/// Fields after a random position among which one draw chooses.
const WINDOW: usize = 32;

type Pair = (Bytes, Bytes);

pub(super) fn hrandfield(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(count) = cmd.args.get(2) else {
        let Some(hash) = Reader::open(ctx, &cmd.args[1])? else { return Ok(Reply::Null) };
        let drawn = draw(ctx, &hash, 1, false)?;
        return Ok(drawn.into_iter().next().map(|(field, _)| field).into());
    };
    let count = int_arg(count)?;
    if count == i64::MIN {
        return fail("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    }
    let with_values = match &cmd.args[3..] {
        [] => false,
        [word] if is(word, "withvalues") => true,
        _ => return fail(SYNTAX),
    };
    if with_values && !(-(i64::MAX / 2)..=i64::MAX / 2).contains(&count) {
        return fail(OUT_OF_RANGE);
    }
    let Some(hash) = Reader::open(ctx, &cmd.args[1])? else { return Ok(Reply::Array(Vec::new())) };
    let drawn = draw(ctx, &hash, count.unsigned_abs(), count < 0)?;
    Ok(reply(drawn, with_values, ctx.env.resp3))
}

fn reply(drawn: Vec<Pair>, with_values: bool, nested: bool) -> Reply {
    let mut out = Vec::with_capacity(drawn.len() * (1 + usize::from(with_values)));
    for (field, value) in drawn {
        match (with_values, nested) {
            (false, _) => out.push(Reply::Bulk(field)),
            (true, false) => out.extend([Reply::Bulk(field), Reply::Bulk(value)]),
            (true, true) => out.push(Reply::Array(vec![Reply::Bulk(field), Reply::Bulk(value)])),
        }
    }
    Reply::Array(out)
}

/// `count` fields with their values: different ones, at most all, or with `repeat` each drawn from all.
fn draw(ctx: &mut Ctx<'_>, hash: &Reader, count: u64, repeat: bool) -> Outcome<Vec<Pair>> {
    let len = hash.len()?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if !repeat && count >= len {
        return hash.all(ctx);
    }
    if len > READ_ALL_MAX && count < SEEKS_MAX {
        return seek(ctx, hash, count as usize, repeat);
    }
    if repeat && count > (REPLY_LIMIT_BYTES / REPLY_ELEMENT_BYTES) as u64 {
        return fail(REPLY_TOO_LARGE);
    }
    let mut all = hash.all(ctx)?;
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

/// Draws from a large hash by seeking to random positions. Chances are even up to how fields happen to lie.
fn seek(ctx: &mut Ctx<'_>, hash: &Reader, count: usize, repeat: bool) -> Outcome<Vec<Pair>> {
    /// Draws per wanted field, repetitions included, before the search ends.
    const ATTEMPTS: usize = 32;
    let mut out = Vec::with_capacity(count);
    let mut seen: BTreeMap<Bytes, ()> = BTreeMap::new();
    for _ in 0..count * ATTEMPTS {
        if out.len() == count {
            break;
        }
        let from = ctx.rng.next_u64() as u32;
        let mut window = read_window(ctx, hash, from)?;
        if window.is_empty() {
            window = read_window(ctx, hash, 0)?;
        }
        let chosen = ctx.rng.below(window.len() as u64) as usize;
        let Some(pair) = window.into_iter().nth(chosen) else { break };
        if repeat || seen.insert(pair.0.clone(), ()).is_none() {
            out.push(pair);
        }
    }
    Ok(out)
}

fn read_window(ctx: &Ctx<'_>, hash: &Reader, from: u32) -> Outcome<Vec<Pair>> {
    let mut window = Vec::with_capacity(WINDOW);
    hash.each(ctx, from, |_, field, value| {
        window.push((field, value));
        if window.len() < WINDOW { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(window)
}

//! Unions, intersections and differences.

use super::reader::Reader;
use super::writer::Writer;
use crate::ctx::{Ctx, EFFECT_BYTES, EFFECTS_LIMIT_BYTES};
use crate::parse::{ReplyMeter, is, ranged};
use crate::reply::{EFFECTS_TOO_LARGE, Outcome, REPLY_TOO_LARGE, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// What is computed from the sets of some keys; an absent key is an empty set.
type Operation = fn(&mut Ctx<'_>, &[Bytes]) -> Outcome<Vec<Bytes>>;

fn open_all(ctx: &mut Ctx<'_>, keys: &[Bytes]) -> Outcome<Vec<Option<Reader>>> {
    keys.iter().map(|key| Reader::open(ctx, key)).collect()
}

/// Visits the members that all sets have, from the smallest set.
fn intersect(ctx: &mut Ctx<'_>, keys: &[Bytes], mut visit: impl FnMut(Bytes) -> ControlFlow<()>) -> Outcome<()> {
    let sets: Option<Vec<Reader>> = open_all(ctx, keys)?.into_iter().collect();
    let Some(mut sets) = sets else { return Ok(()) };
    sets.sort_by_key(|set| set.len().unwrap_or(0));
    let Some((smallest, others)) = sets.split_first() else { return Ok(()) };
    let mut failed = None;
    smallest.visit(ctx, 0, |_, member| {
        for other in others {
            match other.contains(ctx, &member) {
                Ok(true) => {}
                Ok(false) => return ControlFlow::Continue(()),
                Err(stop) => {
                    failed = Some(stop);
                    return ControlFlow::Break(());
                }
            }
        }
        visit(member)
    })?;
    failed.map_or(Ok(()), Err)
}

fn intersection(ctx: &mut Ctx<'_>, keys: &[Bytes]) -> Outcome<Vec<Bytes>> {
    let mut found = Collected::default();
    intersect(ctx, keys, |member| found.add(member))?;
    found.finish()
}

fn union(ctx: &mut Ctx<'_>, keys: &[Bytes]) -> Outcome<Vec<Bytes>> {
    let sets = open_all(ctx, keys)?;
    let mut seen = BTreeSet::new();
    let mut found = Collected::default();
    for set in sets.iter().flatten() {
        set.visit(
            ctx,
            0,
            |_, member| {
                if seen.insert(member.clone()) { found.add(member) } else { ControlFlow::Continue(()) }
            },
        )?;
    }
    found.finish()
}

fn difference(ctx: &mut Ctx<'_>, keys: &[Bytes]) -> Outcome<Vec<Bytes>> {
    let sets = open_all(ctx, keys)?;
    let mut found = Collected::default();
    if let Some((Some(first), others)) = sets.split_first() {
        let mut failed = None;
        first.visit(ctx, 0, |_, member| {
            for other in others.iter().flatten() {
                match other.contains(ctx, &member) {
                    Ok(false) => {}
                    Ok(true) => return ControlFlow::Continue(()),
                    Err(stop) => {
                        failed = Some(stop);
                        return ControlFlow::Break(());
                    }
                }
            }
            found.add(member)
        })?;
        if let Some(stop) = failed {
            return Err(stop);
        }
    }
    found.finish()
}

/// Members of a result, as many as a reply may have.
#[derive(Default)]
struct Collected {
    members: Vec<Bytes>,
    meter: ReplyMeter,
    overflow: bool,
}

impl Collected {
    fn add(&mut self, member: Bytes) -> ControlFlow<()> {
        self.overflow = !self.meter.fits(member.len());
        self.members.push(member);
        if self.overflow { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(self) -> Outcome<Vec<Bytes>> {
        if self.overflow { fail(REPLY_TOO_LARGE) } else { Ok(self.members) }
    }
}

fn answer(ctx: &mut Ctx<'_>, cmd: &Command, operation: Operation) -> Outcome {
    let members = operation(ctx, &cmd.args[1..])?;
    Ok(Reply::Set(members.into_iter().map(Reply::Bulk).collect()))
}

fn store(ctx: &mut Ctx<'_>, cmd: &Command, operation: Operation) -> Outcome {
    let members = operation(ctx, &cmd.args[2..])?;
    if members.iter().map(|m| m.len() + EFFECT_BYTES as usize).sum::<usize>() > EFFECTS_LIMIT_BYTES {
        return fail(EFFECTS_TOO_LARGE);
    }
    let mut target = Writer::replacing(ctx, &cmd.args[1])?;
    for member in &members {
        target.add(ctx, member)?;
    }
    target.commit(ctx)?;
    Ok(Reply::Integer(members.len() as i64))
}

pub(super) fn sinter(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, intersection)
}

pub(super) fn sunion(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, union)
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, difference)
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    store(ctx, cmd, intersection)
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    store(ctx, cmd, union)
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    store(ctx, cmd, difference)
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let keys = ranged(&cmd.args[1], 1, i64::MAX, "ERR numkeys should be greater than 0")?;
    let end = usize::try_from(keys).ok().and_then(|n| n.checked_add(2)).filter(|end| *end <= cmd.args.len());
    let Some(end) = end else { return fail("ERR Number of keys can't be greater than number of args") };
    let mut limit = 0;
    for pair in cmd.args[end..].chunks(2) {
        match pair {
            [word, value] if is(word, "limit") => limit = ranged(value, 0, i64::MAX, "ERR LIMIT can't be negative")?,
            _ => return fail(SYNTAX),
        }
    }
    let mut found = 0;
    intersect(ctx, &cmd.args[2..end], |_| {
        found += 1;
        if found == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(Reply::Integer(found))
}

//! Unions, intersections and differences of sorted sets and sets. A set's members have the score 1.

use super::body::Body;
use super::range::{Collected, show};
use super::span::Span;
use super::{Entry, writer};
use crate::ctx::{Ctx, typed};
use crate::parse::{ReplyMeter, float, int_arg, is, ranged};
use crate::records::Type;
use crate::reply::{Outcome, REPLY_TOO_LARGE, SYNTAX, fail, fail_with};
use crate::sets::Reader as Set;
use bytes::Bytes;
use command::{Command, Reply};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// How several scores of one member become one.
#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinities of both signs cancel out.
            Aggregate::Sum => number(a + b),
            Aggregate::Min => a.min(b),
            Aggregate::Max => a.max(b),
        }
    }
}

/// A product or sum that is not a number counts as zero, as in Redis.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// An operand; an absent key is an empty one.
enum Operand {
    Sorted(Body),
    Plain(Set),
    Absent,
}

impl Operand {
    fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Operand> {
        let name = ctx.name(user)?;
        let Some(record) = ctx.read(&name)? else { return Ok(Operand::Absent) };
        if record.head.kind == Type::Set {
            return Set::of(&name, &record).map(Operand::Plain);
        }
        let record = typed(record, Type::SortedSet)?;
        Body::of(&name, &record).map(Operand::Sorted)
    }

    fn len(&self) -> u64 {
        match self {
            Operand::Sorted(set) => set.len(),
            Operand::Plain(set) => set.len().unwrap_or(0),
            Operand::Absent => 0,
        }
    }

    fn score(&self, ctx: &Ctx<'_>, member: &[u8]) -> Outcome<Option<f64>> {
        match self {
            Operand::Sorted(set) => set.score(ctx, member),
            Operand::Plain(set) => Ok(set.contains(ctx, member)?.then_some(1.0)),
            Operand::Absent => Ok(None),
        }
    }

    /// Visits members with their scores; an error of `visit` ends the walk.
    fn each(&self, ctx: &Ctx<'_>, mut visit: impl FnMut(f64, Bytes) -> Outcome<ControlFlow<()>>) -> Outcome<()> {
        let mut failed = None;
        let mut see = |score, member| {
            visit(score, member).unwrap_or_else(|stop| {
                failed = Some(stop);
                ControlFlow::Break(())
            })
        };
        match self {
            Operand::Sorted(set) => set.each(ctx, &Span::all(), false, |e| see(e.score, e.member))?,
            Operand::Plain(set) => set.visit(ctx, 0, |_, member| see(1.0, member))?,
            Operand::Absent => {}
        }
        failed.map_or(Ok(()), Err)
    }
}

/// A parsed command of this family.
struct Query {
    operation: Operation,
    /// Operands with their weights.
    operands: Vec<(Operand, f64)>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: no limit.
    limit: i64,
}

/// What the command does with its result, which decides about its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Answer,
    Store,
    Count,
}

impl Query {
    /// Reads the words from the number of keys on.
    fn parse(ctx: &mut Ctx<'_>, cmd: &Command, at: usize, operation: Operation, result: Use) -> Outcome<Query> {
        let keys = int_arg(&cmd.args[at])?;
        if keys < 1 {
            return fail_with(format!("ERR at least 1 input key is needed for '{}' command", cmd.spec.name));
        }
        let end = usize::try_from(keys).ok().and_then(|n| n.checked_add(at + 1)).filter(|end| *end <= cmd.args.len());
        let Some(end) = end else { return fail(SYNTAX) };
        let mut operands = Vec::with_capacity(end - at - 1);
        for key in &cmd.args[at + 1..end] {
            operands.push((Operand::open(ctx, key)?, 1.0));
        }
        let mut query = Query { operation, operands, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        query.options(&cmd.args[end..], result)?;
        Ok(query)
    }

    fn options(&mut self, words: &[Bytes], result: Use) -> Outcome<()> {
        let merges = self.operation != Operation::Diff && result != Use::Count;
        let mut rest = words;
        while let Some((word, more)) = rest.split_first() {
            if merges && is(word, "weights") && more.len() >= self.operands.len() {
                let (weights, more) = more.split_at(self.operands.len());
                for (operand, word) in self.operands.iter_mut().zip(weights) {
                    let Some(weight) = float(word) else { return fail("ERR weight value is not a float") };
                    operand.1 = weight;
                }
                rest = more;
            } else if merges
                && is(word, "aggregate")
                && let [how, more @ ..] = more
            {
                self.aggregate = match () {
                    () if is(how, "sum") => Aggregate::Sum,
                    () if is(how, "min") => Aggregate::Min,
                    () if is(how, "max") => Aggregate::Max,
                    () => return fail(SYNTAX),
                };
                rest = more;
            } else if result == Use::Answer && is(word, "withscores") {
                self.with_scores = true;
                rest = more;
            } else if result == Use::Count
                && is(word, "limit")
                && let [limit, more @ ..] = more
            {
                self.limit = ranged(limit, 0, i64::MAX, "ERR LIMIT can't be negative")?;
                rest = more;
            } else {
                return fail(SYNTAX);
            }
        }
        Ok(())
    }

    /// The result, in order.
    fn entries(mut self, ctx: &Ctx<'_>) -> Outcome<Vec<Entry>> {
        if self.operation != Operation::Diff {
            // As in Redis, which decides in which order scores are added.
            self.operands.sort_by_key(|(operand, _)| operand.len());
        }
        let mut entries = match self.operation {
            Operation::Union => self.union(ctx)?,
            Operation::Inter => {
                let mut found = Collected::default();
                self.intersect(ctx, |entry| found.add(entry))?;
                found.finish()?
            }
            Operation::Diff => self.difference(ctx)?,
        };
        entries.sort_by_cached_key(Entry::place);
        Ok(entries)
    }

    fn union(&self, ctx: &Ctx<'_>) -> Outcome<Vec<Entry>> {
        let mut meter = ReplyMeter::default();
        let mut scores: BTreeMap<Bytes, f64> = BTreeMap::new();
        for (operand, weight) in &self.operands {
            operand.each(ctx, |score, member| {
                let score = number(score * weight);
                match scores.get_mut(&member) {
                    Some(sum) => *sum = self.aggregate.of(*sum, score),
                    None if meter.fits(member.len()) => {
                        scores.insert(member, score);
                    }
                    None => return fail(REPLY_TOO_LARGE),
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(scores.into_iter().map(|(member, score)| Entry::new(score, member)).collect())
    }

    /// Visits what all operands have, from the first, which is the smallest.
    fn intersect(&self, ctx: &Ctx<'_>, mut visit: impl FnMut(Entry) -> ControlFlow<()>) -> Outcome<()> {
        let Some(((smallest, weight), others)) = self.operands.split_first() else { return Ok(()) };
        smallest.each(ctx, |score, member| {
            let mut sum = number(score * weight);
            for (other, weight) in others {
                let Some(score) = other.score(ctx, &member)? else { return Ok(ControlFlow::Continue(())) };
                sum = self.aggregate.of(sum, number(score * weight));
            }
            Ok(visit(Entry::new(sum, member)))
        })
    }

    fn difference(&self, ctx: &Ctx<'_>) -> Outcome<Vec<Entry>> {
        let mut found = Collected::default();
        if let Some(((first, _), others)) = self.operands.split_first() {
            first.each(ctx, |score, member| {
                for (other, _) in others {
                    if other.score(ctx, &member)?.is_some() {
                        return Ok(ControlFlow::Continue(()));
                    }
                }
                Ok(found.add(Entry::new(score, member)))
            })?;
        }
        found.finish()
    }
}

fn answer(ctx: &mut Ctx<'_>, cmd: &Command, operation: Operation) -> Outcome {
    let query = Query::parse(ctx, cmd, 1, operation, Use::Answer)?;
    let with_scores = query.with_scores;
    Ok(show(query.entries(ctx)?, with_scores, ctx.env.resp3))
}

fn store(ctx: &mut Ctx<'_>, cmd: &Command, operation: Operation) -> Outcome {
    let entries = Query::parse(ctx, cmd, 2, operation, Use::Store)?.entries(ctx)?;
    Ok(Reply::Integer(writer::store(ctx, &cmd.args[1], entries)?))
}

pub(super) fn zunion(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Operation::Union)
}

pub(super) fn zinter(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Operation::Inter)
}

pub(super) fn zdiff(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Operation::Diff)
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    store(ctx, cmd, Operation::Union)
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    store(ctx, cmd, Operation::Inter)
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    store(ctx, cmd, Operation::Diff)
}

pub(super) fn zintercard(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut query = Query::parse(ctx, cmd, 1, Operation::Inter, Use::Count)?;
    query.operands.sort_by_key(|(operand, _)| operand.len());
    let mut found = 0;
    query.intersect(ctx, |_| {
        found += 1;
        if found == query.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(Reply::Integer(found))
}

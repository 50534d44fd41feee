//! SORT: the elements of a list, a set or a sorted set, ordered by themselves or by other keys.

use super::pattern::Pattern;
use crate::ctx::Ctx;
use crate::env::Layout;
use crate::members::Members;
use crate::parse::{ReplyMeter, int_arg, is};
use crate::records::Type;
use crate::reply::{Outcome, REPLY_TOO_LARGE, SYNTAX, WRONG_TYPE, fail};
use crate::{lists, sets, zsets};
use bytes::Bytes;
use command::{Command, Reply};
use std::cmp::Ordering;

/// A parsed command.
#[derive(Default)]
struct Query<'a> {
    /// The keys that elements are compared by; themselves without it.
    by: Option<Pattern<'a>>,
    /// A pattern that names one key only: elements stay as they are.
    unsorted: bool,
    descending: bool,
    alpha: bool,
    offset: i64,
    /// Negative: all.
    limit: Option<i64>,
    get: Vec<Pattern<'a>>,
    store: Option<&'a Bytes>,
}

impl<'a> Query<'a> {
    fn parse(ctx: &Ctx<'_>, words: &'a [Bytes], may_store: bool) -> Outcome<Query<'a>> {
        let sharded = ctx.env.layout == Layout::Sharded;
        let mut q = Query::default();
        let mut rest = words;
        while let Some((word, more)) = rest.split_first() {
            rest = match more {
                more if is(word, "asc") || is(word, "desc") => {
                    q.descending = is(word, "desc");
                    more
                }
                more if is(word, "alpha") => {
                    q.alpha = true;
                    more
                }
                [offset, limit, more @ ..] if is(word, "limit") => {
                    (q.offset, q.limit) = (int_arg(offset)?, Some(int_arg(limit)?));
                    more
                }
                [key, more @ ..] if is(word, "store") && may_store => {
                    q.store = Some(key);
                    more
                }
                [pattern, more @ ..] if is(word, "by") => {
                    q.unsorted = !pattern.contains(&b'*');
                    if sharded && !q.unsorted {
                        return fail("ERR BY option of SORT denied in cluster mode.");
                    }
                    q.by = Some(Pattern::new(pattern));
                    more
                }
                [pattern, more @ ..] if is(word, "get") => {
                    if sharded {
                        return fail("ERR GET option of SORT denied in cluster mode.");
                    }
                    q.get.push(Pattern::new(pattern));
                    more
                }
                _ => return fail(SYNTAX),
            };
        }
        Ok(q)
    }

    /// Brings elements into order.
    fn order(&self, ctx: &mut Ctx<'_>, elements: Vec<Bytes>) -> Outcome<Vec<Bytes>> {
        let mut keyed = Vec::with_capacity(elements.len());
        for element in elements {
            let value = match &self.by {
                Some(pattern) => pattern.value(ctx, &element)?,
                None => Some(element.clone()),
            };
            let weight = match value {
                value if self.alpha => Weight::Text(value),
                value => Weight::Number(number(value.as_deref().unwrap_or_default())?),
            };
            keyed.push((weight, element));
        }
        keyed.sort_by(|a, b| {
            let order = match (&a.0, &b.0) {
                // Equal numbers are told apart by the elements, so that the result is the same every time.
                (Weight::Number(x), Weight::Number(y)) => x.total_cmp(y).then_with(|| a.1.cmp(&b.1)),
                (Weight::Text(x), Weight::Text(y)) => x.cmp(y),
                _ => Ordering::Equal,
            };
            if self.descending { order.reverse() } else { order }
        });
        Ok(keyed.into_iter().map(|(_, element)| element).collect())
    }

    /// The part of the elements that LIMIT leaves.
    fn limited(&self, mut elements: Vec<Bytes>) -> Vec<Bytes> {
        let skipped = usize::try_from(self.offset).unwrap_or(0).min(elements.len());
        let mut kept = elements.split_off(skipped);
        if let Some(Ok(limit)) = self.limit.map(usize::try_from) {
            kept.truncate(limit);
        }
        kept
    }

    /// What is answered or stored for the elements.
    fn output(&self, ctx: &mut Ctx<'_>, elements: Vec<Bytes>) -> Outcome<Vec<Option<Bytes>>> {
        if self.get.is_empty() {
            return Ok(elements.into_iter().map(Some).collect());
        }
        let mut meter = ReplyMeter::default();
        let mut out = Vec::new();
        for element in &elements {
            for pattern in &self.get {
                let value = pattern.value(ctx, element)?;
                if !meter.fits(value.as_ref().map_or(0, Bytes::len)) {
                    return fail(REPLY_TOO_LARGE);
                }
                out.push(value);
            }
        }
        Ok(out)
    }
}

/// What an element is compared by.
enum Weight {
    Number(f64),
    /// Nothing comes before everything.
    Text(Option<Bytes>),
}

/// A number as C's `strtod` reads a whole word: blanks in front are skipped, nothing is zero, and a zero byte ends it.
fn number(word: &[u8]) -> Outcome<f64> {
    let word = word.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(word).unwrap_or("x");
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let value = if word.is_empty() { Some(0.0) } else { crate::parse::float(text.as_bytes()) };
    // Two zeros are one number.
    value.map_or_else(|| fail("ERR One or more scores can't be converted into double"), |n| Ok(n + 0.0))
}

/// The elements of a collection in its own order, and whether it has one.
fn elements(ctx: &mut Ctx<'_>, key: &[u8]) -> Outcome<(Vec<Bytes>, bool)> {
    let name = ctx.name(key)?;
    let Some(record) = ctx.read(&name)? else { return Ok((Vec::new(), true)) };
    let members = |pairs: Vec<(Bytes, Bytes)>| pairs.into_iter().map(|(member, _)| member).collect();
    match record.head.kind {
        Type::List => Ok((lists::all(ctx, &name, &record)?, true)),
        Type::Set => Ok((members(sets::Reader::of(&name, &record)?.all(ctx)?), false)),
        Type::SortedSet => Ok((zsets::all(ctx, &name, &record)?.into_iter().map(|e| e.member).collect(), true)),
        _ => fail(WRONG_TYPE),
    }
}

fn run(ctx: &mut Ctx<'_>, cmd: &Command, may_store: bool) -> Outcome {
    let mut query = Query::parse(ctx, &cmd.args[2..], may_store)?;
    let (mut found, ordered) = elements(ctx, &cmd.args[1])?;
    if query.unsorted && !ordered && (query.store.is_some() || ctx.in_script()) {
        // A set has no order of its own, and what is stored must not be left to chance.
        query = Query { unsorted: false, alpha: true, by: None, ..query };
    }
    if !query.unsorted {
        found = query.order(ctx, found)?;
    } else if query.descending && ordered {
        found.reverse();
    }
    let output = query.limited(found);
    let output = query.output(ctx, output)?;
    let Some(target) = query.store else {
        return Ok(Reply::Array(output.into_iter().map(Reply::from).collect()));
    };
    let elements = output.into_iter().map(Option::unwrap_or_default).collect();
    Ok(Reply::Integer(lists::store(ctx, target, elements)?))
}

pub(super) fn sort(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    run(ctx, cmd, true)
}

pub(super) fn sort_ro(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    run(ctx, cmd, false)
}

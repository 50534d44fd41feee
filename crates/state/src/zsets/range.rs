//! Ranges by rank, by score and by the members' bytes, all with one parser.

use super::Entry;
use super::body::Body;
use super::span::{Lex, Scores, Span, after};
use crate::ctx::Ctx;
use crate::parse::{ReplyMeter, int_arg, is};
use crate::records::KeyBuf;
use crate::reply::{Outcome, REPLY_TOO_LARGE, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

/// What the two ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// What a command leaves to its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// ZRANGE: the kind of range and the direction.
    Free,
    /// ZRANGESTORE: the same, but no scores are asked for.
    Store,
    /// The older commands: neither.
    Fixed { by: By, reverse: bool },
}

/// The ends of a range.
enum Ends {
    Ranks(i64, i64),
    Scores(Scores),
    Lex(Lex),
}

/// A range and how it is to be read.
pub(super) struct Query {
    ends: Ends,
    pub(super) reverse: bool,
    pub(super) with_scores: bool,
    offset: i64,
    /// Negative: all.
    limit: i64,
}

/// The options behind the ends.
struct Options {
    by: By,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

impl Options {
    fn parse(words: &[Bytes], form: Form) -> Outcome<Options> {
        let (by, reverse) = match form {
            Form::Fixed { by, reverse } => (by, reverse),
            Form::Free | Form::Store => (By::Rank, false),
        };
        let mut o = Options { by, reverse, with_scores: false, offset: 0, limit: -1 };
        let free = !matches!(form, Form::Fixed { .. });
        let mut rest = words;
        while let Some((word, more)) = rest.split_first() {
            rest = more;
            if is(word, "withscores") && form != Form::Store {
                o.with_scores = true;
            } else if is(word, "limit")
                && let [offset, limit, more @ ..] = more
            {
                (o.offset, o.limit) = (int_arg(offset)?, int_arg(limit)?);
                rest = more;
            } else if is(word, "rev") && free && !o.reverse {
                o.reverse = true;
            } else if is(word, "byscore") && free && o.by == By::Rank {
                o.by = By::Score;
            } else if is(word, "bylex") && free && o.by == By::Rank {
                o.by = By::Lex;
            } else {
                return fail(SYNTAX);
            }
        }
        if o.limit != -1 && o.by == By::Rank {
            return fail("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        }
        if o.by == By::Rank {
            // An unlimited LIMIT passes, and its offset means nothing.
            o.offset = 0;
        }
        if o.with_scores && o.by == By::Lex {
            return fail("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        }
        Ok(o)
    }
}

impl Query {
    /// Reads the two ends and the options behind them.
    pub(super) fn parse(words: &[Bytes], form: Form) -> Outcome<Query> {
        let Options { by, reverse, with_scores, offset, limit } = Options::parse(&words[2..], form)?;
        let (first, second) = (&words[0], &words[1]);
        let (min, max) = if reverse { (second, first) } else { (first, second) };
        let ends = match by {
            By::Rank => Ends::Ranks(int_arg(first)?, int_arg(second)?),
            By::Score => Ends::Scores(Scores::parse(min, max)?),
            By::Lex => Ends::Lex(Lex::parse(min, max)?),
        };
        Ok(Query { ends, reverse, with_scores, offset, limit })
    }

    /// Visits what the range holds.
    pub(super) fn each(
        &self,
        ctx: &Ctx<'_>,
        set: &Body,
        mut visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Outcome<()> {
        let (span, mut left) = match &self.ends {
            Ends::Ranks(start, stop) => match by_ranks(ctx, set, *start, *stop, self.reverse)? {
                Some(found) => found,
                None => return Ok(()),
            },
            Ends::Scores(scores) => (scores.span(), u64::MAX),
            Ends::Lex(lex) => (lex.span(ctx, set)?, u64::MAX),
        };
        let span = match u64::try_from(self.offset) {
            Ok(0) => Some(span),
            Ok(offset) => skip(ctx, set, span, offset, self.reverse)?,
            Err(_) => None,
        };
        if let Ok(limit) = u64::try_from(self.limit) {
            left = left.min(limit);
        }
        let Some(span) = span.filter(|_| left > 0) else { return Ok(()) };
        set.each(ctx, &span, self.reverse, |entry| {
            left -= 1;
            if left == 0 {
                let _ = visit(entry);
                return ControlFlow::Break(());
            }
            visit(entry)
        })
    }

    /// All of it, when it fits into a reply.
    pub(super) fn entries(&self, ctx: &Ctx<'_>, set: &Body) -> Outcome<Vec<Entry>> {
        let mut found = Collected::default();
        self.each(ctx, set, |entry| found.add(entry))?;
        found.finish()
    }
}

/// The ranks `start` to `stop` as a beginning of a span and a number of entries; `None` when there are none.
fn by_ranks(ctx: &Ctx<'_>, set: &Body, start: i64, stop: i64, reverse: bool) -> Outcome<Option<(Span, u64)>> {
    let Some((from, to)) = clamp(set.len(), start, stop) else { return Ok(None) };
    let first = if reverse { set.len() - 1 - from } else { from };
    let Some(place) = set.place_of(ctx, first)? else { return Ok(None) };
    let span = match reverse {
        false => Span { from: place, to: Span::all().to },
        true => Span { from: KeyBuf::new(), to: after(&place) },
    };
    Ok(Some((span, to - from + 1)))
}

/// The ranks that `start` and `stop`, from the end when negative, mean in a set of `len`; `None` when there are none.
fn clamp(len: u64, start: i64, stop: i64) -> Option<(u64, u64)> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let place = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
    let (from, to) = (place(start).max(0), place(stop).min(len - 1));
    (from <= to).then_some((from.unsigned_abs(), to.unsigned_abs()))
}

/// What is left of a span behind `offset` entries of it.
fn skip(ctx: &Ctx<'_>, set: &Body, span: Span, offset: u64, reverse: bool) -> Outcome<Option<Span>> {
    if reverse {
        let Some(last) = set.rank(ctx, &span.to)?.checked_sub(offset.saturating_add(1)) else { return Ok(None) };
        return Ok(set.place_of(ctx, last)?.map(|place| Span { from: span.from, to: after(&place) }));
    }
    let first = set.rank(ctx, &span.from)?.saturating_add(offset);
    Ok(set.place_of(ctx, first)?.map(|place| Span { from: place, to: span.to }))
}

/// Entries of a result, as many as a reply may have.
#[derive(Default)]
pub(crate) struct Collected {
    entries: Vec<Entry>,
    meter: ReplyMeter,
    overflow: bool,
}

impl Collected {
    pub(crate) fn add(&mut self, entry: Entry) -> ControlFlow<()> {
        self.overflow = !self.meter.fits(entry.member.len());
        self.entries.push(entry);
        if self.overflow { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    pub(crate) fn finish(self) -> Outcome<Vec<Entry>> {
        if self.overflow { fail(REPLY_TOO_LARGE) } else { Ok(self.entries) }
    }
}

/// Members, with their scores if asked for: in RESP3 a pair each, in RESP2 one after the other.
pub(super) fn show(entries: Vec<Entry>, with_scores: bool, nested: bool) -> Reply {
    let mut out = Vec::with_capacity(entries.len() * (1 + usize::from(with_scores && !nested)));
    for Entry { score, member } in entries {
        match (with_scores, nested) {
            (false, _) => out.push(Reply::Bulk(member)),
            (true, false) => out.extend([Reply::Bulk(member), Reply::Double(score)]),
            (true, true) => out.push(Reply::Array(vec![Reply::Bulk(member), Reply::Double(score)])),
        }
    }
    Reply::Array(out)
}

fn answer(ctx: &mut Ctx<'_>, cmd: &Command, form: Form) -> Outcome {
    let query = Query::parse(&cmd.args[2..], form)?;
    let entries = match Body::read(ctx, &cmd.args[1])? {
        Some(set) => query.entries(ctx, &set)?,
        None => Vec::new(),
    };
    Ok(show(entries, query.with_scores, ctx.env.resp3))
}

pub(super) fn zrange(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Form::Free)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Form::Fixed { by: By::Rank, reverse: true })
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Form::Fixed { by: By::Score, reverse: false })
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Form::Fixed { by: By::Score, reverse: true })
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Form::Fixed { by: By::Lex, reverse: false })
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    answer(ctx, cmd, Form::Fixed { by: By::Lex, reverse: true })
}

//! XTRIM, and the options by which XADD trims.

use super::id::Id;
use super::stream::Stream;
use crate::ctx::Ctx;
use crate::parse::{int_arg, is};
use crate::reply::{Outcome, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

/// Entries that a `~` removes at most when no LIMIT says otherwise: as many as Redis with its usual nodes.
const APPROXIMATE_LIMIT: u64 = 10_000;

/// A `~` removes entries by as many as a node of Redis' tree has, so that most XADD that trim so have nothing to remove.
pub(super) const NODE_ENTRIES: u64 = 100;

/// Up to this many entries are deleted one by one; more are left to background deletion as a span.
const DELETED_AT_ONCE_MAX: u64 = 128;

/// Which entries are too many.
#[derive(Clone, Copy, Debug)]
enum Strategy {
    /// Those in front of the last so many.
    MaxLen(u64),
    /// Those before an ID.
    MinId(Id),
}

/// What is to be trimmed, at most `limit` entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trim {
    strategy: Strategy,
    limit: u64,
    /// Whether only whole nodes go.
    approximate: bool,
}

/// Reads the options of trimming one by one.
#[derive(Default)]
pub(super) struct Options {
    strategy: Option<Strategy>,
    approximate: bool,
    limit: Option<u64>,
}

impl Options {
    /// Takes an option from the front of `words`, and gives the words after it; `None` when it is none of them.
    pub(super) fn take<'w>(&mut self, words: &'w [Bytes]) -> Outcome<Option<&'w [Bytes]>> {
        let [option, rest @ ..] = words else { return Ok(None) };
        if rest.is_empty() {
            return Ok(None);
        }
        if is(option, "limit") {
            let limit = int_arg(&rest[0])?;
            let Ok(limit) = u64::try_from(limit) else { return fail("ERR The LIMIT argument must be >= 0.") };
            self.limit = Some(limit);
            return Ok(Some(&rest[1..]));
        }
        let by_length = is(option, "maxlen");
        if !by_length && !is(option, "minid") {
            return Ok(None);
        }
        if self.strategy.is_some() {
            return fail("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        }
        let (approximate, rest) = match rest {
            [mark, rest @ ..] if mark == "~" && !rest.is_empty() => (true, rest),
            [mark, rest @ ..] if mark == "=" && !rest.is_empty() => (false, rest),
            rest => (false, rest),
        };
        self.approximate = approximate;
        self.strategy = Some(if by_length {
            match u64::try_from(int_arg(&rest[0])?) {
                Ok(length) => Strategy::MaxLen(length),
                Err(_) => return fail("ERR The MAXLEN argument must be >= 0."),
            }
        } else {
            Strategy::MinId(Id::arg(&rest[0])?)
        });
        Ok(Some(&rest[1..]))
    }

    /// What they ask for together; `None`: no trimming, which is an error where it is what the command is for.
    pub(super) fn finish(self, mandatory: bool) -> Outcome<Option<Trim>> {
        if self.strategy.is_none() && self.limit.is_some_and(|limit| limit > 0) {
            return fail("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
        }
        if self.strategy.is_none() && mandatory {
            return fail("ERR syntax error, XTRIM must be called with a trimming strategy");
        }
        if self.limit.is_some() && !self.approximate {
            return fail("ERR syntax error, LIMIT cannot be used without the special ~ option");
        }
        let limit = match self.limit {
            Some(0) => u64::MAX,
            Some(limit) => limit,
            None if self.approximate => APPROXIMATE_LIMIT,
            None => u64::MAX,
        };
        Ok(self.strategy.map(|strategy| Trim { strategy, limit, approximate: self.approximate }))
    }
}

pub(super) fn xtrim(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut options = Options::default();
    let mut rest = &cmd.args[2..];
    while !rest.is_empty() {
        rest = match options.take(rest)? {
            Some(rest) => rest,
            None => return fail(SYNTAX),
        };
    }
    let trim = options.finish(true)?;
    let Some(mut stream) = Stream::open(ctx, &cmd.args[1])? else { return Ok(Reply::Integer(0)) };
    let removed = trim.map_or(Ok(0), |trim| trim.run(ctx, &mut stream))?;
    stream.commit(ctx)?;
    Ok(Reply::Integer(removed as i64))
}

impl Trim {
    /// Removes entries from the front of the stream, and gives how many they were.
    pub(super) fn run(&self, ctx: &mut Ctx<'_>, stream: &mut Stream) -> Outcome<u64> {
        let count = stream.meta.count;
        let too_many = match self.strategy {
            Strategy::MaxLen(length) => count.saturating_sub(length).min(self.limit),
            Strategy::MinId(min) => from_front(ctx, stream, |id, seen| id < min && seen < self.limit)?.0,
        };
        let removed = self.whole(stream, too_many);
        if removed == 0 {
            return Ok(0);
        }
        if removed > DELETED_AT_ONCE_MAX && count - removed < removed {
            // The end is nearer than the front.
            let first = from_end(ctx, stream, count - removed)?;
            stream.drop_front(ctx, removed, first, None)?;
        } else {
            let (_, first, ids) = from_front(ctx, stream, |_, seen| seen < removed)?;
            stream.drop_front(ctx, removed, first, (removed <= DELETED_AT_ONCE_MAX).then_some(&ids[..]))?;
        }
        Ok(removed)
    }

    /// How many of the entries that are too many go. Nodes begin at every hundredth entry ever added.
    fn whole(&self, stream: &Stream, too_many: u64) -> u64 {
        let gone = stream.meta.added.saturating_sub(stream.meta.count);
        let begun = if self.approximate { gone.saturating_add(too_many) % NODE_ENTRIES } else { 0 };
        too_many.saturating_sub(begun)
    }
}

/// The `count`th entry from the end.
fn from_end(ctx: &Ctx<'_>, stream: &Stream, count: u64) -> Outcome<Option<Id>> {
    let (mut seen, mut found) = (0, None);
    if count > 0 {
        stream.each(ctx, (Id::MIN, Id::MAX), true, |id, _| {
            (seen, found) = (seen + 1, Some(id));
            if seen < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    Ok(found)
}

/// How many entries at the front go, as `goes` says of each, which becomes the first, and the IDs of those that go, when
/// they are few.
fn from_front(ctx: &Ctx<'_>, stream: &Stream, goes: impl Fn(Id, u64) -> bool) -> Outcome<(u64, Option<Id>, Vec<Id>)> {
    let (mut seen, mut first, mut ids) = (0, None, Vec::new());
    stream.each(ctx, (Id::MIN, Id::MAX), false, |id, _| {
        if !goes(id, seen) {
            first = Some(id);
            return ControlFlow::Break(());
        }
        seen += 1;
        if seen <= DELETED_AT_ONCE_MAX {
            ids.push(id);
        }
        ControlFlow::Continue(())
    })?;
    Ok((seen, first, ids))
}

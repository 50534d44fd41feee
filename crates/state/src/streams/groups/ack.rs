//! XACK and XPENDING.

use super::editor::check_effects;
use super::record::{Group, Pending};
use super::{Editor, existing, number};
use crate::ctx::Ctx;
use crate::parse::{REPLY_ELEMENT_BYTES, ReplyMeter, int_arg, is};
use crate::reply::{Outcome, REPLY_TOO_LARGE, SYNTAX, fail};
use crate::streams::id::Id;
use crate::streams::stream::Stream;
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

pub(super) fn xack(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(stream) = Stream::open(ctx, &cmd.args[1])? else { return Ok(Reply::Integer(0)) };
    let Some(mut group) = Editor::open(&stream, ctx, &cmd.args[2])? else { return Ok(Reply::Integer(0)) };
    let ids = cmd.args[3..].iter().map(|word| Id::arg(word)).collect::<Outcome<Vec<_>>>()?;
    check_effects(ids.len() as u64, b"")?;
    let mut acknowledged = 0;
    for id in ids {
        if let Some(pending) = group.pending(ctx, id)? {
            group.take(ctx, id, &pending)?;
            acknowledged += 1;
        }
    }
    group.commit(ctx)?;
    Ok(Reply::Integer(acknowledged))
}

pub(super) fn xpending(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let question = match &cmd.args[3..] {
        [] => None,
        words => Some(Question::parse(words)?),
    };
    let (stream, group) = {
        let stream = Stream::read(ctx, &cmd.args[1])?;
        existing(stream, ctx, cmd)?
    };
    match question {
        None => summary(ctx, &stream, &group),
        Some(question) => question.answer(ctx, &stream, &group),
    }
}

/// How many there are, the first and the last, and how many each consumer has.
fn summary(ctx: &Ctx<'_>, stream: &Stream, group: &Group) -> Outcome {
    if group.pending == 0 {
        return Ok(Reply::Array(vec![Reply::Integer(0), Reply::Null, Reply::Null, Reply::NullArray]));
    }
    let mut last = group.first_pending;
    stream.each_pending(ctx, group, (Id::MIN, Id::MAX), true, |id, _| {
        last = id;
        ControlFlow::Break(())
    })?;
    let consumers = stream.consumers(ctx, group)?.into_iter().filter(|(_, c)| c.pending > 0);
    let consumers =
        consumers.map(|(name, c)| Reply::Array(vec![Reply::Bulk(name), Reply::bulk(c.pending.to_string().as_bytes())]));
    Ok(Reply::Array(vec![
        number(group.pending),
        group.first_pending.reply(),
        last.reply(),
        Reply::Array(consumers.collect()),
    ]))
}

/// Which pending entries are asked for.
struct Question<'w> {
    idle_ms: u64,
    range: (Id, Id),
    count: u64,
    consumer: Option<&'w Bytes>,
}

impl<'w> Question<'w> {
    fn parse(words: &'w [Bytes]) -> Outcome<Question<'w>> {
        if !(3..=6).contains(&words.len()) {
            return fail(SYNTAX);
        }
        let (idle_ms, words) = match words {
            [word, ms, rest @ ..] if is(word, "idle") => (u64::try_from(int_arg(ms)?).unwrap_or(0), rest),
            words => (0, words),
        };
        let [start, end, count, rest @ ..] = words else { return fail(SYNTAX) };
        let count = u64::try_from(int_arg(count)?).unwrap_or(0);
        Ok(Question { idle_ms, range: (Id::start_arg(start)?, Id::end_arg(end)?), count, consumer: rest.first() })
    }

    fn answer(&self, ctx: &Ctx<'_>, stream: &Stream, group: &Group) -> Outcome {
        let mut found = Found { now_ms: ctx.env.now_ms, meter: ReplyMeter::default(), entries: Vec::new(), fits: true };
        match self.consumer {
            _ if self.count == 0 => {}
            None => stream.each_pending(ctx, group, self.range, false, |id, pending| {
                found.see(self, id, pending);
                if found.is_enough(self) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?,
            Some(name) => {
                let Some(consumer) = stream.consumer(ctx, group, name)? else { return Ok(Reply::Array(Vec::new())) };
                let mut from = Some(self.range.0);
                while let Some(start) = from.filter(|_| !found.is_enough(self)) {
                    /// IDs that are read at once.
                    const STEP: u64 = 1024;
                    let ids = stream.owned(ctx, group, &consumer, (start, self.range.1), STEP)?;
                    from = ids.last().filter(|_| ids.len() as u64 == STEP).and_then(|id| id.next());
                    for id in ids {
                        if let Some(pending) = stream.pending(ctx, group, id)?.filter(|_| !found.is_enough(self)) {
                            found.see(self, id, pending);
                        }
                    }
                }
            }
        }
        if found.fits { Ok(Reply::Array(found.entries)) } else { fail(REPLY_TOO_LARGE) }
    }
}

/// Pending entries as they are shown.
struct Found {
    now_ms: u64,
    meter: ReplyMeter,
    entries: Vec<Reply>,
    fits: bool,
}

impl Found {
    fn see(&mut self, question: &Question<'_>, id: Id, pending: Pending) {
        let idle_ms = pending.idle_ms(self.now_ms);
        if idle_ms < question.idle_ms {
            return;
        }
        self.fits = self.meter.fits(pending.consumer.len() + 4 * REPLY_ELEMENT_BYTES);
        let count = number(pending.count);
        self.entries.push(Reply::Array(vec![id.reply(), Reply::Bulk(pending.consumer), number(idle_ms), count]));
    }

    fn is_enough(&self, question: &Question<'_>) -> bool {
        !self.fits || self.entries.len() as u64 >= question.count
    }
}

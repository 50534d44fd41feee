//! XREADGROUP.

use super::editor::{check_effects, effects_room};
use super::{Editor, Pending, editor, no_group};
use crate::ctx::Ctx;
use crate::parse::{REPLY_ELEMENT_BYTES, ReplyMeter};
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail};
use crate::streams::entry::{self, Entry};
use crate::streams::id::Id;
use crate::streams::read::{Request, by_stream};
use crate::streams::stream::Stream;
use crate::wait::Wait;
use bytes::Bytes;
use command::{Command, Reply};

const IN_XREADGROUP: &str = " in XREADGROUP with GROUP option";

/// What is read of a stream.
#[derive(Clone, Copy, Debug)]
enum From {
    /// What the group has not delivered.
    New,
    /// What the consumer has pending after an ID.
    History(Id),
}

/// One XREADGROUP as it goes over its streams.
struct Delivery<'w> {
    request: Request<'w>,
    consumer: &'w Bytes,
    meter: ReplyMeter,
    /// Entries for which there is room among the effects.
    room: u64,
}

pub(super) fn xreadgroup(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let request = Request::parse(cmd)?;
    let Some((group, consumer)) = request.group else { return fail("ERR Missing GROUP option for XREADGROUP") };
    let mut plan = Vec::with_capacity(request.keys.len());
    for (key, word) in request.keys.iter().zip(request.after) {
        let stream = Stream::open(ctx, key)?;
        if !matches!(&stream, Some(stream) if stream.group(ctx, group)?.is_some()) {
            return no_group(key, group, IN_XREADGROUP);
        }
        plan.push((key, from_arg(word)?));
    }
    let room = effects_room(consumer);
    let mut delivery = Delivery { request, consumer, meter: ReplyMeter::default(), room };
    let mut found = Vec::new();
    for (key, from) in plan {
        let Some(stream) = Stream::open(ctx, key)? else { continue };
        let mut group = editor(&stream, ctx, key, group, IN_XREADGROUP)?;
        group.asking(ctx, consumer)?;
        let entries = match from {
            From::New => {
                let entries = delivery.deliver(ctx, &stream, &mut group)?;
                (!entries.is_empty()).then(|| entries.into_iter().map(entry::shown).collect())
            }
            From::History(after) => Some(delivery.repeat(ctx, &stream, &mut group, after)?),
        };
        group.commit(ctx)?;
        found.extend(entries.map(|entries| (key.clone(), entries)));
    }
    if let Some(wait) = delivery.request.wait().filter(|_| found.is_empty()) {
        // Without its stream there is no group either, and the client is told.
        ctx.wait(Wait { ends_without_key: true, ..wait });
    }
    Ok(by_stream(ctx, found))
}

fn from_arg(word: &[u8]) -> Outcome<From> {
    match word {
        b">" => Ok(From::New),
        b"$" => fail(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
             by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty \
             result set.",
        ),
        // The greatest ID is what > stands for in Redis.
        word => Ok(match Id::arg(word)? {
            Id::MAX => From::New,
            id => From::History(id),
        }),
    }
}

impl Delivery<'_> {
    /// Entries that the group has not delivered, which become pending. As many as one entry of the log and one reply
    /// have room for; what is left comes with the next call.
    fn deliver(&mut self, ctx: &mut Ctx<'_>, stream: &Stream, group: &mut Editor<'_>) -> Outcome<Vec<Entry>> {
        let Some(from) = group.group.last.next() else { return Ok(Vec::new()) };
        let keeps = !self.request.no_ack;
        let count = if keeps { self.request.count.min(self.room) } else { self.request.count };
        let (entries, _) = entry::up_to(stream, ctx, (from, Id::MAX), false, count, &mut self.meter)?;
        for (id, _) in &entries {
            if group.group.read.is_some() && !stream.meta.has_holes_from(*id) {
                group.group.read = group.group.read.map(|n| n.saturating_add(1));
            } else {
                group.group.read = stream.meta.added_up_to(*id);
            }
            group.group.last = *id;
            if keeps {
                let old = group.pending(ctx, *id)?;
                let pending = Pending { delivered_ms: ctx.env.now_ms, count: 1, consumer: self.consumer.clone() };
                group.give(ctx, *id, old.as_ref(), &pending)?;
            }
        }
        if keeps && !entries.is_empty() {
            self.room -= entries.len() as u64;
            group.active(ctx, self.consumer)?;
        }
        Ok(entries)
    }

    /// The consumer's own pending entries behind an ID, delivered once more; of those that were deleted only the ID.
    fn repeat(&mut self, ctx: &mut Ctx<'_>, stream: &Stream, group: &mut Editor<'_>, after: Id) -> Outcome<Vec<Reply>> {
        let (Some(from), Some(consumer)) = (after.next(), group.consumer(ctx, self.consumer)?.copied()) else {
            return Ok(Vec::new());
        };
        let ids = stream.owned(ctx, &group.group, &consumer, (from, Id::MAX), self.request.count.min(self.room + 1))?;
        check_effects(ids.len() as u64, self.consumer)?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let entry = stream.entry(ctx, id)?;
            let fits = match &entry {
                Some(words) => entry::fits(&mut self.meter, words),
                None => self.meter.fits(2 * REPLY_ELEMENT_BYTES),
            };
            if !fits {
                return fail(REPLY_TOO_LARGE);
            }
            found.push((id, entry));
        }
        self.room = self.room.saturating_sub(found.len() as u64);
        for (id, entry) in &found {
            if entry.is_some()
                && let Some(old) = group.pending(ctx, *id)?
            {
                let now = Pending { delivered_ms: ctx.env.now_ms, count: old.count.saturating_add(1), ..old.clone() };
                group.give(ctx, *id, Some(&old), &now)?;
            }
        }
        Ok(found
            .into_iter()
            .map(|(id, entry)| match entry {
                Some(words) => entry::shown((id, words)),
                None => Reply::Array(vec![id.reply(), Reply::NullArray]),
            })
            .collect())
    }
}

//! Streams as a whole, for DUMP, RESTORE and COPY.

use super::groups::{self, Editor, Pending};
use super::id::Id;
use super::stream::Stream;
use super::{Part, entry};
use crate::ctx::Ctx;
use crate::members::check_name;
use crate::parse::{REPLY_ELEMENT_BYTES, ReplyMeter};
use crate::rdb;
use crate::records::{Name, Record};
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail};
use bytes::Bytes;
use std::collections::BTreeSet;

/// The stream that a record holds with its groups, when it fits into a reply.
pub(crate) fn all(ctx: &Ctx<'_>, name: &Name, record: Record) -> Outcome<rdb::Stream> {
    let stream = Stream::of(name.clone(), record)?;
    let mut meter = ReplyMeter::default();
    let entries = entry::all(&stream, ctx, (Id::MIN, Id::MAX), false, u64::MAX, &mut meter)?;
    let mut whole = rdb::Stream {
        entries,
        last: stream.meta.last,
        max_deleted: stream.meta.max_deleted,
        added: stream.meta.added,
        groups: Vec::new(),
    };
    for (name, group) in stream.groups(ctx)? {
        let mut consumers = Vec::new();
        for (name, consumer) in stream.consumers(ctx, &group)? {
            let mut pending = Vec::new();
            for id in stream.owned(ctx, &group, &consumer, (Id::MIN, Id::MAX), u64::MAX)? {
                if !meter.fits(2 * REPLY_ELEMENT_BYTES) {
                    return fail(REPLY_TOO_LARGE);
                }
                pending.extend(stream.pending(ctx, &group, id)?.map(|p| rdb::Pending {
                    id,
                    delivered_ms: p.delivered_ms,
                    count: p.count,
                }));
            }
            let (seen_ms, active_ms) = (consumer.seen_ms, consumer.active_ms);
            consumers.push(rdb::Consumer { name, seen_ms, active_ms, pending });
        }
        whole.groups.push(rdb::Group { name, last: group.last, read: group.read, consumers });
    }
    Ok(whole)
}

/// Refuses names that are too long.
pub(crate) fn check_names(whole: &rdb::Stream) -> Outcome<()> {
    whole.groups.iter().try_for_each(|group| {
        check_name("consumer group name", &group.name)?;
        group.consumers.iter().try_for_each(|consumer| check_name("consumer name", &consumer.name))
    })
}

/// Stores a stream, whose names were checked, under `user` in the place of whatever is there.
pub(crate) fn store(ctx: &mut Ctx<'_>, user: &[u8], whole: &rdb::Stream) -> Outcome<()> {
    let mut stream = Stream::create(ctx, user)?;
    for (id, words) in &whole.entries {
        stream.append(ctx, *id, words)?;
    }
    (stream.meta.last, stream.meta.max_deleted, stream.meta.added) = (whole.last, whole.max_deleted, whole.added);
    for group in &whole.groups {
        let mut editor = Editor::create(&stream, ctx, &group.name, group.last, group.read)?;
        for consumer in &group.consumers {
            editor.create_consumer(ctx, &consumer.name)?;
            editor.set_times(ctx, &consumer.name, consumer.seen_ms, consumer.active_ms)?;
            for p in &consumer.pending {
                let (delivered_ms, count) = (p.delivered_ms, p.count);
                let pending = Pending { delivered_ms, count, consumer: consumer.name.clone() };
                editor.give(ctx, p.id, None, &pending)?;
            }
        }
        editor.commit(ctx)?;
    }
    stream.commit(ctx)
}

/// Keeps those of a stream's sub-records, given as what follows their prefix and in order, that do not wait for deletion.
pub(crate) fn retain_living(name: &Name, record: &Record, parts: &mut Vec<(Bytes, Bytes)>) -> Outcome<()> {
    let stream = Stream::of(name.clone(), record.clone())?;
    let mut living = BTreeSet::new();
    for (_, value) in parts.iter().filter(|(suffix, _)| suffix.first() == Some(&(Part::Group as u8))) {
        living.insert(groups::Group::decode(value)?.number.to_be_bytes());
    }
    parts.retain(|(suffix, _)| match suffix.split_first() {
        Some((part, id)) if *part == Part::Entry as u8 => Id::of_bytes(id).is_some_and(|id| stream.may_hold(id)),
        Some((part, _)) if *part == Part::Group as u8 => true,
        Some((_, rest)) => rest.first_chunk().is_some_and(|number| living.contains(number)),
        None => false,
    });
    Ok(())
}

//! XINFO GROUPS, XINFO CONSUMERS, and groups in XINFO STREAM FULL.

use super::number;
use super::record::{Consumer, Group, Pending};
use crate::ctx::Ctx;
use crate::parse::{REPLY_ELEMENT_BYTES, ReplyMeter};
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail, fail_with, shown};
use crate::streams::id::Id;
use crate::streams::info::{map, open};
use crate::streams::stream::Stream;
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

/// How many entries of the stream a group has not delivered, where that can be said.
fn lag(stream: &Stream, group: &Group) -> Reply {
    let meta = &stream.meta;
    let read = match group.read {
        _ if meta.added == 0 => Some(0),
        Some(read) if !meta.has_holes_from(group.last) => Some(read),
        _ => meta.added_up_to(group.last),
    };
    read.map_or(Reply::Null, |read| Reply::Integer(meta.added.wrapping_sub(read) as i64))
}

fn read(group: &Group) -> Reply {
    group.read.map_or(Reply::Null, number)
}

pub(super) fn groups(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let stream = open(ctx, cmd)?;
    let groups = stream.groups(ctx)?.into_iter().map(|(name, group)| {
        map(vec![
            ("name", Reply::Bulk(name)),
            ("consumers", number(group.consumers)),
            ("pending", number(group.pending)),
            ("last-delivered-id", group.last.reply()),
            ("entries-read", read(&group)),
            ("lag", lag(&stream, &group)),
        ])
    });
    Ok(Reply::Array(groups.collect()))
}

pub(super) fn consumers(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let stream = open(ctx, cmd)?;
    let Some(group) = stream.group(ctx, &cmd.args[3])? else {
        let (group, key) = (shown(&cmd.args[3]), shown(&cmd.args[2]));
        return fail_with(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"));
    };
    let now_ms = ctx.env.now_ms;
    let consumers = stream.consumers(ctx, &group)?.into_iter().map(|(name, consumer)| {
        let inactive = consumer.active_ms.map_or(Reply::Integer(-1), |at| number(now_ms.saturating_sub(at)));
        map(vec![
            ("name", Reply::Bulk(name)),
            ("pending", number(consumer.pending)),
            ("idle", number(now_ms.saturating_sub(consumer.seen_ms))),
            ("inactive", inactive),
        ])
    });
    Ok(Reply::Array(consumers.collect()))
}

/// All groups with their consumers, and at most `count` pending entries of each.
pub(in crate::streams) fn full(ctx: &Ctx<'_>, stream: &Stream, count: u64, meter: &mut ReplyMeter) -> Outcome {
    let mut shown = Vec::new();
    for (name, group) in stream.groups(ctx)? {
        let mut pending = Vec::new();
        stream.each_pending(ctx, &group, (Id::MIN, Id::MAX), false, |id, p| {
            pending.push((id, p));
            if (pending.len() as u64) < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let pending = entries(pending, true, meter)?;
        let mut consumers = Vec::new();
        for (name, consumer) in stream.consumers(ctx, &group)? {
            consumers.push(full_consumer(ctx, stream, &group, (name, consumer), count, meter)?);
        }
        shown.push(map(vec![
            ("name", Reply::Bulk(name)),
            ("last-delivered-id", group.last.reply()),
            ("entries-read", read(&group)),
            ("lag", lag(stream, &group)),
            ("pel-count", number(group.pending)),
            ("pending", pending),
            ("consumers", Reply::Array(consumers)),
        ]));
    }
    Ok(Reply::Array(shown))
}

fn full_consumer(
    ctx: &Ctx<'_>,
    stream: &Stream,
    group: &Group,
    (name, consumer): (Bytes, Consumer),
    count: u64,
    meter: &mut ReplyMeter,
) -> Outcome {
    let mut pending = Vec::new();
    for id in stream.owned(ctx, group, &consumer, (Id::MIN, Id::MAX), count)? {
        pending.extend(stream.pending(ctx, group, id)?.map(|p| (id, p)));
    }
    Ok(map(vec![
        ("name", Reply::Bulk(name)),
        ("seen-time", number(consumer.seen_ms)),
        ("active-time", consumer.active_ms.map_or(Reply::Integer(-1), number)),
        ("pel-count", number(consumer.pending)),
        ("pending", entries(pending, false, meter)?),
    ]))
}

/// Pending entries with the times of their last delivery.
fn entries(pending: Vec<(Id, Pending)>, with_consumer: bool, meter: &mut ReplyMeter) -> Outcome {
    let mut shown = Vec::with_capacity(pending.len());
    for (id, p) in pending {
        if !meter.fits(p.consumer.len() + 4 * REPLY_ELEMENT_BYTES) {
            return fail(REPLY_TOO_LARGE);
        }
        let mut words = vec![id.reply()];
        if with_consumer {
            words.push(Reply::Bulk(p.consumer));
        }
        words.extend([number(p.delivered_ms), number(p.count)]);
        shown.push(Reply::Array(words));
    }
    Ok(Reply::Array(shown))
}

//! XCLAIM and XAUTOCLAIM.

use super::editor::{check_effects, effects_room};
use super::record::Pending;
use super::{editor, existing};
use crate::ctx::Ctx;
use crate::parse::{ReplyMeter, integer, is, ranged};
use crate::reply::{Outcome, REPLY_TOO_LARGE, SYNTAX, fail, fail_with, shown};
use crate::streams::entry;
use crate::streams::id::Id;
use crate::streams::stream::Stream;
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

/// What XCLAIM's words say behind the consumer.
struct Claim {
    idle_ms: u64,
    ids: Vec<Id>,
    /// When the entries count as delivered, milliseconds since the epoch.
    delivered_ms: u64,
    /// How often they count as delivered, when that is to be set.
    count: Option<u64>,
    /// Whether entries become pending that were not.
    force: bool,
    only_ids: bool,
    last: Id,
}

/// An integer option, or an error that names it.
fn option(word: &[u8], what: &str) -> Outcome<i64> {
    integer(word).map_or_else(|| fail_with(format!("ERR Invalid {what} argument for XCLAIM")), Ok)
}

impl Claim {
    fn parse(words: &[Bytes], now_ms: u64) -> Outcome<Claim> {
        let idle_ms = u64::try_from(option(&words[0], "min-idle-time")?).unwrap_or(0);
        let ids: Vec<Id> = words[1..].iter().map_while(|word| Id::arg(word).ok()).collect();
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let (mut delivered, mut count, mut force, mut only_ids, mut last) = (None, None, false, false, Id::MIN);
        let mut rest = &words[1 + ids.len()..];
        while let [word, more @ ..] = rest {
            let value = more.first();
            rest = match value {
                Some(value) if is(word, "idle") => {
                    delivered = Some(now.saturating_sub(option(value, "IDLE option")?));
                    &more[1..]
                }
                Some(value) if is(word, "time") => {
                    delivered = Some(option(value, "TIME option")?);
                    &more[1..]
                }
                Some(value) if is(word, "retrycount") => {
                    count = u64::try_from(option(value, "RETRYCOUNT option")?).ok();
                    &more[1..]
                }
                Some(value) if is(word, "lastid") => {
                    last = Id::arg(value)?;
                    &more[1..]
                }
                _ if is(word, "force") => {
                    force = true;
                    more
                }
                _ if is(word, "justid") => {
                    only_ids = true;
                    more
                }
                _ => return fail_with(format!("ERR Unrecognized XCLAIM option '{}'", shown(word))),
            };
        }
        // A client's clock may be ahead; that is no reason to refuse.
        let delivered = delivered.filter(|at| (0..=now).contains(at)).unwrap_or(now);
        Ok(Claim { idle_ms, ids, delivered_ms: delivered as u64, count, force, only_ids, last })
    }
}

pub(super) fn xclaim(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (key, group, name) = (&cmd.args[1], &cmd.args[2], &cmd.args[3]);
    let stream = Stream::open(ctx, key)?;
    let (stream, _) = existing(stream, ctx, cmd)?;
    let claim = Claim::parse(&cmd.args[4..], ctx.env.now_ms)?;
    check_effects(claim.ids.len() as u64, name)?;
    let entries = entries(ctx, &stream, &claim)?;
    let mut group = editor(&stream, ctx, key, group, "")?;
    group.group.last = group.group.last.max(claim.last);
    group.asking(ctx, name)?;
    let mut claimed = Vec::new();
    for (id, entry) in claim.ids.iter().copied().zip(entries) {
        let old = group.pending(ctx, id)?;
        let Some(entry) = entry else {
            // What was deleted is nobody's any more.
            if let Some(old) = old {
                group.take(ctx, id, &old)?;
            }
            continue;
        };
        let taken = match &old {
            Some(old) => old.idle_ms(ctx.env.now_ms) >= claim.idle_ms,
            None => claim.force,
        };
        if !taken {
            continue;
        }
        // One that is forced onto the list counts as delivered once before.
        let before = old.as_ref().map_or(1, |old| old.count);
        let count = claim.count.unwrap_or(before.saturating_add(u64::from(!claim.only_ids)));
        let pending = Pending { delivered_ms: claim.delivered_ms, count, consumer: name.clone() };
        group.give(ctx, id, old.as_ref(), &pending)?;
        claimed.push(entry);
    }
    if !claimed.is_empty() {
        group.active(ctx, name)?;
    }
    group.commit(ctx)?;
    Ok(Reply::Array(claimed))
}

/// What is shown of each entry when it is claimed; `None` for those that are not there.
fn entries(ctx: &Ctx<'_>, stream: &Stream, claim: &Claim) -> Outcome<Vec<Option<Reply>>> {
    let mut meter = ReplyMeter::default();
    let mut found = Vec::with_capacity(claim.ids.len());
    for id in claim.ids.iter().copied() {
        found.push(if claim.only_ids {
            stream.holds(ctx, id)?.then(|| id.reply())
        } else {
            match stream.entry(ctx, id)? {
                Some(words) if !entry::fits(&mut meter, &words) => return fail(REPLY_TOO_LARGE),
                Some(words) => Some(entry::shown((id, words))),
                None => None,
            }
        });
    }
    Ok(found)
}

/// Pending entries that XAUTOCLAIM looks at for each it may claim.
const LOOKS_PER_CLAIM: u64 = 10;

/// Pending entries that are read at once, at most.
const STEP: u64 = 1024;

pub(super) fn xautoclaim(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (key, group, name) = (&cmd.args[1], &cmd.args[2], &cmd.args[3]);
    let Some(idle_ms) = integer(&cmd.args[4]) else { return fail("ERR Invalid min-idle-time argument for XAUTOCLAIM") };
    let idle_ms = u64::try_from(idle_ms).unwrap_or(0);
    let start = Id::start_arg(&cmd.args[5])?;
    let (mut count, mut only_ids) = (100, false);
    let mut rest = &cmd.args[6..];
    while !rest.is_empty() {
        rest = match rest {
            [word, n, more @ ..] if is(word, "count") => {
                count = ranged(n, 1, i64::MAX / 16, "ERR COUNT must be > 0")? as u64;
                more
            }
            [word, more @ ..] if is(word, "justid") => {
                only_ids = true;
                more
            }
            _ => return fail(SYNTAX),
        };
    }
    let stream = Stream::open(ctx, key)?;
    let (stream, _) = existing(stream, ctx, cmd)?;
    let mut group = editor(&stream, ctx, key, group, "")?;
    group.asking(ctx, name)?;
    let (mut left, mut looks) = (count.min(effects_room(name)), count.saturating_mul(LOOKS_PER_CLAIM));
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    let mut meter = ReplyMeter::default();
    let mut next = Some(start);
    'all: while let Some(from) = next.take() {
        let mut step = Vec::new();
        // One more than may be needed says where to go on.
        let step_max = left.min(looks).min(STEP) as usize + 1;
        stream.each_pending(ctx, &group.group, (from, Id::MAX), false, |id, pending| {
            step.push((id, pending));
            if step.len() < step_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let more = step.last().filter(|_| step.len() == step_max).and_then(|(id, _)| id.next());
        for (id, old) in step {
            if left == 0 || looks == 0 {
                next = Some(id);
                break 'all;
            }
            looks -= 1;
            let Some(words) = stream.entry(ctx, id)? else {
                group.take(ctx, id, &old)?;
                deleted.push(id.reply());
                left -= 1;
                continue;
            };
            if old.idle_ms(ctx.env.now_ms) < idle_ms {
                continue;
            }
            if !only_ids && !entry::fits(&mut meter, &words) {
                next = Some(id);
                break 'all;
            }
            let count = old.count.saturating_add(u64::from(!only_ids));
            let pending = Pending { delivered_ms: ctx.env.now_ms, count, consumer: name.clone() };
            group.give(ctx, id, Some(&old), &pending)?;
            claimed.push(if only_ids { id.reply() } else { entry::shown((id, words)) });
            left -= 1;
        }
        next = more;
    }
    if !claimed.is_empty() {
        group.active(ctx, name)?;
    }
    group.commit(ctx)?;
    let cursor = next.unwrap_or(Id::MIN);
    Ok(Reply::Array(vec![cursor.reply(), Reply::Array(claimed), Reply::Array(deleted)]))
}

//! Entries as replies.

use super::id::Id;
use super::stream::Stream;
use crate::ctx::Ctx;
use crate::packed;
use crate::parse::{REPLY_ELEMENT_BYTES, ReplyMeter};
use crate::reply::{Outcome, REPLY_TOO_LARGE, Stop, fail};
use bytes::Bytes;
use command::Reply;
use std::ops::ControlFlow;

/// An entry: its ID, and fields and values in turn.
pub(super) type Entry = (Id, Vec<Bytes>);

/// An entry as every command shows it.
pub(super) fn shown((id, words): Entry) -> Reply {
    Reply::Array(vec![id.reply(), Reply::Array(words.into_iter().map(Reply::Bulk).collect())])
}

/// Whether an entry fits into a reply besides what was counted so far.
pub(super) fn fits(meter: &mut ReplyMeter, words: &[Bytes]) -> bool {
    meter.fits(words.iter().map(|w| w.len() + REPLY_ELEMENT_BYTES).sum::<usize>() + 2 * REPLY_ELEMENT_BYTES)
}

/// The entries between two IDs, both included, forwards or backwards, at most `count`; they end early when the reply
/// is full, which is said.
pub(super) fn up_to(
    stream: &Stream,
    ctx: &Ctx<'_>,
    range: (Id, Id),
    backwards: bool,
    count: u64,
    meter: &mut ReplyMeter,
) -> Outcome<(Vec<Entry>, bool)> {
    let mut entries = Vec::new();
    let mut full = false;
    let mut bad = None;
    if count == 0 {
        return Ok((entries, full));
    }
    stream.each(ctx, range, backwards, |id, value| {
        match packed::decode(value) {
            Ok(words) if fits(meter, &words) => entries.push((id, words)),
            Ok(_) => full = true,
            Err(e) => bad = Some(e),
        }
        if full || bad.is_some() || entries.len() as u64 >= count {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    bad.map_or(Ok((entries, full)), |e| Err(Stop::Engine(e)))
}

/// As `up_to`, but too many are an error.
pub(super) fn all(
    stream: &Stream,
    ctx: &Ctx<'_>,
    range: (Id, Id),
    backwards: bool,
    count: u64,
    meter: &mut ReplyMeter,
) -> Outcome<Vec<Entry>> {
    let (entries, full) = up_to(stream, ctx, range, backwards, count, meter)?;
    if full { fail(REPLY_TOO_LARGE) } else { Ok(entries) }
}

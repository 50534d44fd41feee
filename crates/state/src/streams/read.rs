//! XREAD and XREADGROUP: what their words say, and reading without a group.

use super::entry;
use super::id::Id;
use super::stream::Stream;
use crate::ctx::Ctx;
use crate::parse::{ReplyMeter, int_arg, integer, is};
use crate::records::Type;
use crate::reply::{Outcome, SYNTAX, fail, fail_with};
use crate::wait::{Wait, milliseconds};
use bytes::Bytes;
use command::{Command, Reply};
use std::time::Duration;

/// What XREAD or XREADGROUP asks for.
pub(super) struct Request<'w> {
    /// Entries of each stream at most.
    pub(super) count: u64,
    /// How long to wait for entries, with `None` for ever; `None`: not at all.
    pub(super) block: Option<Option<Duration>>,
    /// Group and consumer.
    pub(super) group: Option<(&'w Bytes, &'w Bytes)>,
    /// Whether entries count as acknowledged at once.
    pub(super) no_ack: bool,
    pub(super) keys: &'w [Bytes],
    /// As many words as keys: the ID after which to read.
    pub(super) after: &'w [Bytes],
}

impl<'w> Request<'w> {
    pub(super) fn parse(cmd: &'w Command) -> Outcome<Request<'w>> {
        let for_group = cmd.spec.name == "xreadgroup";
        let only_group = |option| {
            fail_with(format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."))
        };
        let mut request = Request { count: u64::MAX, block: None, group: None, no_ack: false, keys: &[], after: &[] };
        let mut rest = &cmd.args[1..];
        loop {
            rest = match rest {
                [word, ms, more @ ..] if is(word, "block") => {
                    request.block = Some(timeout(ms)?);
                    more
                }
                [word, n, more @ ..] if is(word, "count") => {
                    // 0 and less are no limit.
                    request.count = u64::try_from(int_arg(n)?).ok().filter(|n| *n > 0).unwrap_or(u64::MAX);
                    more
                }
                [word, names @ ..] if is(word, "streams") && !names.is_empty() => {
                    if names.len() % 2 == 1 {
                        let mark = if for_group { '>' } else { '$' };
                        return fail_with(format!(
                            "ERR Unbalanced '{}' list of streams: for each stream key an ID or '{mark}' must be specified.",
                            cmd.spec.name
                        ));
                    }
                    (request.keys, request.after) = names.split_at(names.len() / 2);
                    break;
                }
                [word, group, consumer, more @ ..] if is(word, "group") => {
                    if !for_group {
                        return only_group("GROUP");
                    }
                    request.group = Some((group, consumer));
                    more
                }
                [word, more @ ..] if is(word, "noack") => {
                    if !for_group {
                        return only_group("NOACK");
                    }
                    request.no_ack = true;
                    more
                }
                _ => return fail(SYNTAX),
            };
        }
        if for_group && request.group.is_none() {
            return fail("ERR Missing GROUP option for XREADGROUP");
        }
        Ok(request)
    }

    /// What a request that found nothing waits for, if it may.
    pub(super) fn wait(&self) -> Option<Wait> {
        Some(Wait::for_any(self.keys, Type::Stream, self.block?))
    }
}

fn timeout(word: &[u8]) -> Outcome<Option<Duration>> {
    let Some(ms) = integer(word) else { return fail("ERR timeout is not an integer or out of range") };
    milliseconds(ms as f64)
}

pub(super) fn xread(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let request = Request::parse(cmd)?;
    let mut after = Vec::with_capacity(request.keys.len());
    for (key, word) in request.keys.iter().zip(request.after) {
        let stream = Stream::read(ctx, key)?;
        after.push(match &word[..] {
            b"$" => stream.map_or(Id::MIN, |s| s.meta.last),
            b">" => {
                return fail(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                );
            }
            word => Id::arg(word)?,
        });
    }
    let mut found = Vec::new();
    let mut meter = ReplyMeter::default();
    for (key, after) in request.keys.iter().zip(&after) {
        let (Some(stream), Some(from)) = (Stream::read(ctx, key)?, after.next()) else { continue };
        let entries = entry::all(&stream, ctx, (from, Id::MAX), false, request.count, &mut meter)?;
        if !entries.is_empty() {
            found.push((key.clone(), entries.into_iter().map(entry::shown).collect()));
        }
    }
    if let Some(wait) = request.wait().filter(|_| found.is_empty()) {
        // The end of a stream is what it was when the client asked.
        let mut again = cmd.clone();
        let first = again.args.len() - after.len();
        for (word, id) in again.args[first..].iter_mut().zip(after) {
            *word = id.to_string().into();
        }
        ctx.wait(Wait { again: Some(again), ..wait });
    }
    Ok(by_stream(ctx, found))
}

/// Entries by the keys of their streams; without any, what a wait in vain answers.
pub(super) fn by_stream(ctx: &Ctx<'_>, found: Vec<(Bytes, Vec<Reply>)>) -> Reply {
    if found.is_empty() {
        return Reply::NullArray;
    }
    let found = found.into_iter().map(|(key, entries)| (Reply::Bulk(key), Reply::Array(entries)));
    if ctx.env.resp3 {
        Reply::Map(found.collect())
    } else {
        Reply::Array(found.map(|(key, entries)| Reply::Array(vec![key, entries])).collect())
    }
}

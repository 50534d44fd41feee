//! XINFO.

use super::id::Id;
use super::stream::Stream;
use super::trim::NODE_ENTRIES;
use super::{entry, groups};
use crate::ctx::Ctx;
use crate::parse::{ReplyMeter, int_arg, is};
use crate::reply::{NO_SUCH_KEY, Outcome, fail};
use command::{Command, Reply};

/// Entries, and pending entries, that FULL shows when no COUNT says otherwise.
const FULL_COUNT: u64 = 10;

pub(super) fn open(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome<Stream> {
    match Stream::read(ctx, &cmd.args[2])? {
        Some(stream) => Ok(stream),
        None => fail(NO_SUCH_KEY),
    }
}

fn number(n: u64) -> Reply {
    Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

pub(super) fn stream(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let stream = open(ctx, cmd)?;
    let full = match &cmd.args[3..] {
        [] => None,
        [word] if is(word, "full") => Some(FULL_COUNT),
        [word, option, n] if is(word, "full") && is(option, "count") => match int_arg(n)? {
            0 => Some(u64::MAX),
            n => Some(u64::try_from(n).unwrap_or(FULL_COUNT)),
        },
        _ => return groups::wrong_subcommand(cmd),
    };
    let meta = stream.meta;
    // Entries are in no tree here: what Redis would have, more or less.
    let nodes = meta.count.div_ceil(NODE_ENTRIES);
    let mut facts = vec![
        ("length", number(meta.count)),
        ("radix-tree-keys", number(nodes)),
        ("radix-tree-nodes", number(nodes + 1)),
        ("last-generated-id", meta.last.reply()),
        ("max-deleted-entry-id", meta.max_deleted.reply()),
        ("entries-added", number(meta.added)),
        ("recorded-first-entry-id", meta.first.reply()),
    ];
    let mut meter = ReplyMeter::default();
    match full {
        None => {
            let mut edge = |backwards| -> Outcome {
                let found = entry::all(&stream, ctx, (Id::MIN, Id::MAX), backwards, 1, &mut meter)?;
                Ok(found.into_iter().next().map_or(Reply::Null, entry::shown))
            };
            let (first, last) = (edge(false)?, edge(true)?);
            facts.push(("groups", number(stream.group_count(ctx)?)));
            facts.push(("first-entry", first));
            facts.push(("last-entry", last));
        }
        Some(count) => {
            let entries = entry::all(&stream, ctx, (Id::MIN, Id::MAX), false, count, &mut meter)?;
            facts.push(("entries", Reply::Array(entries.into_iter().map(entry::shown).collect())));
            facts.push(("groups", groups::full(ctx, &stream, count, &mut meter)?));
        }
    }
    Ok(map(facts))
}

/// Facts by their names.
pub(super) fn map(facts: Vec<(&'static str, Reply)>) -> Reply {
    Reply::Map(facts.into_iter().map(|(name, value)| (Reply::bulk(name.as_bytes()), value)).collect())
}

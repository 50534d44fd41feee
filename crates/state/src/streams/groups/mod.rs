//! Consumer groups. A group's pending entries lie by their IDs, and once more by consumer and ID, so that neither delivering nor
//! acknowledging, nor a consumer's own history, depends on how many there are. Group and consumers count them; the group knows the
//! first one, where every walk begins.

mod ack;
mod claim;
mod editor;
mod info;
mod manage;
mod read;
mod record;
mod view;

use super::stream::Stream;
use crate::ctx::Ctx;
use crate::dispatch::{Row, reads, writes};
use crate::reply::{Outcome, fail_with, shown};
use bytes::Bytes;
use command::{Command, Reply};

pub(super) use editor::Editor;
pub(super) use info::full;
pub(super) use record::{Group, Pending};

pub(crate) const ROWS: &[Row] = &[
    writes("xgroup|create", manage::create),
    writes("xgroup|setid", manage::setid),
    writes("xgroup|destroy", manage::destroy),
    writes("xgroup|createconsumer", manage::create_consumer),
    writes("xgroup|delconsumer", manage::delete_consumer),
    writes("xreadgroup", read::xreadgroup),
    writes("xack", ack::xack),
    reads("xpending", ack::xpending),
    writes("xclaim", claim::xclaim),
    writes("xautoclaim", claim::xautoclaim),
    reads("xinfo|groups", info::groups),
    reads("xinfo|consumers", info::consumers),
];

/// The error for words that no form of a subcommand takes.
pub(super) fn wrong_subcommand<T>(cmd: &Command) -> Outcome<T> {
    let (what, container) = (shown(&cmd.args[1]), cmd.spec.name.split('|').next().unwrap_or_default().to_uppercase());
    fail_with(format!("ERR unknown subcommand or wrong number of arguments for '{what}'. Try {container} HELP."))
}

/// The error for a group that is not there, and more words.
fn no_group<T>(key: &[u8], group: &[u8], context: &str) -> Outcome<T> {
    fail_with(format!("NOGROUP No such key '{}' or consumer group '{}'{context}", shown(key), shown(group)))
}

/// A stream that is there, for a group of it that is to be changed or shown; the error otherwise.
fn existing(stream: Option<Stream>, ctx: &Ctx<'_>, cmd: &Command) -> Outcome<(Stream, Group)> {
    let (key, name) = (&cmd.args[1], &cmd.args[2]);
    if let Some(stream) = stream
        && let Some(group) = stream.group(ctx, name)?
    {
        return Ok((stream, group));
    }
    no_group(key, name, "")
}

/// An editor of a group that is there.
fn editor<'s>(stream: &'s Stream, ctx: &Ctx<'_>, key: &[u8], name: &Bytes, context: &str) -> Outcome<Editor<'s>> {
    match Editor::open(stream, ctx, name)? {
        Some(editor) => Ok(editor),
        None => no_group(key, name, context),
    }
}

fn number(n: u64) -> Reply {
    Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

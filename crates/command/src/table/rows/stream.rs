//! Commands on streams.

use crate::table::Spec;
use crate::table::flag::Flag::{Blocking, DenyOom, Fast, Loading, Readonly, Stale, Write};
use crate::table::group::Group::Stream;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ro, Rw, Update};
use crate::table::keyspec::{after, at};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("xack", Stream, -4, "5.0.0").doc("O(N), N entries.", "Takes entries off a group's list of pending ones.")
        .syntax("key group id [id ...]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("xadd", Stream, -5, "5.0.0").doc("O(1), and O(N) for N entries trimmed.", "Adds an entry to a stream.")
        .syntax("key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])])
        .tips(&["nondeterministic_output"]),
    Spec::new("xautoclaim", Stream, -6, "6.2.0").doc("O(N), N pending entries looked at.", "Gives pending entries that nobody finished to a consumer, in order.")
        .syntax("key group consumer min-idle-time start [COUNT count] [JUSTID]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])])
        .tips(&["nondeterministic_output"]),
    Spec::new("xclaim", Stream, -6, "5.0.0").doc("O(N), N entries.", "Gives pending entries to a consumer.")
        .syntax("key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])])
        .tips(&["nondeterministic_output"]),
    Spec::new("xdel", Stream, -3, "5.0.0").doc("O(N), N entries.", "Deletes entries by their IDs.")
        .syntax("key id [id ...]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("xgroup", Stream, -2, "5.0.0").doc("Depends on the subcommand.", "Manages consumer groups.").acl(&[]),
    Spec::new("xgroup|create", Stream, -5, "5.0.0").doc("O(1)", "Makes a consumer group.")
        .syntax("key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]").flags(&[Write, DenyOom]).keys(&[at(2, &[Rw, Insert])]),
    Spec::new("xgroup|createconsumer", Stream, 5, "6.2.0").doc("O(1)", "Makes a consumer of a group.")
        .syntax("key group consumer").flags(&[Write, DenyOom]).keys(&[at(2, &[Rw, Insert])]),
    Spec::new("xgroup|delconsumer", Stream, 5, "5.0.0").doc("O(N), N its pending entries.", "Removes a consumer and its pending entries.")
        .syntax("key group consumer").flags(&[Write]).keys(&[at(2, &[Rw, Delete])]),
    Spec::new("xgroup|destroy", Stream, 4, "5.0.0").doc("O(1)", "Removes a consumer group.")
        .syntax("key group").flags(&[Write]).keys(&[at(2, &[Rw, Delete])]),
    Spec::new("xgroup|help", Stream, 2, "5.0.0").doc("O(1)", "Lists the subcommands.").flags(&[Loading, Stale]),
    Spec::new("xgroup|setid", Stream, -5, "5.0.0").doc("O(1)", "Sets the ID up to which a group has read.")
        .syntax("key group <id | $> [ENTRIESREAD entries-read]").flags(&[Write]).keys(&[at(2, &[Rw, Update])]),
    Spec::new("xinfo", Stream, -2, "5.0.0").doc("Depends on the subcommand.", "Looks at streams and their consumer groups.").acl(&[]),
    Spec::new("xinfo|consumers", Stream, 4, "5.0.0").doc("O(N), N consumers.", "The consumers of a group.")
        .syntax("key group").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::new("xinfo|groups", Stream, 3, "5.0.0").doc("O(N), N groups.", "The consumer groups of a stream.")
        .syntax("key").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])]),
    Spec::new("xinfo|help", Stream, 2, "5.0.0").doc("O(1)", "Lists the subcommands.").flags(&[Loading, Stale]),
    Spec::new("xinfo|stream", Stream, -3, "5.0.0").doc("O(N), N entries and pending entries returned.", "What a stream knows of itself.")
        .syntax("key [FULL [COUNT count]]").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])]),
    Spec::new("xlen", Stream, 2, "5.0.0").doc("O(1)", "How many entries a stream has.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("xpending", Stream, -3, "5.0.0").doc("O(N), N consumers, or pending entries looked at.", "What a group has delivered and nobody acknowledged.")
        .syntax("key group [[IDLE min-idle-time] start end count [consumer]]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::new("xrange", Stream, -4, "5.0.0").doc("O(N), N entries returned.", "The entries between two IDs.")
        .syntax("key start end [COUNT count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("xread", Stream, -4, "5.0.0").doc("O(N), N entries returned.", "The entries of several streams after an ID each.")
        .syntax("[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]").flags(&[Readonly, Blocking, Blocking])
        .keys(&[after("STREAMS", 1, -1, 2, &[Ro, Access])]),
    Spec::new("xreadgroup", Stream, -7, "5.0.0").doc("O(N), N entries returned.", "The entries of several streams that a group has not read, or those pending of a consumer.")
        .syntax("GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]").flags(&[Write, Blocking])
        .keys(&[after("STREAMS", 4, -1, 2, &[Ro, Access])]),
    Spec::new("xrevrange", Stream, -4, "5.0.0").doc("O(N), N entries returned.", "The entries between two IDs, in reverse.")
        .syntax("key end start [COUNT count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("xsetid", Stream, -3, "5.0.0").doc("O(1)", "Sets the last ID of a stream.")
        .syntax("key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("xtrim", Stream, -4, "5.0.0").doc("O(N), N the fewer of the entries removed and, with MAXLEN, those kept.", "Removes the oldest entries of a stream.")
        .syntax("key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]).tips(&["nondeterministic_output"]),
];

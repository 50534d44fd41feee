//! Commands on streams.

use crate::table::Spec;
use crate::table::flag::Flag::{Blocking, DenyOom, Fast, Loading, Readonly, Stale, Write};
use crate::table::group::Group::Stream;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ro, Rw, Update};
use crate::table::keyspec::{after, at};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::planned("xack", Stream, -4, "5.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("xadd", Stream, -5, "5.0.0").doc("O(1), and O(N) for N entries trimmed.", "Adds an entry to a stream.")
        .syntax("key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xautoclaim", Stream, -6, "6.2.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xclaim", Stream, -6, "5.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])])
        .tips(&["nondeterministic_output"]),
    Spec::new("xdel", Stream, -3, "5.0.0").doc("O(N), N entries.", "Deletes entries by their IDs.")
        .syntax("key id [id ...]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("xgroup", Stream, -2, "5.0.0").acl(&[]),
    Spec::planned("xgroup|create", Stream, -5, "5.0.0").flags(&[Write, DenyOom]).keys(&[at(2, &[Rw, Insert])]),
    Spec::planned("xgroup|createconsumer", Stream, 5, "6.2.0").flags(&[Write, DenyOom]).keys(&[at(2, &[Rw, Insert])]),
    Spec::planned("xgroup|delconsumer", Stream, 5, "5.0.0").flags(&[Write]).keys(&[at(2, &[Rw, Delete])]),
    Spec::planned("xgroup|destroy", Stream, 4, "5.0.0").flags(&[Write]).keys(&[at(2, &[Rw, Delete])]),
    Spec::planned("xgroup|help", Stream, 2, "5.0.0").flags(&[Loading, Stale]),
    Spec::planned("xgroup|setid", Stream, -5, "5.0.0").flags(&[Write]).keys(&[at(2, &[Rw, Update])]),
    Spec::new("xinfo", Stream, -2, "5.0.0").doc("Depends on the subcommand.", "Looks at streams and their consumer groups.").acl(&[]),
    Spec::planned("xinfo|consumers", Stream, 4, "5.0.0").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xinfo|groups", Stream, 3, "5.0.0").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])]),
    Spec::new("xinfo|help", Stream, 2, "5.0.0").doc("O(1)", "Lists the subcommands.").flags(&[Loading, Stale]),
    Spec::new("xinfo|stream", Stream, -3, "5.0.0").doc("O(N), N entries and pending entries returned.", "What a stream knows of itself.")
        .syntax("key [FULL [COUNT count]]").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])]),
    Spec::new("xlen", Stream, 2, "5.0.0").doc("O(1)", "How many entries a stream has.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::planned("xpending", Stream, -3, "5.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::new("xrange", Stream, -4, "5.0.0").doc("O(N), N entries returned.", "The entries between two IDs.")
        .syntax("key start end [COUNT count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("xread", Stream, -4, "5.0.0").doc("O(N), N entries returned.", "The entries of several streams after an ID each.")
        .syntax("[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]").flags(&[Readonly, Blocking, Blocking])
        .keys(&[after("STREAMS", 1, -1, 2, &[Ro, Access])]),
    Spec::planned("xreadgroup", Stream, -7, "5.0.0").flags(&[Write, Blocking])
        .keys(&[after("STREAMS", 4, -1, 2, &[Ro, Access])]),
    Spec::new("xrevrange", Stream, -4, "5.0.0").doc("O(N), N entries returned.", "The entries between two IDs, in reverse.")
        .syntax("key end start [COUNT count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("xsetid", Stream, -3, "5.0.0").doc("O(1)", "Sets the last ID of a stream.")
        .syntax("key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("xtrim", Stream, -4, "5.0.0").doc("O(N), N the fewer of the entries removed and, with MAXLEN, those kept.", "Removes the oldest entries of a stream.")
        .syntax("key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]).tips(&["nondeterministic_output"]),
];

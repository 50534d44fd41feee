//! Commands on streams.

use crate::table::Spec;
use crate::table::flag::Flag::{Blocking, DenyOom, Fast, Loading, Readonly, Stale, Write};
use crate::table::group::Group::Stream;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ro, Rw, Update};
use crate::table::keyspec::{after, at};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::planned("xack", Stream, -4, "5.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::planned("xadd", Stream, -5, "5.0.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xautoclaim", Stream, -6, "6.2.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xclaim", Stream, -6, "5.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xdel", Stream, -3, "5.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("xgroup", Stream, -2, "5.0.0").acl(&[]),
    Spec::planned("xgroup|create", Stream, -5, "5.0.0").flags(&[Write, DenyOom]).keys(&[at(2, &[Rw, Insert])]),
    Spec::planned("xgroup|createconsumer", Stream, 5, "6.2.0").flags(&[Write, DenyOom]).keys(&[at(2, &[Rw, Insert])]),
    Spec::planned("xgroup|delconsumer", Stream, 5, "5.0.0").flags(&[Write]).keys(&[at(2, &[Rw, Delete])]),
    Spec::planned("xgroup|destroy", Stream, 4, "5.0.0").flags(&[Write]).keys(&[at(2, &[Rw, Delete])]),
    Spec::planned("xgroup|help", Stream, 2, "5.0.0").flags(&[Loading, Stale]),
    Spec::planned("xgroup|setid", Stream, -5, "5.0.0").flags(&[Write]).keys(&[at(2, &[Rw, Update])]),
    Spec::planned("xinfo", Stream, -2, "5.0.0").acl(&[]),
    Spec::planned("xinfo|consumers", Stream, 4, "5.0.0").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xinfo|groups", Stream, 3, "5.0.0").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])]),
    Spec::planned("xinfo|help", Stream, 2, "5.0.0").flags(&[Loading, Stale]),
    Spec::planned("xinfo|stream", Stream, -3, "5.0.0").flags(&[Readonly]).keys(&[at(2, &[Ro, Access])]),
    Spec::planned("xlen", Stream, 2, "5.0.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::planned("xpending", Stream, -3, "5.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("xrange", Stream, -4, "5.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("xread", Stream, -4, "5.0.0").flags(&[Readonly, Blocking, Blocking])
        .keys(&[after("STREAMS", 1, -1, 2, &[Ro, Access])]),
    Spec::planned("xreadgroup", Stream, -7, "5.0.0").flags(&[Write, Blocking])
        .keys(&[after("STREAMS", 4, -1, 2, &[Ro, Access])]),
    Spec::planned("xrevrange", Stream, -4, "5.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("xsetid", Stream, -3, "5.0.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::planned("xtrim", Stream, -4, "5.0.0").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]).tips(&["nondeterministic_output"]),
];

//! Commands on sets.

use crate::table::Spec;
use crate::table::flag::Flag::{DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::Set;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ow, Ro, Rw, Update};
use crate::table::keyspec::{at, counted, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::planned("sadd", Set, -3, "1.0.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::planned("scard", Set, 2, "1.0.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::planned("sdiff", Set, -2, "1.0.0").flags(&[Readonly]).keys(&[span(1, -1, 1, &[Ro, Access])])
        .tips(&["nondeterministic_output_order"]),
    Spec::planned("sdiffstore", Set, -3, "1.0.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), span(2, -1, 1, &[Ro, Access])]),
    Spec::planned("sinter", Set, -2, "1.0.0").flags(&[Readonly]).keys(&[span(1, -1, 1, &[Ro, Access])])
        .tips(&["nondeterministic_output_order"]),
    Spec::planned("sintercard", Set, -3, "7.0.0").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::planned("sinterstore", Set, -3, "1.0.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Rw, Update]), span(2, -1, 1, &[Ro, Access])]),
    Spec::planned("sismember", Set, 3, "1.0.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::planned("smembers", Set, 2, "1.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output_order"]),
    Spec::planned("smismember", Set, -3, "6.2.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("smove", Set, 4, "1.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::planned("spop", Set, -2, "1.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("srandmember", Set, -2, "1.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("srem", Set, -3, "1.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("sscan", Set, -3, "2.8.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output"]),
    Spec::planned("sunion", Set, -2, "1.0.0").flags(&[Readonly]).keys(&[span(1, -1, 1, &[Ro, Access])])
        .tips(&["nondeterministic_output_order"]),
    Spec::planned("sunionstore", Set, -3, "1.0.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), span(2, -1, 1, &[Ro, Access])]),
];

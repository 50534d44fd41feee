//! Commands on lists.

use crate::table::Spec;
use crate::table::flag::Flag::{Blocking, DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::List;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ro, Rw, Update};
use crate::table::keyspec::{at, counted, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::planned("blmove", List, 6, "6.2.0").flags(&[Write, DenyOom, Blocking])
        .keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::planned("blmpop", List, -5, "7.0.0").flags(&[Write, Blocking]).keys(&[counted(2, &[Rw, Access, Delete])]),
    Spec::planned("blpop", List, -3, "2.0.0").flags(&[Write, Blocking]).keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::planned("brpop", List, -3, "2.0.0").flags(&[Write, Blocking]).keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::planned("brpoplpush", List, 4, "2.2.0").flags(&[Write, DenyOom, Blocking])
        .keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::planned("lindex", List, 3, "1.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("linsert", List, 5, "2.2.0").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Insert])]),
    Spec::planned("llen", List, 2, "1.0.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::planned("lmove", List, 5, "6.2.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::planned("lmpop", List, -4, "7.0.0").flags(&[Write]).keys(&[counted(1, &[Rw, Access, Delete])]),
    Spec::planned("lpop", List, -2, "1.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::planned("lpos", List, -3, "6.0.6").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("lpush", List, -3, "1.0.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::planned("lpushx", List, -3, "2.2.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::planned("lrange", List, 4, "1.0.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("lrem", List, 4, "1.0.0").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("lset", List, 4, "1.0.0").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Update])]),
    Spec::planned("ltrim", List, 4, "1.0.0").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("rpop", List, -2, "1.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::planned("rpoplpush", List, 3, "1.2.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::planned("rpush", List, -3, "1.0.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::planned("rpushx", List, -3, "2.2.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
];

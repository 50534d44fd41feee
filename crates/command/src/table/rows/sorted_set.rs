//! Commands on sorted sets.

use crate::table::Spec;
use crate::table::flag::Flag::{Blocking, DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::SortedSet;
use crate::table::keyspec::KeyFlag::{Access, Delete, Ow, Ro, Rw, Update};
use crate::table::keyspec::{at, counted, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::planned("bzmpop", SortedSet, -5, "7.0.0").flags(&[Write, Blocking]).keys(&[counted(2, &[Rw, Access, Delete])]),
    Spec::planned("bzpopmax", SortedSet, -3, "5.0.0").flags(&[Write, Blocking, Fast])
        .keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::planned("bzpopmin", SortedSet, -3, "5.0.0").flags(&[Write, Blocking, Fast])
        .keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::planned("zadd", SortedSet, -4, "1.2.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::planned("zcard", SortedSet, 2, "1.2.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::planned("zcount", SortedSet, 4, "2.0.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zdiff", SortedSet, -3, "6.2.0").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::planned("zdiffstore", SortedSet, -4, "6.2.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), counted(2, &[Ro, Access])]),
    Spec::planned("zincrby", SortedSet, 4, "1.2.0").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::planned("zinter", SortedSet, -3, "6.2.0").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::planned("zintercard", SortedSet, -3, "7.0.0").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::planned("zinterstore", SortedSet, -4, "2.0.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), counted(2, &[Ro, Access])]),
    Spec::planned("zlexcount", SortedSet, 4, "2.8.9").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zmpop", SortedSet, -4, "7.0.0").flags(&[Write]).keys(&[counted(1, &[Rw, Access, Delete])]),
    Spec::planned("zmscore", SortedSet, -3, "6.2.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zpopmax", SortedSet, -2, "5.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::planned("zpopmin", SortedSet, -2, "5.0.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::planned("zrandmember", SortedSet, -2, "6.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("zrange", SortedSet, -4, "1.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zrangebylex", SortedSet, -4, "2.8.9").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zrangebyscore", SortedSet, -4, "1.0.5").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zrangestore", SortedSet, -5, "6.2.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), at(2, &[Ro, Access])]),
    Spec::planned("zrank", SortedSet, -3, "2.0.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zrem", SortedSet, -3, "1.2.0").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("zremrangebylex", SortedSet, 4, "2.8.9").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("zremrangebyrank", SortedSet, 4, "2.0.0").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("zremrangebyscore", SortedSet, 4, "1.2.0").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::planned("zrevrange", SortedSet, -4, "1.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zrevrangebylex", SortedSet, -4, "2.8.9").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zrevrangebyscore", SortedSet, -4, "2.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zrevrank", SortedSet, -3, "2.0.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zscan", SortedSet, -3, "2.8.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::planned("zscore", SortedSet, 3, "1.2.0").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("zunion", SortedSet, -3, "6.2.0").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::planned("zunionstore", SortedSet, -4, "2.0.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), counted(2, &[Ro, Access])]),
];

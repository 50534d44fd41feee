//! Commands on sets.

use crate::table::Spec;
use crate::table::flag::Flag::{DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::Set;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ow, Ro, Rw, Update};
use crate::table::keyspec::{at, counted, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("sadd", Set, -3, "1.0.0").doc("O(N), N members.", "Adds members to a set.")
        .syntax("key member [member ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("scard", Set, 2, "1.0.0").doc("O(1)", "How many members a set has.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("sdiff", Set, -2, "1.0.0")
        .doc("O(N*M), N members of the first set, M sets.", "The members of the first set that no other has.")
        .syntax("key [key ...]").flags(&[Readonly]).keys(&[span(1, -1, 1, &[Ro, Access])])
        .tips(&["nondeterministic_output_order"]),
    Spec::new("sdiffstore", Set, -3, "1.0.0")
        .doc("O(N*M), N members of the first set, M sets.", "Stores the members of the first set that no other has.")
        .syntax("destination key [key ...]").flags(&[Write, DenyOom]).keys(&[at(1, &[Ow, Update]), span(2, -1, 1, &[Ro, Access])]),
    Spec::new("sinter", Set, -2, "1.0.0").doc("O(N*M), N members of the smallest set, M sets.", "The members that all sets have.")
        .syntax("key [key ...]").flags(&[Readonly]).keys(&[span(1, -1, 1, &[Ro, Access])])
        .tips(&["nondeterministic_output_order"]),
    Spec::new("sintercard", Set, -3, "7.0.0")
        .doc("O(N*M), N members of the smallest set, M sets.", "How many members all sets have in common.")
        .syntax("numkeys key [key ...] [LIMIT limit]").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::new("sinterstore", Set, -3, "1.0.0")
        .doc("O(N*M), N members of the smallest set, M sets.", "Stores the members that all sets have.")
        .syntax("destination key [key ...]").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Update]), span(2, -1, 1, &[Ro, Access])]),
    Spec::new("sismember", Set, 3, "1.0.0").doc("O(1)", "Whether a set has a member.")
        .syntax("key member").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("smembers", Set, 2, "1.0.0").doc("O(N), N members of the set.", "All members of a set.")
        .syntax("key").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output_order"]),
    Spec::new("smismember", Set, -3, "6.2.0").doc("O(N), N members.", "Whether a set has several members.")
        .syntax("key member [member ...]").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("smove", Set, 4, "1.0.0").doc("O(1)", "Moves a member from one set to another.")
        .syntax("source destination member").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::new("spop", Set, -2, "1.0.0").doc("O(N), N members returned.", "Takes members chosen at random.")
        .syntax("key [count]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]).tips(&["nondeterministic_output"]),
    Spec::new("srandmember", Set, -2, "1.0.0").doc("O(N), N members returned.", "Members of a set chosen at random.")
        .syntax("key [count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output"]),
    Spec::new("srem", Set, -3, "1.0.0").doc("O(N), N members.", "Removes members from a set.")
        .syntax("key member [member ...]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("sscan", Set, -3, "2.8.0")
        .doc("O(1) for a call, O(N) for a whole iteration.", "Iterates over the members of a set.")
        .syntax("key cursor [MATCH pattern] [COUNT count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::new("sunion", Set, -2, "1.0.0").doc("O(N), N members of all sets.", "The members that any of the sets has.")
        .syntax("key [key ...]").flags(&[Readonly]).keys(&[span(1, -1, 1, &[Ro, Access])])
        .tips(&["nondeterministic_output_order"]),
    Spec::new("sunionstore", Set, -3, "1.0.0").doc("O(N), N members of all sets.", "Stores the members that any of the sets has.")
        .syntax("destination key [key ...]").flags(&[Write, DenyOom]).keys(&[at(1, &[Ow, Update]), span(2, -1, 1, &[Ro, Access])]),
];

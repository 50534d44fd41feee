//! Commands on hashes.

use crate::table::Spec;
use crate::table::flag::Flag::{DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::Hash;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ro, Rw, Update};
use crate::table::keyspec::at;

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("hdel", Hash, -3, "2.0.0").doc("O(N), N fields.", "Deletes fields of a hash.")
        .syntax("key field [field ...]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("hexists", Hash, 3, "2.0.0").doc("O(1)", "Whether a hash has a field.")
        .syntax("key field").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("hget", Hash, 3, "2.0.0").doc("O(1)", "The value of a field.")
        .syntax("key field").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("hgetall", Hash, 2, "2.0.0").doc("O(N), N fields of the hash.", "All fields and values of a hash.")
        .syntax("key").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output_order"]),
    Spec::new("hincrby", Hash, 4, "2.0.0").doc("O(1)", "Adds to the integer in a field.")
        .syntax("key field increment").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("hincrbyfloat", Hash, 4, "2.6.0").doc("O(1)", "Adds to the number in a field, which may have a fraction.")
        .syntax("key field increment").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("hkeys", Hash, 2, "2.0.0").doc("O(N), N fields of the hash.", "All fields of a hash.")
        .syntax("key").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output_order"]),
    Spec::new("hlen", Hash, 2, "2.0.0").doc("O(1)", "How many fields a hash has.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("hmget", Hash, -3, "2.0.0").doc("O(N), N fields.", "The values of several fields.")
        .syntax("key field [field ...]").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("hmset", Hash, -4, "2.0.0").doc("O(N), N fields.", "Sets several fields; the old name of HSET.")
        .syntax("key field value [field value ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])])
        .deprecated("4.0.0", "HSET"),
    Spec::new("hrandfield", Hash, -2, "6.2.0").doc("O(N), N fields returned.", "Fields of a hash chosen at random.")
        .syntax("key [count [WITHVALUES]]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output"]),
    Spec::new("hscan", Hash, -3, "2.8.0")
        .doc("O(1) for a call, O(N) for a whole iteration.", "Iterates over the fields of a hash.")
        .syntax("key cursor [MATCH pattern] [COUNT count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::new("hset", Hash, -4, "2.0.0").doc("O(N), N fields.", "Sets fields of a hash and counts those that were added.")
        .syntax("key field value [field value ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("hsetnx", Hash, 4, "2.0.0").doc("O(1)", "Sets a field unless it exists.")
        .syntax("key field value").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("hstrlen", Hash, 3, "3.2.0").doc("O(1)", "The length of a field's value.")
        .syntax("key field").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("hvals", Hash, 2, "2.0.0").doc("O(N), N fields of the hash.", "All values of a hash.")
        .syntax("key").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output_order"]),
];

//! Commands on lists.

use crate::table::Spec;
use crate::table::flag::Flag::{Blocking, DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::List;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ro, Rw, Update};
use crate::table::keyspec::{at, counted, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("blmove", List, 6, "6.2.0").doc("O(1)", "Takes an element from one list and puts it on another, or waits for one.")
        .syntax("source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout").flags(&[Write, DenyOom, Blocking])
        .keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::new("blmpop", List, -5, "7.0.0")
        .doc("O(N+M), N keys and M elements returned.", "Takes elements from the first list that has some, or waits for some.")
        .syntax("timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]").flags(&[Write, Blocking]).keys(&[counted(2, &[Rw, Access, Delete])]),
    Spec::new("blpop", List, -3, "2.0.0")
        .doc("O(N), N keys.", "Takes an element from the front of the first list that has one, or waits for one.")
        .syntax("key [key ...] timeout").flags(&[Write, Blocking]).keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::new("brpop", List, -3, "2.0.0")
        .doc("O(N), N keys.", "Takes an element from the end of the first list that has one, or waits for one.")
        .syntax("key [key ...] timeout").flags(&[Write, Blocking]).keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::new("brpoplpush", List, 4, "2.2.0")
        .doc("O(1)", "Takes the last element of a list and puts it in front of another, or waits for one.")
        .syntax("source destination timeout").flags(&[Write, DenyOom, Blocking])
        .keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])])
        .deprecated("6.2.0", "BLMOVE with RIGHT and LEFT"),
    Spec::new("lindex", List, 3, "1.0.0").doc("O(1)", "The element at a position.")
        .syntax("key index").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("linsert", List, 5, "2.2.0")
        .doc("O(N), N elements before the other one, or moved on the shorter side.", "Inserts an element before or after another one.")
        .syntax("key <BEFORE | AFTER> pivot element").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("llen", List, 2, "1.0.0").doc("O(1)", "How many elements a list has.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("lmove", List, 5, "6.2.0").doc("O(1)", "Takes an element from one list and puts it on another.")
        .syntax("source destination <LEFT | RIGHT> <LEFT | RIGHT>").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])]),
    Spec::new("lmpop", List, -4, "7.0.0")
        .doc("O(N+M), N keys and M elements returned.", "Takes elements from the first list that has some.")
        .syntax("numkeys key [key ...] <LEFT | RIGHT> [COUNT count]").flags(&[Write]).keys(&[counted(1, &[Rw, Access, Delete])]),
    Spec::new("lpop", List, -2, "1.0.0").doc("O(N), N elements returned.", "Takes elements from the front of a list.")
        .syntax("key [count]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::new("lpos", List, -3, "6.0.6").doc("O(N), N elements looked at.", "The positions of an element.")
        .syntax("key element [RANK rank] [COUNT num-matches] [MAXLEN len]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("lpush", List, -3, "1.0.0").doc("O(N), N elements.", "Puts elements in front of a list.")
        .syntax("key element [element ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("lpushx", List, -3, "2.2.0").doc("O(N), N elements.", "Puts elements in front of a list that exists.")
        .syntax("key element [element ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("lrange", List, 4, "1.0.0").doc("O(N), N elements returned.", "The elements of a range of positions.")
        .syntax("key start stop").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("lrem", List, 4, "1.0.0").doc("O(N), N elements of the list.", "Removes elements that are equal to one.")
        .syntax("key count element").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("lset", List, 4, "1.0.0").doc("O(1)", "Replaces the element at a position.")
        .syntax("key index element").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("ltrim", List, 4, "1.0.0")
        .doc("O(N), N the fewer of the elements removed and those kept.", "Keeps the elements of a range of positions.")
        .syntax("key start stop").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("rpop", List, -2, "1.0.0").doc("O(N), N elements returned.", "Takes elements from the end of a list.")
        .syntax("key [count]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::new("rpoplpush", List, 3, "1.2.0").doc("O(1)", "Takes the last element of a list and puts it in front of another.")
        .syntax("source destination").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Rw, Insert])])
        .deprecated("6.2.0", "LMOVE with RIGHT and LEFT"),
    Spec::new("rpush", List, -3, "1.0.0").doc("O(N), N elements.", "Puts elements at the end of a list.")
        .syntax("key element [element ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("rpushx", List, -3, "2.2.0").doc("O(N), N elements.", "Puts elements at the end of a list that exists.")
        .syntax("key element [element ...]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
];

//! Commands on strings.

use crate::table::Spec;
use crate::table::flag::Flag::{DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::String;
use crate::table::keyspec::KeyFlag::{Access, Delete, Insert, Ow, Ro, Rw, Update, VariableFlags};
use crate::table::keyspec::{at, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("append", String, 3, "2.0.0").doc("O(1)", "Appends to a string, creating it when missing.")
        .syntax("key value").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("decr", String, 2, "1.0.0").doc("O(1)", "Subtracts one from an integer.")
        .syntax("key").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("decrby", String, 3, "1.0.0").doc("O(1)", "Subtracts from an integer.")
        .syntax("key decrement").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("get", String, 2, "1.0.0").doc("O(1)", "The string at a key.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("getdel", String, 2, "6.2.0").doc("O(1)", "The string at a key, which is deleted.")
        .syntax("key").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::new("getex", String, -2, "6.2.0").doc("O(1)", "The string at a key, whose expiry may be changed.")
        .syntax("key [EX s | PX ms | EXAT unix-s | PXAT unix-ms | PERSIST]").flags(&[Write, Fast])
        .keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("getrange", String, 4, "2.4.0").doc("O(N), N bytes returned.", "A part of a string.")
        .syntax("key start end").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("getset", String, 3, "1.0.0").doc("O(1)", "Sets a string and returns the one before.")
        .syntax("key value").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])])
        .deprecated("6.2.0", "SET with GET"),
    Spec::new("incr", String, 2, "1.0.0").doc("O(1)", "Adds one to an integer.")
        .syntax("key").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("incrby", String, 3, "1.0.0").doc("O(1)", "Adds to an integer.")
        .syntax("key increment").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("incrbyfloat", String, 3, "2.6.0").doc("O(1)", "Adds to a number with a fraction.")
        .syntax("key increment").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("lcs", String, -3, "7.0.0")
        .doc("O(N*M), the lengths of the two strings.", "The longest common subsequence of two strings.")
        .syntax("key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]").flags(&[Readonly])
        .keys(&[span(1, 1, 1, &[Ro, Access])]),
    Spec::new("mget", String, -2, "1.0.0").doc("O(N), N keys.", "The strings at several keys.")
        .syntax("key [key ...]").flags(&[Readonly, Fast]).keys(&[span(1, -1, 1, &[Ro, Access])])
        .tips(&["request_policy:multi_shard"]),
    Spec::new("mset", String, -3, "1.0.1").doc("O(N), N keys.", "Sets several keys at once.")
        .syntax("key value [key value ...]").flags(&[Write, DenyOom]).keys(&[span(1, -1, 2, &[Ow, Update])])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    Spec::new("msetnx", String, -3, "1.0.1").doc("O(N), N keys.", "Sets several keys at once unless one of them exists.")
        .syntax("key value [key value ...]").flags(&[Write, DenyOom]).keys(&[span(1, -1, 2, &[Ow, Insert])]),
    Spec::new("psetex", String, 4, "2.6.0").doc("O(1)", "Sets a string that lives for a number of milliseconds.")
        .syntax("key milliseconds value").flags(&[Write, DenyOom]).keys(&[at(1, &[Ow, Update])])
        .deprecated("2.6.12", "SET with PX"),
    Spec::new("set", String, -3, "1.0.0").doc("O(1)", "Sets a string, whatever the key held before.")
        .syntax("key value [NX | XX] [GET] [EX s | PX ms | EXAT unix-s | PXAT unix-ms | KEEPTTL]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Rw, Access, Update, VariableFlags])]),
    Spec::new("setex", String, 4, "2.0.0").doc("O(1)", "Sets a string that lives for a number of seconds.")
        .syntax("key seconds value").flags(&[Write, DenyOom]).keys(&[at(1, &[Ow, Update])]).deprecated("2.6.12", "SET with EX"),
    Spec::new("setnx", String, 3, "1.0.0").doc("O(1)", "Sets a string unless the key exists.")
        .syntax("key value").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Ow, Insert])]).deprecated("2.6.12", "SET with NX"),
    Spec::new("setrange", String, 4, "2.2.0").doc("O(N), N bytes of the string.", "Overwrites a part of a string.")
        .syntax("key offset value").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("strlen", String, 2, "2.2.0").doc("O(1)", "The length of a string.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("substr", String, 4, "1.0.0").doc("O(N), N bytes returned.", "A part of a string; the old name of GETRANGE.")
        .syntax("key start end").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).deprecated("2.0.0", "GETRANGE"),
];

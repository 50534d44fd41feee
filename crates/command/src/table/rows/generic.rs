//! Commands on keys of any type, and expiry.

use crate::table::Spec;
use crate::table::acl::Category;
use crate::table::flag::Flag::{DenyOom, Fast, Loading, NoScript, Readonly, Stale, TouchesArbitraryKeys, Write};
use crate::table::group::Group::Generic;
use crate::table::keyspec::KeyFlag::{Access, Delete, Incomplete, Insert, Ow, Rm, Ro, Rw, Update};
use crate::table::keyspec::{after, at, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("copy", Generic, -3, "6.2.0")
        .doc("O(N), N elements of the value.", "Copies a value to another key, in this database or another.")
        .syntax("source destination [DB destination-db] [REPLACE]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ro, Access]), at(2, &[Ow, Update])]),
    Spec::new("del", Generic, -2, "1.0.0").doc("O(N), N keys.", "Deletes keys and counts those that existed.")
        .syntax("key [key ...]").flags(&[Write]).keys(&[span(1, -1, 1, &[Rm, Delete])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::new("dump", Generic, 2, "2.6.0").doc("O(N), N bytes of the value.", "A value as RESTORE and Redis read it.")
        .syntax("key").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::new("exists", Generic, -2, "1.0.0")
        .doc("O(N), N keys.", "Counts the keys that exist; a key named twice counts twice.")
        .syntax("key [key ...]").flags(&[Readonly, Fast]).keys(&[span(1, -1, 1, &[Ro])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::new("expire", Generic, -3, "1.0.0").doc("O(1)", "Lets a key live for a number of seconds.")
        .syntax("key seconds [NX | XX | GT | LT]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("expireat", Generic, -3, "1.2.0").doc("O(1)", "Lets a key live until a Unix time in seconds.")
        .syntax("key unix-time-seconds [NX | XX | GT | LT]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("expiretime", Generic, 2, "7.0.0").doc("O(1)", "The Unix time, in seconds, at which a key expires.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("keys", Generic, 2, "1.0.0").doc("O(N), N keys of the database.", "All keys whose names match a pattern.")
        .syntax("pattern").flags(&[Readonly]).acl(&[Category::Keyspace, Category::Dangerous])
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Spec::planned("migrate", Generic, -6, "2.6.0").flags(&[Write]).acl(&[Category::Keyspace, Category::Dangerous])
        .keys(&[at(3, &[Rw, Access, Delete]), after("KEYS", -2, -1, 0, &[Rw, Access, Delete, Incomplete])])
        .tips(&["nondeterministic_output"]),
    Spec::new("move", Generic, 3, "1.0.0").doc("O(1)", "Moves a key to another database.")
        .syntax("key db").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("object", Generic, -2, "2.2.3").doc("Depends on the subcommand.", "Commands about how a value is kept.")
        .acl(&[]),
    Spec::new("object|encoding", Generic, 3, "2.2.3")
        .doc("O(1)", "The encoding that Redis would choose for a value of this size.")
        .syntax("key").flags(&[Readonly]).keys(&[at(2, &[Ro])]).tips(&["nondeterministic_output"]),
    Spec::new("object|freq", Generic, 3, "4.0.0").doc("O(1)", "How often a key was used lately.")
        .syntax("key").flags(&[Readonly]).keys(&[at(2, &[Ro])]).tips(&["nondeterministic_output"]),
    Spec::new("object|help", Generic, 2, "6.2.0").doc("O(1)", "Lists the subcommands.")
        .flags(&[Loading, Stale]),
    Spec::new("object|idletime", Generic, 3, "2.2.3").doc("O(1)", "Seconds since a key was last used.")
        .syntax("key").flags(&[Readonly]).keys(&[at(2, &[Ro])]).tips(&["nondeterministic_output"]),
    Spec::new("object|refcount", Generic, 3, "2.2.3").doc("O(1)", "How many references a value has.")
        .syntax("key").flags(&[Readonly]).keys(&[at(2, &[Ro])]).tips(&["nondeterministic_output"]),
    Spec::new("persist", Generic, 2, "2.2.0").doc("O(1)", "Lets a key live for ever.")
        .syntax("key").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("pexpire", Generic, -3, "2.6.0").doc("O(1)", "Lets a key live for a number of milliseconds.")
        .syntax("key milliseconds [NX | XX | GT | LT]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("pexpireat", Generic, -3, "2.6.0").doc("O(1)", "Lets a key live until a Unix time in milliseconds.")
        .syntax("key unix-time-milliseconds [NX | XX | GT | LT]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("pexpiretime", Generic, 2, "7.0.0").doc("O(1)", "The Unix time, in milliseconds, at which a key expires.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("pttl", Generic, 2, "2.6.0").doc("O(1)", "The milliseconds a key has left to live.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output"]),
    Spec::new("randomkey", Generic, 1, "1.0.0").doc("O(1)", "A key chosen at random.")
        .flags(&[Readonly, TouchesArbitraryKeys])
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    Spec::new("rename", Generic, 3, "1.0.0").doc("O(1)", "Gives a key another name, replacing what had it.")
        .syntax("key newkey").flags(&[Write]).keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Ow, Update])]),
    Spec::new("renamenx", Generic, 3, "1.0.0").doc("O(1)", "Gives a key another name unless that name is taken.")
        .syntax("key newkey").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete]), at(2, &[Ow, Insert])]),
    Spec::new("restore", Generic, -4, "2.6.0").doc("O(N*log(N)), N elements of the value.", "Makes a key of what DUMP gave, here or in Redis.")
        .syntax("key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]").flags(&[Write, DenyOom]).acl(&[Category::Keyspace, Category::Dangerous])
        .keys(&[at(1, &[Ow, Update])]),
    Spec::new("scan", Generic, -2, "2.8.0")
        .doc("O(1) for a call, O(N) for a whole iteration.", "Iterates over the keys of the database.")
        .syntax("cursor [MATCH pattern] [COUNT count] [TYPE type]").flags(&[Readonly, TouchesArbitraryKeys])
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"]),
    Spec::new("sort", Generic, -2, "1.0.0")
        .doc("O(N+M*log(M)), N elements, M elements returned.", "The elements of a list, a set or a sorted set in order, or stores them.")
        .syntax("key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]")
        .flags(&[Write, DenyOom]).acl(&[Category::Set, Category::SortedSet, Category::List, Category::Dangerous])
        .keys(&[at(1, &[Ro, Access]), after("STORE", 2, 0, 0, &[Ow, Update])]),
    Spec::new("sort_ro", Generic, -2, "7.0.0")
        .doc("O(N+M*log(M)), N elements, M elements returned.", "The elements of a list, a set or a sorted set in order.")
        .syntax("key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]")
        .flags(&[Readonly]).acl(&[Category::Set, Category::SortedSet, Category::List, Category::Dangerous])
        .keys(&[at(1, &[Ro, Access])]),
    Spec::new("touch", Generic, -2, "3.2.1").doc("O(N), N keys.", "Counts the keys that exist and refreshes their last access.")
        .syntax("key [key ...]").flags(&[Readonly, Fast]).keys(&[span(1, -1, 1, &[Ro])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::new("ttl", Generic, 2, "1.0.0").doc("O(1)", "The seconds a key has left to live.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output"]),
    Spec::new("type", Generic, 2, "1.0.0").doc("O(1)", "The type of a key's value.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("unlink", Generic, -2, "4.0.0").doc("O(N), N keys.", "Deletes keys; their space is reclaimed in the background.")
        .syntax("key [key ...]").flags(&[Write, Fast]).keys(&[span(1, -1, 1, &[Rm, Delete])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    Spec::new("wait", Generic, 3, "3.0.0")
        .doc("O(1)", "Waits until earlier writes of this connection reached a number of replicas.")
        .syntax("numreplicas timeout").acl(&[Category::Connection])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    Spec::planned("waitaof", Generic, 4, "7.2.0").flags(&[NoScript]).acl(&[Category::Connection])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

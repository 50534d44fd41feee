//! Lua scripts and functions.

use crate::table::Spec;
use crate::table::flag::Flag::{
    AllowBusy, DenyOom, Loading, MayReplicate, NoMandatoryKeys, NoScript, Readonly, SkipMonitor, Stale, Write,
};
use crate::table::group::Group::Scripting;
use crate::table::keyspec::KeyFlag::{Access, Ro, Rw, Update};
use crate::table::keyspec::counted;

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("eval", Scripting, -3, "2.6.0")
        .doc("That of the script.", "Runs a Lua script as one step.")
        .syntax("script numkeys [key [key ...]] [arg [arg ...]]").flags(&[NoScript, Stale, SkipMonitor, MayReplicate, NoMandatoryKeys])
        .keys(&[counted(2, &[Rw, Access, Update])]),
    Spec::new("eval_ro", Scripting, -3, "7.0.0")
        .doc("That of the script.", "Runs a Lua script that must not write.")
        .syntax("script numkeys [key [key ...]] [arg [arg ...]]").flags(&[Readonly, NoScript, Stale, SkipMonitor, NoMandatoryKeys])
        .keys(&[counted(2, &[Ro, Access])]),
    Spec::new("evalsha", Scripting, -3, "2.6.0")
        .doc("That of the script.", "Runs a Lua script that is kept, by the SHA-1 of its text.")
        .syntax("sha1 numkeys [key [key ...]] [arg [arg ...]]").flags(&[NoScript, Stale, SkipMonitor, MayReplicate, NoMandatoryKeys])
        .keys(&[counted(2, &[Rw, Access, Update])]),
    Spec::new("evalsha_ro", Scripting, -3, "7.0.0")
        .doc("That of the script.", "Runs a Lua script that is kept and must not write, by the SHA-1 of its text.")
        .syntax("sha1 numkeys [key [key ...]] [arg [arg ...]]").flags(&[Readonly, NoScript, Stale, SkipMonitor, NoMandatoryKeys])
        .keys(&[counted(2, &[Ro, Access])]),
    Spec::new("fcall", Scripting, -3, "7.0.0")
        .doc("That of the function.", "Runs a function of a library as one step.")
        .syntax("function numkeys [key [key ...]] [arg [arg ...]]").flags(&[NoScript, Stale, SkipMonitor, MayReplicate, NoMandatoryKeys])
        .keys(&[counted(2, &[Rw, Access, Update])]),
    Spec::new("fcall_ro", Scripting, -3, "7.0.0")
        .doc("That of the function.", "Runs a function of a library that must not write.")
        .syntax("function numkeys [key [key ...]] [arg [arg ...]]").flags(&[Readonly, NoScript, Stale, SkipMonitor, NoMandatoryKeys])
        .keys(&[counted(2, &[Ro, Access])]),
    Spec::new("function", Scripting, -2, "7.0.0")
        .doc("Depends on the subcommand.", "Commands about libraries of functions.")
        .acl(&[]),
    Spec::new("function|delete", Scripting, 3, "7.0.0")
        .doc("O(N), N functions of the library.", "Deletes a library and its functions.")
        .syntax("library-name").flags(&[Write, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("function|dump", Scripting, 2, "7.0.0")
        .doc("O(N), N bytes of code.", "All libraries in the form that FUNCTION RESTORE reads.")
        .flags(&[NoScript]),
    Spec::new("function|flush", Scripting, -2, "7.0.0").doc("O(N), N functions.", "Deletes all libraries.")
        .syntax("[ASYNC | SYNC]").flags(&[Write, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("function|help", Scripting, 2, "7.0.0")
        .doc("O(1)", "Lists the subcommands of FUNCTION.")
        .flags(&[Loading, Stale]),
    Spec::new("function|kill", Scripting, 2, "7.0.0")
        .doc("O(1)", "Finds no function to end: each is ended at its limits.")
        .flags(&[NoScript, AllowBusy])
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Spec::new("function|list", Scripting, -2, "7.0.0")
        .doc("O(N), N functions.", "The libraries and their functions.")
        .syntax("[LIBRARYNAME library-name-pattern] [WITHCODE]").flags(&[NoScript]).tips(&["nondeterministic_output_order"]),
    Spec::new("function|load", Scripting, -3, "7.0.0")
        .doc("O(N) with N bytes of code.", "Keeps a library of functions.")
        .syntax("[REPLACE] function-code").flags(&[Write, DenyOom, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("function|restore", Scripting, -3, "7.0.0")
        .doc("O(N), N bytes of code.", "Keeps the libraries of a payload.")
        .syntax("serialized-value [FLUSH | APPEND | REPLACE]").flags(&[Write, DenyOom, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("function|stats", Scripting, 2, "7.0.0")
        .doc("O(N), N libraries.", "How many libraries and functions there are.")
        .flags(&[NoScript, AllowBusy])
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::new("script", Scripting, -2, "2.6.0")
        .doc("Depends on the subcommand.", "Commands about the scripts that are kept.").acl(&[]),
    Spec::planned("script|debug", Scripting, 3, "3.2.0").flags(&[NoScript]),
    Spec::new("script|exists", Scripting, -3, "2.6.0")
        .doc("O(N) with N digests.", "Says of each digest whether its script is kept.")
        .syntax("sha1 [sha1 ...]").flags(&[NoScript])
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
    Spec::new("script|flush", Scripting, -2, "2.6.0")
        .doc("O(N) with N scripts.", "Forgets every script.")
        .syntax("[ASYNC | SYNC]").flags(&[NoScript])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::new("script|help", Scripting, 2, "5.0.0")
        .doc("O(1)", "Lists the subcommands of SCRIPT.").flags(&[Loading, Stale]),
    Spec::new("script|kill", Scripting, 2, "2.6.0")
        .doc("O(1)", "Finds no script to end: each is ended at its limits.").flags(&[NoScript, AllowBusy])
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Spec::new("script|load", Scripting, 3, "2.6.0")
        .doc("O(N) with N bytes of text.", "Keeps a script for EVALSHA and gives its digest.")
        .syntax("script").flags(&[NoScript, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

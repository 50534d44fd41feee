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
    Spec::planned("eval", Scripting, -3, "2.6.0").flags(&[NoScript, Stale, SkipMonitor, MayReplicate, NoMandatoryKeys])
        .keys(&[counted(2, &[Rw, Access, Update])]),
    Spec::planned("eval_ro", Scripting, -3, "7.0.0").flags(&[Readonly, NoScript, Stale, SkipMonitor, NoMandatoryKeys])
        .keys(&[counted(2, &[Ro, Access])]),
    Spec::planned("evalsha", Scripting, -3, "2.6.0").flags(&[NoScript, Stale, SkipMonitor, MayReplicate, NoMandatoryKeys])
        .keys(&[counted(2, &[Rw, Access, Update])]),
    Spec::planned("evalsha_ro", Scripting, -3, "7.0.0").flags(&[Readonly, NoScript, Stale, SkipMonitor, NoMandatoryKeys])
        .keys(&[counted(2, &[Ro, Access])]),
    Spec::planned("fcall", Scripting, -3, "7.0.0").flags(&[NoScript, Stale, SkipMonitor, MayReplicate, NoMandatoryKeys])
        .keys(&[counted(2, &[Rw, Access, Update])]),
    Spec::planned("fcall_ro", Scripting, -3, "7.0.0").flags(&[Readonly, NoScript, Stale, SkipMonitor, NoMandatoryKeys])
        .keys(&[counted(2, &[Ro, Access])]),
    Spec::new("function", Scripting, -2, "7.0.0")
        .doc("Depends on the subcommand.", "Commands about stored functions, of which there are none yet.")
        .acl(&[]),
    Spec::planned("function|delete", Scripting, 3, "7.0.0").flags(&[Write, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::planned("function|dump", Scripting, 2, "7.0.0").flags(&[NoScript]),
    Spec::new("function|flush", Scripting, -2, "7.0.0").doc("O(1)", "Deletes all stored functions: there are none to delete.")
        .syntax("[ASYNC | SYNC]").flags(&[Write, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::planned("function|help", Scripting, 2, "7.0.0").flags(&[Loading, Stale]),
    Spec::planned("function|kill", Scripting, 2, "7.0.0").flags(&[NoScript, AllowBusy])
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Spec::planned("function|list", Scripting, -2, "7.0.0").flags(&[NoScript]).tips(&["nondeterministic_output_order"]),
    Spec::planned("function|load", Scripting, -3, "7.0.0").flags(&[Write, DenyOom, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::planned("function|restore", Scripting, -3, "7.0.0").flags(&[Write, DenyOom, NoScript])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::planned("function|stats", Scripting, 2, "7.0.0").flags(&[NoScript, AllowBusy])
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::planned("script", Scripting, -2, "2.6.0").acl(&[]),
    Spec::planned("script|debug", Scripting, 3, "3.2.0").flags(&[NoScript]),
    Spec::planned("script|exists", Scripting, -3, "2.6.0").flags(&[NoScript])
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
    Spec::planned("script|flush", Scripting, -2, "2.6.0").flags(&[NoScript])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::planned("script|help", Scripting, 2, "5.0.0").flags(&[Loading, Stale]),
    Spec::planned("script|kill", Scripting, 2, "2.6.0").flags(&[NoScript, AllowBusy])
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Spec::planned("script|load", Scripting, 3, "2.6.0").flags(&[NoScript, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

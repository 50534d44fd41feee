//! Commands of the Redis Cluster protocol.

use crate::table::Spec;
use crate::table::acl::Category;
use crate::table::flag::Flag::{Admin, Fast, Loading, NoAsyncLoading, NoScript, Stale};
use crate::table::group::Group::Cluster;

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("asking", Cluster, 1, "3.0.0")
        .doc("O(1)", "Lets the next command pass to a slot that is being imported; accepted, and never needed here.")
        .flags(&[Fast]).acl(&[Category::Connection]),
    Spec::new("cluster", Cluster, -2, "3.0.0")
        .doc("Depends on the subcommand.", "Commands about the cluster as its clients see it."),
    Spec::planned("cluster|addslots", Cluster, -3, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|addslotsrange", Cluster, -4, "7.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|bumpepoch", Cluster, 2, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading])
        .tips(&["nondeterministic_output"]),
    Spec::planned("cluster|count-failure-reports", Cluster, 3, "3.0.0").flags(&[Admin, Stale])
        .tips(&["nondeterministic_output"]),
    Spec::new("cluster|countkeysinslot", Cluster, 3, "3.0.0").doc("O(1)", "How many keys a slot holds.")
        .syntax("slot").flags(&[Stale]),
    Spec::planned("cluster|delslots", Cluster, -3, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|delslotsrange", Cluster, -4, "7.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|failover", Cluster, -2, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|flushslots", Cluster, 2, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|forget", Cluster, 3, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::new("cluster|getkeysinslot", Cluster, 4, "3.0.0").doc("O(N), N keys asked for.", "Keys of a slot.")
        .syntax("slot count").flags(&[Stale]).tips(&["nondeterministic_output"]),
    Spec::new("cluster|help", Cluster, 2, "5.0.0").doc("O(1)", "Lists the subcommands.")
        .flags(&[Loading, Stale]),
    Spec::new("cluster|info", Cluster, 2, "3.0.0").doc("O(1)", "The health and size of the cluster.")
        .flags(&[Stale]).tips(&["nondeterministic_output"]),
    Spec::new("cluster|keyslot", Cluster, 3, "3.0.0").doc("O(N), N bytes of the key.", "The slot of a key.")
        .syntax("key").flags(&[Stale]),
    Spec::new("cluster|links", Cluster, 2, "7.0.0").doc("O(N), N nodes.", "The links between this node and its peers.")
        .flags(&[Stale]).tips(&["nondeterministic_output"]),
    Spec::planned("cluster|meet", Cluster, -4, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::new("cluster|myid", Cluster, 2, "3.0.0").doc("O(1)", "The identifier of this node.")
        .flags(&[Stale]),
    Spec::planned("cluster|myshardid", Cluster, 2, "7.2.0").flags(&[Stale]).tips(&["nondeterministic_output"]),
    Spec::new("cluster|nodes", Cluster, 2, "3.0.0").doc("O(N), N nodes.", "The nodes and their slots, a line each.")
        .flags(&[Stale]).tips(&["nondeterministic_output"]),
    Spec::planned("cluster|replicas", Cluster, 3, "5.0.0").flags(&[Admin, Stale]).tips(&["nondeterministic_output"]),
    Spec::planned("cluster|replicate", Cluster, 3, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|reset", Cluster, -2, "3.0.0").flags(&[Admin, NoScript, Stale]),
    Spec::planned("cluster|saveconfig", Cluster, 2, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|set-config-epoch", Cluster, 3, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::planned("cluster|setslot", Cluster, -4, "3.0.0").flags(&[Admin, Stale, NoAsyncLoading]),
    Spec::new("cluster|shards", Cluster, 2, "7.0.0").doc("O(N), N shards.", "The shards, their slots and their replicas.")
        .flags(&[Loading, Stale]).tips(&["nondeterministic_output"]),
    Spec::planned("cluster|slaves", Cluster, 3, "3.0.0").flags(&[Admin, Stale]).tips(&["nondeterministic_output"]),
    Spec::new("cluster|slots", Cluster, 2, "3.0.0").doc("O(N), N slot ranges.", "Which nodes serve which slot ranges.")
        .flags(&[Loading, Stale]).tips(&["nondeterministic_output"]).deprecated("7.0.0", "CLUSTER SHARDS"),
    Spec::new("readonly", Cluster, 1, "3.0.0").doc("O(1)", "Allows this connection to read from replicas.")
        .flags(&[Loading, Stale, Fast]).acl(&[Category::Connection]),
    Spec::new("readwrite", Cluster, 1, "3.0.0").doc("O(1)", "Ends what READONLY began.")
        .flags(&[Loading, Stale, Fast]).acl(&[Category::Connection]),
];

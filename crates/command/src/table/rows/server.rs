//! Commands about the server: settings, facts, the table itself.

use crate::table::Spec;
use crate::table::acl::Category;
use crate::table::flag::Flag::{
    Admin, AllowBusy, Asking, DenyOom, Fast, Loading, NoAsyncLoading, NoMulti, NoScript, Protected, Readonly, Stale,
    Write,
};
use crate::table::group::Group::Server;
use crate::table::keyspec::KeyFlag::{Ow, Ro, Update};
use crate::table::keyspec::at;

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::planned("acl", Server, -2, "6.0.0"),
    Spec::planned("acl|cat", Server, -2, "6.0.0").flags(&[NoScript, Loading, Stale]),
    Spec::planned("acl|deluser", Server, -3, "6.0.0").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::planned("acl|dryrun", Server, -4, "7.0.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("acl|genpass", Server, -2, "6.0.0").flags(&[NoScript, Loading, Stale]),
    Spec::planned("acl|getuser", Server, 3, "6.0.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("acl|help", Server, 2, "6.0.0").flags(&[Loading, Stale]),
    Spec::planned("acl|list", Server, 2, "6.0.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("acl|load", Server, 2, "6.0.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("acl|log", Server, -2, "6.0.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("acl|save", Server, 2, "6.0.0").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::planned("acl|setuser", Server, -3, "6.0.0").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::planned("acl|users", Server, 2, "6.0.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("acl|whoami", Server, 2, "6.0.0").flags(&[NoScript, Loading, Stale]),
    Spec::planned("bgrewriteaof", Server, 1, "1.0.0").flags(&[Admin, NoScript, NoAsyncLoading]),
    Spec::planned("bgsave", Server, -1, "1.0.0").flags(&[Admin, NoScript, NoAsyncLoading]),
    Spec::new("command", Server, -1, "2.8.13").doc("O(N), N commands of the table.", "Describes all commands.")
        .flags(&[Loading, Stale]).acl(&[Category::Connection]).tips(&["nondeterministic_output_order"]),
    Spec::new("command|count", Server, 2, "2.8.13").doc("O(1)", "How many commands there are.")
        .flags(&[Loading, Stale]).acl(&[Category::Connection]),
    Spec::new("command|docs", Server, -2, "7.0.0").doc("O(N), N commands asked for.", "Documentation of commands.")
        .syntax("[command-name [command-name ...]]").flags(&[Loading, Stale]).acl(&[Category::Connection])
        .tips(&["nondeterministic_output_order"]),
    Spec::new("command|getkeys", Server, -3, "2.8.13").doc("O(N), N words.", "The keys in the words of a command.")
        .syntax("command [arg [arg ...]]").flags(&[Loading, Stale]).acl(&[Category::Connection]),
    Spec::new("command|getkeysandflags", Server, -3, "7.0.0")
        .doc("O(N), N words.", "The keys in the words of a command, and what it does to them.")
        .syntax("command [arg [arg ...]]").flags(&[Loading, Stale]).acl(&[Category::Connection]),
    Spec::new("command|help", Server, 2, "5.0.0").doc("O(1)", "Lists the subcommands.")
        .flags(&[Loading, Stale]).acl(&[Category::Connection]),
    Spec::new("command|info", Server, -2, "2.8.13")
        .doc("O(N), N commands asked for.", "Arity, flags and key positions of commands.")
        .syntax("[command-name [command-name ...]]").flags(&[Loading, Stale]).acl(&[Category::Connection])
        .tips(&["nondeterministic_output_order"]),
    Spec::new("command|list", Server, -2, "7.0.0").doc("O(N), N commands of the table.", "The names of all commands.")
        .syntax("[FILTERBY MODULE name | FILTERBY ACLCAT category | FILTERBY PATTERN pattern]").flags(&[Loading, Stale])
        .acl(&[Category::Connection]).tips(&["nondeterministic_output_order"]),
    Spec::new("config", Server, -2, "2.0.0").doc("Depends on the subcommand.", "Commands about the server's settings."),
    Spec::new("config|get", Server, -3, "2.0.0").doc("O(N), N settings.", "Settings whose names match patterns.")
        .syntax("parameter [parameter ...]").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::new("config|help", Server, 2, "5.0.0").doc("O(1)", "Lists the subcommands.")
        .flags(&[Loading, Stale]),
    Spec::new("config|resetstat", Server, 2, "2.0.0").doc("O(1)", "Sets the counters that INFO shows back to zero.")
        .flags(&[Admin, NoScript, Loading, Stale]).tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::new("config|rewrite", Server, 2, "2.8.0").doc("O(1)", "Refused: the configuration file is its owner's.")
        .flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::new("config|set", Server, -4, "2.0.0").doc("O(N), N settings.", "Changes settings while the server runs.")
        .syntax("parameter value [parameter value ...]").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::new("dbsize", Server, 1, "1.0.0").doc("O(1)", "The exact number of keys in the database.")
        .flags(&[Readonly, Fast]).acl(&[Category::Keyspace]).tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Spec::new("debug", Server, -2, "1.0.0").doc("Depends on the subcommand.", "Commands for tests of the server.")
        .syntax("subcommand [argument ...]").flags(&[Admin, NoScript, Loading, Stale, Protected]).syscmd(),
    Spec::planned("failover", Server, -1, "6.2.0").flags(&[Admin, NoScript, Stale]),
    Spec::new("flushall", Server, -1, "1.0.0")
        .doc("O(1) at once, O(N) in the background.", "Deletes every key of every database.")
        .syntax("[ASYNC | SYNC]").flags(&[Write]).acl(&[Category::Keyspace, Category::Dangerous])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("flushdb", Server, -1, "1.0.0").doc("O(1) at once, O(N) in the background.", "Deletes every key of the database.")
        .syntax("[ASYNC | SYNC]").flags(&[Write]).acl(&[Category::Keyspace, Category::Dangerous])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("info", Server, -1, "1.0.0").doc("O(1)", "Facts and counters of this node.")
        .syntax("[section [section ...]]").flags(&[Loading, Stale]).acl(&[Category::Dangerous])
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::planned("lastsave", Server, 1, "1.0.0").flags(&[Loading, Stale, Fast]).acl(&[Category::Admin, Category::Dangerous])
        .tips(&["nondeterministic_output"]),
    Spec::new("latency", Server, -2, "2.8.13").doc("Depends on the subcommand.", "Commands about what took long on this node."),
    Spec::new("latency|doctor", Server, 2, "2.8.13").doc("O(N), N samples kept.", "What the samples say, in words.")
        .flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    Spec::new("latency|graph", Server, 3, "2.8.13").doc("O(1)", "Draws the samples of an event.")
        .syntax("event").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    Spec::new("latency|help", Server, 2, "2.8.13").doc("O(1)", "Lists the subcommands.")
        .flags(&[Loading, Stale]),
    Spec::new("latency|histogram", Server, -2, "7.0.0").doc("O(N), N commands of the table.", "How long calls of each command took, by powers of two.")
        .syntax("[command [command ...]]").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    Spec::new("latency|history", Server, 3, "2.8.13").doc("O(1)", "The samples of an event.")
        .syntax("event").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    Spec::new("latency|latest", Server, 2, "2.8.13").doc("O(1)", "The newest sample and the longest time of each event.")
        .flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    Spec::new("latency|reset", Server, -2, "2.8.13").doc("O(1)", "Forgets the samples of events, or of all.")
        .syntax("[event [event ...]]").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
    Spec::planned("lolwut", Server, -1, "5.0.0").flags(&[Readonly, Fast]),
    Spec::new("memory", Server, -2, "4.0.0").doc("Depends on the subcommand.", "Commands about the memory that keys take."),
    Spec::new("memory|doctor", Server, 2, "4.0.0").doc("O(1)", "Whether anything about memory needs attention.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::new("memory|help", Server, 2, "4.0.0").doc("O(1)", "Lists the subcommands.").flags(&[Loading, Stale]),
    Spec::new("memory|malloc-stats", Server, 2, "4.0.0").doc("O(1)", "What the allocator says, which is nothing.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::new("memory|purge", Server, 2, "4.0.0").doc("O(1)", "Accepted: the allocator gives memory back by itself.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("memory|stats", Server, 2, "4.0.0").doc("O(1)", "What memory is used for, as far as it is known.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::new("memory|usage", Server, -3, "4.0.0")
        .doc("O(N), N parts sampled.", "About how many bytes a key and its value take.")
        .syntax("key [SAMPLES count]").flags(&[Readonly]).keys(&[at(2, &[Ro])]),
    Spec::planned("module", Server, -2, "4.0.0"),
    Spec::planned("module|help", Server, 2, "5.0.0").flags(&[Loading, Stale]),
    Spec::planned("module|list", Server, 2, "4.0.0").flags(&[Admin, NoScript]).tips(&["nondeterministic_output_order"]),
    Spec::planned("module|load", Server, -3, "4.0.0").flags(&[Admin, NoScript, Protected, NoAsyncLoading]),
    Spec::planned("module|loadex", Server, -3, "7.0.0").flags(&[Admin, NoScript, Protected, NoAsyncLoading]),
    Spec::planned("module|unload", Server, 3, "4.0.0").flags(&[Admin, NoScript, Protected, NoAsyncLoading]),
    Spec::new("monitor", Server, 1, "1.0.0").doc("O(N), N connections that monitor, for each command.", "Shows every command of this node's clients as it comes.")
        .flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("psync", Server, -3, "2.8.0").flags(&[Admin, NoScript, NoAsyncLoading, NoMulti]),
    Spec::planned("replconf", Server, -1, "3.0.0").flags(&[Admin, NoScript, Loading, Stale, AllowBusy]),
    Spec::planned("replicaof", Server, 3, "5.0.0").flags(&[Admin, NoScript, Stale, NoAsyncLoading]),
    Spec::planned("restore-asking", Server, -4, "3.0.0").flags(&[Write, DenyOom, Asking])
        .acl(&[Category::Keyspace, Category::Dangerous]).keys(&[at(1, &[Ow, Update])]),
    Spec::new("role", Server, 1, "2.8.12").doc("O(1)", "The node's role in replication: always that of a master without replicas.")
        .flags(&[NoScript, Loading, Stale, Fast])
        .acl(&[Category::Admin, Category::Dangerous]),
    Spec::planned("save", Server, 1, "1.0.0").flags(&[Admin, NoScript, NoAsyncLoading, NoMulti]),
    Spec::planned("shutdown", Server, -1, "1.0.0").flags(&[Admin, NoScript, Loading, Stale, NoMulti, AllowBusy]),
    Spec::planned("slaveof", Server, 3, "1.0.0").flags(&[Admin, NoScript, Stale, NoAsyncLoading]),
    Spec::new("slowlog", Server, -2, "2.2.12").doc("Depends on the subcommand.", "Commands about the commands that took longest."),
    Spec::new("slowlog|get", Server, -2, "2.2.12").doc("O(N), N commands returned.", "The newest slow commands of this node's clients.")
        .syntax("[count]").flags(&[Admin, Loading, Stale])
        .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
    Spec::new("slowlog|help", Server, 2, "6.2.0").doc("O(1)", "Lists the subcommands.")
        .flags(&[Loading, Stale]),
    Spec::new("slowlog|len", Server, 2, "2.2.12").doc("O(1)", "How many slow commands are kept.")
        .flags(&[Admin, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    Spec::new("slowlog|reset", Server, 2, "2.2.12").doc("O(N), N commands kept.", "Forgets the slow commands.")
        .flags(&[Admin, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::new("swapdb", Server, 3, "4.0.0").doc("O(1)", "Lets two databases exchange what they hold.")
        .syntax("index1 index2").flags(&[Write, Fast]).acl(&[Category::Keyspace, Category::Dangerous]),
    Spec::planned("sync", Server, 1, "1.0.0").flags(&[Admin, NoScript, NoAsyncLoading, NoMulti]),
    Spec::new("time", Server, 1, "2.6.0").doc("O(1)", "The server's time in seconds and microseconds.")
        .flags(&[Loading, Stale, Fast]).tips(&["nondeterministic_output"]),
];

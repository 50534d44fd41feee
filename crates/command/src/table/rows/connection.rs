//! Commands about the connection itself.

use crate::table::Spec;
use crate::table::flag::Flag::{Admin, AllowBusy, Fast, Loading, NoAuth, NoScript, Stale};
use crate::table::group::Group::Connection;

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("auth", Connection, -2, "1.0.0").doc("O(1)", "Authenticates the connection; refused until users exist.")
        .syntax("[username] password").flags(&[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]),
    Spec::new("client", Connection, -2, "2.4.0").doc("Depends on the subcommand.", "Commands about client connections.")
        .acl(&[]),
    Spec::planned("client|caching", Connection, 3, "6.0.0").flags(&[NoScript, Loading, Stale]),
    Spec::new("client|getname", Connection, 2, "2.6.9").doc("O(1)", "The name this connection gave itself.")
        .flags(&[NoScript, Loading, Stale]),
    Spec::planned("client|getredir", Connection, 2, "6.0.0").flags(&[NoScript, Loading, Stale]),
    Spec::new("client|help", Connection, 2, "5.0.0").doc("O(1)", "Lists the subcommands.")
        .flags(&[Loading, Stale]),
    Spec::new("client|id", Connection, 2, "5.0.0").doc("O(1)", "The number of this connection.")
        .flags(&[NoScript, Loading, Stale]),
    Spec::new("client|info", Connection, 2, "6.2.0").doc("O(1)", "What the server knows about this connection.")
        .flags(&[NoScript, Loading, Stale]).tips(&["nondeterministic_output"]),
    Spec::new("client|kill", Connection, -3, "2.4.0")
        .doc("O(N), N connections of this node.", "Closes connections chosen by address, number or kind.")
        .syntax("ip:port | [ID id] [TYPE type] [USER name] [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO]")
        .flags(&[Admin, NoScript, Loading, Stale]),
    Spec::new("client|list", Connection, -2, "2.4.0")
        .doc("O(N), N connections of this node.", "One line for each connection of this node.")
        .syntax("[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID id [id ...]]").flags(&[Admin, NoScript, Loading, Stale])
        .tips(&["nondeterministic_output"]),
    Spec::new("client|no-evict", Connection, 3, "7.0.0")
        .doc("O(1)", "Exempts this connection from being closed when memory is short.")
        .syntax("<ON | OFF>").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::new("client|no-touch", Connection, 3, "7.2.0")
        .doc("O(1)", "Lets this connection read keys without refreshing their last access.")
        .syntax("<ON | OFF>").flags(&[NoScript, Loading, Stale]),
    Spec::planned("client|pause", Connection, -3, "3.0.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::new("client|reply", Connection, 3, "3.2.0").doc("O(1)", "Turns replies on, off, or off for the next command.")
        .syntax("<ON | OFF | SKIP>").flags(&[NoScript, Loading, Stale]),
    Spec::new("client|setinfo", Connection, 4, "7.2.0").doc("O(1)", "Records the client library's name or version.")
        .syntax("<lib-name libname | lib-ver libver>").flags(&[NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::new("client|setname", Connection, 3, "2.6.9").doc("O(1)", "Names this connection.")
        .syntax("connection-name").flags(&[NoScript, Loading, Stale])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Spec::planned("client|tracking", Connection, -3, "6.0.0").flags(&[NoScript, Loading, Stale]),
    Spec::planned("client|trackinginfo", Connection, 2, "6.2.0").flags(&[NoScript, Loading, Stale]),
    Spec::new("client|unblock", Connection, -3, "5.0.0").doc("O(log(N)), N connections.", "Ends the wait of a blocked connection.")
        .syntax("client-id [TIMEOUT | ERROR]").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::planned("client|unpause", Connection, 2, "6.2.0").flags(&[Admin, NoScript, Loading, Stale]),
    Spec::new("echo", Connection, 2, "1.0.0").doc("O(1)", "Sends the message back.")
        .syntax("message").flags(&[Loading, Stale, Fast]),
    Spec::new("hello", Connection, -1, "6.0.0").doc("O(1)", "Agrees on a protocol version and introduces the server.")
        .syntax("[protover [AUTH username password] [SETNAME clientname]]")
        .flags(&[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]),
    Spec::new("ping", Connection, -1, "1.0.0").doc("O(1)", "Answers PONG, or the message.")
        .syntax("[message]").flags(&[Fast]).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::new("quit", Connection, -1, "1.0.0").doc("O(1)", "Closes the connection after a last reply.")
        .flags(&[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]).deprecated("7.2.0", "closing the connection"),
    Spec::new("reset", Connection, 1, "6.2.0").doc("O(1)", "Returns the connection to the state in which it was opened.")
        .flags(&[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]),
    Spec::new("select", Connection, 2, "1.0.0").doc("O(1)", "Chooses the database of this connection.")
        .syntax("index").flags(&[Loading, Stale, Fast]),
];

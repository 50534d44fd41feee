//! Channels.

use crate::table::Spec;
use crate::table::flag::Flag::{Fast, Loading, MayReplicate, NoScript, Pubsub, Stale};
use crate::table::group::Group::PubSub;
use crate::table::keyspec::KeyFlag::NotKey;
use crate::table::keyspec::{at, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("psubscribe", PubSub, -2, "2.0.0").doc("O(N), N patterns.", "Hears what is published on channels whose names match patterns.")
        .syntax("pattern [pattern ...]").flags(&[Pubsub, NoScript, Loading, Stale]),
    Spec::new("publish", PubSub, 3, "2.0.0")
        .doc("O(N+M), N subscribers of the channel, M patterns.", "Sends a message to a channel's subscribers on all nodes; answers how many there are on this one.")
        .syntax("channel message").flags(&[Pubsub, Loading, Stale, Fast, MayReplicate]),
    Spec::new("pubsub", PubSub, -2, "2.8.0").doc("Depends on the subcommand.", "Commands about channels.").acl(&[]),
    Spec::new("pubsub|channels", PubSub, -2, "2.8.0").doc("O(N), N channels.", "The channels that have subscribers on this node.")
        .syntax("[pattern]").flags(&[Pubsub, Loading, Stale]),
    Spec::new("pubsub|help", PubSub, 2, "6.2.0").doc("O(1)", "Lists the subcommands.").flags(&[Loading, Stale]),
    Spec::new("pubsub|numpat", PubSub, 2, "2.8.0").doc("O(1)", "How many patterns are subscribed to on this node.")
        .flags(&[Pubsub, Loading, Stale]),
    Spec::new("pubsub|numsub", PubSub, -2, "2.8.0").doc("O(N), N channels asked for.", "How many subscribers channels have on this node.")
        .syntax("[channel [channel ...]]").flags(&[Pubsub, Loading, Stale]),
    Spec::new("pubsub|shardchannels", PubSub, -2, "7.0.0").doc("O(N), N channels.", "The shard channels that have subscribers on this node.")
        .syntax("[pattern]").flags(&[Pubsub, Loading, Stale]),
    Spec::new("pubsub|shardnumsub", PubSub, -2, "7.0.0").doc("O(N), N channels asked for.", "How many subscribers shard channels have on this node.")
        .syntax("[shardchannel [shardchannel ...]]").flags(&[Pubsub, Loading, Stale]),
    Spec::new("punsubscribe", PubSub, -1, "2.0.0").doc("O(N), N patterns.", "Ends subscriptions to patterns, or to all of them.")
        .syntax("[pattern [pattern ...]]").flags(&[Pubsub, NoScript, Loading, Stale]),
    Spec::new("spublish", PubSub, 3, "7.0.0").doc("O(N), N subscribers of the channel.", "Sends a message to a shard channel's subscribers.")
        .syntax("shardchannel message").flags(&[Pubsub, Loading, Stale, Fast, MayReplicate]).keys(&[at(1, &[NotKey])]),
    Spec::new("ssubscribe", PubSub, -2, "7.0.0").doc("O(N), N channels.", "Hears what is published on shard channels.")
        .syntax("shardchannel [shardchannel ...]").flags(&[Pubsub, NoScript, Loading, Stale]).keys(&[span(1, -1, 1, &[NotKey])]),
    Spec::new("subscribe", PubSub, -2, "2.0.0").doc("O(N), N channels.", "Hears what is published on channels.")
        .syntax("channel [channel ...]").flags(&[Pubsub, NoScript, Loading, Stale]),
    Spec::new("sunsubscribe", PubSub, -1, "7.0.0").doc("O(N), N channels.", "Ends subscriptions to shard channels, or to all of them.")
        .syntax("[shardchannel [shardchannel ...]]").flags(&[Pubsub, NoScript, Loading, Stale]).keys(&[span(1, -1, 1, &[NotKey])]),
    Spec::new("unsubscribe", PubSub, -1, "2.0.0").doc("O(N), N channels.", "Ends subscriptions to channels, or to all of them.")
        .syntax("[channel [channel ...]]").flags(&[Pubsub, NoScript, Loading, Stale]),
];

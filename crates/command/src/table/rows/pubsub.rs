//! Channels.

use crate::table::Spec;
use crate::table::flag::Flag::{Fast, Loading, MayReplicate, NoScript, Pubsub, Stale};
use crate::table::group::Group::PubSub;
use crate::table::keyspec::KeyFlag::NotKey;
use crate::table::keyspec::{at, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::planned("psubscribe", PubSub, -2, "2.0.0").flags(&[Pubsub, NoScript, Loading, Stale]),
    Spec::planned("publish", PubSub, 3, "2.0.0").flags(&[Pubsub, Loading, Stale, Fast, MayReplicate]),
    Spec::planned("pubsub", PubSub, -2, "2.8.0"),
    Spec::planned("pubsub|channels", PubSub, -2, "2.8.0").flags(&[Pubsub, Loading, Stale]),
    Spec::planned("pubsub|help", PubSub, 2, "6.2.0").flags(&[Loading, Stale]),
    Spec::planned("pubsub|numpat", PubSub, 2, "2.8.0").flags(&[Pubsub, Loading, Stale]),
    Spec::planned("pubsub|numsub", PubSub, -2, "2.8.0").flags(&[Pubsub, Loading, Stale]),
    Spec::planned("pubsub|shardchannels", PubSub, -2, "7.0.0").flags(&[Pubsub, Loading, Stale]),
    Spec::planned("pubsub|shardnumsub", PubSub, -2, "7.0.0").flags(&[Pubsub, Loading, Stale]),
    Spec::planned("punsubscribe", PubSub, -1, "2.0.0").flags(&[Pubsub, NoScript, Loading, Stale]),
    Spec::planned("spublish", PubSub, 3, "7.0.0").flags(&[Pubsub, Loading, Stale, Fast, MayReplicate]).keys(&[at(1, &[NotKey])]),
    Spec::planned("ssubscribe", PubSub, -2, "7.0.0").flags(&[Pubsub, NoScript, Loading, Stale])
        .keys(&[span(1, -1, 1, &[NotKey])]),
    Spec::planned("subscribe", PubSub, -2, "2.0.0").flags(&[Pubsub, NoScript, Loading, Stale]),
    Spec::planned("sunsubscribe", PubSub, -1, "7.0.0").flags(&[Pubsub, NoScript, Loading, Stale])
        .keys(&[span(1, -1, 1, &[NotKey])]),
    Spec::planned("unsubscribe", PubSub, -1, "2.0.0").flags(&[Pubsub, NoScript, Loading, Stale]),
];

//! One connection that subscribes: what it hears.

use crate::gateway::Client;
use bytes::Bytes;
use cluster::NamespaceId;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a subscription is to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A channel.
    Channel,
    /// Every channel whose name matches.
    Pattern,
    /// A channel that lives where its slot does.
    Shard,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

/// The subscriptions of one connection. The hub changes them, under its lock.
#[derive(Debug)]
pub struct Subscriber {
    /// The connection.
    pub client: Arc<Client>,
    /// The namespace whose channels it hears.
    pub namespace: NamespaceId,
    held: Mutex<[BTreeSet<Bytes>; 3]>,
}

impl Subscriber {
    /// A connection without subscriptions.
    #[must_use]
    pub fn new(client: Arc<Client>, namespace: NamespaceId) -> Subscriber {
        Subscriber { client, namespace, held: Mutex::default() }
    }

    /// The count that replies name: channels and patterns together, or shard channels.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let [channels, patterns, shards] = self.client.subscriptions();
        if kind == Kind::Shard { shards } else { channels + patterns }
    }

    /// Whether it hears anything.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        self.client.subscriptions() != [0; 3]
    }

    /// What it hears of a kind.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<Bytes> {
        self.held.lock()[kind as usize].iter().cloned().collect()
    }

    /// Notes a subscription; false if it is there.
    pub(super) fn add(&self, kind: Kind, name: &Bytes) -> bool {
        let mut held = self.held.lock();
        let added = held[kind as usize].insert(name.clone());
        self.client.set_subscriptions([held[0].len(), held[1].len(), held[2].len()]);
        added
    }

    /// Forgets a subscription; false if it is not there.
    pub(super) fn remove(&self, kind: Kind, name: &Bytes) -> bool {
        let mut held = self.held.lock();
        let removed = held[kind as usize].remove(name);
        self.client.set_subscriptions([held[0].len(), held[1].len(), held[2].len()]);
        removed
    }
}

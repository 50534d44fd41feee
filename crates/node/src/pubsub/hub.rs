//! Who on this node hears what.

use super::{Kind, PushLimits, Subscriber};
use bytes::Bytes;
use cluster::{NamespaceId, Publication};
use command::{Reply, glob};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::Mono;

/// Subscriptions that one connection may hold, about 150 bytes each.
pub const SUBSCRIPTIONS_MAX: usize = 100_000;

/// Bytes of a word up to which it is copied out of the buffer it arrived in.
const OWN_BYTES_MAX: usize = 32 * 1024;

type Subscribers = BTreeMap<u64, Arc<Subscriber>>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Topic {
    kind: Kind,
    namespace: NamespaceId,
    name: Bytes,
}

impl Topic {
    fn of(subscriber: &Subscriber, kind: Kind, name: &Bytes) -> Topic {
        Topic { kind, namespace: subscriber.namespace, name: name.clone() }
    }

    fn first(kind: Kind, namespace: NamespaceId) -> Topic {
        Topic { kind, namespace, name: Bytes::new() }
    }
}

/// The subscriptions of all connections of this node.
#[derive(Debug, Default)]
pub struct Hub {
    topics: RwLock<BTreeMap<Topic, Subscribers>>,
}

impl Hub {
    /// `subscriber` hears `name` from here on. False when it may hear no more.
    #[must_use]
    pub fn subscribe(&self, subscriber: &Arc<Subscriber>, kind: Kind, name: &Bytes) -> bool {
        let name = own(name);
        let mut topics = self.topics.write();
        if subscriber.client.subscriptions().iter().sum::<usize>() >= SUBSCRIPTIONS_MAX {
            return false;
        }
        if subscriber.add(kind, &name) {
            let topic = Topic::of(subscriber, kind, &name);
            topics.entry(topic).or_default().insert(subscriber.client.id, subscriber.clone());
        }
        true
    }

    /// `subscriber` hears `name` no more.
    pub fn unsubscribe(&self, subscriber: &Subscriber, kind: Kind, name: &Bytes) {
        let mut topics = self.topics.write();
        if subscriber.remove(kind, name) {
            remove(&mut topics, &Topic::of(subscriber, kind, name), subscriber.client.id);
        }
    }

    /// `subscriber` hears nothing more.
    pub fn leave(&self, subscriber: &Subscriber) {
        for kind in Kind::ALL {
            subscriber.names(kind).iter().for_each(|name| self.unsubscribe(subscriber, kind, name));
        }
    }

    /// Tells all who hear it, and says how many those are: one that hears it in several ways counts each.
    pub fn publish(&self, what: &Publication, limits: PushLimits, now: Mono) -> usize {
        let topics = self.topics.read();
        if topics.is_empty() {
            return 0;
        }
        let (kind, word) = if what.sharded { (Kind::Shard, "smessage") } else { (Kind::Channel, "message") };
        let mut told = 0;
        let mut owned = None;
        let mut tell = |subscribers: &Subscribers, word: &'static str, pattern: Option<&Bytes>| {
            let (channel, payload) = owned.get_or_insert_with(|| (own(&what.channel), own(&what.payload)));
            let mut message = vec![Reply::Bulk(Bytes::from_static(word.as_bytes()))];
            message.extend(pattern.cloned().map(Reply::Bulk));
            message.extend([Reply::Bulk(channel.clone()), Reply::Bulk(payload.clone())]);
            let message = Arc::new(Reply::Push(message));
            subscribers.values().for_each(|s| s.client.push(&message, limits, now));
            told += subscribers.len();
        };
        let topic = Topic { kind, namespace: what.namespace, name: what.channel.clone() };
        if let Some(subscribers) = topics.get(&topic) {
            tell(subscribers, word, None);
        }
        if !what.sharded {
            let patterns = of_kind(&topics, Kind::Pattern, what.namespace);
            for (pattern, subscribers) in patterns.filter(|(pattern, _)| glob::matches(pattern, &what.channel)) {
                tell(subscribers, "pmessage", Some(pattern));
            }
        }
        told
    }

    /// Ends subscriptions to shard channels that are `elsewhere` by now, and tells those who held them.
    pub fn shed(&self, namespace: NamespaceId, elsewhere: impl Fn(&[u8]) -> bool, limits: PushLimits, now: Mono) {
        let gone: Vec<Bytes> = self.names(Kind::Shard, namespace).into_iter().filter(|name| elsewhere(name)).collect();
        if gone.is_empty() {
            return;
        }
        let mut topics = self.topics.write();
        for name in gone {
            let topic = Topic { kind: Kind::Shard, namespace, name: name.clone() };
            for subscriber in topics.remove(&topic).unwrap_or_default().into_values() {
                subscriber.remove(Kind::Shard, &name);
                let message = confirmation("sunsubscribe", Some(&name), subscriber.count(Kind::Shard));
                subscriber.client.push(&Arc::new(message), limits, now);
            }
        }
    }

    /// Names with subscribers on this node.
    #[must_use]
    pub fn names(&self, kind: Kind, namespace: NamespaceId) -> Vec<Bytes> {
        of_kind(&self.topics.read(), kind, namespace).map(|(name, _)| name.clone()).collect()
    }

    /// How many names of a kind have subscribers on this node.
    #[must_use]
    pub fn count(&self, kind: Kind, namespace: NamespaceId) -> usize {
        of_kind(&self.topics.read(), kind, namespace).count()
    }

    /// How many subscribers a name has on this node.
    #[must_use]
    pub fn subscribers(&self, kind: Kind, namespace: NamespaceId, name: &Bytes) -> usize {
        let topic = Topic { kind, namespace, name: name.clone() };
        self.topics.read().get(&topic).map_or(0, Subscribers::len)
    }
}

/// What a connection is told about a subscription that began or ended.
#[must_use]
pub fn confirmation(word: &'static str, name: Option<&Bytes>, count: usize) -> Reply {
    let name = name.map_or(Reply::Null, |name| Reply::Bulk(name.clone()));
    Reply::Push(vec![Reply::Bulk(Bytes::from_static(word.as_bytes())), name, Reply::Integer(count as i64)])
}

/// The bytes without those they arrived with: a small message that waits long must not keep a large buffer.
fn own(bytes: &Bytes) -> Bytes {
    if bytes.len() < OWN_BYTES_MAX { Bytes::copy_from_slice(bytes) } else { bytes.clone() }
}

fn of_kind(
    topics: &BTreeMap<Topic, Subscribers>,
    kind: Kind,
    namespace: NamespaceId,
) -> impl Iterator<Item = (&Bytes, &Subscribers)> {
    let from_here = topics.range(Topic::first(kind, namespace)..);
    let these = from_here.take_while(move |(topic, _)| (topic.kind, topic.namespace) == (kind, namespace));
    these.map(|(topic, subscribers)| (&topic.name, subscribers))
}

fn remove(topics: &mut BTreeMap<Topic, Subscribers>, topic: &Topic, client: u64) {
    if let Some(subscribers) = topics.get_mut(topic) {
        subscribers.remove(&client);
        if subscribers.is_empty() {
            topics.remove(topic);
        }
    }
}

//! The records of consumer groups.

use crate::records::damaged;
use crate::reply::{Outcome, Stop};
use crate::streams::id::Id;
use bytes::Bytes;
use stdx::codec::{Put, Reader};

/// A consumer group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::streams) struct Group {
    /// Unique in the shard: what the keys of its consumers and pending entries begin with.
    pub(in crate::streams) number: u64,
    /// The last entry it has delivered.
    pub(in crate::streams) last: Id,
    /// Its first pending entry; zero when there is none.
    pub(in crate::streams) first_pending: Id,
    /// Entries it has delivered, where that is known.
    pub(in crate::streams) read: Option<u64>,
    /// Pending entries.
    pub(in crate::streams) pending: u64,
    /// Consumers.
    pub(in crate::streams) consumers: u64,
}

/// A consumer of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::streams) struct Consumer {
    /// Unique in the shard.
    pub(in crate::streams) number: u64,
    /// When it last asked for entries, milliseconds since the epoch.
    pub(in crate::streams) seen_ms: u64,
    /// When it last got some.
    pub(in crate::streams) active_ms: Option<u64>,
    /// Pending entries.
    pub(in crate::streams) pending: u64,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::streams) struct Pending {
    /// When it was last delivered, milliseconds since the epoch.
    pub(in crate::streams) delivered_ms: u64,
    /// How often.
    pub(in crate::streams) count: u64,
    /// The consumer's name.
    pub(in crate::streams) consumer: Bytes,
}

/// Stands for a consumer that never got an entry.
const NEVER_ACTIVE: u64 = u64::MAX;

fn fixed(reader: &mut Reader) -> Option<u64> {
    Some(reader.take(8).ok()?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

fn id(reader: &mut Reader) -> Option<Id> {
    Id::of_bytes(&reader.take(16).ok()?)
}

fn whole<T>(value: Option<T>) -> Outcome<T> {
    value.ok_or_else(|| Stop::Engine(damaged("a record of a consumer group cut short")))
}

impl Group {
    pub(in crate::streams) fn decode(value: &Bytes) -> Outcome<Group> {
        let r = &mut Reader::new(value.clone());
        let mut read = || {
            let (number, last, first_pending) = (fixed(r)?, id(r)?, id(r)?);
            let (read, pending, consumers) = (r.varint().ok()?, r.varint().ok()?, r.varint().ok()?);
            Some(Group { number, last, first_pending, read: read.checked_sub(1), pending, consumers })
        };
        whole(read())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.number.to_be_bytes().to_vec();
        out.extend_from_slice(&self.last.bytes());
        out.extend_from_slice(&self.first_pending.bytes());
        out.put_varint(self.read.map_or(0, |n| n.saturating_add(1)));
        out.put_varint(self.pending);
        out.put_varint(self.consumers);
        out
    }
}

impl Consumer {
    pub(super) fn decode(value: &Bytes) -> Outcome<Consumer> {
        let r = &mut Reader::new(value.clone());
        let mut read = || {
            let (number, seen_ms, active_ms) = (fixed(r)?, fixed(r)?, fixed(r)?);
            let active_ms = (active_ms != NEVER_ACTIVE).then_some(active_ms);
            Some(Consumer { number, seen_ms, active_ms, pending: r.varint().ok()? })
        };
        whole(read())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.number.to_be_bytes().to_vec();
        out.extend_from_slice(&self.seen_ms.to_be_bytes());
        out.extend_from_slice(&self.active_ms.unwrap_or(NEVER_ACTIVE).to_be_bytes());
        out.put_varint(self.pending);
        out
    }
}

impl Pending {
    pub(super) fn decode(value: &Bytes) -> Outcome<Pending> {
        let r = &mut Reader::new(value.clone());
        let mut read = || {
            let (delivered_ms, count) = (fixed(r)?, r.varint().ok()?);
            Some(Pending { delivered_ms, count, consumer: r.take(r.remaining()).ok()? })
        };
        whole(read())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.delivered_ms.to_be_bytes().to_vec();
        out.put_varint(self.count);
        out.extend_from_slice(&self.consumer);
        out
    }

    /// How long ago it was delivered, milliseconds.
    pub(super) fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.delivered_ms)
    }
}

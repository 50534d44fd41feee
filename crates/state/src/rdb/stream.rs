//! Streams. Entries lie in nodes of some hundred, each a listpack under the ID of its first entry, from which those of the others are
//! counted; the fields of the first entry stand in front, so that entries with the same fields need only their values:
//!
//! ```text
//! node     16 bytes of ID | entries, deleted, fields, field…, 0 | entry…
//! entry    flags, ms, seq (both from the node's ID) | fields, field, value… or only value… | how many words this is
//! stream   nodes | entries, last ID, first ID, greatest deleted ID, entries added | groups
//! group    name, last delivered ID, entries read | pending: ID, time, deliveries… | consumers: name, seen, active, ID…
//! ```
//!
//! Redis 5 writes neither the numbers behind the last ID nor entries read, and only 7.2 writes when a consumer was active.

use super::listpack::Listpack;
use super::reader::{Read, Reader};
use super::writer::{put_length, put_string};
use super::{Malformed, packed};
use crate::ctx::EFFECT_BYTES;
use crate::streams::Id;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A stream with its groups.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stream {
    /// Entries in order: their IDs, fields and values in turn.
    pub entries: Vec<(Id, Vec<Bytes>)>,
    /// The last ID ever given.
    pub last: Id,
    /// The greatest ID that was deleted.
    pub max_deleted: Id,
    /// Entries ever added.
    pub added: u64,
    /// Groups, whose names differ.
    pub groups: Vec<Group>,
}

/// A consumer group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: Bytes,
    /// The last entry delivered.
    pub last: Id,
    /// Entries delivered, where that is known.
    pub read: Option<u64>,
    /// Consumers, whose names differ.
    pub consumers: Vec<Consumer>,
}

/// A consumer of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Consumer {
    /// Its name.
    pub name: Bytes,
    /// When it last asked for entries, milliseconds since the epoch.
    pub seen_ms: u64,
    /// When it last got some.
    pub active_ms: Option<u64>,
    /// Its pending entries in order.
    pub pending: Vec<Pending>,
}

/// An entry that waits to be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pending {
    /// The entry's ID.
    pub id: Id,
    /// When it was last delivered, milliseconds since the epoch.
    pub delivered_ms: u64,
    /// How often.
    pub count: u64,
}

/// How much of a stream is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(super) enum Form {
    /// That of Redis 5.
    First,
    /// That of Redis 7.0.
    Counted,
    /// That of Redis 7.2.
    Active,
}

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Entries of a node at most, as in Redis.
const NODE_ENTRIES: usize = 100;

/// Bytes after which a node takes no further entry, as in Redis.
const NODE_BYTES: usize = 4096;

/// What a pending entry, or a consumer, costs once it is restored, bytes.
const MEMBER_BYTES: usize = 4 * EFFECT_BYTES as usize;

// Reading.
impl Stream {
    pub(super) fn read(reader: &mut Reader, form: Form) -> Read<Stream> {
        let mut stream = Stream::default();
        for _ in 0..reader.count()? {
            let master = reader.string()?;
            let master = Id::of_bytes(&master).ok_or(Malformed::Value)?;
            let words = reader.packed(packed::listpack)?;
            Node { master, words: words.into_iter() }.read(reader, &mut stream.entries)?;
        }
        let count = reader.count()?;
        stream.last = id(reader)?;
        if form >= Form::Counted {
            let _first = id(reader)?;
            stream.max_deleted = id(reader)?;
            stream.added = reader.count()?;
        } else {
            stream.added = count;
        }
        if count != stream.entries.len() as u64 {
            return Err(Malformed::Value);
        }
        for _ in 0..reader.count()? {
            let mut group = Group::read(reader, form)?;
            if form == Form::First {
                group.read = stream.read_up_to(group.last);
            }
            stream.groups.push(group);
        }
        Ok(stream)
    }

    /// How many entries of a stream whose deletions nobody counted were read up to an ID, where that can be said.
    fn read_up_to(&self, id: Id) -> Option<u64> {
        match (self.entries.first(), id) {
            (_, id) if id == self.last => Some(self.added),
            (_, id) if id > self.last => None,
            (None, _) => Some(self.added),
            (Some((first, _)), id) if id < *first => Some(0),
            (Some((first, _)), id) if id == *first => Some(1),
            _ => None,
        }
    }

    /// Whether IDs increase, and nothing is named twice.
    pub(super) fn is_sound(&self) -> bool {
        let increase = self.entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let last = self.entries.last().is_none_or(|(id, _)| *id <= self.last);
        let first = self.entries.first().is_none_or(|(id, _)| *id > Id::MIN);
        let names: BTreeSet<_> = self.groups.iter().map(|g| &g.name).collect();
        increase && last && first && self.added >= self.entries.len() as u64 && names.len() == self.groups.len()
    }
}

/// The words of a node.
struct Node {
    master: Id,
    words: std::vec::IntoIter<Bytes>,
}

impl Node {
    fn word(&mut self) -> Read<Bytes> {
        self.words.next().ok_or(Malformed::Value)
    }

    fn number(&mut self) -> Read<i64> {
        let word = self.word()?;
        std::str::from_utf8(&word).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Value)
    }

    /// A number of words that follow, which cannot be more than there are.
    fn count(&mut self) -> Read<usize> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed::Value)?;
        if count > self.words.len() { Err(Malformed::Value) } else { Ok(count) }
    }

    fn read(mut self, reader: &mut Reader, entries: &mut Vec<(Id, Vec<Bytes>)>) -> Read<()> {
        let (mut living, mut deleted) = (self.count()?, self.count()?);
        let fields = self.count()?;
        let fields = (0..fields).map(|_| self.word()).collect::<Read<Vec<_>>>()?;
        if self.number()? != 0 {
            return Err(Malformed::Value);
        }
        while self.words.len() > 0 {
            let flags = self.number()?;
            let (ms, seq) = (self.number()? as u64, self.number()? as u64);
            let id = Id::new(self.master.ms().wrapping_add(ms), self.master.seq().wrapping_add(seq));
            let mut words = Vec::new();
            let expected = if flags & SAME_FIELDS != 0 {
                for field in &fields {
                    words.extend([field.clone(), self.word()?]);
                }
                3 + fields.len()
            } else {
                let count = self.count()?.checked_mul(2).ok_or(Malformed::Value)?;
                for _ in 0..count {
                    words.push(self.word()?);
                }
                4 + count
            };
            if usize::try_from(self.number()?) != Ok(expected) {
                return Err(Malformed::Value);
            }
            let left = if flags & DELETED == 0 { &mut living } else { &mut deleted };
            *left = left.checked_sub(1).ok_or(Malformed::Value)?;
            if flags & DELETED != 0 {
                continue;
            }
            // Fields that stand once in the node stand in each entry here.
            reader.charge(words.iter().map(|w| w.len() + 4).sum::<usize>() + EFFECT_BYTES as usize)?;
            entries.push((id, words));
        }
        if living == 0 && deleted == 0 { Ok(()) } else { Err(Malformed::Value) }
    }
}

impl Group {
    fn read(reader: &mut Reader, form: Form) -> Read<Group> {
        let name = reader.string()?;
        reader.charge(name.len() + MEMBER_BYTES)?;
        let last = id(reader)?;
        // Unknown is the greatest number.
        let read = if form >= Form::Counted { Some(reader.count()?).filter(|n| *n != u64::MAX) } else { None };
        let mut pending = BTreeMap::new();
        for _ in 0..reader.count()? {
            reader.charge(MEMBER_BYTES)?;
            let id = Id::of_bytes(&reader.take(16)?).ok_or(Malformed::Value)?;
            let entry = Pending { id, delivered_ms: reader.fixed()?, count: reader.count()? };
            if pending.insert(id, entry).is_some() {
                return Err(Malformed::Value);
            }
        }
        let mut group = Group { name, last, read, consumers: Vec::new() };
        let mut names = BTreeSet::new();
        for _ in 0..reader.count()? {
            let consumer = Consumer::read(reader, form, &mut pending)?;
            if !names.insert(consumer.name.clone()) {
                return Err(Malformed::Value);
            }
            group.consumers.push(consumer);
        }
        // Each pending entry is somebody's.
        if pending.is_empty() { Ok(group) } else { Err(Malformed::Value) }
    }
}

impl Consumer {
    fn read(reader: &mut Reader, form: Form, pending: &mut BTreeMap<Id, Pending>) -> Read<Consumer> {
        let name = reader.string()?;
        reader.charge(name.len() + MEMBER_BYTES)?;
        let seen_ms = reader.fixed()?;
        let active_ms = if form >= Form::Active { reader.fixed()? } else { seen_ms };
        let mut own = BTreeMap::new();
        for _ in 0..reader.count()? {
            let id = Id::of_bytes(&reader.take(16)?).ok_or(Malformed::Value)?;
            reader.charge(name.len())?;
            own.insert(id, pending.remove(&id).ok_or(Malformed::Value)?);
        }
        let active_ms = Some(active_ms).filter(|at| *at != u64::MAX);
        Ok(Consumer { name, seen_ms, active_ms, pending: own.into_values().collect() })
    }
}

/// An ID as two lengths.
fn id(reader: &mut Reader) -> Read<Id> {
    Ok(Id::new(reader.count()?, reader.count()?))
}

// Writing, in the form of Redis 7.2.
impl Stream {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let nodes = self.nodes();
        put_length(out, nodes.len() as u64);
        for (master, node) in nodes {
            put_string(out, &master.bytes());
            put_string(out, &node);
        }
        put_length(out, self.entries.len() as u64);
        let first = self.entries.first().map_or(Id::MIN, |(id, _)| *id);
        for id in [self.last, first, self.max_deleted] {
            put_id(out, id);
        }
        put_length(out, self.added);
        put_length(out, self.groups.len() as u64);
        for group in &self.groups {
            group.write(out);
        }
    }

    fn nodes(&self) -> Vec<(Id, Vec<u8>)> {
        let mut nodes = Vec::new();
        let mut rest = &self.entries[..];
        while let Some((master, words)) = rest.first() {
            let mut bytes = 0;
            let fits = |(_, words): &&(Id, Vec<Bytes>)| {
                let before = bytes;
                bytes += words.iter().map(Bytes::len).sum::<usize>();
                before == 0 || bytes < NODE_BYTES
            };
            let count = rest.iter().take(NODE_ENTRIES).take_while(fits).count().max(1);
            let fields: Vec<&Bytes> = words.iter().step_by(2).collect();
            let mut node = Listpack::new();
            for n in [count, 0, fields.len()] {
                node.integer(n as i64);
            }
            fields.iter().for_each(|field| node.string(field));
            node.integer(0);
            for (id, words) in &rest[..count] {
                write_entry(&mut node, *master, &fields, *id, words);
            }
            nodes.push((*master, node.finish()));
            rest = &rest[count..];
        }
        nodes
    }
}

fn write_entry(node: &mut Listpack, master: Id, fields: &[&Bytes], id: Id, words: &[Bytes]) {
    let same = words.iter().step_by(2).eq(fields.iter().copied());
    node.integer(if same { SAME_FIELDS } else { 0 });
    node.integer(id.ms().wrapping_sub(master.ms()) as i64);
    node.integer(id.seq().wrapping_sub(master.seq()) as i64);
    if same {
        words.iter().skip(1).step_by(2).for_each(|value| node.string(value));
        node.integer(3 + fields.len() as i64);
    } else {
        node.integer(words.len() as i64 / 2);
        words.iter().for_each(|word| node.string(word));
        node.integer(4 + words.len() as i64);
    }
}

impl Group {
    fn write(&self, out: &mut Vec<u8>) {
        put_string(out, &self.name);
        put_id(out, self.last);
        put_length(out, self.read.unwrap_or(u64::MAX));
        let mut pending: Vec<_> = self.consumers.iter().flat_map(|c| &c.pending).collect();
        pending.sort_by_key(|p| p.id);
        put_length(out, pending.len() as u64);
        for p in pending {
            out.extend_from_slice(&p.id.bytes());
            out.extend_from_slice(&p.delivered_ms.to_le_bytes());
            put_length(out, p.count);
        }
        put_length(out, self.consumers.len() as u64);
        for consumer in &self.consumers {
            put_string(out, &consumer.name);
            out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
            out.extend_from_slice(&consumer.active_ms.unwrap_or(u64::MAX).to_le_bytes());
            put_length(out, consumer.pending.len() as u64);
            for p in &consumer.pending {
                out.extend_from_slice(&p.id.bytes());
            }
        }
    }
}

fn put_id(out: &mut Vec<u8>, id: Id) {
    put_length(out, id.ms());
    put_length(out, id.seq());
}

//! Keys of records: building them, and reading back what they hold.

use super::{Kind, System, key_hash};
use bytes::Bytes;
use command::slot_of;
use smallvec::SmallVec;

/// A record's key on the stack; keys of usual length need no allocation.
pub type KeyBuf = SmallVec<[u8; 64]>;

/// Kind, keyspace, slot and hash come before a user key.
const META_HEADER: usize = 1 + 4 + 2 + 4;
/// An expiry record's key is its kind and its time before the rest of the META key.
const EXPIRY_HEADER: usize = 1 + 8;

/// A user key located in a database: the key of its META record, computed once per command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    db: u16,
    record: KeyBuf,
}

impl Name {
    /// Locates `user` in database `db`, whose keys live in `keyspace`.
    #[must_use]
    pub fn new(db: u16, keyspace: u32, user: &[u8]) -> Name {
        let mut record = KeyBuf::new();
        record.push(Kind::Meta as u8);
        record.extend_from_slice(&keyspace.to_be_bytes());
        record.extend_from_slice(&slot_of(user).0.to_be_bytes());
        record.extend_from_slice(&key_hash(user).to_be_bytes());
        record.extend_from_slice(user);
        Name { db, record }
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> u16 {
        self.db
    }

    /// The META record's key.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// The key as the client knows it.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        &self.record[META_HEADER..]
    }

    /// The keyspace it lies in.
    #[must_use]
    pub fn keyspace(&self) -> u32 {
        u32_at(&self.record, 1)
    }

    /// Its cluster slot.
    #[must_use]
    pub fn slot(&self) -> u16 {
        u16_at(&self.record, 5)
    }

    /// The key of its record in the expiry index, for an expiry at `expire_ms`.
    #[must_use]
    pub fn expiry_key(&self, expire_ms: u64) -> KeyBuf {
        expiry_key(expire_ms, &self.record[1..])
    }
}

/// What a sub-record holds, one byte after the version: it lets one collection have several orders. Persisted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Part {
    /// A hash field, a set member, or a sorted set's member with its score: `hash of name u32 | name`.
    Member = 0x01,
    /// A list element: `index u64`, from 2^63 growing both ways.
    Element = 0x02,
    /// A sorted set's order: `score u64, order-preserving | member`, empty value.
    Score = 0x03,
    /// A stream entry: `ms u64 | seq u64`.
    Entry = 0x04,
    /// A stream's consumer group: `name`.
    Group = 0x05,
    /// A consumer of a group: `group u64 | name`.
    Consumer = 0x06,
    /// A pending entry of a group: `group u64 | ms u64 | seq u64`.
    Pending = 0x07,
    /// A fragment of a string (bitmaps): `number u32`.
    Fragment = 0x08,
    /// How many of a sorted set's entries lie from a place on: `score u64 | member`, as a [`Part::Score`].
    Block = 0x09,
    /// A pending entry by its consumer: `group u64 | consumer u64 | ms u64 | seq u64`, empty value.
    Owned = 0x0a,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

/// The smallest key greater than every key that starts with `prefix`; empty when there is none.
#[must_use]
pub fn successor(prefix: &[u8]) -> KeyBuf {
    let mut out = KeyBuf::from_slice(prefix);
    while let Some(last) = out.pop() {
        if last < u8::MAX {
            out.push(last + 1);
            break;
        }
    }
    out
}

/// The key of one of the shard's own numbers.
#[must_use]
pub fn system_key(which: System) -> [u8; 2] {
    [Kind::System as u8, which as u8]
}

/// The key of the record that maps database `db` to its keyspace.
#[must_use]
pub fn directory_key(db: u16) -> [u8; 3] {
    let db = db.to_be_bytes();
    [Kind::Directory as u8, db[0], db[1]]
}

/// All records of the directory.
#[must_use]
pub fn directory_range() -> ([u8; 1], [u8; 1]) {
    ([Kind::Directory as u8], [Kind::Directory as u8 + 1])
}

/// The key of a count. `slot` is `None` where a keyspace is counted as a whole.
#[must_use]
pub fn count_key(keyspace: u32, slot: Option<u16>) -> [u8; 7] {
    let (k, s) = (keyspace.to_be_bytes(), slot.unwrap_or(u16::MAX).to_be_bytes());
    [Kind::Count as u8, k[0], k[1], k[2], k[3], s[0], s[1]]
}

/// All counts of a keyspace.
#[must_use]
pub fn count_range(keyspace: u32) -> (KeyBuf, KeyBuf) {
    keyspace_range(Kind::Count, keyspace)
}

fn keyspace_range(kind: Kind, keyspace: u32) -> (KeyBuf, KeyBuf) {
    let mut start = KeyBuf::new();
    start.push(kind as u8);
    start.extend_from_slice(&keyspace.to_be_bytes());
    let end = successor(&start);
    (start, end)
}

/// META records of a keyspace from a SCAN position (`slot << 32 | hash`) on.
#[must_use]
pub fn meta_range(keyspace: u32, position: u64) -> (KeyBuf, KeyBuf) {
    let (mut start, end) = keyspace_range(Kind::Meta, keyspace);
    if position >= u64::from(u16::MAX) << 32 {
        return (end.clone(), end);
    }
    start.extend_from_slice(&((position >> 32) as u16).to_be_bytes());
    start.extend_from_slice(&(position as u32).to_be_bytes());
    (start, end)
}

/// The SCAN position of a META record: `slot << 32 | hash`.
#[must_use]
pub fn meta_position(record: &[u8]) -> u64 {
    u64::from(u16_at(record, 5)) << 32 | u64::from(u32_at(record, 7))
}

/// The user key inside a META record's key; empty when the record's key is too short to be one.
#[must_use]
pub fn user_key_of_meta(record: &[u8]) -> &[u8] {
    record.get(META_HEADER..).unwrap_or_default()
}

/// The key of an expiry record: `locator` is a META key without its kind.
#[must_use]
pub fn expiry_key(expire_ms: u64, locator: &[u8]) -> KeyBuf {
    let mut out = expiry_start(expire_ms);
    out.extend_from_slice(locator);
    out
}

/// Where the expiry records of `expire_ms` and later begin.
#[must_use]
pub fn expiry_start(expire_ms: u64) -> KeyBuf {
    let mut out = KeyBuf::new();
    out.push(Kind::Expiry as u8);
    out.extend_from_slice(&expire_ms.to_be_bytes());
    out
}

/// The time and the locator inside an expiry record's key; `None` when it is too short.
#[must_use]
pub fn locator_of_expiry(key: &[u8]) -> Option<(u64, &[u8])> {
    let locator = key.get(EXPIRY_HEADER..).filter(|l| l.len() >= META_HEADER - 1)?;
    let time = key[1..EXPIRY_HEADER].iter().fold(0, |v, b| (v << 8) | u64::from(*b));
    Some((time, locator))
}

/// The name a locator stands for, in database `db`.
#[must_use]
pub fn meta_of_locator(db: u16, locator: &[u8]) -> Name {
    let mut record = KeyBuf::new();
    record.push(Kind::Meta as u8);
    record.extend_from_slice(locator);
    Name { db, record }
}

/// What all sub-records of one collection start with.
#[must_use]
pub fn sub_prefix(keyspace: u32, home: u16, version: u64) -> KeyBuf {
    let mut out = KeyBuf::new();
    out.push(Kind::Sub as u8);
    out.extend_from_slice(&keyspace.to_be_bytes());
    out.extend_from_slice(&home.to_be_bytes());
    out.extend_from_slice(&version.to_be_bytes());
    out
}

/// The key of one sub-record: a part of a collection under its suffix.
#[must_use]
pub fn sub_key(prefix: &[u8], part: Part, suffix: &[&[u8]]) -> KeyBuf {
    let mut out = KeyBuf::from_slice(prefix);
    out.push(part as u8);
    for piece in suffix {
        out.extend_from_slice(piece);
    }
    out
}

/// All sub-records of a keyspace.
#[must_use]
pub fn sub_range(keyspace: u32) -> (KeyBuf, KeyBuf) {
    keyspace_range(Kind::Sub, keyspace)
}

/// All sub-records of one collection.
#[must_use]
pub fn collection_range(prefix: &[u8]) -> (KeyBuf, KeyBuf) {
    (KeyBuf::from_slice(prefix), successor(prefix))
}

/// The key of a script, by the SHA-1 of its body.
#[must_use]
pub fn script_key(sha: [u8; 20]) -> [u8; 21] {
    let mut out = [Kind::Script as u8; 21];
    out[1..].copy_from_slice(&sha);
    out
}

/// All scripts.
#[must_use]
pub fn script_range() -> ([u8; 1], [u8; 1]) {
    ([Kind::Script as u8], [Kind::Script as u8 + 1])
}

// The second byte of a library key. Persisted.
const LIBRARY: u8 = 0x01;
const FUNCTION: u8 = 0x02;

/// The key of a library of functions.
#[must_use]
pub fn library_key(name: &[u8]) -> Bytes {
    [&[Kind::Library as u8, LIBRARY], name].concat().into()
}

/// All libraries of functions; their names follow the first key.
#[must_use]
pub fn library_range() -> ([u8; 2], [u8; 2]) {
    ([Kind::Library as u8, LIBRARY], [Kind::Library as u8, LIBRARY + 1])
}

/// The key under which the library of a function is found, in whatever case the function is called.
#[must_use]
pub fn function_key(name: &[u8]) -> Bytes {
    [&[Kind::Library as u8, FUNCTION], name.to_ascii_lowercase().as_slice()].concat().into()
}

// The second byte of a garbage key. Persisted.
const GARBAGE_KEYSPACE: u8 = 0x01;
const GARBAGE_COLLECTION: u8 = 0x02;
const GARBAGE_SPAN: u8 = 0x03;

/// Says that everything of `keyspace` is to be deleted. Empty value.
#[must_use]
pub fn garbage_keyspace(keyspace: u32) -> Bytes {
    let mut out = vec![Kind::Garbage as u8, GARBAGE_KEYSPACE];
    out.extend_from_slice(&keyspace.to_be_bytes());
    out.into()
}

/// Says that the collection whose sub-records start with `prefix` is to be deleted. Empty value.
#[must_use]
pub fn garbage_collection(prefix: &[u8]) -> Bytes {
    let mut out = vec![Kind::Garbage as u8, GARBAGE_COLLECTION];
    out.extend_from_slice(&prefix[1..]);
    out.into()
}

/// Says that the sub-records from the key `start` on are to be deleted; the value is the key where that ends. Nobody reads
/// or writes a record of the span again.
#[must_use]
pub fn garbage_span(start: &[u8]) -> Bytes {
    let mut out = vec![Kind::Garbage as u8, GARBAGE_SPAN];
    out.extend_from_slice(&start[1..]);
    out.into()
}

/// All garbage records, and what one of them asks for.
#[must_use]
pub fn garbage_range() -> ([u8; 1], [u8; 1]) {
    ([Kind::Garbage as u8], [Kind::Garbage as u8 + 1])
}

/// Keyspace, home slot and version: what a sub-record's key begins with after its kind, bytes.
const SUB_LOCATOR: usize = 4 + 2 + 8;

/// The key of a sub-record, or a prefix of one, from what follows its kind.
fn sub_record(rest: &[u8]) -> KeyBuf {
    let mut key = KeyBuf::new();
    key.push(Kind::Sub as u8);
    key.extend_from_slice(rest);
    key
}

/// What a garbage record asks to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Garbage {
    /// Everything of a keyspace.
    Keyspace(u32),
    /// The sub-records that start with this prefix.
    Collection(KeyBuf),
    /// The sub-records from this key on, up to the one that the record's value names.
    Span(KeyBuf),
}

impl Garbage {
    /// Reads a garbage record's key; `None` when it is not one.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Option<Garbage> {
        let rest = key.get(2..)?;
        match (key[1], rest.len()) {
            (GARBAGE_KEYSPACE, 4) => Some(Garbage::Keyspace(u32_at(rest, 0))),
            (GARBAGE_COLLECTION, SUB_LOCATOR) => Some(Garbage::Collection(sub_record(rest))),
            (GARBAGE_SPAN, SUB_LOCATOR..) => Some(Garbage::Span(sub_record(rest))),
            _ => None,
        }
    }
}

//! A stream as its META record describes it, and its entries.

use super::id::Id;
use crate::ctx::{Ctx, owned, typed};
use crate::packed;
use crate::records::{self, Flags, Head, Home, KeyBuf, Name, Part, Record, Type, damaged};
use crate::reply::{Outcome, Stop};
use bytes::Bytes;
use std::ops::ControlFlow;
use stdx::codec::{Put, Reader};

/// What a stream knows of its entries.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Meta {
    /// Entries.
    pub(super) count: u64,
    /// The last ID ever given, whether its entry is still there or not.
    pub(super) last: Id,
    /// The first entry's; zero when there is none. Records of entries before it wait for background deletion.
    pub(super) first: Id,
    /// The greatest ID that XDEL removed.
    pub(super) max_deleted: Id,
    /// Entries that were ever added.
    pub(super) added: u64,
}

impl Meta {
    fn decode(body: Bytes) -> Outcome<Meta> {
        let mut reader = Reader::new(body);
        let mut read = || {
            let count = reader.varint().ok()?;
            let mut id = || Id::of_bytes(&reader.take(16).ok()?);
            let (last, first, max_deleted) = (id()?, id()?, id()?);
            Some(Meta { count, last, first, max_deleted, added: reader.varint().ok()? })
        };
        read().ok_or_else(|| Stop::Engine(damaged("a stream without its IDs")))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.count);
        for id in [self.last, self.first, self.max_deleted] {
            out.extend_from_slice(&id.bytes());
        }
        out.put_varint(self.added);
    }

    /// Whether an entry that XDEL removed lies at `from` or after it.
    pub(super) fn has_holes_from(&self, from: Id) -> bool {
        self.count > 0 && self.max_deleted != Id::MIN && self.first <= self.max_deleted && from <= self.max_deleted
    }

    /// How many entries were ever added up to an ID, where that can be said: for the last one, the first one if nothing
    /// behind it was deleted, and those before it.
    pub(super) fn added_up_to(&self, id: Id) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if id == self.last || (self.count == 0 && id < self.last) {
            return Some(self.added);
        }
        if id > self.last || (self.max_deleted != Id::MIN && self.max_deleted >= self.first) {
            return None;
        }
        let before_first = self.added.wrapping_sub(self.count);
        match id {
            id if id < self.first => Some(before_first),
            id if id == self.first => Some(before_first.wrapping_add(1)),
            _ => None,
        }
    }
}

/// A stream that is read or changed. Its META record is written by `commit`.
pub(super) struct Stream {
    name: Name,
    old: Option<Record>,
    home: Home,
    /// What all its sub-records start with.
    prefix: KeyBuf,
    pub(super) meta: Meta,
    /// Whether it takes the place of what was there, of whatever type.
    replaces: bool,
}

impl Stream {
    /// The stream under `user` for a command that only reads; `None` when the key is absent.
    pub(super) fn read(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Option<Stream>> {
        let name = ctx.name(user)?;
        ctx.read(&name)?.map(|record| Stream::of(name, record)).transpose()
    }

    /// The stream under `user` for a command that may change it; `None` when the key is absent.
    pub(super) fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Option<Stream>> {
        let name = ctx.name(user)?;
        ctx.open(&name)?.map(|record| Stream::of(name, record)).transpose()
    }

    /// A stream without entries for the key `user`, which is absent, or whatever it holds is replaced.
    pub(super) fn create(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Stream> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?;
        let home = Home { slot: name.slot(), version: ctx.txn()?.allocate_version()? };
        let prefix = records::sub_prefix(name.keyspace(), home.slot, home.version);
        Ok(Stream { name, old, home, prefix, meta: Meta::default(), replaces: true })
    }

    /// The stream that a record holds.
    pub(super) fn of(name: Name, record: Record) -> Outcome<Stream> {
        let record = typed(record, Type::Stream)?;
        let home = record.home()?.ok_or_else(|| damaged("a stream without a home"))?;
        let prefix = records::sub_prefix(name.keyspace(), home.slot, home.version);
        let meta = Meta::decode(record.body.slice(Home::LEN..))?;
        Ok(Stream { name, old: Some(record), home, prefix, meta, replaces: false })
    }

    /// The key of one of its sub-records, or what some of them start with.
    pub(super) fn key(&self, part: Part, suffix: &[&[u8]]) -> KeyBuf {
        records::sub_key(&self.prefix, part, suffix)
    }

    fn entry_key(&self, id: Id) -> KeyBuf {
        self.key(Part::Entry, &[&id.bytes()])
    }

    /// The words of an entry, fields and values in turn.
    pub(super) fn entry(&self, ctx: &Ctx<'_>, id: Id) -> Outcome<Option<Vec<Bytes>>> {
        Ok(self.stored(ctx, id)?.map(|value| packed::decode(&value)).transpose()?)
    }

    /// Whether there is an entry with this ID.
    pub(super) fn holds(&self, ctx: &Ctx<'_>, id: Id) -> Outcome<bool> {
        Ok(self.stored(ctx, id)?.is_some())
    }

    /// Whether the record of an entry with this ID, if there is one, is an entry of the stream.
    pub(super) fn may_hold(&self, id: Id) -> bool {
        self.meta.count > 0 && (self.meta.first..=self.meta.last).contains(&id)
    }

    fn stored(&self, ctx: &Ctx<'_>, id: Id) -> Outcome<Option<Bytes>> {
        if !self.may_hold(id) {
            return Ok(None);
        }
        Ok(ctx.get(&self.entry_key(id))?)
    }

    /// Visits the entries between two IDs, both included, forwards or backwards: their IDs and what is stored.
    pub(super) fn each(
        &self,
        ctx: &Ctx<'_>,
        (from, to): (Id, Id),
        backwards: bool,
        visit: impl FnMut(Id, &Bytes) -> ControlFlow<()>,
    ) -> Outcome<()> {
        if self.meta.count == 0 {
            return Ok(());
        }
        let range = (from.max(self.meta.first), to);
        each_id(ctx, &self.key(Part::Entry, &[]), range, backwards, visit)
    }

    /// The first entry from an ID on.
    pub(super) fn first_from(&self, ctx: &Ctx<'_>, from: Id) -> Outcome<Option<Id>> {
        let mut found = None;
        self.each(ctx, (from, Id::MAX), false, |id, _| {
            found = Some(id);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// The last entry.
    pub(super) fn top(&self, ctx: &Ctx<'_>) -> Outcome<Option<Id>> {
        let mut found = None;
        self.each(ctx, (Id::MIN, Id::MAX), true, |id, _| {
            found = Some(id);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Adds an entry, whose ID is greater than the last one.
    pub(super) fn append(&mut self, ctx: &mut Ctx<'_>, id: Id, words: &[Bytes]) -> Outcome<()> {
        debug_assert!(id > self.meta.last, "IDs increase");
        let mut key = Vec::from(&self.entry_key(id)[..]);
        let key_len = key.len();
        key.extend_from_slice(&packed::encode(words.iter()));
        let mut key = Bytes::from(key);
        let value = key.split_off(key_len);
        ctx.txn()?.put(key, value);
        if self.meta.count == 0 {
            self.meta.first = id;
        }
        self.meta.count += 1;
        self.meta.added = self.meta.added.saturating_add(1);
        self.meta.last = id;
        Ok(())
    }

    /// Deletes entries that are there, and gives how many were.
    pub(super) fn delete(&mut self, ctx: &mut Ctx<'_>, ids: &[Id]) -> Outcome<u64> {
        let mut deleted = 0;
        for id in ids {
            if self.holds(ctx, *id)? {
                ctx.txn()?.delete(owned(&self.entry_key(*id)));
                self.meta.max_deleted = self.meta.max_deleted.max(*id);
                deleted += 1;
            }
        }
        self.meta.count = self.meta.count.saturating_sub(deleted);
        if ids.contains(&self.meta.first) {
            self.meta.first = self.first_from(ctx, self.meta.first)?.unwrap_or_default();
        }
        Ok(deleted)
    }

    /// Deletes `count` entries at the front; `first` is the one that becomes the first. `ids` are those of the entries
    /// that go, when they are few.
    pub(super) fn drop_front(
        &mut self,
        ctx: &mut Ctx<'_>,
        count: u64,
        first: Option<Id>,
        ids: Option<&[Id]>,
    ) -> Outcome<()> {
        match ids {
            Some(ids) => {
                for id in ids {
                    ctx.txn()?.delete(owned(&self.entry_key(*id)));
                }
            }
            None => {
                let (start, mut end) = (self.entry_key(self.meta.first), self.entry_key(self.meta.last));
                match first {
                    Some(first) => end = self.entry_key(first),
                    None => end.push(0),
                }
                ctx.txn()?.put_garbage_span(&start, owned(&end));
            }
        }
        self.meta.count = self.meta.count.saturating_sub(count);
        self.meta.first = first.unwrap_or_default();
        Ok(())
    }

    /// Whether entries that were trimmed wait for background deletion: no ID among theirs may be given again before.
    pub(super) fn awaits_deletion(&self, ctx: &Ctx<'_>) -> Outcome<bool> {
        let spans = records::garbage_span(&self.key(Part::Entry, &[]));
        let mut found = false;
        ctx.scan(&spans, &records::successor(&spans), &mut |_, _| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Writes the META record, if anything in it changed.
    pub(super) fn commit(self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        let mut body = self.home.encode().to_vec();
        self.meta.encode(&mut body);
        if self.replaces {
            let head = Head { kind: Type::Stream, flags: Flags::SPILLED, expire_ms: None };
            return ctx.replace(&self.name, self.old.as_ref(), head, &[&body]);
        }
        match &self.old {
            Some(old) if old.body == body => Ok(()),
            Some(old) => ctx.update(&self.name, Some(old), old.head, &[&body]),
            None => Ok(()),
        }
    }
}

/// Visits the records of IDs between two, both included, behind a prefix, forwards or backwards.
pub(super) fn each_id(
    ctx: &Ctx<'_>,
    prefix: &KeyBuf,
    (from, to): (Id, Id),
    backwards: bool,
    mut visit: impl FnMut(Id, &Bytes) -> ControlFlow<()>,
) -> Outcome<()> {
    if from > to {
        return Ok(());
    }
    let (mut start, mut end) = (prefix.clone(), prefix.clone());
    start.extend_from_slice(&from.bytes());
    end.extend_from_slice(&to.bytes());
    // The smallest key behind it.
    end.push(0);
    let mut bad = false;
    let mut see = |key: &[u8], value: &Bytes| match key.get(prefix.len()..).and_then(Id::of_bytes) {
        Some(id) => visit(id, value),
        None => {
            bad = true;
            ControlFlow::Break(())
        }
    };
    if backwards {
        ctx.scan_reverse(&start, &end, &mut see)?;
    } else {
        ctx.scan(&start, &end, &mut see)?;
    }
    if bad { Err(Stop::Engine(damaged("a stream's record without its ID"))) } else { Ok(()) }
}

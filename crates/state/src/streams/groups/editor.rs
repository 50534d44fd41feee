//! Changing a consumer group: its consumers and pending entries with all that counts them.

use super::record::{Consumer, Group, Pending};
use crate::ctx::{Ctx, EFFECT_BYTES, EFFECTS_LIMIT_BYTES, owned};
use crate::members::check_name;
use crate::records::{Part, successor};
use crate::reply::{EFFECTS_TOO_LARGE, Outcome, fail};
use crate::streams::id::Id;
use crate::streams::stream::Stream;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

/// What a change of a pending entry costs at most in an entry of the log, besides the consumer's name: its two records, and one that
/// an earlier owner had, bytes.
const PENDING_EFFECT_BYTES: u64 = 3 * (EFFECT_BYTES + 32);

/// A group that is being changed. Its record and those of consumers are written by `commit`.
pub(in crate::streams) struct Editor<'s> {
    stream: &'s Stream,
    name: Bytes,
    before: Option<Group>,
    pub(in crate::streams) group: Group,
    /// Consumers that were looked at: as stored, and as they are to be.
    consumers: BTreeMap<Bytes, (Option<Consumer>, Consumer)>,
    /// Whether the first pending entry is only known not to be before what the group says.
    lost_first: bool,
}

impl<'s> Editor<'s> {
    /// The group of this name; `None` when there is none.
    pub(in crate::streams) fn open(stream: &'s Stream, ctx: &Ctx<'_>, name: &Bytes) -> Outcome<Option<Editor<'s>>> {
        Ok(stream.group(ctx, name)?.map(|group| Editor::of(stream, name.clone(), Some(group), group)))
    }

    /// A group of a name that no other has, which has delivered what comes up to `last`.
    pub(in crate::streams) fn create(
        stream: &'s Stream,
        ctx: &mut Ctx<'_>,
        name: &Bytes,
        last: Id,
        read: Option<u64>,
    ) -> Outcome<Editor<'s>> {
        check_name("consumer group name", name)?;
        let number = ctx.txn()?.allocate_version()?;
        let group = Group { number, last, first_pending: Id::MIN, read, pending: 0, consumers: 0 };
        Ok(Editor::of(stream, name.clone(), None, group))
    }

    fn of(stream: &'s Stream, name: Bytes, before: Option<Group>, group: Group) -> Editor<'s> {
        Editor { stream, name, before, group, consumers: BTreeMap::new(), lost_first: false }
    }

    pub(in crate::streams) fn consumer(&mut self, ctx: &Ctx<'_>, name: &Bytes) -> Outcome<Option<&mut Consumer>> {
        Ok(match self.consumers.entry(name.clone()) {
            Entry::Occupied(found) => Some(&mut found.into_mut().1),
            Entry::Vacant(place) => self
                .stream
                .consumer(ctx, &self.group, name)?
                .map(|consumer| &mut place.insert((Some(consumer), consumer)).1),
        })
    }

    /// Makes a consumer unless there is one of this name, and says whether it did.
    pub(in crate::streams) fn create_consumer(&mut self, ctx: &mut Ctx<'_>, name: &Bytes) -> Outcome<bool> {
        if self.consumer(ctx, name)?.is_some() {
            return Ok(false);
        }
        check_name("consumer name", name)?;
        let number = ctx.txn()?.allocate_version()?;
        let consumer = Consumer { number, seen_ms: ctx.env.now_ms, active_ms: None, pending: 0 };
        self.consumers.insert(name.clone(), (None, consumer));
        self.group.consumers += 1;
        Ok(true)
    }

    /// The consumer of this name, made if need be, who is asking for entries at this moment.
    pub(in crate::streams) fn asking(&mut self, ctx: &mut Ctx<'_>, name: &Bytes) -> Outcome<()> {
        self.create_consumer(ctx, name)?;
        let now_ms = ctx.env.now_ms;
        self.with(ctx, name, |consumer| consumer.seen_ms = now_ms)
    }

    /// Notes that a consumer got entries.
    pub(in crate::streams) fn active(&mut self, ctx: &Ctx<'_>, name: &Bytes) -> Outcome<()> {
        let now_ms = ctx.env.now_ms;
        self.with(ctx, name, |consumer| consumer.active_ms = Some(now_ms))
    }

    /// Sets when a consumer asked for entries and got some.
    pub(in crate::streams) fn set_times(
        &mut self,
        ctx: &Ctx<'_>,
        name: &Bytes,
        seen_ms: u64,
        active_ms: Option<u64>,
    ) -> Outcome<()> {
        self.with(ctx, name, |consumer| (consumer.seen_ms, consumer.active_ms) = (seen_ms, active_ms))
    }

    fn with(&mut self, ctx: &Ctx<'_>, name: &Bytes, change: impl FnOnce(&mut Consumer)) -> Outcome<()> {
        if let Some(consumer) = self.consumer(ctx, name)? {
            change(consumer);
        }
        Ok(())
    }

    pub(in crate::streams) fn pending(&self, ctx: &Ctx<'_>, id: Id) -> Outcome<Option<Pending>> {
        self.stream.pending(ctx, &self.group, id)
    }

    /// Writes a pending entry, in the place of `old` if it was pending already. Its consumer exists.
    pub(in crate::streams) fn give(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: Id,
        old: Option<&Pending>,
        new: &Pending,
    ) -> Outcome<()> {
        if old.is_none_or(|old| old.consumer != new.consumer) {
            if let Some(old) = old {
                self.disown(ctx, id, &old.consumer)?;
            }
            let group = self.group;
            let stream = self.stream;
            if let Some(consumer) = self.consumer(ctx, &new.consumer)? {
                consumer.pending += 1;
                let key = owned(&stream.owned_key(&group, consumer, id));
                ctx.txn()?.put(key, Bytes::new());
            }
        }
        if old.is_none() {
            if self.group.pending == 0 || id <= self.group.first_pending {
                (self.group.first_pending, self.lost_first) = (id, false);
            }
            self.group.pending += 1;
        }
        ctx.txn()?.put(owned(&self.stream.pending_key(&self.group, id)), new.encode().into());
        Ok(())
    }

    /// Takes an entry off the list of pending ones.
    pub(in crate::streams) fn take(&mut self, ctx: &mut Ctx<'_>, id: Id, old: &Pending) -> Outcome<()> {
        self.disown(ctx, id, &old.consumer)?;
        ctx.txn()?.delete(owned(&self.stream.pending_key(&self.group, id)));
        self.group.pending = self.group.pending.saturating_sub(1);
        self.lost_first |= id == self.group.first_pending;
        Ok(())
    }

    fn disown(&mut self, ctx: &mut Ctx<'_>, id: Id, consumer: &Bytes) -> Outcome<()> {
        let group = self.group;
        let stream = self.stream;
        if let Some(consumer) = self.consumer(ctx, consumer)? {
            consumer.pending = consumer.pending.saturating_sub(1);
            let key = owned(&stream.owned_key(&group, consumer, id));
            ctx.txn()?.delete(key);
        }
        Ok(())
    }

    /// Removes a consumer with its pending entries, and gives how many those were.
    pub(in crate::streams) fn remove_consumer(&mut self, ctx: &mut Ctx<'_>, name: &Bytes) -> Outcome<u64> {
        let Some(consumer) = self.consumer(ctx, name)?.copied() else { return Ok(0) };
        check_effects(consumer.pending, b"")?;
        let ids = self.stream.owned(ctx, &self.group, &consumer, (Id::MIN, Id::MAX), u64::MAX)?;
        for id in ids {
            if let Some(pending) = self.pending(ctx, id)? {
                self.take(ctx, id, &pending)?;
            }
        }
        ctx.txn()?.delete(owned(&self.stream.consumer_key(&self.group, name)));
        self.consumers.remove(name);
        self.group.consumers = self.group.consumers.saturating_sub(1);
        Ok(consumer.pending)
    }

    /// Removes the group. What belongs to it is deleted in the background: no other group ever has its number.
    pub(in crate::streams) fn destroy(self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        ctx.txn()?.delete(owned(&self.stream.key(Part::Group, &[&self.name])));
        let pending = [Part::Pending, Part::Owned];
        let parts = std::iter::once(Part::Consumer).chain(pending.into_iter().filter(|_| self.group.pending > 0));
        for part in parts.filter(|_| self.group.consumers > 0) {
            let start = self.stream.key(part, &[&self.group.number.to_be_bytes()]);
            ctx.txn()?.put_garbage_span(&start, owned(&successor(&start)));
        }
        Ok(())
    }

    /// Writes the records of the group and its consumers that changed.
    pub(in crate::streams) fn commit(mut self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        if self.group.pending == 0 {
            self.group.first_pending = Id::MIN;
        } else if self.lost_first {
            let mut first = self.group.first_pending;
            self.stream.each_pending(ctx, &self.group, (Id::MIN, Id::MAX), false, |id, _| {
                first = id;
                ControlFlow::Break(())
            })?;
            self.group.first_pending = first;
        }
        if self.before != Some(self.group) {
            let key = owned(&self.stream.key(Part::Group, &[&self.name]));
            ctx.txn()?.put(key, self.group.encode().into());
        }
        for (name, (before, consumer)) in &self.consumers {
            if *before != Some(*consumer) {
                let key = owned(&self.stream.consumer_key(&self.group, name));
                ctx.txn()?.put(key, consumer.encode().into());
            }
        }
        Ok(())
    }
}

/// How many pending entries of a consumer one entry of the log has room for.
pub(in crate::streams) fn effects_room(consumer: &[u8]) -> u64 {
    EFFECTS_LIMIT_BYTES as u64 / (PENDING_EFFECT_BYTES + consumer.len() as u64)
}

/// Refuses to change more pending entries than an entry of the log has room for.
pub(in crate::streams) fn check_effects(entries: u64, consumer: &[u8]) -> Outcome<()> {
    if entries > effects_room(consumer) { fail(EFFECTS_TOO_LARGE) } else { Ok(()) }
}

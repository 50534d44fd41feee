//! Changing a sorted set: open, set and remove members, commit.

use super::body::{Body, encode, score_bytes};
use super::order::Order;
use super::{Entry, INLINE_BYTES_MAX, LISTPACK_ENTRIES_MAX, LISTPACK_VALUE_MAX};
use crate::ctx::{Ctx, EFFECT_BYTES, EFFECTS_LIMIT_BYTES, owned, typed};
use crate::members::Spilled;
use crate::records::{Flags, Head, Home, Name, Record, Type};
use crate::reply::{EFFECTS_TOO_LARGE, Outcome, fail};
use bytes::Bytes;

/// A sorted set that is being changed. Its META record is written by `commit`.
pub(super) struct Writer {
    name: Name,
    old: Option<Record>,
    pub(super) body: Body,
    grew: bool,
    changed: bool,
    /// Whether it takes the place of what was there, of whatever type.
    replaces: bool,
}

/// What an entry costs inside an inline body: its score, its bytes, and a length of at most two bytes.
fn cost(entry: &Entry) -> usize {
    entry.member.len() + 10
}

impl Writer {
    /// The sorted set under `user`, empty when the key is absent.
    pub(super) fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?.map(|r| typed(r, Type::SortedSet)).transpose()?;
        let body = old.as_ref().map_or(Ok(Body::Inline(Vec::new())), |r| Body::of(&name, r))?;
        let grew = old.as_ref().is_some_and(|r| r.head.flags.has(Flags::GREW));
        Ok(Writer { name, old, body, grew, changed: false, replaces: false })
    }

    /// Sets a member's score; `old` is the one it has.
    pub(super) fn set(&mut self, ctx: &mut Ctx<'_>, member: &Bytes, score: f64, old: Option<f64>) -> Outcome<()> {
        let entry = Entry::new(score, member.clone());
        if old == Some(entry.score) {
            return Ok(());
        }
        self.changed = true;
        match &mut self.body {
            Body::Inline(entries) => {
                entries.retain(|e| e.member != entry.member);
                let place = entry.place();
                let at = entries.partition_point(|e| e.place() < place);
                entries.insert(at, entry);
                if entries.iter().map(cost).sum::<usize>() > INLINE_BYTES_MAX {
                    let entries = std::mem::take(entries);
                    self.spill(ctx, &entries)?;
                }
            }
            Body::Spilled(s, order) => {
                if let Some(old) = old {
                    order.remove(ctx, &Entry::new(old, member.clone()).place())?;
                } else {
                    s.count += 1;
                }
                ctx.txn()?.put(owned(&s.key(member)), score_bytes(entry.score));
                order.insert(ctx, &entry.place())?;
            }
        }
        self.grew |= member.len() > LISTPACK_VALUE_MAX || self.body.len() > LISTPACK_ENTRIES_MAX;
        Ok(())
    }

    /// Removes a member and says whether it was there.
    pub(super) fn remove(&mut self, ctx: &mut Ctx<'_>, member: &Bytes) -> Outcome<bool> {
        let Some(score) = self.body.score(ctx, member)? else { return Ok(false) };
        self.changed = true;
        match &mut self.body {
            Body::Inline(entries) => entries.retain(|e| e.member != member),
            Body::Spilled(s, order) => {
                ctx.txn()?.delete(owned(&s.key(member)));
                order.remove(ctx, &Entry::new(score, member.clone()).place())?;
                s.count = s.count.saturating_sub(1);
            }
        }
        Ok(true)
    }

    /// Removes some of its entries; all of them leave with the key.
    pub(super) fn remove_all(&mut self, ctx: &mut Ctx<'_>, entries: &[Entry]) -> Outcome<()> {
        if entries.len() as u64 == self.body.len() {
            self.body = Body::Inline(Vec::new());
            self.changed = true;
            return Ok(());
        }
        check_effects(entries)?;
        for entry in entries {
            self.remove(ctx, &entry.member)?;
        }
        Ok(())
    }

    /// Gives every entry records of its own. It stays so, even if members are removed later.
    fn spill(&mut self, ctx: &mut Ctx<'_>, entries: &[Entry]) -> Outcome<()> {
        let home = Home { slot: self.name.slot(), version: ctx.txn()?.allocate_version()? };
        let spilled = Spilled::new(&self.name, home, entries.len() as u64);
        let order = Order::new(&self.name, home);
        for entry in entries {
            ctx.txn()?.put(owned(&spilled.key(&entry.member)), score_bytes(entry.score));
        }
        order.build(ctx, entries)?;
        self.body = Body::Spilled(spilled, order);
        Ok(())
    }

    /// Writes the META record, or removes the key when no member is left.
    pub(super) fn commit(self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        if !self.changed {
            return Ok(());
        }
        if self.body.len() == 0 {
            return match &self.old {
                Some(old) => ctx.remove(&self.name, old),
                None => Ok(()),
            };
        }
        let mut flags = if self.grew { Flags::GREW } else { Flags::NONE };
        let body = match &self.body {
            Body::Inline(entries) => encode(entries),
            Body::Spilled(s, _) => {
                flags = flags.with(Flags::SPILLED);
                s.encode()
            }
        };
        let kept = self.old.as_ref().filter(|_| !self.replaces);
        let head = Head { kind: Type::SortedSet, flags, expire_ms: kept.and_then(|r| r.head.expire_ms) };
        if self.replaces {
            return ctx.replace(&self.name, self.old.as_ref(), head, &[&body]);
        }
        if kept.is_some_and(|old| old.head == head && old.body == body) {
            // Only scores changed, each in its own records.
            return ctx.touch(&self.name);
        }
        ctx.update(&self.name, kept, head, &[&body])
    }
}

/// Stores `entries`, which are in order, under `user` in the place of whatever is there, and gives how many they are.
pub(crate) fn store(ctx: &mut Ctx<'_>, user: &[u8], entries: Vec<Entry>) -> Outcome<i64> {
    check_effects(&entries)?;
    let name = ctx.name(user)?;
    let old = ctx.open(&name)?;
    let count = entries.len();
    let grew = count as u64 > LISTPACK_ENTRIES_MAX || entries.iter().any(|e| e.member.len() > LISTPACK_VALUE_MAX);
    let mut set = Writer { name, old, body: Body::Inline(Vec::new()), grew, changed: true, replaces: true };
    if entries.iter().map(cost).sum::<usize>() > INLINE_BYTES_MAX {
        set.spill(ctx, &entries)?;
    } else {
        set.body = Body::Inline(entries);
    }
    set.commit(ctx)?;
    Ok(count as i64)
}

/// Refuses to change more entries than an entry of the log has room for.
fn check_effects(entries: &[Entry]) -> Outcome<()> {
    let bytes: usize = entries.iter().map(|e| 2 * (e.member.len() + EFFECT_BYTES as usize)).sum();
    if bytes > EFFECTS_LIMIT_BYTES { fail(EFFECTS_TOO_LARGE) } else { Ok(()) }
}

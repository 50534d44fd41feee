//! Changing a set: open, add and remove members, commit.

use super::reader::Reader;
use super::{INLINE_BYTES_MAX, INTSET_ENTRIES_MAX, LISTPACK_ENTRIES_MAX, LISTPACK_VALUE_MAX, only_integers};
use crate::ctx::{Ctx, owned, typed};
use crate::members::Spilled;
use crate::packed;
use crate::parse::integer;
use crate::records::{Flags, Head, Home, Name, Record, Type};
use crate::reply::Outcome;
use bytes::Bytes;

/// A set that is being changed. Its META record is written by `commit`.
pub(super) struct Writer {
    name: Name,
    old: Option<Record>,
    pub(super) body: Reader,
    grew: bool,
    changed: bool,
    /// Whether it takes the place of what was there, of whatever type.
    replaces: bool,
}

impl Writer {
    /// The set under `user`, empty when the key is absent.
    pub(super) fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?.map(|r| typed(r, Type::Set)).transpose()?;
        let body = old.as_ref().map_or(Ok(Reader::Inline(Vec::new())), |r| Reader::of(&name, r))?;
        let grew = old.as_ref().is_some_and(|r| r.head.flags.has(Flags::GREW));
        Ok(Writer { name, old, body, grew, changed: false, replaces: false })
    }

    /// An empty set that will replace whatever is under `user`, its expiry included.
    pub(super) fn replacing(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?;
        Ok(Writer { name, old, body: Reader::Inline(Vec::new()), grew: false, changed: true, replaces: true })
    }

    pub(super) fn exists(&self) -> bool {
        self.old.is_some()
    }

    /// Adds a member and says whether it is new. Its length was checked.
    pub(super) fn add(&mut self, ctx: &mut Ctx<'_>, member: &Bytes) -> Outcome<bool> {
        if self.body.contains(ctx, member)? {
            return Ok(false);
        }
        self.changed = true;
        match &mut self.body {
            Reader::Inline(members) => {
                members.push(member.clone());
                if members.iter().map(packed::cost).sum::<usize>() > INLINE_BYTES_MAX {
                    self.spill(ctx)?;
                }
            }
            Reader::Spilled(s) => {
                ctx.txn()?.put(owned(&s.key(member)), Bytes::new());
                s.count += 1;
            }
        }
        self.grew = self.grew || self.grows(ctx, member)?;
        Ok(true)
    }

    /// Whether the set, to which `member` was just added, exceeds a threshold of Redis. One that never did and has more
    /// members than a listpack may have consists of integers.
    fn grows(&self, ctx: &Ctx<'_>, member: &Bytes) -> Outcome<bool> {
        let len = self.body.len()?;
        let is_integer = integer(member).is_some();
        Ok(match len {
            _ if member.len() > LISTPACK_VALUE_MAX => true,
            0..=LISTPACK_ENTRIES_MAX => false,
            _ if !is_integer || len > INTSET_ENTRIES_MAX => true,
            _ => len == LISTPACK_ENTRIES_MAX + 1 && !only_integers(ctx, &self.body)?,
        })
    }

    /// Removes a member and says whether it was there.
    pub(super) fn remove(&mut self, ctx: &mut Ctx<'_>, member: &[u8]) -> Outcome<bool> {
        let found = match &mut self.body {
            Reader::Inline(members) => {
                let at = members.iter().position(|m| m == member);
                at.map(|at| members.remove(at)).is_some()
            }
            Reader::Spilled(s) => {
                let key = s.key(member);
                let found = ctx.get(&key)?.is_some();
                if found {
                    ctx.txn()?.delete(owned(&key));
                    s.count = s.count.saturating_sub(1);
                }
                found
            }
        };
        self.changed |= found;
        Ok(found)
    }

    /// Removes the key with all members.
    pub(super) fn clear(&mut self) {
        self.body = Reader::Inline(Vec::new());
        self.changed = true;
    }

    /// Gives every member a record of its own. It stays so, even if members are removed later.
    fn spill(&mut self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        let Reader::Inline(members) = &mut self.body else { return Ok(()) };
        let home = Home { slot: self.name.slot(), version: ctx.txn()?.allocate_version()? };
        let spilled = Spilled::new(&self.name, home, members.len() as u64);
        for member in std::mem::take(members) {
            ctx.txn()?.put(owned(&spilled.key(&member)), Bytes::new());
        }
        self.body = Reader::Spilled(spilled);
        Ok(())
    }

    /// Writes the META record, or removes the key when no member is left.
    pub(super) fn commit(self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        if !self.changed {
            return Ok(());
        }
        if self.body.len()? == 0 {
            return match &self.old {
                Some(old) => ctx.remove(&self.name, old),
                None => Ok(()),
            };
        }
        let mut flags = if self.grew { Flags::GREW } else { Flags::NONE };
        let body = match &self.body {
            Reader::Inline(members) => packed::encode(members.iter()),
            Reader::Spilled(s) => {
                flags = flags.with(Flags::SPILLED);
                s.encode()
            }
        };
        let kept = self.old.as_ref().filter(|_| !self.replaces);
        let head = Head { kind: Type::Set, flags, expire_ms: kept.and_then(|r| r.head.expire_ms) };
        if self.replaces {
            return ctx.replace(&self.name, self.old.as_ref(), head, &[&body]);
        }
        if kept.is_some_and(|old| old.head == head && old.body == body) {
            // One member came and another went, each in its own record.
            return ctx.touch(&self.name);
        }
        ctx.update(&self.name, kept, head, &[&body])
    }
}

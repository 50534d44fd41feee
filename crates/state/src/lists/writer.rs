//! Changing a list: open, push, pop, replace, commit.

use super::body::Body;
use super::{INLINE_BYTES_MAX, LISTPACK_BYTES_MAX, LISTPACK_ELEMENT_BYTES, Side, Spilled};
use crate::ctx::{Ctx, EFFECT_BYTES, EFFECTS_LIMIT_BYTES, owned, typed};
use crate::packed;
use crate::records::{Flags, Head, Home, Name, Record, Type};
use crate::reply::{EFFECTS_TOO_LARGE, Outcome, fail};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

/// A list that is being changed. Its META record is written by `commit`.
pub(super) struct Writer {
    name: Name,
    old: Option<Record>,
    pub(super) body: Body,
    /// Bytes of all elements.
    bytes: u64,
    changed: bool,
    /// Whether the old sub-records are no longer this list's.
    rebuilt: bool,
    /// Whether it takes the place of what was there, of whatever type.
    replaces: bool,
}

impl Writer {
    /// The list under `user`, empty when the key is absent.
    pub(super) fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?.map(|r| typed(r, Type::List)).transpose()?;
        let body = Body::of(&name, old.as_ref())?;
        let bytes = match &body {
            Body::Inline(items) => items.iter().map(|e| e.len() as u64).sum(),
            Body::Spilled(s) => s.bytes,
        };
        Ok(Writer { name, old, body, bytes, changed: false, rebuilt: false, replaces: false })
    }

    /// An empty list that will replace whatever is under `user`, its expiry included.
    pub(super) fn replacing(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?;
        let body = Body::of(&name, None)?;
        Ok(Writer { name, old, body, bytes: 0, changed: true, rebuilt: true, replaces: true })
    }

    pub(super) fn exists(&self) -> bool {
        self.old.is_some()
    }

    pub(super) fn len(&self) -> u64 {
        self.body.len()
    }

    /// Bytes of all elements.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn push(&mut self, ctx: &mut Ctx<'_>, side: Side, element: &Bytes) -> Outcome<()> {
        self.changed = true;
        self.bytes += element.len() as u64;
        match (&mut self.body, side) {
            (Body::Inline(items), Side::Left) => items.push_front(element.clone()),
            (Body::Inline(items), Side::Right) => items.push_back(element.clone()),
            (Body::Spilled(s), Side::Left) => {
                s.head -= 1;
                ctx.txn()?.put(owned(&s.key(s.head)), element.clone());
            }
            (Body::Spilled(s), Side::Right) => {
                s.tail += 1;
                ctx.txn()?.put(owned(&s.key(s.tail - 1)), element.clone());
            }
        }
        self.spill_if_large(ctx)
    }

    /// Takes the element at an end; `None` when the list is empty.
    pub(super) fn pop(&mut self, ctx: &mut Ctx<'_>, side: Side) -> Outcome<Option<Bytes>> {
        if self.len() == 0 {
            return Ok(None);
        }
        let (at, rest) = match side {
            Side::Left => (0, 1..self.len()),
            Side::Right => (self.len() - 1, 0..self.len() - 1),
        };
        let element = self.body.get(ctx, at)?;
        self.trim(ctx, rest, element.len() as u64)?;
        Ok(Some(element))
    }

    /// Replaces the element at a position inside the list.
    pub(super) fn set(&mut self, ctx: &mut Ctx<'_>, at: u64, element: &Bytes) -> Outcome<()> {
        let old = self.body.get(ctx, at)?;
        self.changed = true;
        self.bytes = self.bytes - old.len() as u64 + element.len() as u64;
        match &mut self.body {
            Body::Inline(items) => items[at as usize] = element.clone(),
            Body::Spilled(s) => ctx.txn()?.put(owned(&s.key(s.head + at)), element.clone()),
        }
        self.spill_if_large(ctx)
    }

    /// Keeps the elements of a range; those outside have `dropped` bytes. What is written is the smaller of a deletion
    /// for each element outside and a new list of those inside.
    pub(super) fn trim(&mut self, ctx: &mut Ctx<'_>, keep: Range<u64>, dropped: u64) -> Outcome<()> {
        let (len, kept) = (self.len(), keep.end.saturating_sub(keep.start));
        if kept == len {
            return Ok(());
        }
        let Body::Spilled(s) = &mut self.body else {
            return self.retain_inline(|at| keep.contains(&at));
        };
        if kept > 0 {
            let deletions = (len - kept).saturating_mul(EFFECT_BYTES);
            let rebuilding = kept.saturating_mul(EFFECT_BYTES).saturating_add(self.bytes.saturating_sub(dropped));
            if deletions.min(rebuilding) > EFFECTS_LIMIT_BYTES as u64 {
                return fail(EFFECTS_TOO_LARGE);
            }
            if rebuilding < deletions {
                let elements = self.body.elements(ctx, keep, false)?;
                return self.rebuild(ctx, elements);
            }
            for index in (s.head..s.head + keep.start).chain(s.head + keep.end..s.tail) {
                ctx.txn()?.delete(owned(&s.key(index)));
            }
        }
        // An emptied list leaves with its key, and its sub-records as garbage.
        (s.head, s.tail) = (s.head + keep.start, s.head + keep.start + kept);
        self.bytes -= dropped.min(self.bytes);
        self.changed = true;
        Ok(())
    }

    /// Inserts an element before position `at`, which may be the end.
    pub(super) fn insert(&mut self, ctx: &mut Ctx<'_>, at: u64, element: &Bytes) -> Outcome<()> {
        match &mut self.body {
            Body::Inline(items) => items.insert(at as usize, element.clone()),
            Body::Spilled(s) => {
                let side = if at < s.len() / 2 { Side::Left } else { Side::Right };
                let moved = if side == Side::Left { 0..at } else { at..s.len() };
                let (from, to) = (s.head + moved.start, s.head + moved.end);
                let elements = limited(ctx, &self.body, moved)?;
                let Body::Spilled(s) = &mut self.body else { return Ok(()) };
                let (first, place) = match side {
                    Side::Left => (from - 1, to - 1),
                    Side::Right => (from + 1, from),
                };
                for (index, element) in (first..).zip(elements) {
                    ctx.txn()?.put(owned(&s.key(index)), element);
                }
                ctx.txn()?.put(owned(&s.key(place)), element.clone());
                match side {
                    Side::Left => s.head -= 1,
                    Side::Right => s.tail += 1,
                }
            }
        }
        self.bytes += element.len() as u64;
        self.changed = true;
        self.spill_if_large(ctx)
    }

    /// Removes the elements at some positions, ascending; each has `size` bytes. Of the elements around them those of
    /// the shorter side move together.
    pub(super) fn remove(&mut self, ctx: &mut Ctx<'_>, positions: &[u64], size: u64) -> Outcome<()> {
        let (Some(first), Some(last)) = (positions.first().copied(), positions.last().copied()) else { return Ok(()) };
        let Body::Spilled(s) = &self.body else {
            return self.retain_inline(|at| positions.binary_search(&at).is_err());
        };
        let (head, tail, count) = (s.head, s.tail, positions.len() as u64);
        if count < s.len() {
            let left = last < s.len() - first;
            let moved = if left { 0..last + 1 } else { first..s.len() };
            let stay = limited(ctx, &self.body, moved.clone())?;
            let stay: Vec<Bytes> = moved
                .clone()
                .zip(stay)
                .filter(|(at, _)| positions.binary_search(at).is_err())
                .map(|(_, e)| e)
                .collect();
            let Body::Spilled(s) = &mut self.body else { return Ok(()) };
            let (start, gone) =
                if left { (head + count, head..head + count) } else { (head + first, tail - count..tail) };
            for (index, element) in (start..).zip(stay) {
                ctx.txn()?.put(owned(&s.key(index)), element);
            }
            for index in gone {
                ctx.txn()?.delete(owned(&s.key(index)));
            }
            (s.head, s.tail) = if left { (head + count, tail) } else { (head, tail - count) };
        } else if let Body::Spilled(s) = &mut self.body {
            s.tail = s.head;
        }
        self.bytes -= (count * size).min(self.bytes);
        self.changed = true;
        Ok(())
    }

    fn retain_inline(&mut self, stays: impl Fn(u64) -> bool) -> Outcome<()> {
        if let Body::Inline(items) = &mut self.body {
            let mut at = 0..;
            items.retain(|_| at.next().is_some_and(&stays));
            self.bytes = items.iter().map(|e| e.len() as u64).sum();
            self.changed = true;
        }
        Ok(())
    }

    /// Makes a new list of `elements`; the sub-records of the old one become garbage.
    fn rebuild(&mut self, ctx: &mut Ctx<'_>, elements: Vec<Bytes>) -> Outcome<()> {
        self.bytes = elements.iter().map(|e| e.len() as u64).sum();
        self.body = Body::Inline(VecDeque::from(elements));
        (self.changed, self.rebuilt) = (true, true);
        self.spill_if_large(ctx)
    }

    /// Gives every element a record of its own once they are too many for the META record.
    fn spill_if_large(&mut self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        let Body::Inline(items) = &mut self.body else { return Ok(()) };
        if items.iter().map(packed::cost).sum::<usize>() <= INLINE_BYTES_MAX {
            return Ok(());
        }
        let home = Home { slot: self.name.slot(), version: ctx.txn()?.allocate_version()? };
        let mut spilled = Spilled::new(&self.name, home);
        for element in std::mem::take(items) {
            ctx.txn()?.put(owned(&spilled.key(spilled.tail)), element);
            spilled.tail += 1;
        }
        self.body = Body::Spilled(spilled);
        Ok(())
    }

    /// The record that goes on.
    fn kept(&self) -> Option<&Record> {
        self.old.as_ref().filter(|_| !self.replaces)
    }

    /// Whether OBJECT ENCODING names the large form. As in Redis a list that shrank goes back at half of the threshold.
    fn grew(&self) -> bool {
        let grew = self.kept().is_some_and(|r| r.head.flags.has(Flags::GREW));
        let size = self.bytes.saturating_add(self.len().saturating_mul(LISTPACK_ELEMENT_BYTES));
        size > if grew { LISTPACK_BYTES_MAX / 2 } else { LISTPACK_BYTES_MAX }
    }

    /// Writes the META record, or removes the key when no element is left.
    pub(super) fn commit(mut self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        if !self.changed {
            return Ok(());
        }
        if self.len() == 0 {
            return match &self.old {
                Some(old) => ctx.remove(&self.name, old),
                None => Ok(()),
            };
        }
        let mut flags = if self.grew() { Flags::GREW } else { Flags::NONE };
        let expire_ms = self.kept().and_then(|r| r.head.expire_ms);
        let body = match &mut self.body {
            Body::Inline(items) => packed::encode(items.iter()),
            Body::Spilled(s) => {
                flags = flags.with(Flags::SPILLED);
                s.bytes = self.bytes;
                s.encode()
            }
        };
        let head = Head { kind: Type::List, flags, expire_ms };
        match &self.old {
            // Only an element's record changed, if any.
            Some(old) if !self.rebuilt && old.head == head && old.body == body => ctx.touch(&self.name),
            old if self.rebuilt => ctx.replace(&self.name, old.as_ref(), head, &[&body]),
            old => ctx.update(&self.name, old.as_ref(), head, &[&body]),
        }
    }
}

/// Stores `elements` under `user` in the place of whatever is there, and gives how many they are.
pub(crate) fn store(ctx: &mut Ctx<'_>, user: &[u8], elements: Vec<Bytes>) -> Outcome<i64> {
    let bytes: usize = elements.iter().map(|e| e.len() + EFFECT_BYTES as usize).sum();
    if bytes > EFFECTS_LIMIT_BYTES {
        return fail(EFFECTS_TOO_LARGE);
    }
    let count = elements.len();
    let mut list = Writer::replacing(ctx, user)?;
    list.rebuild(ctx, elements)?;
    list.commit(ctx)?;
    Ok(count as i64)
}

/// The elements of a range that is to be written anew, when they fit into one entry.
fn limited(ctx: &Ctx<'_>, body: &Body, range: Range<u64>) -> Outcome<Vec<Bytes>> {
    let mut size = 0;
    let mut out = Vec::new();
    body.each(ctx, range, false, |_, element| {
        size += element.len() + EFFECT_BYTES as usize;
        out.push(element.clone());
        if size > EFFECTS_LIMIT_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if size > EFFECTS_LIMIT_BYTES { fail(EFFECTS_TOO_LARGE) } else { Ok(out) }
}

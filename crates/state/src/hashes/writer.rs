//! Changing a hash: open, set and remove fields, commit.

use super::{FIELD_PLAIN, INLINE_BYTES_MAX, LISTPACK_ENTRIES_MAX, LISTPACK_VALUE_MAX, field_value, inline};
use crate::ctx::{Ctx, owned, typed};
use crate::members::{Spilled, check_name};
use crate::records::{Flags, Head, Home, Name, Record, Type};
use crate::reply::Outcome;
use bytes::Bytes;

/// A hash that is being changed. Its META record is written by `commit`.
pub(super) struct Writer {
    name: Name,
    old: Option<Record>,
    grew: bool,
    body: Body,
    changed: bool,
    /// Whether it takes the place of what was there, of whatever type.
    replaces: bool,
}

enum Body {
    Inline { pairs: Vec<(Bytes, Bytes)>, bytes: usize },
    Spilled(Spilled),
}

/// What a pair costs inside an inline body: its bytes, and two lengths of at most two bytes each.
fn cost(field: &Bytes, value: &Bytes) -> usize {
    field.len() + value.len() + 4
}

impl Writer {
    /// The hash under `user`, empty when the key is absent.
    pub(super) fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?.map(|r| typed(r, Type::Hash)).transpose()?;
        let grew = old.as_ref().is_some_and(|r| r.head.flags.has(Flags::GREW));
        let spilled = old.as_ref().map(|r| Spilled::decode(&name, r)).transpose()?.flatten();
        let body = match (spilled, &old) {
            (Some(s), _) => Body::Spilled(s),
            (None, Some(r)) => {
                let pairs = inline::decode(&r.body)?;
                let bytes = pairs.iter().map(|(f, v)| cost(f, v)).sum();
                Body::Inline { pairs, bytes }
            }
            (None, None) => Body::Inline { pairs: Vec::new(), bytes: 0 },
        };
        Ok(Writer { name, old, grew, body, changed: false, replaces: false })
    }

    /// An empty hash that will replace whatever is under `user`, its expiry included.
    pub(super) fn replacing(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?;
        let body = Body::Inline { pairs: Vec::new(), bytes: 0 };
        Ok(Writer { name, old, grew: false, body, changed: true, replaces: true })
    }

    pub(super) fn get(&self, ctx: &Ctx<'_>, field: &[u8]) -> Outcome<Option<Bytes>> {
        match &self.body {
            Body::Inline { pairs, .. } => Ok(pairs.iter().find(|(f, _)| f == field).map(|(_, v)| v.clone())),
            Body::Spilled(s) => Ok(ctx.get(&s.key(field))?.map(|v| field_value(&v)).transpose()?),
        }
    }

    /// Sets a field and says whether it is new.
    pub(super) fn set(&mut self, ctx: &mut Ctx<'_>, field: &Bytes, value: &Bytes) -> Outcome<bool> {
        check_field(field)?;
        self.changed = true;
        let created = match &mut self.body {
            Body::Inline { pairs, bytes } => {
                *bytes += cost(field, value);
                match pairs.iter_mut().find(|(f, _)| f == field) {
                    Some((_, v)) => {
                        *bytes -= cost(field, v);
                        *v = value.clone();
                        false
                    }
                    None => {
                        pairs.push((field.clone(), value.clone()));
                        true
                    }
                }
            }
            Body::Spilled(s) => put_field(ctx, s, field, value)?,
        };
        if matches!(self.body, Body::Inline { bytes, .. } if bytes > INLINE_BYTES_MAX) {
            self.spill(ctx)?;
        }
        self.grew |= field.len().max(value.len()) > LISTPACK_VALUE_MAX || self.len() > LISTPACK_ENTRIES_MAX;
        Ok(created)
    }

    /// Removes a field and says whether it was there.
    pub(super) fn remove(&mut self, ctx: &mut Ctx<'_>, field: &[u8]) -> Outcome<bool> {
        let found = match &mut self.body {
            Body::Inline { pairs, bytes } => {
                let at = pairs.iter().position(|(f, _)| f == field);
                at.map(|at| {
                    let (f, v) = pairs.remove(at);
                    *bytes -= cost(&f, &v);
                })
                .is_some()
            }
            Body::Spilled(s) => {
                let key = s.key(field);
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

    fn len(&self) -> u64 {
        match &self.body {
            Body::Inline { pairs, .. } => pairs.len() as u64,
            Body::Spilled(s) => s.count,
        }
    }

    /// Gives every field a record of its own. It stays so, even if fields are removed later.
    fn spill(&mut self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        let Body::Inline { pairs, .. } = &mut self.body else { return Ok(()) };
        let home = Home { slot: self.name.slot(), version: ctx.txn()?.allocate_version()? };
        let mut spilled = Spilled::new(&self.name, home, 0);
        for (field, value) in std::mem::take(pairs) {
            put_field(ctx, &mut spilled, &field, &value)?;
        }
        self.body = Body::Spilled(spilled);
        Ok(())
    }

    /// Writes the META record, or removes the key when no field is left.
    pub(super) fn commit(self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        if !self.changed {
            return Ok(());
        }
        if self.len() == 0 {
            return match &self.old {
                Some(old) => ctx.remove(&self.name, old),
                None => Ok(()),
            };
        }
        let mut flags = if self.grew { Flags::GREW } else { Flags::NONE };
        let body = match &self.body {
            Body::Inline { pairs, .. } => inline::encode(pairs),
            Body::Spilled(s) => {
                flags = flags.with(Flags::SPILLED);
                s.encode()
            }
        };
        let kept = self.old.as_ref().filter(|_| !self.replaces);
        let head = Head { kind: Type::Hash, flags, expire_ms: kept.and_then(|r| r.head.expire_ms) };
        if self.replaces {
            return ctx.replace(&self.name, self.old.as_ref(), head, &[&body]);
        }
        if kept.is_some_and(|old| old.head == head && old.body == body) {
            // Nothing changed, or only a field's record.
            ctx.touch(&self.name)?;
            return Ok(());
        }
        ctx.update(&self.name, kept, head, &[&body])
    }
}

/// Refuses a field that is too long.
pub(super) fn check_field(field: &Bytes) -> Outcome<()> {
    check_name("hash field", field)
}

/// Writes a field's record and says whether it is new.
fn put_field(ctx: &mut Ctx<'_>, s: &mut Spilled, field: &Bytes, value: &Bytes) -> Outcome<bool> {
    let key = s.key(field);
    let created = ctx.get(&key)?.is_none();
    s.count += u64::from(created);
    let mut stored = Vec::with_capacity(1 + value.len());
    stored.push(FIELD_PLAIN);
    stored.extend_from_slice(value);
    ctx.txn()?.put(owned(&key), stored.into());
    Ok(created)
}

//! Reading a hash in either form.

use super::{field_value, inline};
use crate::ctx::{Ctx, typed};
use crate::members::{Members, Spilled};
use crate::records::{Name, Record, Type};
use crate::reply::Outcome;
use bytes::Bytes;
use std::ops::ControlFlow;

/// A hash as a reader sees it.
pub(super) enum Reader {
    Inline(Bytes),
    Spilled(Spilled),
}

impl Reader {
    /// The hash under `user`; `None` when the key is absent.
    pub(super) fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Option<Reader>> {
        let name = ctx.name(user)?;
        let Some(record) = ctx.read(&name)? else { return Ok(None) };
        Reader::of(&name, typed(record, Type::Hash)?).map(Some)
    }

    /// The hash that a record holds.
    pub(super) fn of(name: &Name, record: Record) -> Outcome<Reader> {
        Ok(match Spilled::decode(name, &record)? {
            Some(spilled) => Reader::Spilled(spilled),
            None => Reader::Inline(record.body),
        })
    }

    pub(super) fn len(&self) -> Outcome<u64> {
        match self {
            Reader::Inline(body) => Ok(inline::count(body)?),
            Reader::Spilled(s) => Ok(s.count),
        }
    }

    pub(super) fn get(&self, ctx: &Ctx<'_>, field: &[u8]) -> Outcome<Option<Bytes>> {
        match self {
            Reader::Inline(body) => Ok(inline::find(body, field)?),
            Reader::Spilled(s) => Ok(ctx.get(&s.key(field))?.map(|v| field_value(&v)).transpose()?),
        }
    }
}

impl Members for Reader {
    fn count(&self) -> Outcome<u64> {
        self.len()
    }

    fn is_inline(&self) -> bool {
        matches!(self, Reader::Inline(_))
    }

    fn each(
        &self,
        ctx: &Ctx<'_>,
        from: u32,
        visit: &mut dyn FnMut(u32, Bytes, Bytes) -> ControlFlow<()>,
    ) -> Outcome<()> {
        match self {
            Reader::Inline(body) => {
                let _ = inline::decode(body)?.into_iter().try_for_each(|(field, value)| visit(0, field, value));
                Ok(())
            }
            Reader::Spilled(s) => {
                s.each(ctx, from, |position, field, stored| Ok(visit(position, field, field_value(stored)?)))
            }
        }
    }
}

//! Reading a hash in either form.

use super::{Spilled, field_value, inline};
use crate::ctx::{Ctx, typed};
use crate::parse::ReplyMeter;
use crate::records::{Type, successor};
use crate::reply::{Outcome, REPLY_TOO_LARGE, Stop, fail};
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
        let record = typed(record, Type::Hash)?;
        Ok(Some(match Spilled::decode(&name, &record)? {
            Some(spilled) => Reader::Spilled(spilled),
            None => Reader::Inline(record.body),
        }))
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
            Reader::Spilled(s) => Ok(ctx.get(&s.field_key(field))?.map(|v| field_value(&v)).transpose()?),
        }
    }

    /// Visits fields in order, with their positions; those of an inline hash are all 0. A spilled hash starts at
    /// position `from`.
    pub(super) fn each(
        &self,
        ctx: &Ctx<'_>,
        from: u32,
        mut visit: impl FnMut(u32, Bytes, Bytes) -> ControlFlow<()>,
    ) -> Outcome<()> {
        let s = match self {
            Reader::Inline(body) => {
                for (field, value) in inline::decode(body)? {
                    if visit(0, field, value).is_break() {
                        break;
                    }
                }
                return Ok(());
            }
            Reader::Spilled(s) => s,
        };
        let mut bad = None;
        ctx.scan(&s.position_key(from), &successor(&s.prefix), &mut |key, stored| {
            let (position, field) = s.split(key);
            match field_value(stored) {
                Ok(value) => visit(position, Bytes::copy_from_slice(field), value),
                Err(e) => {
                    bad = Some(e);
                    ControlFlow::Break(())
                }
            }
        })?;
        bad.map_or(Ok(()), |e| Err(Stop::Engine(e)))
    }

    /// All fields and values, when they fit into a reply.
    pub(super) fn all(&self, ctx: &Ctx<'_>) -> Outcome<Vec<(Bytes, Bytes)>> {
        let mut meter = ReplyMeter::default();
        let mut fits = true;
        let mut out = Vec::new();
        self.each(ctx, 0, |_, field, value| {
            fits = meter.fits(field.len() + value.len());
            out.push((field, value));
            if fits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if fits { Ok(out) } else { fail(REPLY_TOO_LARGE) }
    }
}

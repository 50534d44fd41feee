//! Reading a set in either form.

use crate::ctx::{Ctx, typed};
use crate::members::{Members, Spilled};
use crate::packed;
use crate::records::{Name, Record, Type};
use crate::reply::Outcome;
use bytes::Bytes;
use std::ops::ControlFlow;

/// A set as a reader sees it.
pub(crate) enum Reader {
    Inline(Vec<Bytes>),
    Spilled(Spilled),
}

impl Reader {
    pub(crate) fn of(name: &Name, record: &Record) -> Outcome<Reader> {
        Ok(match Spilled::decode(name, record)? {
            Some(spilled) => Reader::Spilled(spilled),
            None => Reader::Inline(packed::decode(&record.body)?),
        })
    }

    /// The set under `user`; `None` when the key is absent.
    pub(crate) fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Option<Reader>> {
        let name = ctx.name(user)?;
        let Some(record) = ctx.read(&name)? else { return Ok(None) };
        let record = typed(record, Type::Set)?;
        Reader::of(&name, &record).map(Some)
    }

    pub(crate) fn len(&self) -> Outcome<u64> {
        match self {
            Reader::Inline(members) => Ok(members.len() as u64),
            Reader::Spilled(s) => Ok(s.count),
        }
    }

    pub(crate) fn contains(&self, ctx: &Ctx<'_>, member: &[u8]) -> Outcome<bool> {
        match self {
            Reader::Inline(members) => Ok(members.iter().any(|m| m == member)),
            Reader::Spilled(s) => Ok(ctx.get(&s.key(member))?.is_some()),
        }
    }

    /// Visits members with their positions, as [`Members::each`] does.
    pub(crate) fn visit(
        &self,
        ctx: &Ctx<'_>,
        from: u32,
        mut visit: impl FnMut(u32, Bytes) -> ControlFlow<()>,
    ) -> Outcome<()> {
        match self {
            Reader::Inline(members) => {
                let _ = members.iter().try_for_each(|m| visit(0, m.clone()));
                Ok(())
            }
            Reader::Spilled(s) => s.each(ctx, from, |position, member, _| Ok(visit(position, member))),
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
        self.visit(ctx, from, |position, member| visit(position, member, Bytes::new()))
    }
}

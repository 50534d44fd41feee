//! The entries of a sorted set in either form.

use super::order::Order;
use super::span::Span;
use super::{Entry, entry_at};
use crate::ctx::{Ctx, typed};
use crate::members::{Members, Spilled};
use crate::packed::cut;
use crate::records::{KeyBuf, Name, Record, Type, damaged};
use crate::reply::Outcome;
use bytes::Bytes;
use std::ops::ControlFlow;
use stdx::codec::{Put, Reader};

/// A sorted set's entries.
pub(crate) enum Body {
    /// All of them, in order.
    Inline(Vec<Entry>),
    Spilled(Spilled, Order),
}

impl Body {
    pub(crate) fn of(name: &Name, record: &Record) -> Outcome<Body> {
        Ok(match Spilled::decode(name, record)? {
            Some(spilled) => {
                let order = Order::new(name, spilled.home);
                Body::Spilled(spilled, order)
            }
            None => Body::Inline(decode(&record.body)?),
        })
    }

    /// The sorted set under `user` as a reader sees it; `None` when the key is absent.
    pub(crate) fn read(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Option<Body>> {
        let name = ctx.name(user)?;
        let Some(record) = ctx.read(&name)? else { return Ok(None) };
        let record = typed(record, Type::SortedSet)?;
        Body::of(&name, &record).map(Some)
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Body::Inline(entries) => entries.len() as u64,
            Body::Spilled(s, _) => s.count,
        }
    }

    pub(crate) fn score(&self, ctx: &Ctx<'_>, member: &[u8]) -> Outcome<Option<f64>> {
        match self {
            Body::Inline(entries) => Ok(entries.iter().find(|e| e.member == member).map(|e| e.score)),
            Body::Spilled(s, _) => ctx.get(&s.key(member))?.map(|stored| stored_score(&stored)).transpose(),
        }
    }

    /// Visits the entries of a span, forwards or backwards, until `visit` breaks.
    pub(crate) fn each(
        &self,
        ctx: &Ctx<'_>,
        span: &Span,
        backwards: bool,
        mut visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Outcome<()> {
        match self {
            Body::Inline(entries) => {
                let mut inside = entries.iter().filter(|e| span.contains(&e.place())).cloned();
                let _ = if backwards { inside.rev().try_for_each(visit) } else { inside.try_for_each(visit) };
                Ok(())
            }
            Body::Spilled(_, order) => {
                let mut bad = false;
                order.each(ctx, span, backwards, |place| match entry_at(place) {
                    Some(entry) => visit(entry),
                    None => {
                        bad = true;
                        ControlFlow::Break(())
                    }
                })?;
                if bad { Err(damaged("a place without a score").into()) } else { Ok(()) }
            }
        }
    }

    /// How many entries come before a place.
    pub(super) fn rank(&self, ctx: &Ctx<'_>, place: &[u8]) -> Outcome<u64> {
        match self {
            Body::Inline(entries) => Ok(entries.iter().take_while(|e| &e.place()[..] < place).count() as u64),
            Body::Spilled(_, order) => order.rank(ctx, place),
        }
    }

    /// The place of the entry of a rank; `None` from the end on.
    pub(super) fn place_of(&self, ctx: &Ctx<'_>, rank: u64) -> Outcome<Option<KeyBuf>> {
        if rank >= self.len() {
            return Ok(None);
        }
        match self {
            Body::Inline(entries) => Ok(usize::try_from(rank).ok().and_then(|r| entries.get(r)).map(Entry::place)),
            Body::Spilled(_, order) => order.place_of(ctx, rank, self.len()),
        }
    }
}

impl Members for Body {
    fn count(&self) -> Outcome<u64> {
        Ok(self.len())
    }

    fn is_inline(&self) -> bool {
        matches!(self, Body::Inline(_))
    }

    /// The score goes along as its eight bytes.
    fn each(
        &self,
        ctx: &Ctx<'_>,
        from: u32,
        visit: &mut dyn FnMut(u32, Bytes, Bytes) -> ControlFlow<()>,
    ) -> Outcome<()> {
        match self {
            Body::Inline(entries) => {
                let _ = entries.iter().try_for_each(|e| visit(0, e.member.clone(), score_bytes(e.score)));
                Ok(())
            }
            Body::Spilled(s, _) => s.each(ctx, from, |position, member, stored| {
                stored_score(stored)?;
                Ok(visit(position, member, stored.clone()))
            }),
        }
    }
}

/// A score as a member's record keeps it.
pub(super) fn score_bytes(score: f64) -> Bytes {
    Bytes::copy_from_slice(&score.to_bits().to_be_bytes())
}

/// The score in a member's record.
pub(super) fn stored_score(stored: &Bytes) -> Outcome<f64> {
    match <[u8; 8]>::try_from(&stored[..]) {
        Ok(bytes) => Ok(f64::from_bits(u64::from_be_bytes(bytes))),
        Err(_) => Err(damaged("a score that is not eight bytes").into()),
    }
}

/// The entries of an inline body.
fn decode(body: &Bytes) -> Outcome<Vec<Entry>> {
    let mut reader = Reader::new(body.clone());
    let count = reader.varint().map_err(cut)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let score = stored_score(&reader.take(8).map_err(cut)?)?;
        entries.push(Entry { score, member: reader.bytes().map_err(cut)? });
    }
    Ok(entries)
}

/// The inline body that holds `entries`.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_varint(entries.len() as u64);
    for entry in entries {
        out.extend_from_slice(&score_bytes(entry.score));
        out.put_bytes(&entry.member);
    }
    out
}

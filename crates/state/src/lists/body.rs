//! The elements of a list in either form.

use super::Spilled;
use crate::ctx::{Ctx, typed};
use crate::packed;
use crate::parse::ReplyMeter;
use crate::records::{Name, Record, Type, damaged};
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

/// A list's elements.
pub(super) enum Body {
    Inline(VecDeque<Bytes>),
    Spilled(Spilled),
}

impl Body {
    /// The elements of a record; none when there is no record.
    pub(super) fn of(name: &Name, record: Option<&Record>) -> Outcome<Body> {
        let Some(record) = record else { return Ok(Body::Inline(VecDeque::new())) };
        Ok(match Spilled::decode(name, record)? {
            Some(spilled) => Body::Spilled(spilled),
            None => Body::Inline(packed::decode(&record.body)?.into()),
        })
    }

    /// The list under `user` as a reader sees it; `None` when the key is absent.
    pub(super) fn read(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Option<Body>> {
        let name = ctx.name(user)?;
        let Some(record) = ctx.read(&name)? else { return Ok(None) };
        let record = typed(record, Type::List)?;
        Body::of(&name, Some(&record)).map(Some)
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Body::Inline(items) => items.len() as u64,
            Body::Spilled(s) => s.len(),
        }
    }

    /// The position that a client's `index` means: from the end when negative. `None` outside the list.
    pub(super) fn position(&self, index: i64) -> Option<u64> {
        let len = self.len();
        let at = match u64::try_from(index) {
            Ok(at) => at,
            Err(_) => len.checked_sub(index.unsigned_abs())?,
        };
        (at < len).then_some(at)
    }

    /// The positions from `start` to `stop`, both included, as LRANGE reads them.
    pub(super) fn range(&self, start: i64, stop: i64) -> Range<u64> {
        let len = i64::try_from(self.len()).unwrap_or(i64::MAX);
        let place = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
        let from = place(start).max(0);
        let to = place(stop).min(len - 1);
        if from > to { 0..0 } else { from.unsigned_abs()..to.unsigned_abs() + 1 }
    }

    /// The element at a position inside the list.
    pub(super) fn get(&self, ctx: &Ctx<'_>, at: u64) -> Outcome<Bytes> {
        let element = match self {
            Body::Inline(items) => usize::try_from(at).ok().and_then(|at| items.get(at)).cloned(),
            Body::Spilled(s) => ctx.get(&s.key(s.head + at))?,
        };
        element.ok_or_else(|| damaged("a list without one of its elements").into())
    }

    /// Visits the elements of a range with their positions, forwards or backwards, until `visit` breaks.
    pub(super) fn each(
        &self,
        ctx: &Ctx<'_>,
        range: Range<u64>,
        backwards: bool,
        mut visit: impl FnMut(u64, &Bytes) -> ControlFlow<()>,
    ) -> Outcome<()> {
        match self {
            Body::Inline(items) => {
                let places = range.start..range.end.min(items.len() as u64);
                let mut see = |at: u64| visit(at, &items[at as usize]);
                let _ = if backwards { places.rev().try_for_each(&mut see) } else { { places }.try_for_each(&mut see) };
                Ok(())
            }
            Body::Spilled(s) => {
                let (start, end) = (s.key(s.head + range.start), s.key(s.head + range.end));
                let mut at = if backwards { range.end } else { range.start };
                let mut expected = true;
                let mut see = |key: &[u8], element: &Bytes| {
                    at = if backwards { at - 1 } else { at };
                    expected = key == &s.key(s.head + at)[..];
                    if !expected {
                        return ControlFlow::Break(());
                    }
                    let flow = visit(at, element);
                    at = if backwards { at } else { at + 1 };
                    flow
                };
                if backwards {
                    ctx.scan_reverse(&start, &end, &mut see)?
                } else {
                    ctx.scan(&start, &end, &mut see)?
                }
                if expected { Ok(()) } else { Err(damaged("a list without one of its elements").into()) }
            }
        }
    }

    /// The elements of a range, when they fit into a reply.
    pub(super) fn elements(&self, ctx: &Ctx<'_>, range: Range<u64>, backwards: bool) -> Outcome<Vec<Bytes>> {
        let mut meter = ReplyMeter::default();
        let mut fits = true;
        let mut out = Vec::new();
        self.each(ctx, range, backwards, |_, element| {
            fits = meter.fits(element.len());
            out.push(element.clone());
            if fits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if fits { Ok(out) } else { fail(REPLY_TOO_LARGE) }
    }
}

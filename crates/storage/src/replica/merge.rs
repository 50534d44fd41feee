//! One ordered walk over the layers of a replica: tables in memory, newest first, and the engine below them.

use super::keys::{PREFIX_BYTES, Prefix, join, prefix_end};
use super::table::{Slot, Table};
use crate::{EngineError, View};
use bytes::Bytes;
use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::ControlFlow;

/// Which way a walk goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    fn order(self, ordering: Ordering) -> Ordering {
        match self {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        }
    }
}

/// What a walk covers: from `start` to before `end`, or to the last key when there is no end.
#[derive(Clone, Copy)]
pub(crate) struct Span<'k> {
    pub(crate) start: &'k [u8],
    pub(crate) end: Option<&'k [u8]>,
}

impl Span<'_> {
    /// Every key.
    pub(crate) const ALL: Span<'static> = Span { start: &[], end: None };

    pub(crate) fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| self.start >= end)
    }
}

/// A visitor of pairs that may stop the walk.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>;

type Walk<'a> = Box<dyn Iterator<Item = (&'a [u8], &'a Slot)> + 'a>;

/// The entries of several tables as one ordered run: of entries with equal keys only that of the newest table appears.
pub(crate) struct Layers<'a> {
    // Newest first.
    walks: Vec<Peekable<Walk<'a>>>,
    direction: Direction,
}

impl<'a> Layers<'a> {
    /// The part of `tables`, which come newest first, that lies in `span`.
    pub(crate) fn new(tables: impl Iterator<Item = &'a Table>, span: Span<'_>, direction: Direction) -> Layers<'a> {
        let walk = |table: &'a Table| -> Walk<'a> {
            let range = table.range(span);
            match direction {
                Direction::Ascending => Box::new(range),
                Direction::Descending => Box::new(range.rev()),
            }
        };
        // Most walks meet tables that have nothing to say.
        let walks = tables.filter(|t| t.may_hold(span)).map(|t| walk(t).peekable()).collect();
        Layers { walks, direction }
    }
}

impl<'a> Iterator for Layers<'a> {
    type Item = (&'a [u8], &'a Slot);

    fn next(&mut self) -> Option<(&'a [u8], &'a Slot)> {
        let mut first: Option<(usize, &'a [u8])> = None;
        for (i, walk) in self.walks.iter_mut().enumerate() {
            if let Some((key, _)) = walk.peek()
                && first.is_none_or(|(_, best)| self.direction.order((*key).cmp(best)) == Ordering::Less)
            {
                first = Some((i, key));
            }
        }
        let (newest, key) = first?;
        // Older tables may hold the same key: what they say of it is hidden.
        for walk in &mut self.walks[newest + 1..] {
            walk.next_if(|(other, _)| *other == key);
        }
        self.walks[newest].next()
    }
}

/// Visits what is visible of `span` through tables (newest first) and engine.
pub(crate) fn scan_merged<'a>(
    tables: impl Iterator<Item = &'a Table>,
    engine: &dyn View,
    prefix: Prefix,
    span: Span<'_>,
    direction: Direction,
    visit: Visit<'_>,
) -> Result<(), EngineError> {
    if span.is_empty() {
        return Ok(());
    }
    let mut layers = Layers::new(tables, span, direction).peekable();
    let mut stopped = false;
    let mut from_engine = |key: &[u8], value: &Bytes| -> ControlFlow<()> {
        // Keys of the engine begin with the prefix, because the range does.
        let flow = merge_step(&mut layers, &key[PREFIX_BYTES..], value, direction, visit);
        stopped = flow.is_break();
        flow
    };
    let from = join(prefix, span.start);
    let to = span.end.map_or_else(|| join(prefix_end(prefix), &[]), |end| join(prefix, end));
    match direction {
        Direction::Ascending => engine.scan(&from, &to, &mut from_engine)?,
        Direction::Descending => engine.scan_reverse(&from, &to, &mut from_engine)?,
    }
    if stopped {
        return Ok(());
    }
    for (key, slot) in layers {
        if let Some(value) = &slot.value
            && visit(key, value).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// Visits entries of the tables up to a key of the engine, and then that key unless a table says otherwise of it.
fn merge_step(
    layers: &mut Peekable<Layers<'_>>,
    key: &[u8],
    value: &Bytes,
    direction: Direction,
    visit: Visit<'_>,
) -> ControlFlow<()> {
    while let Some((above, slot)) = layers.peek() {
        let order = direction.order((*above).cmp(key));
        if order == Ordering::Greater {
            break;
        }
        if let Some(value) = &slot.value {
            visit(above, value)?;
        }
        layers.next();
        if order == Ordering::Equal {
            return ControlFlow::Continue(());
        }
    }
    visit(key, value)
}

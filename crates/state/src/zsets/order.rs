//! The order of a larger sorted set: a Score record for each entry, and a Block record for each run of neighbours.
//!
//! A block's key is a place that no entry of the block is before; it ends where the next block begins. Its value is the
//! number of its entries. A rank is the sum of the blocks before it and a count inside one block. Reading begins at the
//! first block, so what was deleted in front of it is not read over again.

use super::Entry;
use super::span::{Span, after};
use crate::ctx::{Ctx, owned};
use crate::records::{self, Home, KeyBuf, Name, Part, damaged, successor};
use crate::reply::{Outcome, Stop};
use bytes::Bytes;
use std::ops::ControlFlow;
use stdx::codec::{Put, Reader};

/// Entries of one block at most; one more, and it is split into halves.
const BLOCK_ENTRIES_MAX: u64 = 1024;

/// Entries of a block that is written at once.
const BLOCK_ENTRIES_NEW: usize = 512;

/// Where the entries of one collection are in order.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    scores: KeyBuf,
    blocks: KeyBuf,
}

/// One block.
struct Block {
    fence: KeyBuf,
    count: u64,
}

impl Order {
    pub(super) fn new(name: &Name, home: Home) -> Order {
        let prefix = records::sub_prefix(name.keyspace(), home.slot, home.version);
        Order {
            scores: records::sub_key(&prefix, Part::Score, &[]),
            blocks: records::sub_key(&prefix, Part::Block, &[]),
        }
    }

    /// Visits the places of a span, forwards or backwards.
    pub(super) fn each(
        &self,
        ctx: &Ctx<'_>,
        span: &Span,
        backwards: bool,
        visit: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Outcome<()> {
        if backwards {
            return self.scan(ctx, span, true, visit);
        }
        let Some(Block { fence, .. }) = self.first(ctx)? else { return Ok(()) };
        let from = if span.from < fence { fence } else { span.from.clone() };
        self.scan(ctx, &Span { from, to: span.to.clone() }, false, visit)
    }

    fn scan(
        &self,
        ctx: &Ctx<'_>,
        span: &Span,
        backwards: bool,
        mut visit: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Outcome<()> {
        if span.is_empty() {
            return Ok(());
        }
        let (start, end) = (join(&self.scores, &span.from), join(&self.scores, &span.to));
        let mut see = |key: &[u8], _: &Bytes| visit(key.get(self.scores.len()..).unwrap_or_default());
        if backwards {
            ctx.scan_reverse(&start, &end, &mut see)?
        } else {
            ctx.scan(&start, &end, &mut see)?
        }
        Ok(())
    }

    /// How many entries come before a place.
    pub(super) fn rank(&self, ctx: &Ctx<'_>, place: &[u8]) -> Outcome<u64> {
        let mut before = 0;
        let mut last: Option<Block> = None;
        self.each_block(ctx, &join(&self.blocks, place), false, |block| {
            before += last.replace(block).map_or(0, |b| b.count);
            ControlFlow::Continue(())
        })?;
        let Some(last) = last else { return Ok(0) };
        self.scan(ctx, &Span { from: last.fence, to: KeyBuf::from_slice(place) }, false, |_| {
            before += 1;
            ControlFlow::Continue(())
        })?;
        Ok(before)
    }

    /// The place of the entry of a rank among `len` entries, sought from the nearer end.
    pub(super) fn place_of(&self, ctx: &Ctx<'_>, rank: u64, len: u64) -> Outcome<Option<KeyBuf>> {
        let backwards = rank >= len / 2;
        let mut left = if backwards { len.saturating_sub(rank + 1) } else { rank };
        let mut span = Span::all();
        let mut found = false;
        self.each_block(ctx, &successor(&self.blocks), backwards, |block| {
            found = left < block.count;
            if found {
                span.from = block.fence;
                return ControlFlow::Break(());
            }
            left -= block.count;
            if backwards {
                span.to = block.fence;
            }
            ControlFlow::Continue(())
        })?;
        let mut place = None;
        if found {
            self.scan(ctx, &span, backwards, |at| {
                if left == 0 {
                    place = Some(KeyBuf::from_slice(at));
                    return ControlFlow::Break(());
                }
                left -= 1;
                ControlFlow::Continue(())
            })?;
        }
        Ok(place)
    }

    /// Writes the record of an entry that has none.
    pub(super) fn insert(&self, ctx: &mut Ctx<'_>, place: &[u8]) -> Outcome<()> {
        ctx.txn()?.put(owned(&join(&self.scores, place)), Bytes::new());
        let Some(mut block) = self.block_of(ctx, place)? else {
            return self.put_block(ctx, &Block { fence: KeyBuf::from_slice(place), count: 1 });
        };
        if place < &block.fence[..] {
            ctx.txn()?.delete(owned(&join(&self.blocks, &block.fence)));
            block.fence = KeyBuf::from_slice(place);
        }
        block.count += 1;
        if block.count > BLOCK_ENTRIES_MAX {
            self.split(ctx, &mut block)?;
        }
        self.put_block(ctx, &block)
    }

    /// Gives the upper half of a block to a new one.
    fn split(&self, ctx: &mut Ctx<'_>, block: &mut Block) -> Outcome<()> {
        let half = block.count / 2;
        let mut seen = 0;
        let mut fence = None;
        self.each_from(ctx, &block.fence, |place| {
            if seen == half {
                fence = Some(KeyBuf::from_slice(place));
                return ControlFlow::Break(());
            }
            seen += 1;
            ControlFlow::Continue(())
        })?;
        let Some(fence) = fence else { return Err(damaged("a block with fewer entries than it counts").into()) };
        self.put_block(ctx, &Block { fence, count: block.count - half })?;
        block.count = half;
        Ok(())
    }

    /// Deletes the record of an entry.
    pub(super) fn remove(&self, ctx: &mut Ctx<'_>, place: &[u8]) -> Outcome<()> {
        ctx.txn()?.delete(owned(&join(&self.scores, place)));
        let Some(mut block) = self.block_of(ctx, place)? else {
            return Err(damaged("an entry in no block").into());
        };
        block.count = block.count.saturating_sub(1);
        if block.count == 0 {
            ctx.txn()?.delete(owned(&join(&self.blocks, &block.fence)));
            return Ok(());
        }
        self.put_block(ctx, &block)
    }

    /// Writes the records of a new collection, whose entries are in order.
    pub(super) fn build(&self, ctx: &mut Ctx<'_>, entries: &[Entry]) -> Outcome<()> {
        for run in entries.chunks(BLOCK_ENTRIES_NEW) {
            for entry in run {
                ctx.txn()?.put(owned(&join(&self.scores, &entry.place())), Bytes::new());
            }
            self.put_block(ctx, &Block { fence: run[0].place(), count: run.len() as u64 })?;
        }
        Ok(())
    }

    fn each_from(&self, ctx: &Ctx<'_>, from: &KeyBuf, visit: impl FnMut(&[u8]) -> ControlFlow<()>) -> Outcome<()> {
        self.scan(ctx, &Span { from: from.clone(), to: Span::all().to }, false, visit)
    }

    fn put_block(&self, ctx: &mut Ctx<'_>, block: &Block) -> Outcome<()> {
        let mut count = Vec::new();
        count.put_varint(block.count);
        ctx.txn()?.put(owned(&join(&self.blocks, &block.fence)), count.into());
        Ok(())
    }

    fn first(&self, ctx: &Ctx<'_>) -> Outcome<Option<Block>> {
        let mut first = None;
        self.each_block(ctx, &successor(&self.blocks), false, |block| {
            first = Some(block);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// The block that an entry at `place` belongs to: the last that begins there or before, or else the first.
    fn block_of(&self, ctx: &Ctx<'_>, place: &[u8]) -> Outcome<Option<Block>> {
        let mut found = None;
        ctx.scan_reverse(&self.blocks, &join(&self.blocks, &after(place)), &mut |key, value| {
            found = Some(self.block(key, value));
            ControlFlow::Break(())
        })?;
        match found {
            Some(block) => block.map(Some),
            None => self.first(ctx),
        }
    }

    /// Visits the blocks that begin before the key `end`, forwards or backwards.
    fn each_block(
        &self,
        ctx: &Ctx<'_>,
        end: &KeyBuf,
        backwards: bool,
        mut visit: impl FnMut(Block) -> ControlFlow<()>,
    ) -> Outcome<()> {
        let mut bad: Option<Stop> = None;
        let mut see = |key: &[u8], value: &Bytes| match self.block(key, value) {
            Ok(block) => visit(block),
            Err(stop) => {
                bad = Some(stop);
                ControlFlow::Break(())
            }
        };
        if backwards {
            ctx.scan_reverse(&self.blocks, end, &mut see)?
        } else {
            ctx.scan(&self.blocks, end, &mut see)?
        }
        bad.map_or(Ok(()), Err)
    }

    fn block(&self, key: &[u8], value: &Bytes) -> Outcome<Block> {
        let count = Reader::new(value.clone()).varint().map_err(|_| damaged("a block without its count"))?;
        Ok(Block { fence: KeyBuf::from_slice(key.get(self.blocks.len()..).unwrap_or_default()), count })
    }
}

fn join(prefix: &[u8], suffix: &[u8]) -> KeyBuf {
    let mut key = KeyBuf::from_slice(prefix);
    key.extend_from_slice(suffix);
    key
}

//! The leader's background work: deleting keys whose time has come, and what dropped collections and flushed databases
//! left behind. Both are proposed like any write, in bounded steps.

use crate::ctx::{Ctx, owned};
use crate::env::Env;
use crate::proposal::{Leading, ProposalBuilder};
use crate::records::{self, Garbage, Name, Record, expiry_key};
use crate::reply::{Outcome, Stop};
use bytes::Bytes;
use command::Reply;
use std::ops::ControlFlow;
use storage::EngineError;

/// What a step of expiry did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expired {
    /// Expiry records dealt with, at most the number asked for.
    pub removed: usize,
    /// When the next key expires, milliseconds since the epoch; in the past when more is due; `None`: nothing expires.
    pub next_due_ms: Option<u64>,
}

/// What a step of background deletion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collected {
    /// Records deleted, about at most the number asked for.
    pub removed: usize,
    /// Whether more is known to be left.
    pub more: bool,
}

impl ProposalBuilder {
    /// Proposes the deletion of at most `max` keys that have expired.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn expire_due(&mut self, on: &mut Leading<'_>, env: Env, max: usize) -> Result<Expired, EngineError> {
        let mut done = Expired { removed: 0, next_due_ms: None };
        self.run(on, env, |ctx| {
            done = expire_due(ctx, max)?;
            Ok(Reply::Null)
        })?;
        Ok(done)
    }

    /// Proposes the deletion of about `max` records of garbage.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn collect_garbage(&mut self, on: &mut Leading<'_>, env: Env, max: usize) -> Result<Collected, EngineError> {
        let mut done = Collected { removed: 0, more: false };
        self.run(on, env, |ctx| {
            done = collect(ctx, max)?;
            Ok(Reply::Null)
        })?;
        Ok(done)
    }
}

fn expire_due(ctx: &mut Ctx<'_>, max: usize) -> Outcome<Expired> {
    let end = records::expiry_start(u64::MAX);
    let start = ctx.txn()?.overlay.numbers.expiry_head.clone();
    let start = if start.is_empty() { owned(&records::expiry_start(0)) } else { start };
    let now_ms = ctx.env.now_ms;
    let mut due: Vec<Bytes> = Vec::new();
    let mut next = None;
    ctx.scan(&start, &end, &mut |key, _| {
        let at = records::locator_of_expiry(key).map_or(0, |(at, _)| at);
        if at < now_ms && due.len() < max {
            due.push(Bytes::copy_from_slice(key));
            return ControlFlow::Continue(());
        }
        next = Some((at, Bytes::copy_from_slice(key)));
        ControlFlow::Break(())
    })?;
    ctx.txn()?.overlay.numbers.expiry_head = next.as_ref().map_or_else(|| owned(&end), |(_, key)| key.clone());
    for key in &due {
        expire_one(ctx, key)?;
    }
    Ok(Expired { removed: due.len(), next_due_ms: next.map(|(at, _)| at) })
}

fn expire_one(ctx: &mut Ctx<'_>, index: &Bytes) -> Outcome<()> {
    if let Some((at, locator)) = records::locator_of_expiry(index)
        && let Some(name) = living(ctx, locator)?
        && let Some(value) = ctx.get(name.record())?
    {
        let record = Record::decode(&value)?;
        if record.head.expire_ms == Some(at) {
            return ctx.remove_expired(&name, &record);
        }
    }
    // The key is of a flushed database, whose records background deletion removes.
    ctx.txn()?.delete(index.clone());
    Ok(())
}

/// The name behind a locator, when its keyspace still belongs to a database.
fn living(ctx: &mut Ctx<'_>, locator: &[u8]) -> Outcome<Option<Name>> {
    let name = records::meta_of_locator(0, locator);
    for db in 0..crate::DATABASES {
        if ctx.keyspace(db)? == name.keyspace() {
            return Ok(Some(records::meta_of_locator(db, locator)));
        }
    }
    Ok(None)
}

fn collect(ctx: &mut Ctx<'_>, max: usize) -> Outcome<Collected> {
    let mut removed = 0;
    while removed < max {
        let Some((task, end)) = next_task(ctx)? else { return Ok(Collected { removed, more: false }) };
        let step = match Garbage::of_key(&task) {
            Some(Garbage::Collection(prefix)) => {
                sweep(ctx, &prefix, &records::successor(&prefix), max - removed, false)?
            }
            Some(Garbage::Span(start)) => sweep(ctx, &start, &end, max - removed, false)?,
            Some(Garbage::Keyspace(keyspace)) => sweep_keyspace(ctx, keyspace, max - removed)?,
            None => return Err(Stop::Engine(records::damaged("a garbage record does not decode"))),
        };
        // The task itself counts, so that a thousand empty ones are as bounded as one large one.
        removed += step.records + usize::from(step.finished);
        if step.finished {
            let txn = ctx.txn()?;
            txn.overlay.numbers.garbage_at = Bytes::new();
            txn.delete(task);
        }
    }
    Ok(Collected { removed, more: true })
}

/// The first garbage record, and its value.
fn next_task(ctx: &mut Ctx<'_>) -> Outcome<Option<(Bytes, Bytes)>> {
    let (start, end) = records::garbage_range();
    let head = ctx.txn()?.overlay.numbers.garbage_head.clone();
    let start = if head.is_empty() { &start[..] } else { &head[..] };
    let mut first: Option<(Bytes, Bytes)> = None;
    ctx.scan(start, &end, &mut |key, value| {
        first = Some((Bytes::copy_from_slice(key), value.clone()));
        ControlFlow::Break(())
    })?;
    let head = first.as_ref().map_or_else(|| Bytes::copy_from_slice(&end), |(key, _)| key.clone());
    ctx.txn()?.overlay.numbers.garbage_head = head;
    Ok(first)
}

/// What one range delete did.
struct Step {
    records: usize,
    /// Whether the range is empty.
    finished: bool,
}

fn sweep_keyspace(ctx: &mut Ctx<'_>, keyspace: u32, max: usize) -> Outcome<Step> {
    let mut swept = 0;
    for (range, indexed) in [
        (records::meta_range(keyspace, 0), true),
        (records::sub_range(keyspace), false),
        (records::count_range(keyspace), false),
    ] {
        let step = sweep(ctx, &range.0, &range.1, max - swept, indexed)?;
        swept += step.records;
        if !step.finished || swept == max {
            return Ok(Step { records: swept, finished: false });
        }
    }
    Ok(Step { records: swept, finished: true })
}

/// Deletes the first `max` records of a range with one range delete; with `indexed`, their expiry records too. The
/// place where it stops is kept, so that the next step does not read over what was just deleted.
fn sweep(ctx: &mut Ctx<'_>, start: &[u8], end: &[u8], max: usize, indexed: bool) -> Outcome<Step> {
    let at = ctx.txn()?.overlay.numbers.garbage_at.clone();
    let from = if at.as_ref() > start && at.as_ref() <= end { at } else { Bytes::copy_from_slice(start) };
    let mut records = 0;
    let mut last = Bytes::new();
    let mut index: Vec<Bytes> = Vec::new();
    let mut bad = None;
    ctx.scan(&from, end, &mut |key, value| {
        records += 1;
        if indexed {
            match Record::decode(value) {
                Ok(r) => index.extend(r.head.expire_ms.map(|at| owned(&expiry_key(at, &key[1..])))),
                Err(e) => bad = Some(e),
            }
        }
        if records < max {
            return ControlFlow::Continue(());
        }
        last = Bytes::copy_from_slice(key);
        ControlFlow::Break(())
    })?;
    if let Some(e) = bad {
        return Err(Stop::Engine(e));
    }
    let finished = last.is_empty();
    let stop = if finished { Bytes::copy_from_slice(end) } else { after(&last) };
    let txn = ctx.txn()?;
    if records > 0 {
        txn.delete_range(from, stop.clone());
    }
    for key in index {
        txn.delete(key);
    }
    txn.overlay.numbers.garbage_at = stop;
    Ok(Step { records, finished })
}

/// The smallest key greater than `key`.
fn after(key: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(key.len() + 1);
    out.extend_from_slice(key);
    out.push(0);
    out.into()
}

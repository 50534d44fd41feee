//! The scripts that EVALSHA finds: records of the shard, so that they are there after a failover and on every replica.
//!
//! Bounded: when a script does not fit, those that only EVAL brought make room, the oldest first. Those that SCRIPT LOAD brought
//! stay until SCRIPT FLUSH.

use crate::ctx::Ctx;
use crate::records;
use crate::reply::{Outcome, Stop, fail};
use bytes::Bytes;
use script::Sha;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Scripts of one shard.
const SCRIPTS_MAX: usize = 1_024;
/// Bytes of their bodies.
const BYTES_MAX: usize = 16 << 20;

/// How a script came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Eval,
    Load,
}

// The first byte of a script's record. Persisted.
const FROM_EVAL: u8 = 0x00;
const FROM_LOAD: u8 = 0x01;
/// The record's first byte and the script's number.
const HEADER: usize = 1 + 8;

/// Which scripts there are, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct ScriptIndex {
    scripts: BTreeMap<u64, Kept>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    sha: Sha,
    origin: Origin,
    bytes: usize,
}

impl ScriptIndex {
    fn next(&self) -> u64 {
        self.scripts.last_key_value().map_or(1, |(number, _)| number + 1)
    }

    fn fits(&self, bytes: usize) -> bool {
        self.scripts.len() < SCRIPTS_MAX && self.bytes + bytes <= BYTES_MAX
    }

    fn insert(&mut self, number: u64, kept: Kept) {
        self.bytes += kept.bytes;
        self.scripts.insert(number, kept);
    }

    fn remove(&mut self, number: u64) -> Option<Kept> {
        let kept = self.scripts.remove(&number)?;
        self.bytes -= kept.bytes;
        Some(kept)
    }

    fn oldest_of_eval(&self) -> Option<u64> {
        self.scripts.iter().find(|(_, kept)| kept.origin == Origin::Eval).map(|(number, _)| *number)
    }
}

/// A record's value: origin, number, body.
fn decode(value: &Bytes) -> Outcome<(Origin, u64, Bytes)> {
    let origin = match value.first() {
        Some(&FROM_EVAL) => Origin::Eval,
        Some(&FROM_LOAD) => Origin::Load,
        _ => return Err(Stop::Engine(records::damaged("a script's record does not decode"))),
    };
    match value.get(1..HEADER).and_then(|n| n.try_into().ok()) {
        Some(number) => Ok((origin, u64::from_be_bytes(number), value.slice(HEADER..))),
        None => Err(Stop::Engine(records::damaged("a script's record is too short"))),
    }
}

/// The body of a script.
pub(super) fn find(ctx: &Ctx<'_>, sha: Sha) -> Outcome<Option<Bytes>> {
    match ctx.get(&records::script_key(sha.0))? {
        Some(value) => decode(&value).map(|(_, _, body)| Some(body)),
        None => Ok(None),
    }
}

/// Keeps a script, if it is not kept yet. One that comes by EVAL and finds no room is not kept.
pub(super) fn keep(ctx: &mut Ctx<'_>, sha: Sha, body: &[u8], loaded: bool) -> Outcome<()> {
    let origin = if loaded { Origin::Load } else { Origin::Eval };
    let known = ctx.get(&records::script_key(sha.0))?.map(|value| decode(&value)).transpose()?;
    if known.as_ref().is_some_and(|(old, ..)| *old == origin || *old == Origin::Load) {
        return Ok(());
    }
    let mut index = take_index(ctx)?;
    if let Some((_, number, _)) = known {
        index.remove(number);
    }
    let mut gone = Vec::new();
    while !index.fits(body.len())
        && let Some(oldest) = index.oldest_of_eval()
    {
        gone.extend(index.remove(oldest).map(|kept| kept.sha));
    }
    let number = index.next();
    let fits = index.fits(body.len());
    if fits {
        index.insert(number, Kept { sha, origin, bytes: body.len() });
    }
    let txn = ctx.txn()?;
    txn.overlay.numbers.scripts = Some(index);
    for old in gone {
        txn.delete(Bytes::copy_from_slice(&records::script_key(old.0)));
    }
    if fits {
        let mut value = vec![if loaded { FROM_LOAD } else { FROM_EVAL }];
        value.extend_from_slice(&number.to_be_bytes());
        value.extend_from_slice(body);
        txn.put(Bytes::copy_from_slice(&records::script_key(sha.0)), value.into());
    } else if loaded {
        return fail("ERR the script cache is full: 1024 scripts or 16 MiB were loaded; SCRIPT FLUSH empties it");
    }
    Ok(())
}

/// Forgets every script.
pub(super) fn flush(ctx: &mut Ctx<'_>) -> Outcome<()> {
    let index = take_index(ctx)?;
    let txn = ctx.txn()?;
    txn.overlay.numbers.scripts = Some(ScriptIndex::default());
    for kept in index.scripts.values() {
        txn.delete(Bytes::copy_from_slice(&records::script_key(kept.sha.0)));
    }
    Ok(())
}

/// The index, out of its place: made from the records when this leader has not needed it before.
fn take_index(ctx: &mut Ctx<'_>) -> Outcome<ScriptIndex> {
    if let Some(index) = ctx.txn()?.overlay.numbers.scripts.take() {
        return Ok(index);
    }
    let (start, end) = records::script_range();
    let mut index = ScriptIndex::default();
    let mut failure = None;
    ctx.scan(&start, &end, &mut |key, value| {
        let sha = key.get(1..).and_then(|sha| sha.try_into().ok());
        match (sha, decode(value)) {
            (Some(sha), Ok((origin, number, body))) => {
                index.insert(number, Kept { sha: Sha(sha), origin, bytes: body.len() });
                ControlFlow::Continue(())
            }
            (_, Err(stop)) => {
                failure = Some(stop);
                ControlFlow::Break(())
            }
            (None, _) => {
                failure = Some(Stop::Engine(records::damaged("a script's key has another length")));
                ControlFlow::Break(())
            }
        }
    })?;
    failure.map_or(Ok(index), Err)
}

//! What collections of names have in common: fields of hashes, members of sets and of sorted sets. In a larger one each
//! name has a sub-record in the order of the names' hashes, which gives cursors that mean the same on every replica, and
//! members at random.

mod random;
mod scan;

use crate::ctx::Ctx;
use crate::parse::ReplyMeter;
use crate::records::{self, Home, KeyBuf, Name, Part, Record, damaged, successor};
use crate::reply::{Outcome, REPLY_TOO_LARGE, Stop, fail, fail_with};
use bytes::Bytes;
use std::ops::ControlFlow;
use stdx::codec::{Put, Reader};

pub(crate) use random::{draw, random};
pub(crate) use scan::scan;

/// A name and what is kept with it; empty for a set.
pub(crate) type Pair = (Bytes, Bytes);

/// A collection of names as a reader sees it.
pub(crate) trait Members {
    /// How many there are.
    fn count(&self) -> Outcome<u64>;

    /// Whether all are in the META record.
    fn is_inline(&self) -> bool;

    /// Visits names in order, with their positions; those in a META record are all at 0. Others start at `from`.
    fn each(
        &self,
        ctx: &Ctx<'_>,
        from: u32,
        visit: &mut dyn FnMut(u32, Bytes, Bytes) -> ControlFlow<()>,
    ) -> Outcome<()>;

    /// All of them, when they fit into a reply.
    fn all(&self, ctx: &Ctx<'_>) -> Outcome<Vec<Pair>> {
        let mut meter = ReplyMeter::default();
        let mut fits = true;
        let mut out = Vec::new();
        self.each(ctx, 0, &mut |_, name, value| {
            fits = meter.fits(name.len() + value.len());
            out.push((name, value));
            if fits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if fits { Ok(out) } else { fail(REPLY_TOO_LARGE) }
    }
}

/// Where the names of a larger collection are: the body of its META record.
#[derive(Clone, Debug)]
pub(crate) struct Spilled {
    pub(crate) home: Home,
    /// What the names' records start with, the part included.
    prefix: KeyBuf,
    /// Names.
    pub(crate) count: u64,
}

impl Spilled {
    pub(crate) fn new(name: &Name, home: Home, count: u64) -> Spilled {
        let prefix = records::sub_prefix(name.keyspace(), home.slot, home.version);
        Spilled { home, prefix: records::sub_key(&prefix, Part::Member, &[]), count }
    }

    pub(crate) fn decode(name: &Name, record: &Record) -> Outcome<Option<Spilled>> {
        let Some(home) = record.home()? else { return Ok(None) };
        let count = Reader::new(record.body.slice(Home::LEN..)).varint();
        let count = count.map_err(|_| damaged("a collection without its count"))?;
        Ok(Some(Spilled::new(name, home, count)))
    }

    /// The body.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.home.encode().to_vec();
        out.put_varint(self.count);
        out
    }

    /// The key of a name's record.
    pub(crate) fn key(&self, name: &[u8]) -> KeyBuf {
        let mut key = self.position_key(records::key_hash(name));
        key.extend_from_slice(name);
        key
    }

    /// Where the names of a hash value begin.
    fn position_key(&self, hash: u32) -> KeyBuf {
        let mut key = self.prefix.clone();
        key.extend_from_slice(&hash.to_be_bytes());
        key
    }

    /// The position and the name inside a record's key.
    fn split<'k>(&self, key: &'k [u8]) -> (u32, &'k [u8]) {
        let rest = key.get(self.prefix.len()..).unwrap_or_default();
        match rest.split_at_checked(4) {
            Some((hash, name)) => (hash.iter().fold(0, |v, b| (v << 8) | u32::from(*b)), name),
            None => (0, &[]),
        }
    }

    /// Visits the records of names from a position on: position, name, stored value.
    pub(crate) fn each(
        &self,
        ctx: &Ctx<'_>,
        from: u32,
        mut visit: impl FnMut(u32, Bytes, &Bytes) -> Outcome<ControlFlow<()>>,
    ) -> Outcome<()> {
        let mut bad: Option<Stop> = None;
        ctx.scan(&self.position_key(from), &successor(&self.prefix), &mut |key, stored| {
            let (position, name) = self.split(key);
            visit(position, Bytes::copy_from_slice(name), stored).unwrap_or_else(|stop| {
                bad = Some(stop);
                ControlFlow::Break(())
            })
        })?;
        bad.map_or(Ok(()), Err)
    }
}

/// A name is part of an engine key and has its limit; `what` it is called stands in the error.
pub(crate) fn check_name(what: &str, name: &[u8]) -> Outcome<()> {
    if name.len() <= command::MAX_KEY_BYTES {
        return Ok(());
    }
    fail_with(format!("ERR {what} exceeds the limit of {} bytes", command::MAX_KEY_BYTES))
}

//! Walking the keys of a database.
//!
//! Keys lie in (slot, hash) order and a SCAN cursor is the position of the next one, `slot << 32 | hash`. It needs no
//! memory on the server and means the same on every replica, after a failover, and after a slot has moved.

use crate::ctx::Ctx;
use crate::parse::{ReplyMeter, int_arg, is};
use crate::records::{self, Name, Record};
use crate::reply::{Outcome, REPLY_TOO_LARGE, SYNTAX, Stop, fail};
use bytes::Bytes;
use command::glob;
use command::{Command, Reply, SLOT_COUNT};
use std::ops::ControlFlow;

/// Elements examined when COUNT is not given.
const COUNT_DEFAULT: usize = 10;

/// Elements examined at most by one step, whatever COUNT says: a step holds up a replica's writes.
const COUNT_MAX: usize = 65_536;

/// MATCH, COUNT and TYPE.
pub(crate) struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    pub(crate) count: usize,
    kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    pub(crate) fn parse(words: &'a [Bytes], with_type: bool) -> Outcome<ScanOptions<'a>> {
        let mut o = ScanOptions { pattern: None, count: COUNT_DEFAULT, kind: None };
        for pair in words.chunks(2) {
            let [word, value] = pair else { return fail(SYNTAX) };
            if is(word, "count") {
                let Ok(count @ 1..) = usize::try_from(int_arg(value)?) else { return fail(SYNTAX) };
                o.count = count.min(COUNT_MAX);
            } else if is(word, "match") {
                o.pattern = Some(value);
            } else if is(word, "type") && with_type {
                o.kind = Some(value);
            } else {
                return fail(SYNTAX);
            }
        }
        Ok(o)
    }

    pub(crate) fn matches(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|p| p == b"*" || glob::matches(p, element))
    }

    fn admits(&self, user: &[u8], record: &Record) -> bool {
        self.matches(user) && self.kind.is_none_or(|kind| is(kind, record.head.kind.name()))
    }
}

/// A cursor as a client sends it back, read as C's `strtoul` reads it: a sign is allowed, no digits at all are zero.
pub(crate) fn parse_cursor(word: &[u8]) -> Outcome<u64> {
    let (negative, digits) = match word {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, word),
    };
    let value = match std::str::from_utf8(digits) {
        _ if word.is_empty() => Some(0),
        Ok(text) if digits.iter().all(u8::is_ascii_digit) => text.parse::<u64>().ok(),
        _ => None,
    };
    match value {
        Some(value) => Ok(if negative { value.wrapping_neg() } else { value }),
        None => fail("ERR invalid cursor"),
    }
}

/// The next cursor and the elements.
pub(crate) fn scan_reply(cursor: u64, elements: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::Bulk(cursor.to_string().into()), Reply::Array(elements)])
}

pub(super) fn scan(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let cursor = parse_cursor(&cmd.args[1])?;
    let options = ScanOptions::parse(&cmd.args[2..], true)?;
    let keyspace = ctx.keyspace(ctx.env.db)?;
    let mut examined = 0;
    let mut last = None;
    let mut next = 0;
    let mut found = Vec::new();
    visit_keys(ctx, keyspace, cursor, |key, record| {
        // Keys of one position go together: the cursor cannot point between them.
        let position = records::meta_position(key);
        if examined >= options.count && last != Some(position) {
            next = position;
            return ControlFlow::Break(());
        }
        examined += 1;
        last = Some(position);
        let user = records::user_key_of_meta(key);
        if record.is_some_and(|r| options.admits(user, &r)) {
            found.push(Reply::bulk(user));
        }
        ControlFlow::Continue(())
    })?;
    Ok(scan_reply(next, found))
}

/// Visits keys from a position on; the record is `None` when it has expired.
fn visit_keys(
    ctx: &Ctx<'_>,
    keyspace: u32,
    position: u64,
    mut visit: impl FnMut(&[u8], Option<Record>) -> ControlFlow<()>,
) -> Outcome<()> {
    let (start, end) = records::meta_range(keyspace, position);
    let mut bad = None;
    ctx.scan(&start, &end, &mut |key, value| match Record::decode(value) {
        Ok(record) => visit(key, Some(record).filter(|r| !ctx.is_gone(r))),
        Err(e) => {
            bad = Some(e);
            ControlFlow::Break(())
        }
    })?;
    bad.map_or(Ok(()), |e| Err(Stop::Engine(e)))
}

pub(super) fn keys(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let pattern = &cmd.args[1];
    if !pattern.iter().any(|b| b"*?[\\".contains(b)) {
        // Without magic bytes there is one key to look for.
        let name = ctx.name(pattern)?;
        return Ok(Reply::Array(ctx.read(&name)?.map(|_| Reply::Bulk(pattern.clone())).into_iter().collect()));
    }
    let keyspace = ctx.keyspace(ctx.env.db)?;
    let mut meter = ReplyMeter::default();
    let mut fits = true;
    let mut found = Vec::new();
    visit_keys(ctx, keyspace, 0, |key, record| {
        let user = records::user_key_of_meta(key);
        if record.is_some() && glob::matches(pattern, user) {
            fits = meter.fits(user.len());
            found.push(Reply::bulk(user));
        }
        if fits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if fits { Ok(Reply::Array(found)) } else { fail(REPLY_TOO_LARGE) }
}

/// Chooses among the live keys that follow a random position. Every key of a small database has the same chance; in a
/// large one the chances differ a little by how keys lie.
pub(super) fn randomkey(ctx: &mut Ctx<'_>, _: &Command) -> Outcome {
    /// Live keys among which to choose.
    const CANDIDATES: usize = 32;
    /// Keys to look at, expired ones included, before the search ends.
    const EXAMINED_MAX: usize = 4096;
    let keyspace = ctx.keyspace(ctx.env.db)?;
    let from = ctx.rng.below(u64::from(SLOT_COUNT) << 32);
    let mut found: Vec<Name> = Vec::new();
    let mut examined = 0;
    for (start, wrapped) in [(from, false), (0, true)] {
        visit_keys(ctx, keyspace, start, |key, record| {
            if wrapped && records::meta_position(key) >= from {
                return ControlFlow::Break(());
            }
            examined += 1;
            if record.is_some() {
                found.push(Name::new(ctx.env.db, keyspace, records::user_key_of_meta(key)));
            }
            let enough = found.len() >= CANDIDATES || (examined >= EXAMINED_MAX && !found.is_empty());
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if found.len() >= CANDIDATES {
            break;
        }
    }
    let chosen = ctx.rng.below(found.len() as u64) as usize;
    Ok(found.get(chosen).map_or(Reply::Null, |name| Reply::bulk(name.user())))
}

//! Reading by position, and finding positions.

use super::body::Body;
use crate::ctx::Ctx;
use crate::parse::{REPLY_ELEMENT_BYTES, REPLY_LIMIT_BYTES, int_arg, is, magnitude_arg, ranged};
use crate::reply::{Outcome, REPLY_TOO_LARGE, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

pub(super) fn llen(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let len = Body::read(ctx, &cmd.args[1])?.map_or(0, |list| list.len());
    Ok(Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX)))
}

pub(super) fn lindex(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(list) = Body::read(ctx, &cmd.args[1])? else { return Ok(Reply::Null) };
    match list.position(int_arg(&cmd.args[2])?) {
        Some(at) => Ok(Reply::Bulk(list.get(ctx, at)?)),
        None => Ok(Reply::Null),
    }
}

pub(super) fn lrange(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (start, stop) = (int_arg(&cmd.args[2])?, int_arg(&cmd.args[3])?);
    let Some(list) = Body::read(ctx, &cmd.args[1])? else { return Ok(Reply::Array(Vec::new())) };
    let elements = list.elements(ctx, list.range(start, stop), false)?;
    Ok(Reply::Array(elements.into_iter().map(Reply::Bulk).collect()))
}

/// RANK, COUNT, MAXLEN.
struct Search {
    rank: i64,
    /// `None`: the first match alone, not in an array; 0: all.
    count: Option<u64>,
    /// Elements to look at; 0: all.
    max_len: u64,
}

impl Search {
    fn parse(words: &[Bytes]) -> Outcome<Search> {
        let mut s = Search { rank: 1, count: None, max_len: 0 };
        for pair in words.chunks(2) {
            let [word, value] = pair else { return fail(SYNTAX) };
            if is(word, "rank") {
                s.rank = magnitude_arg(value)?;
                if s.rank == 0 {
                    return fail(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                         negative to start from the end of the list",
                    );
                }
            } else if is(word, "count") {
                s.count = Some(ranged(value, 0, i64::MAX, "ERR COUNT can't be negative")?.unsigned_abs());
            } else if is(word, "maxlen") {
                s.max_len = ranged(value, 0, i64::MAX, "ERR MAXLEN can't be negative")?.unsigned_abs();
            } else {
                return fail(SYNTAX);
            }
        }
        Ok(s)
    }
}

pub(super) fn lpos(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let search = Search::parse(&cmd.args[3..])?;
    let found = match Body::read(ctx, &cmd.args[1])? {
        Some(list) => positions(ctx, &list, &cmd.args[2], &search)?,
        None => Vec::new(),
    };
    let mut found = found.into_iter().map(|at| Reply::Integer(i64::try_from(at).unwrap_or(i64::MAX)));
    Ok(match search.count {
        Some(_) => Reply::Array(found.collect()),
        None => found.next().unwrap_or(Reply::Null),
    })
}

fn positions(ctx: &Ctx<'_>, list: &Body, element: &Bytes, search: &Search) -> Outcome<Vec<u64>> {
    let len = list.len();
    let looked_at = if search.max_len == 0 { len } else { search.max_len.min(len) };
    let backwards = search.rank < 0;
    let range = if backwards { len - looked_at..len } else { 0..looked_at };
    let wanted = match search.count {
        None => 1,
        Some(0) => u64::MAX,
        Some(n) => n,
    };
    let mut to_skip = search.rank.unsigned_abs() - 1;
    let mut found = Vec::new();
    list.each(ctx, range, backwards, |at, e| {
        if e == element && to_skip > 0 {
            to_skip -= 1;
        } else if e == element {
            found.push(at);
        }
        let enough = found.len() as u64 >= wanted || found.len() * REPLY_ELEMENT_BYTES > REPLY_LIMIT_BYTES;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if found.len() * REPLY_ELEMENT_BYTES > REPLY_LIMIT_BYTES { fail(REPLY_TOO_LARGE) } else { Ok(found) }
}

//! XADD.

use super::id::{self, Id};
use super::stream::Stream;
use super::trim::{Options, Trim};
use crate::ctx::Ctx;
use crate::parse::is;
use crate::reply::{Outcome, fail, wrong_arity};
use bytes::Bytes;
use command::{Command, MAX_VALUE_BYTES, Reply};

/// How the ID of an entry is chosen.
#[derive(Clone, Copy, Debug)]
enum NewId {
    /// By the clock.
    Auto,
    /// The next one of this millisecond.
    At(u64),
    /// As the client says.
    Exact(Id),
}

struct Append<'w> {
    only_existing: bool,
    trim: Option<Trim>,
    id: NewId,
    /// Fields and values in turn.
    words: &'w [Bytes],
}

const SMALLER_ID: &str = "ERR The ID specified in XADD is equal or smaller than the target stream top item";

/// What a word costs inside an entry besides its bytes, at most.
const WORD_BYTES: usize = 4;

impl<'w> Append<'w> {
    fn parse(cmd: &'w Command) -> Outcome<Append<'w>> {
        let (mut options, mut only_existing) = (Options::default(), false);
        let mut rest = &cmd.args[2..];
        let id = loop {
            let [word, more @ ..] = rest else { break None };
            if word == "*" {
                rest = more;
                break Some(NewId::Auto);
            }
            if let Some(after) = options.take(rest)? {
                rest = after;
            } else if is(word, "nomkstream") {
                (only_existing, rest) = (true, more);
            } else {
                rest = more;
                break Some(match id::only_time(word) {
                    Some(ms) => NewId::At(ms),
                    None => NewId::Exact(Id::arg(word)?),
                });
            }
        };
        let trim = options.finish(false)?;
        let Some(id) = id.filter(|_| !rest.is_empty() && rest.len().is_multiple_of(2)) else {
            return wrong_arity(cmd.spec.name);
        };
        if matches!(id, NewId::Exact(Id::MIN)) {
            return fail("ERR The ID specified in XADD must be greater than 0-0");
        }
        if rest.iter().map(|w| w.len() + WORD_BYTES).sum::<usize>() > MAX_VALUE_BYTES {
            return fail("ERR Elements are too large to be stored");
        }
        Ok(Append { only_existing, trim, id, words: rest })
    }
}

pub(super) fn xadd(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let append = Append::parse(cmd)?;
    let mut stream = match Stream::open(ctx, &cmd.args[1])? {
        Some(stream) => stream,
        None if append.only_existing => return Ok(Reply::Null),
        None => Stream::create(ctx, &cmd.args[1])?,
    };
    let last = stream.meta.last;
    let Some(next) = last.next() else {
        return fail("ERR The stream has exhausted the last possible ID, unable to add more items");
    };
    let id = match append.id {
        NewId::Auto => next.max(Id::new(ctx.env.now_ms, 0)),
        NewId::At(ms) if ms == last.ms() => next,
        NewId::At(ms) => Id::new(ms, 0),
        NewId::Exact(id) => id,
    };
    let same_ms = !matches!(append.id, NewId::At(ms) if ms != id.ms());
    if id <= last || !same_ms {
        return fail(SMALLER_ID);
    }
    stream.append(ctx, id, append.words)?;
    if let Some(trim) = append.trim {
        trim.run(ctx, &mut stream)?;
    }
    stream.commit(ctx)?;
    Ok(id.reply())
}

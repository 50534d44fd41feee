//! ZADD and ZINCRBY.

use super::writer::Writer;
use crate::ctx::Ctx;
use crate::members::check_name;
use crate::parse::{float_arg, is};
use crate::reply::{Outcome, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};

/// What ZADD is told in front of the scores.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Options {
    /// NX: leave members alone that exist.
    pub(crate) absent: bool,
    /// XX: add none.
    pub(crate) present: bool,
    /// GT: raise scores only.
    greater: bool,
    /// LT: lower scores only.
    less: bool,
    /// CH: count changed members as well.
    pub(crate) changed: bool,
    /// INCR: add to the score.
    increment: bool,
}

impl Options {
    /// The options in front of the scores, and how many words they are.
    fn parse(words: &[Bytes]) -> (Options, usize) {
        let mut o = Options::default();
        let mut count = 0;
        for word in words {
            let flag = match () {
                () if is(word, "nx") => &mut o.absent,
                () if is(word, "xx") => &mut o.present,
                () if is(word, "gt") => &mut o.greater,
                () if is(word, "lt") => &mut o.less,
                () if is(word, "ch") => &mut o.changed,
                () if is(word, "incr") => &mut o.increment,
                () => break,
            };
            *flag = true;
            count += 1;
        }
        (o, count)
    }

    fn check(self, pairs: usize) -> Outcome<()> {
        if self.absent && self.present {
            return fail("ERR XX and NX options at the same time are not compatible");
        }
        if self.absent && (self.greater || self.less) || self.greater && self.less {
            return fail("ERR GT, LT, and/or NX options at the same time are not compatible");
        }
        if self.increment && pairs > 1 {
            return fail("ERR INCR option supports a single increment-element pair");
        }
        Ok(())
    }

    /// Whether a member with the score `old`, if it exists, may get `score`.
    fn allow(self, old: Option<f64>, score: f64) -> bool {
        match old {
            None => !self.present,
            Some(old) => !(self.absent || self.greater && score <= old || self.less && score >= old),
        }
    }
}

const RESULT_NAN: &str = "ERR resulting score is not a number (NaN)";

/// Adds members with their scores and gives the reply.
pub(crate) fn add(ctx: &mut Ctx<'_>, key: &[u8], options: Options, pairs: Vec<(f64, Bytes)>) -> Outcome {
    // All before the first is written: a command that fails leaves nothing.
    pairs.iter().try_for_each(|(_, member)| check_name("sorted set member", member))?;
    let mut set = Writer::open(ctx, key)?;
    let (mut added, mut updated) = (0, 0);
    let mut result = None;
    for (score, member) in &pairs {
        let score = *score;
        let old = set.body.score(ctx, member)?;
        let score = if options.increment { old.unwrap_or(0.0) + score } else { score };
        if score.is_nan() {
            return fail(RESULT_NAN);
        }
        if !options.allow(old, score) {
            continue;
        }
        set.set(ctx, member, score, old)?;
        added += i64::from(old.is_none());
        updated += i64::from(old.is_some_and(|old| old != score));
        result = Some(score);
    }
    set.commit(ctx)?;
    Ok(match options {
        Options { increment: true, .. } => result.map_or(Reply::Null, Reply::Double),
        Options { changed: true, .. } => Reply::Integer(added + updated),
        _ => Reply::Integer(added),
    })
}

/// Redis reads options in front of the increment of ZINCRBY, too, so they are told apart in the same way.
fn parse_and_add(ctx: &mut Ctx<'_>, cmd: &Command, increment: bool) -> Outcome {
    let (mut options, words) = Options::parse(&cmd.args[2..]);
    options.increment |= increment;
    let pairs = &cmd.args[2 + words..];
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return fail(SYNTAX);
    }
    options.check(pairs.len() / 2)?;
    let pairs = pairs.chunks_exact(2).map(|pair| Ok((float_arg(&pair[0])?, pair[1].clone())));
    let pairs = pairs.collect::<Outcome<Vec<_>>>()?;
    add(ctx, &cmd.args[1], options, pairs)
}

pub(super) fn zadd(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    parse_and_add(ctx, cmd, false)
}

pub(super) fn zincrby(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    parse_and_add(ctx, cmd, true)
}

//! Ranks and counts: each is a difference of ranks, so its cost does not grow with what lies between.

use super::Entry;
use super::body::Body;
use super::span::{Lex, Scores, Span};
use crate::ctx::Ctx;
use crate::parse::is;
use crate::reply::{Outcome, SYNTAX, fail, wrong_arity};
use command::{Command, Reply};

fn rank(ctx: &mut Ctx<'_>, cmd: &Command, reverse: bool) -> Outcome {
    let with_score = match &cmd.args[3..] {
        [] => false,
        [word] if is(word, "withscore") => true,
        [_] => return fail(SYNTAX),
        _ => return wrong_arity(cmd.spec.name),
    };
    let absent = if with_score { Reply::NullArray } else { Reply::Null };
    let Some(set) = Body::read(ctx, &cmd.args[1])? else { return Ok(absent) };
    let Some(score) = set.score(ctx, &cmd.args[2])? else { return Ok(absent) };
    let before = set.rank(ctx, &Entry::new(score, cmd.args[2].clone()).place())?;
    let rank = if reverse { set.len().saturating_sub(before + 1) } else { before };
    let rank = Reply::Integer(i64::try_from(rank).unwrap_or(i64::MAX));
    Ok(if with_score { Reply::Array(vec![rank, Reply::Double(score)]) } else { rank })
}

pub(super) fn zrank(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    rank(ctx, cmd, false)
}

pub(super) fn zrevrank(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    rank(ctx, cmd, true)
}

fn count(ctx: &Ctx<'_>, set: &Body, span: &Span) -> Outcome {
    if span.is_empty() {
        return Ok(Reply::Integer(0));
    }
    let count = set.rank(ctx, &span.to)? - set.rank(ctx, &span.from)?;
    Ok(Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

pub(super) fn zcount(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let scores = Scores::parse(&cmd.args[2], &cmd.args[3])?;
    match Body::read(ctx, &cmd.args[1])? {
        Some(set) => count(ctx, &set, &scores.span()),
        None => Ok(Reply::Integer(0)),
    }
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let lex = Lex::parse(&cmd.args[2], &cmd.args[3])?;
    let Some(set) = Body::read(ctx, &cmd.args[1])? else { return Ok(Reply::Integer(0)) };
    let span = lex.span(ctx, &set)?;
    count(ctx, &set, &span)
}

//! ZREM and the removal of ranges.

use super::range::{By, Form, Query};
use super::writer::Writer;
use crate::ctx::Ctx;
use crate::reply::Outcome;
use command::{Command, Reply};

pub(super) fn zrem(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut set = Writer::open(ctx, &cmd.args[1])?;
    let mut removed = 0;
    for member in &cmd.args[2..] {
        removed += i64::from(set.remove(ctx, member)?);
    }
    set.commit(ctx)?;
    Ok(Reply::Integer(removed))
}

fn remove_range(ctx: &mut Ctx<'_>, cmd: &Command, by: By) -> Outcome {
    let query = Query::parse(&cmd.args[2..], Form::Fixed { by, reverse: false })?;
    let mut set = Writer::open(ctx, &cmd.args[1])?;
    let entries = query.entries(ctx, &set.body)?;
    set.remove_all(ctx, &entries)?;
    set.commit(ctx)?;
    Ok(Reply::Integer(entries.len() as i64))
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    remove_range(ctx, cmd, By::Rank)
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    remove_range(ctx, cmd, By::Score)
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    remove_range(ctx, cmd, By::Lex)
}

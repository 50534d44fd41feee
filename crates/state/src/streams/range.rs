//! XLEN, XRANGE, XREVRANGE.

use super::entry;
use super::id::Id;
use super::stream::Stream;
use crate::ctx::Ctx;
use crate::parse::{ReplyMeter, int_arg, is};
use crate::reply::{Outcome, SYNTAX, fail};
use command::{Command, Reply};

pub(super) fn xlen(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let count = Stream::read(ctx, &cmd.args[1])?.map_or(0, |s| s.meta.count);
    Ok(Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

pub(super) fn xrange(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    range(ctx, cmd, false)
}

pub(super) fn xrevrange(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    range(ctx, cmd, true)
}

fn range(ctx: &mut Ctx<'_>, cmd: &Command, backwards: bool) -> Outcome {
    let (start, end) = if backwards { (&cmd.args[3], &cmd.args[2]) } else { (&cmd.args[2], &cmd.args[3]) };
    let range = (Id::start_arg(start)?, Id::end_arg(end)?);
    let mut count = u64::MAX;
    let mut rest = &cmd.args[4..];
    while !rest.is_empty() {
        rest = match rest {
            [option, n, more @ ..] if is(option, "count") => {
                count = u64::try_from(int_arg(n)?).unwrap_or(0);
                more
            }
            _ => return fail(SYNTAX),
        };
    }
    let Some(stream) = Stream::read(ctx, &cmd.args[1])? else { return Ok(Reply::Array(Vec::new())) };
    if count == 0 {
        return Ok(Reply::NullArray);
    }
    let entries = entry::all(&stream, ctx, range, backwards, count, &mut ReplyMeter::default())?;
    Ok(Reply::Array(entries.into_iter().map(entry::shown).collect()))
}

//! XDEL and XSETID.

use super::id::Id;
use super::stream::Stream;
use crate::ctx::Ctx;
use crate::parse::{int_arg, is};
use crate::reply::{NO_SUCH_KEY, Outcome, SYNTAX, fail};
use command::{Command, Reply};

pub(super) fn xdel(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(mut stream) = Stream::open(ctx, &cmd.args[1])? else { return Ok(Reply::Integer(0)) };
    let ids = cmd.args[2..].iter().map(|word| Id::arg(word)).collect::<Outcome<Vec<_>>>()?;
    let deleted = stream.delete(ctx, &ids)?;
    stream.commit(ctx)?;
    Ok(Reply::Integer(deleted as i64))
}

pub(super) fn xsetid(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let last = Id::arg(&cmd.args[2])?;
    let (mut added, mut max_deleted) = (None, Id::MIN);
    let mut rest = &cmd.args[3..];
    while !rest.is_empty() {
        rest = match rest {
            [option, n, more @ ..] if is(option, "entriesadded") => {
                added = match u64::try_from(int_arg(n)?) {
                    Ok(n) => Some(n),
                    Err(_) => return fail("ERR entries_added must be positive"),
                };
                more
            }
            [option, id, more @ ..] if is(option, "maxdeletedid") => {
                max_deleted = Id::arg(id)?;
                if last < max_deleted {
                    return fail("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
                }
                more
            }
            _ => return fail(SYNTAX),
        };
    }
    let Some(mut stream) = Stream::open(ctx, &cmd.args[1])? else { return fail(NO_SUCH_KEY) };
    if stream.top(ctx)?.is_some_and(|top| last < top) {
        return fail("ERR The ID specified in XSETID is smaller than the target stream top item");
    }
    if stream.meta.count > 0 && added.is_some_and(|added| added < stream.meta.count) {
        return fail("ERR The entries_added specified in XSETID is smaller than the target stream length");
    }
    if last < stream.meta.last && stream.awaits_deletion(ctx)? {
        return fail(
            "TRYAGAIN Polder is still deleting entries of the stream, whose IDs may not be given again before",
        );
    }
    stream.meta.last = last;
    stream.meta.added = added.unwrap_or(stream.meta.added);
    if max_deleted != Id::MIN {
        stream.meta.max_deleted = max_deleted;
    }
    stream.commit(ctx)?;
    Ok(Reply::OK)
}

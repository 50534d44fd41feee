//! Parts of strings.

use super::{check_length, edited, open_string};
use crate::ctx::{Ctx, string_head};
use crate::parse::int_arg;
use crate::reply::{Outcome, fail};
use command::{Command, Reply};

pub(super) fn append(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[1])?;
    let tail = &cmd.args[2];
    let Some(old) = open_string(ctx, &name)? else {
        ctx.update(&name, None, string_head(None), &[tail])?;
        return Ok(Reply::Integer(tail.len() as i64));
    };
    let len = old.body.len() + tail.len();
    check_length(len)?;
    ctx.update(&name, Some(&old), edited(old.head.expire_ms), &[&old.body, tail])?;
    Ok(Reply::Integer(len as i64))
}

pub(super) fn setrange(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let offset = int_arg(&cmd.args[2])?;
    let patch = &cmd.args[3];
    let Ok(offset) = usize::try_from(offset) else { return fail("ERR offset is out of range") };
    let name = ctx.name(&cmd.args[1])?;
    let old = open_string(ctx, &name)?;
    let len = old.as_ref().map_or(0, |r| r.body.len());
    if patch.is_empty() {
        return Ok(Reply::Integer(len as i64));
    }
    let end = offset.saturating_add(patch.len());
    check_length(end)?;
    let body = old.as_ref().map_or(&b""[..], |r| &r.body);
    let padding = vec![0; offset.saturating_sub(len)];
    let pieces = [&body[..offset.min(len)], &padding, patch, body.get(end..).unwrap_or_default()];
    ctx.update(&name, old.as_ref(), edited(old.as_ref().and_then(|r| r.head.expire_ms)), &pieces)?;
    Ok(Reply::Integer(end.max(len) as i64))
}

pub(super) fn getrange(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (start, end) = (int_arg(&cmd.args[2])?, int_arg(&cmd.args[3])?);
    let Some(value) = ctx.read_string(&cmd.args[1])? else { return Ok(Reply::bulk(b"")) };
    let len = value.len() as i64;
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::bulk(b""));
    }
    let from_end = |i: i64| if i < 0 { i.saturating_add(len).max(0) } else { i };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end || len == 0 {
        return Ok(Reply::bulk(b""));
    }
    Ok(Reply::Bulk(value.slice(start as usize..=end as usize)))
}

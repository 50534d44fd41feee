//! Changing a list elsewhere than at its ends.

use super::body::Body;
use super::writer::Writer;
use crate::ctx::Ctx;
use crate::parse::{int_arg, is};
use crate::reply::{EFFECTS_TOO_LARGE, NO_SUCH_KEY, Outcome, SYNTAX, fail};
use command::{Command, Reply};
use std::ops::{ControlFlow, Range};

pub(super) fn lset(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut list = Writer::open(ctx, &cmd.args[1])?;
    if !list.exists() {
        return fail(NO_SUCH_KEY);
    }
    let Some(at) = list.body.position(int_arg(&cmd.args[2])?) else { return fail("ERR index out of range") };
    list.set(ctx, at, &cmd.args[3])?;
    list.commit(ctx)?;
    Ok(Reply::OK)
}

pub(super) fn ltrim(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (start, stop) = (int_arg(&cmd.args[2])?, int_arg(&cmd.args[3])?);
    let mut list = Writer::open(ctx, &cmd.args[1])?;
    let keep = list.body.range(start, stop);
    let dropped = dropped_bytes(ctx, &list, &keep)?;
    list.trim(ctx, keep, dropped)?;
    list.commit(ctx)?;
    Ok(Reply::OK)
}

/// The bytes of the elements outside `keep`, found by reading whichever are fewer, those or the others.
fn dropped_bytes(ctx: &Ctx<'_>, list: &Writer, keep: &Range<u64>) -> Outcome<u64> {
    let (len, kept) = (list.len(), keep.end - keep.start);
    if kept == 0 {
        return Ok(list.bytes());
    }
    let sum = |range: Range<u64>| -> Outcome<u64> {
        let mut bytes = 0;
        list.body.each(ctx, range, false, |_, element| {
            bytes += element.len() as u64;
            ControlFlow::Continue(())
        })?;
        Ok(bytes)
    };
    if kept < len - kept {
        return Ok(list.bytes().saturating_sub(sum(keep.clone())?));
    }
    Ok(sum(0..keep.start)? + sum(keep.end..len)?)
}

pub(super) fn linsert(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let after = match () {
        () if is(&cmd.args[2], "after") => true,
        () if is(&cmd.args[2], "before") => false,
        () => return fail(SYNTAX),
    };
    let mut list = Writer::open(ctx, &cmd.args[1])?;
    if !list.exists() {
        return Ok(Reply::Integer(0));
    }
    let mut pivot = None;
    list.body.each(ctx, 0..list.len(), false, |at, element| {
        if *element == cmd.args[3] {
            pivot = Some(at);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let Some(pivot) = pivot else { return Ok(Reply::Integer(-1)) };
    list.insert(ctx, pivot + u64::from(after), &cmd.args[4])?;
    let len = list.len();
    list.commit(ctx)?;
    Ok(Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX)))
}

/// Elements that one LREM removes at most: what a log entry has room for.
const REMOVED_MAX: u64 = 1 << 20;

pub(super) fn lrem(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let count = int_arg(&cmd.args[2])?;
    let mut list = Writer::open(ctx, &cmd.args[1])?;
    let wanted = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let positions = matches(ctx, &list.body, &cmd.args[3], wanted, count < 0)?;
    list.remove(ctx, &positions, cmd.args[3].len() as u64)?;
    list.commit(ctx)?;
    Ok(Reply::Integer(positions.len() as i64))
}

/// The positions of up to `wanted` elements equal to `element`, ascending.
fn matches(ctx: &Ctx<'_>, list: &Body, element: &[u8], wanted: u64, backwards: bool) -> Outcome<Vec<u64>> {
    let mut found = Vec::new();
    list.each(ctx, 0..list.len(), backwards, |at, e| {
        if e == element {
            found.push(at);
        }
        let enough = found.len() as u64 >= wanted.min(REMOVED_MAX + 1);
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if found.len() as u64 > REMOVED_MAX {
        return fail(EFFECTS_TOO_LARGE);
    }
    if backwards {
        found.reverse();
    }
    Ok(found)
}

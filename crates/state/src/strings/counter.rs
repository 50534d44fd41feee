//! Numbers kept in strings.

use super::{open_string, store};
use crate::ctx::Ctx;
use crate::decimal::{Decimal, Sum};
use crate::parse::{int_arg, integer};
use crate::reply::{INCREMENT_NOT_FINITE, INCREMENT_OVERFLOW, NOT_FLOAT, NOT_INTEGER, Outcome, fail};
use bytes::Bytes;
use command::{Command, Reply};

fn add(ctx: &mut Ctx<'_>, key: &[u8], by: i64) -> Outcome {
    let name = ctx.name(key)?;
    let old = open_string(ctx, &name)?;
    let value = match &old {
        Some(r) => int_arg(&r.body)?,
        None => 0,
    };
    let Some(sum) = value.checked_add(by) else { return fail(INCREMENT_OVERFLOW) };
    store(ctx, &name, old.as_ref(), sum.to_string().as_bytes())?;
    Ok(Reply::Integer(sum))
}

pub(super) fn incr(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    add(ctx, &cmd.args[1], 1)
}

pub(super) fn decr(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    add(ctx, &cmd.args[1], -1)
}

pub(super) fn incrby(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let by = int_arg(&cmd.args[2])?;
    add(ctx, &cmd.args[1], by)
}

pub(super) fn decrby(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(by) = integer(&cmd.args[2]) else { return fail(NOT_INTEGER) };
    match by.checked_neg() {
        Some(by) => add(ctx, &cmd.args[1], by),
        None => fail("ERR decrement would overflow"),
    }
}

pub(super) fn incrbyfloat(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[1])?;
    let old = open_string(ctx, &name)?;
    let value = match &old {
        Some(r) => Decimal::parse(&r.body),
        None => Some(Decimal::ZERO),
    };
    let (Some(value), Some(by)) = (value, Decimal::parse(&cmd.args[2])) else { return fail(NOT_FLOAT) };
    let Sum::Finite(sum) = value.add(&by) else { return fail(INCREMENT_NOT_FINITE) };
    store(ctx, &name, old.as_ref(), sum.as_bytes())?;
    Ok(Reply::Bulk(Bytes::from(sum)))
}

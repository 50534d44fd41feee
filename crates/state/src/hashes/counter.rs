//! Numbers kept in fields.

use super::writer::Writer;
use crate::ctx::Ctx;
use crate::decimal::{Decimal, Sum};
use crate::parse::{int_arg, integer};
use crate::reply::{INCREMENT_NOT_FINITE, INCREMENT_OVERFLOW, NOT_FLOAT, Outcome, fail};
use bytes::Bytes;
use command::{Command, Reply};

pub(super) fn hincrby(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let by = int_arg(&cmd.args[3])?;
    let mut hash = Writer::open(ctx, &cmd.args[1])?;
    let value = match hash.get(ctx, &cmd.args[2])? {
        Some(text) => integer(&text),
        None => Some(0),
    };
    let Some(value) = value else { return fail("ERR hash value is not an integer") };
    let Some(sum) = value.checked_add(by) else { return fail(INCREMENT_OVERFLOW) };
    hash.set(ctx, &cmd.args[2], &Bytes::from(sum.to_string()))?;
    hash.commit(ctx)?;
    Ok(Reply::Integer(sum))
}

pub(super) fn hincrbyfloat(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(by) = Decimal::parse(&cmd.args[3]) else { return fail(NOT_FLOAT) };
    if by.is_infinite() {
        return fail("ERR value is NaN or Infinity");
    }
    let mut hash = Writer::open(ctx, &cmd.args[1])?;
    let value = match hash.get(ctx, &cmd.args[2])? {
        Some(text) => Decimal::parse(&text),
        None => Some(Decimal::ZERO),
    };
    let Some(value) = value else { return fail("ERR hash value is not a float") };
    let Sum::Finite(sum) = value.add(&by) else { return fail(INCREMENT_NOT_FINITE) };
    let sum = Bytes::from(sum);
    hash.set(ctx, &cmd.args[2], &sum)?;
    hash.commit(ctx)?;
    Ok(Reply::Bulk(sum))
}

//! Several strings at once.

use crate::ctx::{Ctx, string_head};
use crate::parse::ReplyMeter;
use crate::records::Type;
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail, wrong_arity};
use bytes::Bytes;
use command::{Command, Reply};

pub(super) fn mget(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut meter = ReplyMeter::default();
    let mut out = Vec::with_capacity(cmd.args.len() - 1);
    for key in &cmd.args[1..] {
        let name = ctx.name(key)?;
        let value = ctx.read(&name)?.filter(|r| r.head.kind == Type::String).map(|r| r.body);
        if !meter.fits(value.as_ref().map_or(0, Bytes::len)) {
            return fail(REPLY_TOO_LARGE);
        }
        out.push(Reply::from(value));
    }
    Ok(Reply::Array(out))
}

pub(super) fn mset(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if cmd.args.len().is_multiple_of(2) {
        return wrong_arity("mset");
    }
    write(ctx, &cmd.args[1..])?;
    Ok(Reply::OK)
}

pub(super) fn msetnx(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if cmd.args.len().is_multiple_of(2) {
        return wrong_arity("msetnx");
    }
    for pair in cmd.args[1..].chunks_exact(2) {
        let name = ctx.name(&pair[0])?;
        if ctx.read(&name)?.is_some() {
            return Ok(Reply::Integer(0));
        }
    }
    write(ctx, &cmd.args[1..])?;
    Ok(Reply::Integer(1))
}

fn write(ctx: &mut Ctx<'_>, pairs: &[Bytes]) -> Outcome<()> {
    for pair in pairs.chunks_exact(2) {
        let name = ctx.name(&pair[0])?;
        let old = ctx.open(&name)?;
        ctx.replace(&name, old.as_ref(), string_head(None), &[&pair[1]])?;
    }
    Ok(())
}

//! BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH: as the commands without the B, and where those find nothing, they wait.

use super::Side;
use super::ends::{move_one, several, side, take_first};
use super::writer::Writer;
use crate::ctx::Ctx;
use crate::records::Type;
use crate::reply::Outcome;
use crate::wait::{Wait, seconds};
use bytes::Bytes;
use command::{Command, Reply};
use std::time::Duration;

fn pop(ctx: &mut Ctx<'_>, cmd: &Command, side: Side) -> Outcome {
    let last = cmd.args.len() - 1;
    let timeout = seconds(&cmd.args[last])?;
    let keys = &cmd.args[1..last];
    for key in keys {
        let mut list = Writer::open(ctx, key)?;
        if let Some(element) = list.pop(ctx, side)? {
            list.commit(ctx)?;
            return Ok(Reply::Array(vec![Reply::Bulk(key.clone()), Reply::Bulk(element)]));
        }
    }
    ctx.wait(Wait::for_any(keys, Type::List, timeout));
    Ok(Reply::NullArray)
}

pub(super) fn blpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop(ctx, cmd, Side::Left)
}

pub(super) fn brpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    pop(ctx, cmd, Side::Right)
}

pub(super) fn blmpop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (keys, side, count) = several(&cmd.args[2..])?;
    let timeout = seconds(&cmd.args[1])?;
    if let Some(taken) = take_first(ctx, keys, side, count)? {
        return Ok(taken);
    }
    ctx.wait(Wait::for_any(keys, Type::List, timeout));
    Ok(Reply::NullArray)
}

fn move_or_wait(ctx: &mut Ctx<'_>, cmd: &Command, [out, into]: [Side; 2], timeout: Option<Duration>) -> Outcome {
    let keys: [&Bytes; 2] = [&cmd.args[1], &cmd.args[2]];
    let moved = move_one(ctx, keys, out, into)?;
    if moved == Reply::Null {
        ctx.wait(Wait::for_any(&cmd.args[1..2], Type::List, timeout));
    }
    Ok(moved)
}

pub(super) fn blmove(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let sides = [side(&cmd.args[3])?, side(&cmd.args[4])?];
    let timeout = seconds(&cmd.args[5])?;
    move_or_wait(ctx, cmd, sides, timeout)
}

pub(super) fn brpoplpush(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let timeout = seconds(&cmd.args[3])?;
    move_or_wait(ctx, cmd, [Side::Right, Side::Left], timeout)
}

//! GETBIT and SETBIT.

use super::{Writer, offset_arg};
use crate::ctx::Ctx;
use crate::parse::ranged;
use crate::reply::Outcome;
use command::{Command, Reply};

/// Which byte holds a bit, and the mask of the bit in it.
fn place(offset: u64) -> (usize, u8) {
    ((offset / 8) as usize, 0x80 >> (offset % 8))
}

pub(super) fn getbit(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (byte, mask) = place(offset_arg(&cmd.args[2], None)?);
    let string = ctx.read_string(&cmd.args[1])?.unwrap_or_default();
    let set = string.get(byte).is_some_and(|b| b & mask != 0);
    Ok(Reply::Integer(i64::from(set)))
}

pub(super) fn setbit(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let offset = offset_arg(&cmd.args[2], None)?;
    let on = ranged(&cmd.args[3], 0, 1, "ERR bit is not an integer or out of range")? == 1;
    let mut string = Writer::open(ctx, &cmd.args[1], offset)?;
    let (byte, mask) = place(offset);
    let was = string.bytes[byte] & mask != 0;
    if was != on {
        string.bytes[byte] ^= mask;
    }
    string.commit(ctx)?;
    Ok(Reply::Integer(i64::from(was)))
}

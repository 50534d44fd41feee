//! BITCOUNT and BITPOS.

use super::range::{Bits, Unit};
use crate::ctx::Ctx;
use crate::parse::int_arg;
use crate::reply::{Outcome, SYNTAX, fail};
use command::{Command, Reply};

pub(super) fn bitcount(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    // As in Redis, an absent key has no bits whatever the range says.
    let Some(string) = ctx.read_string(&cmd.args[1])? else { return Ok(Reply::Integer(0)) };
    let bits = match &cmd.args[2..] {
        [] => Bits::all(string.len()),
        [start, end, unit @ ..] if unit.len() < 2 => {
            let (start, end) = (int_arg(start)?, int_arg(end)?);
            let inverted = start < 0 && end < 0 && start > end;
            if inverted { None } else { Bits::between(string.len(), start, end, Unit::parse(unit.first())?) }
        }
        _ => return fail(SYNTAX),
    };
    let count: i64 =
        bits.map_or(0, |b| b.bytes(&string).map(|(_, byte, mask)| i64::from((byte & mask).count_ones())).sum());
    Ok(Reply::Integer(count))
}

pub(super) fn bitpos(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let bit = match int_arg(&cmd.args[2])? {
        0 => false,
        1 => true,
        _ => return fail("ERR The bit argument must be 1 or 0."),
    };
    let Some(string) = ctx.read_string(&cmd.args[1])? else { return Ok(Reply::Integer(if bit { -1 } else { 0 })) };
    let ends = &cmd.args[3..];
    let bits = match ends {
        [] => Bits::all(string.len()),
        [start, rest @ ..] if rest.len() < 3 => {
            let start = int_arg(start)?;
            let unit = Unit::parse(rest.get(1))?;
            let end = rest.first().map_or(Ok(-1), |end| int_arg(end))?;
            Bits::between(string.len(), start, end, unit)
        }
        _ => return fail(SYNTAX),
    };
    let Some(bits) = bits else { return Ok(Reply::Integer(-1)) };
    let found = bits.bytes(&string).find_map(|(at, byte, mask)| {
        let sought = if bit { byte & mask } else { !byte & mask };
        (sought != 0).then(|| at as i64 * 8 + i64::from(sought.leading_zeros()))
    });
    // Without an end the string goes on with zeros.
    let open = !bit && ends.len() < 2;
    let beyond = if open { string.len() as i64 * 8 } else { -1 };
    Ok(Reply::Integer(found.unwrap_or(beyond)))
}

//! SPOP and SRANDMEMBER.

use super::reader::Reader;
use super::writer::Writer;
use crate::ctx::{Ctx, EFFECT_BYTES, EFFECTS_LIMIT_BYTES};
use crate::members::draw;
use crate::parse::{magnitude_arg, ranged};
use crate::reply::{EFFECTS_TOO_LARGE, Outcome, SYNTAX, fail};
use command::{Command, Reply};

pub(super) fn srandmember(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(count) = cmd.args.get(2) else {
        let Some(set) = Reader::open(ctx, &cmd.args[1])? else { return Ok(Reply::Null) };
        let drawn = draw(ctx, &set, 1, false)?;
        return Ok(drawn.into_iter().next().map(|(member, _)| member).into());
    };
    if cmd.args.len() > 3 {
        return fail(SYNTAX);
    }
    let count = magnitude_arg(count)?;
    let Some(set) = Reader::open(ctx, &cmd.args[1])? else { return Ok(Reply::Array(Vec::new())) };
    let drawn = draw(ctx, &set, count.unsigned_abs(), count < 0)?;
    Ok(Reply::Array(drawn.into_iter().map(|(member, _)| Reply::Bulk(member)).collect()))
}

pub(super) fn spop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if cmd.args.len() > 3 {
        return fail(SYNTAX);
    }
    let count = match cmd.args.get(2) {
        Some(word) => Some(ranged(word, 0, i64::MAX, "ERR value is out of range, must be positive")?.unsigned_abs()),
        None => None,
    };
    let mut set = Writer::open(ctx, &cmd.args[1])?;
    let drawn = draw(ctx, &set.body, count.unwrap_or(1), false)?;
    if drawn.len() as u64 == set.body.len()? {
        set.clear();
    } else {
        let effects: usize = drawn.iter().map(|(member, _)| member.len() + EFFECT_BYTES as usize).sum();
        if effects > EFFECTS_LIMIT_BYTES {
            return fail(EFFECTS_TOO_LARGE);
        }
        for (member, _) in &drawn {
            set.remove(ctx, member)?;
        }
    }
    set.commit(ctx)?;
    let mut drawn = drawn.into_iter().map(|(member, _)| Reply::Bulk(member));
    Ok(match count {
        Some(_) => Reply::Set(drawn.collect()),
        None => drawn.next().unwrap_or(Reply::Null),
    })
}

//! Fields one by one and all together.

use super::reader::Reader;
use super::writer::{Writer, check_field};
use crate::ctx::Ctx;
use crate::members::{self, Members};
use crate::parse::ReplyMeter;
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail, wrong_arity};
use bytes::Bytes;
use command::{Command, Reply};

/// Sets the pairs and gives how many fields are new.
fn set_pairs(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome<i64> {
    if cmd.args.len() % 2 == 1 {
        return wrong_arity(cmd.spec.name);
    }
    // All before the first is written: a command that fails leaves nothing.
    cmd.args[2..].iter().step_by(2).try_for_each(check_field)?;
    let mut hash = Writer::open(ctx, &cmd.args[1])?;
    let mut created = 0;
    for pair in cmd.args[2..].chunks_exact(2) {
        created += i64::from(hash.set(ctx, &pair[0], &pair[1])?);
    }
    hash.commit(ctx)?;
    Ok(created)
}

pub(super) fn hset(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(Reply::Integer(set_pairs(ctx, cmd)?))
}

pub(super) fn hmset(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    set_pairs(ctx, cmd)?;
    Ok(Reply::OK)
}

pub(super) fn hsetnx(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut hash = Writer::open(ctx, &cmd.args[1])?;
    if hash.get(ctx, &cmd.args[2])?.is_some() {
        return Ok(Reply::Integer(0));
    }
    hash.set(ctx, &cmd.args[2], &cmd.args[3])?;
    hash.commit(ctx)?;
    Ok(Reply::Integer(1))
}

pub(super) fn hdel(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut hash = Writer::open(ctx, &cmd.args[1])?;
    let mut removed = 0;
    for field in &cmd.args[2..] {
        removed += i64::from(hash.remove(ctx, field)?);
    }
    hash.commit(ctx)?;
    Ok(Reply::Integer(removed))
}

fn field(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome<Option<Bytes>> {
    match Reader::open(ctx, &cmd.args[1])? {
        Some(hash) => hash.get(ctx, &cmd.args[2]),
        None => Ok(None),
    }
}

pub(super) fn hget(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(field(ctx, cmd)?.into())
}

pub(super) fn hexists(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(Reply::Integer(i64::from(field(ctx, cmd)?.is_some())))
}

pub(super) fn hstrlen(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(Reply::Integer(field(ctx, cmd)?.map_or(0, |v| v.len()) as i64))
}

pub(super) fn hmget(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let hash = Reader::open(ctx, &cmd.args[1])?;
    let mut meter = ReplyMeter::default();
    let mut out = Vec::with_capacity(cmd.args.len() - 2);
    for field in &cmd.args[2..] {
        let value = match &hash {
            Some(hash) => hash.get(ctx, field)?,
            None => None,
        };
        if !meter.fits(value.as_ref().map_or(0, Bytes::len)) {
            return fail(REPLY_TOO_LARGE);
        }
        out.push(Reply::from(value));
    }
    Ok(Reply::Array(out))
}

pub(super) fn hlen(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let len = match Reader::open(ctx, &cmd.args[1])? {
        Some(hash) => hash.len()?,
        None => 0,
    };
    Ok(Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX)))
}

fn all(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome<Vec<(Bytes, Bytes)>> {
    match Reader::open(ctx, &cmd.args[1])? {
        Some(hash) => hash.all(ctx),
        None => Ok(Vec::new()),
    }
}

pub(super) fn hgetall(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let pairs = all(ctx, cmd)?;
    Ok(Reply::Map(pairs.into_iter().map(|(f, v)| (Reply::Bulk(f), Reply::Bulk(v))).collect()))
}

pub(super) fn hkeys(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(Reply::Array(all(ctx, cmd)?.into_iter().map(|(f, _)| Reply::Bulk(f)).collect()))
}

pub(super) fn hvals(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    Ok(Reply::Array(all(ctx, cmd)?.into_iter().map(|(_, v)| Reply::Bulk(v)).collect()))
}

pub(super) fn hscan(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    members::scan(ctx, cmd, Reader::open, |field, value| [Reply::Bulk(field), Reply::Bulk(value)])
}

pub(super) fn hrandfield(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    members::random(ctx, cmd, Reader::open, "withvalues", Reply::Bulk)
}

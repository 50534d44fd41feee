//! Members one by one and all together.

use super::reader::Reader;
use super::writer::Writer;
use crate::ctx::Ctx;
use crate::members::{self, Members, check_name};
use crate::reply::Outcome;
use command::{Command, Reply};

pub(super) fn sadd(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    // All before the first is written: a command that fails leaves nothing.
    cmd.args[2..].iter().try_for_each(|m| check_name("set member", m))?;
    let mut set = Writer::open(ctx, &cmd.args[1])?;
    let mut added = 0;
    for member in &cmd.args[2..] {
        added += i64::from(set.add(ctx, member)?);
    }
    set.commit(ctx)?;
    Ok(Reply::Integer(added))
}

pub(super) fn srem(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut set = Writer::open(ctx, &cmd.args[1])?;
    let mut removed = 0;
    for member in &cmd.args[2..] {
        removed += i64::from(set.remove(ctx, member)?);
    }
    set.commit(ctx)?;
    Ok(Reply::Integer(removed))
}

pub(super) fn smove(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (from, to, member) = (&cmd.args[1], &cmd.args[2], &cmd.args[3]);
    let mut source = Writer::open(ctx, from)?;
    if !source.exists() {
        return Ok(Reply::Integer(0));
    }
    if from == to {
        return Ok(Reply::Integer(i64::from(source.body.contains(ctx, member)?)));
    }
    let mut target = Writer::open(ctx, to)?;
    if !source.remove(ctx, member)? {
        return Ok(Reply::Integer(0));
    }
    source.commit(ctx)?;
    target.add(ctx, member)?;
    target.commit(ctx)?;
    Ok(Reply::Integer(1))
}

pub(super) fn scard(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let len = match Reader::open(ctx, &cmd.args[1])? {
        Some(set) => set.len()?,
        None => 0,
    };
    Ok(Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX)))
}

pub(super) fn sismember(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let found = match Reader::open(ctx, &cmd.args[1])? {
        Some(set) => set.contains(ctx, &cmd.args[2])?,
        None => false,
    };
    Ok(Reply::Integer(i64::from(found)))
}

pub(super) fn smismember(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let set = Reader::open(ctx, &cmd.args[1])?;
    let mut out = Vec::with_capacity(cmd.args.len() - 2);
    for member in &cmd.args[2..] {
        let found = match &set {
            Some(set) => set.contains(ctx, member)?,
            None => false,
        };
        out.push(Reply::Integer(i64::from(found)));
    }
    Ok(Reply::Array(out))
}

pub(super) fn smembers(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let all = match Reader::open(ctx, &cmd.args[1])? {
        Some(set) => set.all(ctx)?,
        None => Vec::new(),
    };
    Ok(Reply::Set(all.into_iter().map(|(member, _)| Reply::Bulk(member)).collect()))
}

pub(super) fn sscan(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    members::scan(ctx, cmd, Reader::open, |member, _| [Reply::Bulk(member)])
}

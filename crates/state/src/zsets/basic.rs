//! Members one by one, by cursor and by chance.

use super::body::{Body, stored_score};
use crate::ctx::Ctx;
use crate::members;
use crate::reply::Outcome;
use bytes::Bytes;
use command::{Command, Reply, double};

pub(super) fn zcard(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let len = Body::read(ctx, &cmd.args[1])?.map_or(0, |set| set.len());
    Ok(Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX)))
}

pub(super) fn zscore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let score = match Body::read(ctx, &cmd.args[1])? {
        Some(set) => set.score(ctx, &cmd.args[2])?,
        None => None,
    };
    Ok(score.map_or(Reply::Null, Reply::Double))
}

pub(super) fn zmscore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let set = Body::read(ctx, &cmd.args[1])?;
    let mut out = Vec::with_capacity(cmd.args.len() - 2);
    for member in &cmd.args[2..] {
        let score = match &set {
            Some(set) => set.score(ctx, member)?,
            None => None,
        };
        out.push(score.map_or(Reply::Null, Reply::Double));
    }
    Ok(Reply::Array(out))
}

pub(super) fn zscan(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    members::scan(ctx, cmd, Body::read, |member, stored| {
        let score = stored_score(&stored).unwrap_or_default();
        [Reply::Bulk(member), Reply::Bulk(double::to_text(score).into())]
    })
}

pub(super) fn zrandmember(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let score = |stored: Bytes| Reply::Double(stored_score(&stored).unwrap_or_default());
    members::random(ctx, cmd, Body::read, "withscores", score)
}

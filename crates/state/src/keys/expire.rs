//! When keys expire. Whatever form a client uses, the record holds absolute milliseconds.

use crate::ctx::Ctx;
use crate::parse::{int_arg, is};
use crate::records::Head;
use crate::reply::{Outcome, fail, fail_with, invalid_expire, shown};
use bytes::Bytes;
use command::{Command, Reply};

/// NX, XX, GT, LT.
#[derive(Clone, Copy, Default, Debug)]
struct Condition {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Condition {
    fn parse(words: &[Bytes]) -> Outcome<Condition> {
        let mut c = Condition::default();
        for word in words {
            let flag = match () {
                () if is(word, "nx") => &mut c.absent,
                () if is(word, "xx") => &mut c.present,
                () if is(word, "gt") => &mut c.greater,
                () if is(word, "lt") => &mut c.less,
                () => return fail_with(format!("ERR Unsupported option {}", shown(word))),
            };
            *flag = true;
        }
        if c.absent && (c.present || c.greater || c.less) {
            return fail("ERR NX and XX, GT or LT options at the same time are not compatible");
        }
        if c.greater && c.less {
            return fail("ERR GT and LT options at the same time are not compatible");
        }
        Ok(c)
    }

    /// Whether an expiry at `at` may take the place of `current`; no expiry counts as never.
    fn allows(self, current: Option<u64>, at: i64) -> bool {
        let later = current.is_some_and(|c| i128::from(at) > i128::from(c));
        let sooner = current.is_none_or(|c| i128::from(at) < i128::from(c));
        !(self.absent && current.is_some()
            || self.present && current.is_none()
            || self.greater && !later
            || self.less && !sooner)
    }
}

/// Sets an expiry at `base_ms` plus the argument in units of `unit_ms`; a time that has passed deletes the key.
fn set(ctx: &mut Ctx<'_>, cmd: &Command, unit_ms: i64, base_ms: u64) -> Outcome {
    let condition = Condition::parse(&cmd.args[3..])?;
    let when = int_arg(&cmd.args[2])?;
    let Some(at) = when.checked_mul(unit_ms).and_then(|ms| ms.checked_add_unsigned(base_ms)) else {
        return invalid_expire(cmd.spec.name);
    };
    let name = ctx.name(&cmd.args[1])?;
    let Some(old) = ctx.open(&name)? else { return Ok(Reply::Integer(0)) };
    if !condition.allows(old.head.expire_ms, at) {
        return Ok(Reply::Integer(0));
    }
    match u64::try_from(at) {
        Ok(at) if at > ctx.env.now_ms => {
            ctx.update(&name, Some(&old), Head { expire_ms: Some(at), ..old.head }, &[&old.body])?;
        }
        _ => ctx.remove(&name, &old)?,
    }
    Ok(Reply::Integer(1))
}

pub(super) fn expire(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let now_ms = ctx.env.now_ms;
    set(ctx, cmd, 1000, now_ms)
}

pub(super) fn pexpire(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let now_ms = ctx.env.now_ms;
    set(ctx, cmd, 1, now_ms)
}

pub(super) fn expireat(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    set(ctx, cmd, 1000, 0)
}

pub(super) fn pexpireat(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    set(ctx, cmd, 1, 0)
}

pub(super) fn persist(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[1])?;
    match ctx.open(&name)? {
        Some(old) if old.head.expire_ms.is_some() => {
            ctx.update(&name, Some(&old), Head { expire_ms: None, ..old.head }, &[&old.body])?;
            Ok(Reply::Integer(1))
        }
        _ => Ok(Reply::Integer(0)),
    }
}

/// What the four questions about expiry answer: −2 for no key, −1 for no expiry, or `show` of the expiry.
fn ask(ctx: &mut Ctx<'_>, key: &[u8], show: impl Fn(u64) -> u64) -> Outcome {
    let name = ctx.name(key)?;
    Ok(Reply::Integer(match ctx.read(&name)?.map(|r| r.head.expire_ms) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => i64::try_from(show(at)).unwrap_or(i64::MAX),
    }))
}

/// Seconds, rounded to the nearest as Redis does.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

pub(super) fn ttl(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let now_ms = ctx.env.now_ms;
    ask(ctx, &cmd.args[1], |at| seconds(at - now_ms))
}

pub(super) fn pttl(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let now_ms = ctx.env.now_ms;
    ask(ctx, &cmd.args[1], |at| at - now_ms)
}

pub(super) fn expiretime(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    ask(ctx, &cmd.args[1], seconds)
}

pub(super) fn pexpiretime(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    ask(ctx, &cmd.args[1], |at| at)
}

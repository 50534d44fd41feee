//! SET and its relatives: writing a whole string, with the conditions and expiries of their options.

use super::open_string;
use crate::ctx::{Ctx, string_head, string_of};
use crate::parse::{int_arg, is};
use crate::reply::{Outcome, SYNTAX, fail, invalid_expire};
use bytes::Bytes;
use command::{Command, Reply};

/// Units of an expiry argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: seconds since the epoch.
    SecondsAt,
    /// `PXAT`: milliseconds since the epoch.
    MillisAt,
}

impl Unit {
    fn of(word: &[u8]) -> Option<Unit> {
        [("ex", Unit::Seconds), ("px", Unit::Millis), ("exat", Unit::SecondsAt), ("pxat", Unit::MillisAt)]
            .into_iter()
            .find(|(name, _)| is(word, name))
            .map(|(_, unit)| unit)
    }
}

/// The options of SET and GETEX.
#[derive(Clone, Copy, Default, Debug)]
struct Options<'a> {
    if_absent: bool,
    if_present: bool,
    get: bool,
    keep_ttl: bool,
    persist: bool,
    expire: Option<(Unit, &'a Bytes)>,
}

impl<'a> Options<'a> {
    /// Reads the words after the key (and value). `set` allows NX, XX, GET and KEEPTTL; otherwise PERSIST is allowed.
    fn parse(words: &'a [Bytes], set: bool) -> Outcome<Options<'a>> {
        let mut o = Options::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let lasting = o.keep_ttl || o.persist;
            if set && is(word, "nx") && !o.if_present {
                o.if_absent = true;
            } else if set && is(word, "xx") && !o.if_absent {
                o.if_present = true;
            } else if set && is(word, "get") {
                o.get = true;
            } else if set && is(word, "keepttl") && o.expire.is_none() {
                o.keep_ttl = true;
            } else if !set && is(word, "persist") && o.expire.is_none() {
                o.persist = true;
            } else if let Some(unit) = Unit::of(word)
                && !lasting
                && o.expire.is_none_or(|(earlier, _)| earlier == unit)
                && let Some(value) = rest.next()
            {
                o.expire = Some((unit, value));
            } else {
                return fail(SYNTAX);
            }
        }
        Ok(o)
    }
}

/// An expiry argument as absolute milliseconds; it must be positive and fit.
fn expire_ms(ctx: &Ctx<'_>, command: &str, unit: Unit, word: &[u8]) -> Outcome<u64> {
    let value = int_arg(word)?;
    let millis = match unit {
        Unit::Seconds | Unit::SecondsAt => value.checked_mul(1000),
        Unit::Millis | Unit::MillisAt => Some(value),
    };
    let at = match unit {
        Unit::Seconds | Unit::Millis => millis.and_then(|m| m.checked_add_unsigned(ctx.env.now_ms)),
        Unit::SecondsAt | Unit::MillisAt => millis,
    };
    match at.and_then(|at| u64::try_from(at).ok()) {
        Some(at) if value > 0 => Ok(at),
        _ => invalid_expire(command),
    }
}

/// Writes a value; an expiry that has passed leaves the key absent instead.
fn write(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], o: Options<'_>, at: Option<u64>) -> Outcome {
    let name = ctx.name(key)?;
    let old = ctx.open(&name)?;
    let before = if o.get { string_of(old.clone())?.into() } else { Reply::Null };
    if (o.if_absent && old.is_some()) || (o.if_present && old.is_none()) {
        return Ok(before);
    }
    if at.is_some_and(|at| at <= ctx.env.now_ms) {
        if let Some(old) = &old {
            ctx.remove(&name, old)?;
        }
    } else {
        let kept = old.as_ref().filter(|_| o.keep_ttl).and_then(|r| r.head.expire_ms);
        ctx.replace(&name, old.as_ref(), string_head(at.or(kept)), &[value])?;
    }
    Ok(if o.get { before } else { Reply::OK })
}

pub(super) fn set(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let o = Options::parse(&cmd.args[3..], true)?;
    let at = o.expire.map(|(unit, word)| expire_ms(ctx, "set", unit, word)).transpose()?;
    write(ctx, &cmd.args[1], &cmd.args[2], o, at)
}

pub(super) fn setex(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let at = expire_ms(ctx, "setex", Unit::Seconds, &cmd.args[2])?;
    write(ctx, &cmd.args[1], &cmd.args[3], Options::default(), Some(at))
}

pub(super) fn psetex(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let at = expire_ms(ctx, "psetex", Unit::Millis, &cmd.args[2])?;
    write(ctx, &cmd.args[1], &cmd.args[3], Options::default(), Some(at))
}

pub(super) fn setnx(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[1])?;
    if ctx.open(&name)?.is_some() {
        return Ok(Reply::Integer(0));
    }
    ctx.update(&name, None, string_head(None), &[&cmd.args[2]])?;
    Ok(Reply::Integer(1))
}

pub(super) fn getset(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let o = Options { get: true, ..Options::default() };
    write(ctx, &cmd.args[1], &cmd.args[2], o, None)
}

pub(super) fn getdel(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[1])?;
    let Some(old) = open_string(ctx, &name)? else { return Ok(Reply::Null) };
    ctx.remove(&name, &old)?;
    Ok(Reply::Bulk(old.body))
}

pub(super) fn getex(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let o = Options::parse(&cmd.args[2..], false)?;
    let name = ctx.name(&cmd.args[1])?;
    let Some(old) = open_string(ctx, &name)? else { return Ok(Reply::Null) };
    let at = o.expire.map(|(unit, word)| expire_ms(ctx, "getex", unit, word)).transpose()?;
    if at.is_some_and(|at| at <= ctx.env.now_ms) {
        ctx.remove(&name, &old)?;
    } else if (o.persist && old.head.expire_ms.is_some()) || at.is_some() {
        let head = crate::records::Head { expire_ms: at, ..old.head };
        ctx.update(&name, Some(&old), head, &[&old.body])?;
    }
    Ok(Reply::Bulk(old.body))
}

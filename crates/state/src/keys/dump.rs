//! DUMP and RESTORE: values as Redis' own payloads.

use crate::ctx::{Ctx, string_head};
use crate::members::{Members, check_name};
use crate::parse::{int_arg, is};
use crate::rdb::{self, Value};
use crate::records::{Head, Name, Record, Type};
use crate::reply::{Outcome, SYNTAX, fail, fail_with};
use crate::{hashes, lists, sets, streams, zsets};
use bytes::Bytes;
use command::{Command, Reply};

pub(super) fn dump(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let name = ctx.name(&cmd.args[1])?;
    let Some(record) = ctx.read(&name)? else { return Ok(Reply::Null) };
    let value = value_of(ctx, &name, record)?;
    Ok(Reply::Bulk(rdb::encode(&value).into()))
}

/// The whole value of a record, when it fits into a reply.
fn value_of(ctx: &Ctx<'_>, name: &Name, record: Record) -> Outcome<Value> {
    Ok(match record.head.kind {
        Type::String => Value::String(record.body),
        Type::List => Value::List(lists::all(ctx, name, &record)?),
        Type::Set => {
            let members = sets::Reader::of(name, &record)?.all(ctx)?;
            Value::Set(members.into_iter().map(|(member, _)| member).collect())
        }
        Type::SortedSet => {
            Value::SortedSet(zsets::all(ctx, name, &record)?.into_iter().map(|e| (e.score, e.member)).collect())
        }
        Type::Hash => Value::Hash(hashes::all(ctx, name, record)?),
        Type::Stream => Value::Stream(streams::all(ctx, name, record)?),
    })
}

/// REPLACE and ABSTTL. IDLETIME and FREQ are checked and forgotten: accesses are not recorded.
#[derive(Clone, Copy, Default, Debug)]
struct Options {
    replace: bool,
    absolute: bool,
}

impl Options {
    fn parse(words: &[Bytes]) -> Outcome<Options> {
        let mut o = Options::default();
        let (mut idle, mut freq) = (false, false);
        let mut rest = words;
        while let Some((word, more)) = rest.split_first() {
            rest = match more {
                more if is(word, "replace") => {
                    o.replace = true;
                    more
                }
                more if is(word, "absttl") => {
                    o.absolute = true;
                    more
                }
                [seconds, more @ ..] if is(word, "idletime") && !freq => {
                    if int_arg(seconds)? < 0 {
                        return fail("ERR Invalid IDLETIME value, must be >= 0");
                    }
                    idle = true;
                    more
                }
                [count, more @ ..] if is(word, "freq") && !idle => {
                    if !(0..=255).contains(&int_arg(count)?) {
                        return fail("ERR Invalid FREQ value, must be >= 0 and <= 255");
                    }
                    freq = true;
                    more
                }
                _ => return fail(SYNTAX),
            };
        }
        Ok(o)
    }
}

pub(super) fn restore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let options = Options::parse(&cmd.args[4..])?;
    let (key, name) = (&cmd.args[1], ctx.name(&cmd.args[1])?);
    let old = ctx.open(&name)?;
    if old.is_some() && !options.replace {
        return fail("BUSYKEY Target key name already exists.");
    }
    let Ok(ttl) = u64::try_from(int_arg(&cmd.args[2])?) else { return fail("ERR Invalid TTL value, must be >= 0") };
    let value = rdb::decode(&cmd.args[3]).or_else(|malformed| fail_with(format!("ERR {malformed}")))?;
    check_names(&value)?;
    let expire_ms = match ttl {
        0 => None,
        at if options.absolute => Some(at),
        ttl => Some(ttl.saturating_add(ctx.env.now_ms)),
    };
    if expire_ms.is_some_and(|at| at <= ctx.env.now_ms) {
        if let Some(old) = &old {
            ctx.remove(&name, old)?;
        }
        return Ok(Reply::OK);
    }
    store(ctx, key, &name, old.as_ref(), value)?;
    if let Some(record) = ctx.open(&name)?.filter(|_| expire_ms.is_some()) {
        ctx.update(&name, Some(&record), Head { expire_ms, ..record.head }, &[&record.body])?;
    }
    Ok(Reply::OK)
}

/// Refuses names that are too long before anything is written.
fn check_names(value: &Value) -> Outcome<()> {
    match value {
        Value::String(_) | Value::List(_) => Ok(()),
        Value::Set(members) => members.iter().try_for_each(|m| check_name("set member", m)),
        Value::SortedSet(entries) => entries.iter().try_for_each(|(_, m)| check_name("sorted set member", m)),
        Value::Hash(pairs) => pairs.iter().try_for_each(|(field, _)| check_name("hash field", field)),
        Value::Stream(stream) => streams::check_names(stream),
    }
}

/// Writes a value in the place of whatever is there.
fn store(ctx: &mut Ctx<'_>, key: &[u8], name: &Name, old: Option<&Record>, value: Value) -> Outcome<()> {
    match value {
        Value::String(bytes) => ctx.replace(name, old, string_head(None), &[&bytes]),
        Value::List(elements) => lists::store(ctx, key, elements).map(drop),
        Value::Set(members) => sets::store(ctx, key, &members),
        Value::SortedSet(entries) => {
            let mut entries: Vec<_> = entries.into_iter().map(|(s, m)| zsets::Entry::new(s, m)).collect();
            entries.sort_by_cached_key(zsets::Entry::place);
            zsets::store(ctx, key, entries).map(drop)
        }
        Value::Hash(pairs) => hashes::store(ctx, key, &pairs),
        Value::Stream(stream) => streams::store(ctx, key, &stream),
    }
}

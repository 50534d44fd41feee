//! HyperLogLogs: strings that estimate how many different elements were added, in Redis' own representation, so that they
//! travel between servers as plain values.
//!
//! Reading decodes all registers, writing encodes them anew; both are bounded by the fixed number of registers.

mod count;
mod debug;
mod encoding;
mod hash;

use crate::ctx::{Ctx, string_of};
use crate::dispatch::{Row, reads, writes};
use crate::records::{Name, Record};
use crate::reply::Outcome;
use crate::strings::edited;
use bytes::Bytes;
use command::{Command, Reply};
use encoding::{Sketch, cached_count};

pub(crate) const ROWS: &[Row] =
    &[writes("pfadd", pfadd), reads("pfcount", pfcount), writes("pfmerge", pfmerge), writes("pfdebug", debug::pfdebug)];

/// A HyperLogLog that is being changed.
struct Writer {
    name: Name,
    old: Option<Record>,
    sketch: Sketch,
}

impl Writer {
    /// The one under `user`, empty when the key is absent.
    fn open(ctx: &mut Ctx<'_>, user: &[u8]) -> Outcome<Writer> {
        let name = ctx.name(user)?;
        let old = ctx.open(&name)?;
        let sketch = string_of(old.clone())?.map_or_else(|| Ok(Sketch::default()), |value| Sketch::decode(&value))?;
        Ok(Writer { name, old, sketch })
    }

    fn commit(self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        let expire_ms = self.old.as_ref().and_then(|r| r.head.expire_ms);
        ctx.update(&self.name, self.old.as_ref(), edited(expire_ms), &[&self.sketch.encode()])
    }
}

fn pfadd(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut writer = Writer::open(ctx, &cmd.args[1])?;
    let mut changed = writer.old.is_none();
    for element in &cmd.args[2..] {
        let (register, rank) = hash::place(element);
        changed |= writer.sketch.raise(register, rank);
    }
    if changed {
        writer.commit(ctx)?;
    }
    Ok(Reply::Integer(i64::from(changed)))
}

/// A read, as its place in the command table says: a count that Redis left in the value is used, none is left behind.
fn pfcount(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if let [_, key] = &cmd.args[..] {
        let Some(value) = ctx.read_string(key)? else { return Ok(Reply::Integer(0)) };
        if let Some(count) = cached_count(&value)? {
            return Ok(Reply::Integer(count));
        }
        return Ok(Reply::Integer(count::estimate(&Sketch::decode(&value)?)));
    }
    Ok(Reply::Integer(count::estimate(&union(ctx, &cmd.args[1..])?)))
}

/// The union of what is under `keys`; absent keys are empty. Dense when one of them is.
fn union(ctx: &mut Ctx<'_>, keys: &[Bytes]) -> Outcome<Sketch> {
    let mut union = Sketch::default();
    for key in keys {
        if let Some(value) = ctx.read_string(key)? {
            union.merge(&Sketch::decode(&value)?);
        }
    }
    Ok(union)
}

fn pfmerge(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let sources = union(ctx, &cmd.args[2..])?;
    let mut writer = Writer::open(ctx, &cmd.args[1])?;
    writer.sketch.merge(&sources);
    writer.commit(ctx)?;
    Ok(Reply::OK)
}

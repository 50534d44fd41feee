//! Bits of strings. Bit 0 is the highest of the first byte; what lies behind the end of a string is zero.

mod count;
mod field;
mod integer;
mod operation;
mod range;
mod single;

use crate::ctx::Ctx;
use crate::dispatch::{Row, reads, writes};
use crate::parse::integer as number;
use crate::records::{Name, Record};
use crate::reply::{Outcome, fail};
use crate::strings::{edited, open_string};
use command::MAX_VALUE_BYTES;

pub(crate) const ROWS: &[Row] = &[
    reads("getbit", single::getbit),
    writes("setbit", single::setbit),
    reads("bitcount", count::bitcount),
    reads("bitpos", count::bitpos),
    writes("bitop", operation::bitop),
    writes("bitfield", field::bitfield),
    reads("bitfield_ro", field::bitfield_ro),
];

const BAD_OFFSET: &str = "ERR bit offset is not an integer or out of range";

/// A bit offset inside the longest string; `#N` means N times `width` where that is given.
fn offset_arg(word: &[u8], width: Option<u64>) -> Outcome<u64> {
    let (word, unit) = match (word, width) {
        ([b'#', rest @ ..], Some(width)) => (rest, width),
        _ => (word, 1),
    };
    let offset = number(word).and_then(|n| u64::try_from(n).ok()).and_then(|n| n.checked_mul(unit));
    match offset {
        Some(offset) if offset / 8 < MAX_VALUE_BYTES as u64 => Ok(offset),
        _ => fail(BAD_OFFSET),
    }
}

/// A string whose bits are being changed.
struct Writer {
    name: Name,
    old: Option<Record>,
    bytes: Vec<u8>,
}

impl Writer {
    /// The string under `user`, made to hold the bit `last`; absent keys are empty strings.
    fn open(ctx: &mut Ctx<'_>, user: &[u8], last: u64) -> Outcome<Writer> {
        let len = usize::try_from(last / 8).unwrap_or(usize::MAX).saturating_add(1);
        if len > MAX_VALUE_BYTES {
            return fail(BAD_OFFSET);
        }
        let name = ctx.name(user)?;
        let old = open_string(ctx, &name)?;
        let mut bytes = old.as_ref().map_or(Vec::new(), |r| r.body.to_vec());
        bytes.resize(bytes.len().max(len), 0);
        Ok(Writer { name, old, bytes })
    }

    /// Writes the string unless it is what it was.
    fn commit(self, ctx: &mut Ctx<'_>) -> Outcome<()> {
        if self.old.as_ref().is_some_and(|r| r.body == self.bytes) {
            return Ok(());
        }
        let expire_ms = self.old.as_ref().and_then(|r| r.head.expire_ms);
        ctx.update(&self.name, self.old.as_ref(), edited(expire_ms), &[&self.bytes])
    }
}

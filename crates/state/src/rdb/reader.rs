//! Reading lengths, strings and collections, with a limit on what they unpack to.

use super::{Malformed, packed, text_score};
use crate::ctx::EFFECT_BYTES;
use bytes::Bytes;
use command::MAX_VALUE_BYTES;

/// Bytes that one payload unpacks to at most, with [`EFFECT_BYTES`] for each element of a collection: what a log entry has
/// room for.
const UNPACKED_BYTES_MAX: usize = MAX_VALUE_BYTES;

/// Containers of a quicklist.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

/// What is left of a payload.
pub(super) struct Reader {
    rest: Bytes,
    unpacked: usize,
}

/// A length, or how the string in its place is written.
enum Length {
    Plain(u64),
    Special(u8),
}

pub(super) type Read<T> = Result<T, Malformed>;

impl Reader {
    pub(super) fn new(payload: Bytes) -> Reader {
        Reader { rest: payload, unpacked: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, len: u64) -> Read<Bytes> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.rest.len()).ok_or(Malformed::Value)?;
        Ok(self.rest.split_to(len))
    }

    pub(super) fn byte(&mut self) -> Read<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn charge(&mut self, bytes: usize) -> Read<()> {
        self.unpacked = self.unpacked.saturating_add(bytes);
        if self.unpacked > UNPACKED_BYTES_MAX { Err(Malformed::TooLarge) } else { Ok(()) }
    }

    fn charge_elements(&mut self, elements: &[Bytes]) -> Read<()> {
        elements.iter().try_for_each(|e| self.charge(e.len() + EFFECT_BYTES as usize))
    }

    fn length(&mut self) -> Read<Length> {
        let first = self.byte()?;
        let wide = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(first)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Length::Plain(wide(&self.take(4)?)),
            2 if first == 0x81 => Length::Plain(wide(&self.take(8)?)),
            3 => Length::Special(first & 0x3f),
            _ => return Err(Malformed::Value),
        })
    }

    pub(super) fn count(&mut self) -> Read<u64> {
        match self.length()? {
            Length::Plain(n) => Ok(n),
            Length::Special(_) => Err(Malformed::Value),
        }
    }

    /// A string in any form: plain, an integer, or compressed.
    pub(super) fn string(&mut self) -> Read<Bytes> {
        let how = match self.length()? {
            Length::Plain(len) => return self.take(len),
            Length::Special(how) => how,
        };
        match how {
            0..=2 => {
                let bytes = self.take(1 << how)?;
                Ok(packed::integer(&bytes).to_string().into())
            }
            3 => {
                let (compressed, len) = (self.count()?, self.count()?);
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                self.charge(len)?;
                let compressed = self.take(compressed)?;
                decompress(&compressed, len).map(Bytes::from).ok_or(Malformed::Value)
            }
            _ => Err(Malformed::Value),
        }
    }

    /// A string that is a whole value.
    pub(super) fn value(&mut self) -> Read<Bytes> {
        let value = self.string()?;
        if value.len() > MAX_VALUE_BYTES { Err(Malformed::TooLarge) } else { Ok(value) }
    }

    /// A count, and `width` times as many strings.
    pub(super) fn elements(&mut self, width: u64) -> Read<Vec<Bytes>> {
        let count = self.count()?.checked_mul(width).ok_or(Malformed::Value)?;
        // A count can promise more than there is; each string takes a byte at least.
        let mut out = Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(self.rest.len()).min(1024));
        for _ in 0..count {
            let element = self.string()?;
            self.charge(element.len() + EFFECT_BYTES as usize)?;
            out.push(element);
        }
        Ok(out)
    }

    /// A count, and as many strings, each followed by its score.
    pub(super) fn scored(&mut self, score: fn(&mut Reader) -> Read<f64>) -> Read<Vec<(f64, Bytes)>> {
        let mut out = Vec::new();
        for _ in 0..self.count()? {
            let member = self.string()?;
            self.charge(member.len() + EFFECT_BYTES as usize)?;
            out.push((score(self)?, member));
        }
        Ok(out)
    }

    pub(super) fn double(&mut self) -> Read<f64> {
        Ok(f64::from_bits(self.fixed()?))
    }

    /// Eight bytes, little-endian.
    pub(super) fn fixed(&mut self) -> Read<u64> {
        Ok(self.take(8)?.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    pub(super) fn text_double(&mut self) -> Read<f64> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => text_score(&self.take(u64::from(len))?),
        }
    }

    /// A string that holds a packed collection.
    pub(super) fn packed(&mut self, unpack: fn(&Bytes) -> Option<Vec<Bytes>>) -> Read<Vec<Bytes>> {
        let body = self.string()?;
        // Before its elements are: each takes two bytes of it at least, and many times that in memory.
        self.charge(body.len() / 2)?;
        let elements = unpack(&body).ok_or(Malformed::Value)?;
        self.charge_elements(&elements)?;
        Ok(elements)
    }

    /// The nodes of a list; `marked` when each says what it contains.
    pub(super) fn quicklist(&mut self, marked: bool) -> Read<Vec<Bytes>> {
        let mut out = Vec::new();
        for _ in 0..self.count()? {
            match if marked { self.count()? } else { PACKED } {
                PLAIN => {
                    let element = self.value()?;
                    self.charge(element.len() + EFFECT_BYTES as usize)?;
                    out.push(element);
                }
                PACKED => out.extend(self.packed(if marked { packed::listpack } else { packed::ziplist })?),
                _ => return Err(Malformed::Value),
            }
        }
        Ok(out)
    }
}

/// Undoes LZF (Marc Lehmann's liblzf): runs of bytes as they are, and references to what came before. `None` unless it
/// gives exactly `len` bytes.
fn decompress(mut input: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::new();
    while let Some((control, rest)) = input.split_first() {
        input = rest;
        let control = usize::from(*control);
        if control < 32 {
            let (literal, rest) = input.split_at_checked(control + 1)?;
            input = rest;
            out.extend_from_slice(literal);
        } else {
            let mut run = control >> 5;
            if run == 7 {
                let (more, rest) = input.split_first()?;
                input = rest;
                run += usize::from(*more);
            }
            let (low, rest) = input.split_first()?;
            input = rest;
            let back = ((control & 31) << 8 | usize::from(*low)) + 1;
            let from = out.len().checked_sub(back)?;
            // The reference may overlap what it gives.
            for at in from..from + run + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

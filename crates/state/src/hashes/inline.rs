//! The body of a small hash: `count varint`, then for each field `length varint | field | length varint | value`.

use crate::records::damaged;
use bytes::Bytes;
use std::ops::Range;
use stdx::codec::Put;
use storage::EngineError;

/// Reads a LEB128 number at `*at` and moves past it.
fn read_varint(body: &[u8], at: &mut usize) -> Result<u64, EngineError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *body.get(*at).ok_or_else(|| damaged("a hash cut inside a number"))?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number in a hash is too long"))
}

/// How many fields a body says it has.
pub(super) fn count(body: &[u8]) -> Result<u64, EngineError> {
    read_varint(body, &mut 0)
}

/// Where a field and its value are in a body.
type Places = (Range<usize>, Range<usize>);

/// The places of a body's fields and values.
pub(super) struct Pairs<'a> {
    body: &'a [u8],
    at: usize,
    left: u64,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Pairs<'a>, EngineError> {
        let mut at = 0;
        let left = read_varint(body, &mut at)?;
        Ok(Pairs { body, at, left })
    }

    /// The next field and value.
    pub(super) fn next(&mut self) -> Result<Option<Places>, EngineError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Ok(Some((self.piece()?, self.piece()?)))
    }

    fn piece(&mut self) -> Result<Range<usize>, EngineError> {
        let len = read_varint(self.body, &mut self.at)?;
        let end =
            usize::try_from(len).ok().and_then(|len| self.at.checked_add(len)).filter(|end| *end <= self.body.len());
        let end = end.ok_or_else(|| damaged("a hash cut inside a field"))?;
        Ok(std::mem::replace(&mut self.at, end)..end)
    }
}

/// The value of a field.
pub(super) fn find(body: &Bytes, field: &[u8]) -> Result<Option<Bytes>, EngineError> {
    let mut pairs = Pairs::new(body)?;
    while let Some((f, v)) = pairs.next()? {
        if body[f] == *field {
            return Ok(Some(body.slice(v)));
        }
    }
    Ok(None)
}

/// All fields and values, sharing the body's allocation.
pub(super) fn decode(body: &Bytes) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
    let mut pairs = Pairs::new(body)?;
    let mut out = Vec::new();
    while let Some((f, v)) = pairs.next()? {
        out.push((body.slice(f), body.slice(v)));
    }
    Ok(out)
}

/// The body that holds `pairs`.
pub(super) fn encode(pairs: &[(Bytes, Bytes)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_varint(pairs.len() as u64);
    for (field, value) in pairs {
        out.put_bytes(field);
        out.put_bytes(value);
    }
    out
}

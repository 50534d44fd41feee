//! Values as Redis writes them into a DUMP payload (and into RDB files), so that they travel in both directions.
//!
//! ```text
//! type u8 | value | version u16 | CRC-64 of everything before it, u64          both little-endian
//! ```
//!
//! Written is the plainest form of each type, which every Redis since 4.0 reads, and the form of 7.2 for streams; read is every form that Redis 4.0 to 7.2
//! writes. A payload comes from outside: nothing in it is believed, and what it may unpack to is limited.

mod crc;
mod listpack;
mod packed;
mod reader;
mod stream;
mod writer;

use bytes::Bytes;
use reader::Reader;
use std::collections::BTreeSet;
use stream::Form;

pub use crate::streams::Id;
pub use stream::{Consumer, Group, Pending, Stream};
pub use writer::{encode, encode_functions, seal};

/// A value of any type. Members, fields and elements are as many as there are, never none.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A string.
    String(Bytes),
    /// Elements from left to right.
    List(Vec<Bytes>),
    /// Different members.
    Set(Vec<Bytes>),
    /// Different members with their scores, none of them NaN.
    SortedSet(Vec<(f64, Bytes)>),
    /// Different fields with their values.
    Hash(Vec<(Bytes, Bytes)>),
    /// Entries and groups; either may be none.
    Stream(Stream),
}

/// Why a payload is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// A later version wrote it, or it was changed on its way.
    #[error("DUMP payload version or checksum are wrong")]
    Envelope,
    /// The value does not decode, or is of a kind that is not known.
    #[error("Bad data format")]
    Value,
    /// It unpacks to more than one log entry may hold.
    #[error("the value exceeds Polder's limit of 64 MiB")]
    TooLarge,
}

/// The version written: Redis 7.0's, but for streams.
const VERSION: u16 = 10;

/// The latest version read: Redis 7.2's.
const VERSION_MAX: u16 = 11;

/// Version and checksum behind the value, bytes.
const FOOTER_BYTES: usize = 10;

/// The types of values by the numbers that Redis gives to their forms. Persisted by others: none may change.
mod kind {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const ZSET_TEXT: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const ZSET: u8 = 5;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const ZSET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    pub(super) const QUICKLIST: u8 = 14;
    pub(super) const STREAM: u8 = 15;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const ZSET_LISTPACK: u8 = 17;
    pub(super) const QUICKLIST_2: u8 = 18;
    pub(super) const STREAM_2: u8 = 19;
    pub(super) const SET_LISTPACK: u8 = 20;
    pub(super) const STREAM_3: u8 = 21;
    /// Not a value: the code of a library of functions follows.
    pub(super) const FUNCTION_2: u8 = 245;
}

/// The value in a DUMP payload.
///
/// # Errors
/// Whatever is wrong with it; see [`Malformed`].
pub fn decode(payload: &Bytes) -> Result<Value, Malformed> {
    let mut reader = open(payload)?;
    let kind = reader.byte()?;
    let value = value(&mut reader, kind)?;
    if reader.is_empty() && is_sound(&value) { Ok(value) } else { Err(Malformed::Value) }
}

/// The code of the libraries in a payload of FUNCTION DUMP.
///
/// # Errors
/// As `decode`.
pub fn decode_functions(payload: &Bytes) -> Result<Vec<Bytes>, Malformed> {
    let mut reader = open(payload)?;
    let mut codes = Vec::new();
    while !reader.is_empty() {
        if reader.byte()? != kind::FUNCTION_2 {
            return Err(Malformed::Value);
        }
        codes.push(reader.value()?);
    }
    Ok(codes)
}

/// What is inside a payload that is whole.
fn open(payload: &Bytes) -> Result<Reader, Malformed> {
    let at = payload.len().checked_sub(FOOTER_BYTES).ok_or(Malformed::Envelope)?;
    let (body, footer) = (payload.slice(..at), &payload[at..]);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let checksum = footer[2..].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    if version > VERSION_MAX || checksum != crc::crc64(&payload[..at + 2]) {
        return Err(Malformed::Envelope);
    }
    Ok(Reader::new(body))
}

fn value(reader: &mut Reader, kind: u8) -> Result<Value, Malformed> {
    Ok(match kind {
        kind::STRING => Value::String(reader.value()?),
        kind::LIST => Value::List(reader.elements(1)?),
        kind::SET => Value::Set(reader.elements(1)?),
        kind::HASH => Value::Hash(pairs(reader.elements(2)?)?),
        kind::ZSET => Value::SortedSet(reader.scored(Reader::double)?),
        kind::ZSET_TEXT => Value::SortedSet(reader.scored(Reader::text_double)?),
        kind::SET_INTSET => Value::Set(reader.packed(packed::intset)?),
        kind::SET_LISTPACK => Value::Set(reader.packed(packed::listpack)?),
        kind::HASH_ZIPLIST => Value::Hash(pairs(reader.packed(packed::ziplist)?)?),
        kind::HASH_LISTPACK => Value::Hash(pairs(reader.packed(packed::listpack)?)?),
        kind::ZSET_ZIPLIST => Value::SortedSet(scores(reader.packed(packed::ziplist)?)?),
        kind::ZSET_LISTPACK => Value::SortedSet(scores(reader.packed(packed::listpack)?)?),
        kind::QUICKLIST => Value::List(reader.quicklist(false)?),
        kind::QUICKLIST_2 => Value::List(reader.quicklist(true)?),
        kind::STREAM => Value::Stream(Stream::read(reader, Form::First)?),
        kind::STREAM_2 => Value::Stream(Stream::read(reader, Form::Counted)?),
        kind::STREAM_3 => Value::Stream(Stream::read(reader, Form::Active)?),
        _ => return Err(Malformed::Value),
    })
}

fn pairs(words: Vec<Bytes>) -> Result<Vec<(Bytes, Bytes)>, Malformed> {
    if words.len() % 2 == 1 {
        return Err(Malformed::Value);
    }
    Ok(words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

fn scores(words: Vec<Bytes>) -> Result<Vec<(f64, Bytes)>, Malformed> {
    let scored = |(member, score): (Bytes, Bytes)| Ok((text_score(&score)?, member));
    pairs(words)?.into_iter().map(scored).collect()
}

/// A score written as text.
fn text_score(word: &[u8]) -> Result<f64, Malformed> {
    std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Value)
}

/// Whether a value can exist: nothing empty but a string or a stream, nothing twice, no NaN.
fn is_sound(value: &Value) -> bool {
    fn differ<'a>(names: impl ExactSizeIterator<Item = &'a Bytes>) -> bool {
        let count = names.len();
        count > 0 && names.collect::<BTreeSet<_>>().len() == count
    }
    match value {
        Value::String(_) => true,
        Value::List(elements) => !elements.is_empty(),
        Value::Set(members) => differ(members.iter()),
        Value::SortedSet(entries) => differ(entries.iter().map(|(_, m)| m)) && entries.iter().all(|(s, _)| !s.is_nan()),
        Value::Hash(pairs) => differ(pairs.iter().map(|(field, _)| field)),
        Value::Stream(stream) => stream.is_sound(),
    }
}

#[cfg(test)]
mod tests;

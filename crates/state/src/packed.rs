//! Bodies of small collections: a count, then pieces of bytes one after another, `count varint`, then
//! `length varint | bytes` each.

use crate::records::damaged;
use bytes::Bytes;
use stdx::codec::{DecodeError, Put, Reader};
use storage::EngineError;

/// How many pieces a body says it has.
pub(crate) fn count(body: &Bytes) -> Result<u64, EngineError> {
    Reader::new(body.clone()).varint().map_err(cut)
}

/// All pieces, sharing the body's allocation.
pub(crate) fn decode(body: &Bytes) -> Result<Vec<Bytes>, EngineError> {
    let mut reader = Reader::new(body.clone());
    let count = reader.varint().map_err(cut)?;
    // A count can promise more than there is, so room is made only for what the bytes could hold.
    let mut pieces = Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(body.len()));
    for _ in 0..count {
        pieces.push(reader.bytes().map_err(cut)?);
    }
    Ok(pieces)
}

/// The body that holds `pieces`.
pub(crate) fn encode<'a>(pieces: impl ExactSizeIterator<Item = &'a Bytes>) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_varint(pieces.len() as u64);
    for piece in pieces {
        out.put_bytes(piece);
    }
    out
}

/// What a piece costs inside a body: its bytes, and a length of at most two bytes.
pub(crate) fn cost(piece: &Bytes) -> usize {
    piece.len() + 2
}

/// The error for a body that ends early.
pub(crate) fn cut(_: DecodeError) -> EngineError {
    damaged("a small collection cut short")
}

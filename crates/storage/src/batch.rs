//! The write batch: the only way to change a shard's state, and what a log entry carries.

use bytes::Bytes;
use stdx::codec::{DecodeError, Put, Reader};

/// One change. Keys are relative to the shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Set a key.
    Put(Bytes, Bytes),
    /// Remove a key; nothing happens if it is absent.
    Delete(Bytes),
    /// Remove every key in `start..end`. The proposer bounds how many keys that may be.
    DeleteRange(Bytes, Bytes),
}

/// Changes in order; a later one wins over an earlier one on the same key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// The changes.
    pub ops: Vec<Op>,
}

// Tags are persisted: never reuse one.
const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;

impl Batch {
    /// Appends the encoding: a count, then per change a tag and length-prefixed keys and values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.ops.len() as u64);
        for op in &self.ops {
            match op {
                Op::Put(k, v) => {
                    out.put_u8(PUT);
                    out.put_bytes(k);
                    out.put_bytes(v);
                }
                Op::Delete(k) => {
                    out.put_u8(DELETE);
                    out.put_bytes(k);
                }
                Op::DeleteRange(start, end) => {
                    out.put_u8(DELETE_RANGE);
                    out.put_bytes(start);
                    out.put_bytes(end);
                }
            }
        }
    }

    /// Reads what `encode` wrote; keys and values share the reader's allocation.
    ///
    /// # Errors
    /// On any malformed input.
    pub fn decode(r: &mut Reader) -> Result<Batch, DecodeError> {
        let n = r.varint()?;
        let mut ops = Vec::with_capacity(usize::try_from(n).unwrap_or(usize::MAX).min(r.remaining()));
        for _ in 0..n {
            ops.push(match r.u8()? {
                PUT => Op::Put(r.bytes()?, r.bytes()?),
                DELETE => Op::Delete(r.bytes()?),
                DELETE_RANGE => Op::DeleteRange(r.bytes()?, r.bytes()?),
                _ => return Err(DecodeError::Malformed("unknown batch tag")),
            });
        }
        Ok(Batch { ops })
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of keys and values, for limits.
    #[must_use]
    pub fn size(&self) -> usize {
        self.ops
            .iter()
            .map(|op| match op {
                Op::Put(a, b) | Op::DeleteRange(a, b) => a.len() + b.len(),
                Op::Delete(k) => k.len(),
            })
            .sum()
    }
}

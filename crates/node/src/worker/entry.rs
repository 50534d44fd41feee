//! The payload of a log entry: who proposed it, when, and the batch that every replica applies byte for byte.
//!
//! ```text
//!  0        1                9                17               25
//!  ┌────────┬────────────────┬────────────────┬────────────────┬──────────────┐
//!  │version │ proposer u64   │ sequence u64   │ stamp_ms u64   │ batch …      │
//!  └────────┴────────────────┴────────────────┴────────────────┴──────────────┘
//! ```
//! Integers are little-endian; the batch is encoded as `storage::Batch` documents. Empty bytes are the entry a leader
//! begins its term with.

use bytes::Bytes;
use stdx::codec::{DecodeError, Put, Reader};
use stdx::{NodeId, WallMs};
use storage::Batch;

/// The version written today.
const VERSION: u8 = 1;
/// Bytes before the batch.
const HEADER_BYTES: usize = 25;

/// A decoded payload.
#[derive(Debug)]
pub struct Payload {
    /// The node whose state side proposed it.
    pub proposer: NodeId,
    /// That side's count of proposals.
    pub sequence: u64,
    /// The shard's time: never goes back.
    pub stamp: WallMs,
    /// The effects.
    pub batch: Batch,
}

impl Payload {
    /// The bytes for the log.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(HEADER_BYTES + 8 + self.batch.size() + self.batch.ops.len() * 8);
        out.put_u8(VERSION);
        out.put_u64(self.proposer.0);
        out.put_u64(self.sequence);
        out.put_u64(self.stamp.0);
        self.batch.encode(&mut out);
        out.into()
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// On an unknown version or malformed bytes: the entry was written by a newer Polder or is damaged.
    pub fn decode(bytes: Bytes) -> Result<Payload, DecodeError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(DecodeError::Malformed("entry version"));
        }
        let payload = Payload {
            proposer: NodeId(r.u64()?),
            sequence: r.u64()?,
            stamp: WallMs(r.u64()?),
            batch: Batch::decode(&mut r)?,
        };
        r.finish()?;
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Op;

    #[test]
    fn golden_bytes() {
        let batch = Batch { ops: vec![Op::Put("k".into(), "v".into()), Op::Delete("d".into())] };
        let payload = Payload { proposer: NodeId(2), sequence: 3, stamp: WallMs(4), batch };
        let bytes = payload.encode();
        let expected = [
            1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, b'k', 1, b'v', 2, 1,
            b'd',
        ];
        assert_eq!(bytes.as_ref(), expected);
        let back = Payload::decode(bytes.clone()).unwrap();
        assert_eq!((back.proposer, back.sequence, back.stamp, back.batch), (NodeId(2), 3, WallMs(4), payload.batch));
        for cut in 0..bytes.len() {
            assert!(Payload::decode(bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
    }
}

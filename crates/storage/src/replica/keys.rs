//! Engine keys and the records the store keeps beside the data.
//!
//! ```text
//!   [shard u32 BE][incarnation u32 BE][key]      data of a replica, incarnation >= 1
//!   [shard u32 BE][0u32]                         the replica's record: which incarnation is live, what is applied
//!   [0xFFFF_FFFF][0u32][name]                    records of the node itself
//!
//!   replica's record: version u8 = 1 | incarnation u32 LE | index u64 LE | term u64 LE | stamp_ms u64 LE
//!                     | membership: length varint, bytes
//! ```

use crate::EngineError;
use crate::engine::MAX_ENGINE_KEY_BYTES;
use bytes::Bytes;
use smallvec::SmallVec;
use stdx::ShardId;
use stdx::codec::{DecodeError, Put, Reader};

/// Bytes in front of each key in the engine.
pub(crate) const PREFIX_BYTES: usize = 8;

/// Longest key a replica accepts, in bytes.
pub const MAX_KEY_BYTES: usize = MAX_ENGINE_KEY_BYTES - PREFIX_BYTES;

/// The number that stands for the node itself where others have a shard.
const NODE: u32 = u32::MAX;

/// Incarnation of records that are not data.
const RECORDS: u32 = 0;

/// The first incarnation that holds data.
pub(crate) const FIRST_INCARNATION: u32 = 1;

/// Version of the replica's record.
const RECORD_VERSION: u8 = 1;

/// How far a replica's state has come, and what belongs to that point.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Index of the last log entry in the state; 0 before the first.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// The shard's time in milliseconds since 1970: the stamp of the last entry that carried one.
    pub stamp_ms: u64,
    /// The group's membership at that point, encoded by its owner.
    pub membership: Bytes,
}

/// What a replica's record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) incarnation: u32,
    pub(crate) applied: Applied,
}

/// A key being looked up, on the stack unless it is long.
pub(crate) type EngineKey = SmallVec<[u8; 128]>;

pub(crate) type Prefix = [u8; PREFIX_BYTES];

pub(crate) fn prefix(shard: ShardId, incarnation: u32) -> Prefix {
    ((u64::from(shard.0) << 32) | u64::from(incarnation)).to_be_bytes()
}

/// The shard and incarnation of an engine key; `None` for a key of no known shape.
pub(crate) fn split(key: &[u8]) -> Option<(ShardId, u32)> {
    let head = u64::from_be_bytes(key.get(..PREFIX_BYTES)?.try_into().ok()?);
    Some((ShardId((head >> 32) as u32), head as u32))
}

/// The first prefix behind all keys with this one.
pub(crate) fn prefix_end(prefix: Prefix) -> Prefix {
    u64::from_be_bytes(prefix).saturating_add(1).to_be_bytes()
}

pub(crate) fn join(prefix: Prefix, key: &[u8]) -> EngineKey {
    let mut out = EngineKey::with_capacity(PREFIX_BYTES + key.len());
    out.extend_from_slice(&prefix);
    out.extend_from_slice(key);
    out
}

pub(crate) fn join_owned(prefix: Prefix, key: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(PREFIX_BYTES + key.len());
    out.extend_from_slice(&prefix);
    out.extend_from_slice(key);
    Bytes::from(out)
}

/// Where the replica's record lies.
pub(crate) fn record_key(shard: ShardId) -> Prefix {
    prefix(shard, RECORDS)
}

/// Where a record of the node lies.
pub(crate) fn local_key(name: &str) -> Bytes {
    join_owned(prefix(ShardId(NODE), RECORDS), name.as_bytes())
}

/// Whether `shard` may have a replica; one number is taken.
pub(crate) fn is_valid_shard(shard: ShardId) -> bool {
    shard.0 != NODE
}

pub(crate) fn encode_record(incarnation: u32, applied: &Applied) -> Bytes {
    let mut out = Vec::with_capacity(34 + applied.membership.len());
    out.put_u8(RECORD_VERSION);
    out.put_u32(incarnation);
    out.put_u64(applied.index);
    out.put_u64(applied.term);
    out.put_u64(applied.stamp_ms);
    out.put_bytes(&applied.membership);
    Bytes::from(out)
}

pub(crate) fn decode_record(bytes: Bytes) -> Result<Record, EngineError> {
    let read = |mut r: Reader| -> Result<Record, DecodeError> {
        if r.u8()? != RECORD_VERSION {
            return Err(DecodeError::Malformed("unknown version"));
        }
        let incarnation = r.u32()?;
        let (index, term, stamp_ms) = (r.u64()?, r.u64()?, r.u64()?);
        let membership = Bytes::copy_from_slice(&r.bytes()?);
        r.finish()?;
        Ok(Record { incarnation, applied: Applied { index, term, stamp_ms, membership } })
    };
    let record = read(Reader::new(bytes)).map_err(|e| EngineError::Damaged(format!("record of a replica: {e}")))?;
    if record.incarnation < FIRST_INCARNATION {
        return Err(EngineError::Damaged("record of a replica names no incarnation".into()));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_bytes_are_stable() {
        let applied = Applied { index: 2, term: 3, stamp_ms: 4, membership: Bytes::from_static(b"m") };
        let encoded = encode_record(1, &applied);
        let golden = [1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, b'm'];
        assert_eq!(encoded.as_ref(), golden);
        assert_eq!(decode_record(encoded).unwrap(), Record { incarnation: 1, applied });
        for n in 0..golden.len() {
            assert!(matches!(decode_record(Bytes::copy_from_slice(&golden[..n])), Err(EngineError::Damaged(_))));
        }
    }

    #[test]
    fn keys_sort_by_shard_then_record_then_data() {
        let keys = [
            record_key(ShardId(0)).to_vec(),
            join_owned(prefix(ShardId(0), 1), b"").to_vec(),
            join_owned(prefix(ShardId(0), 1), &[0xff; 20]).to_vec(),
            prefix_end(prefix(ShardId(0), 1)).to_vec(),
            record_key(ShardId(1)).to_vec(),
            local_key("a").to_vec(),
        ];
        assert!(keys.is_sorted());
        assert_eq!(split(&keys[1]), Some((ShardId(0), 1)));
        assert_eq!(split(b"short"), None);
    }
}

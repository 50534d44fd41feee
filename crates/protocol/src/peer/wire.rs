//! How values are laid out in bodies.

use bytes::Bytes;
use cluster::Fitness;
use stdx::codec::{DecodeError, Put, Reader};
use stdx::{NodeId, ShardId};

/// Elements of a list for which room is made before they are read.
const RESERVED_ELEMENTS: usize = 1024;

/// A value with a place in bodies.
pub(super) trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads one.
    fn read(r: &mut Reader) -> Result<Self, DecodeError>;
}

impl Wire for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_varint(*self);
    }
    fn read(r: &mut Reader) -> Result<u64, DecodeError> {
        r.varint()
    }
}

impl Wire for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_varint(u64::from(*self));
    }
    fn read(r: &mut Reader) -> Result<u32, DecodeError> {
        r.varint()?.try_into().map_err(|_| DecodeError::Malformed("number exceeds 32 bits"))
    }
}

impl Wire for u16 {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_varint(u64::from(*self));
    }
    fn read(r: &mut Reader) -> Result<u16, DecodeError> {
        r.varint()?.try_into().map_err(|_| DecodeError::Malformed("number exceeds 16 bits"))
    }
}

impl Wire for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(*self);
    }
    fn read(r: &mut Reader) -> Result<u8, DecodeError> {
        r.u8()
    }
}

/// Zigzag, so that small negative numbers are short.
impl Wire for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_varint(((*self << 1) ^ (*self >> 63)) as u64);
    }
    fn read(r: &mut Reader) -> Result<i64, DecodeError> {
        let v = r.varint()?;
        Ok((v >> 1) as i64 ^ -((v & 1) as i64))
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::from(*self));
    }
    fn read(r: &mut Reader) -> Result<bool, DecodeError> {
        match r.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Malformed("boolean")),
        }
    }
}

impl Wire for Fitness {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(match self {
            Fitness::Fit => 0,
            Fitness::Full => 1,
            Fitness::Unfit => 2,
        });
    }
    fn read(r: &mut Reader) -> Result<Fitness, DecodeError> {
        match r.u8()? {
            0 => Ok(Fitness::Fit),
            1 => Ok(Fitness::Full),
            2 => Ok(Fitness::Unfit),
            _ => Err(DecodeError::Malformed("fitness")),
        }
    }
}

impl Wire for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_bytes(self);
    }
    fn read(r: &mut Reader) -> Result<Bytes, DecodeError> {
        r.bytes()
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_bytes(self.as_bytes());
    }
    fn read(r: &mut Reader) -> Result<String, DecodeError> {
        String::from_utf8(r.bytes()?.into()).map_err(|_| DecodeError::Malformed("text is not UTF-8"))
    }
}

impl Wire for NodeId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn read(r: &mut Reader) -> Result<NodeId, DecodeError> {
        u64::read(r).map(NodeId)
    }
}

impl Wire for ShardId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn read(r: &mut Reader) -> Result<ShardId, DecodeError> {
        u32::read(r).map(ShardId)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn read(r: &mut Reader) -> Result<Option<T>, DecodeError> {
        Ok(if bool::read(r)? { Some(T::read(r)?) } else { None })
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }
    fn read(r: &mut Reader) -> Result<Vec<T>, DecodeError> {
        let count = take_count(r)?;
        let mut items = Vec::with_capacity(count.min(RESERVED_ELEMENTS));
        for _ in 0..count {
            items.push(T::read(r)?);
        }
        Ok(items)
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn read(r: &mut Reader) -> Result<(A, B), DecodeError> {
        Ok((A::read(r)?, B::read(r)?))
    }
}

impl<A: Wire, B: Wire, C: Wire> Wire for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }
    fn read(r: &mut Reader) -> Result<(A, B, C), DecodeError> {
        Ok((A::read(r)?, B::read(r)?, C::read(r)?))
    }
}

/// Appends a count and the items.
pub(super) fn put_list<T: Wire>(items: &[T], out: &mut Vec<u8>) {
    out.put_varint(items.len() as u64);
    for item in items {
        item.put(out);
    }
}

/// The count of a list. Every item takes at least a byte, so a count above what is left cannot be true.
pub(super) fn take_count(r: &mut Reader) -> Result<usize, DecodeError> {
    usize::try_from(r.varint()?).ok().filter(|n| *n <= r.remaining()).ok_or(DecodeError::Truncated)
}

//! Little-endian and LEB128 primitives for formats of our own: a writer that appends to a buffer and a reader that
//! never panics on hostile bytes.

use bytes::Bytes;

/// Why bytes could not be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The input ended inside a value.
    #[error("input ends inside a value")]
    Truncated,
    /// A varint longer than ten bytes, a tag nobody knows, a length above its limit.
    #[error("malformed value: {0}")]
    Malformed(&'static str),
    /// Bytes were left over after the last value.
    #[error("{0} bytes left over")]
    Trailing(usize),
}

/// Appends primitives to a byte vector.
pub trait Put {
    /// One byte.
    fn put_u8(&mut self, v: u8);
    /// Four bytes, little-endian.
    fn put_u32(&mut self, v: u32);
    /// Eight bytes, little-endian.
    fn put_u64(&mut self, v: u64);
    /// LEB128, one to ten bytes.
    fn put_varint(&mut self, v: u64);
    /// A varint length and the bytes.
    fn put_bytes(&mut self, v: &[u8]);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, v: u8) {
        self.push(v);
    }
    fn put_u32(&mut self, v: u32) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    fn put_u64(&mut self, v: u64) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    fn put_varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.push((v as u8) | 0x80);
            v >>= 7;
        }
        self.push(v as u8);
    }
    fn put_bytes(&mut self, v: &[u8]) {
        self.put_varint(v.len() as u64);
        self.extend_from_slice(v);
    }
}

/// Reads primitives from shared bytes; slices taken out share the allocation.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    /// A reader over all of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Reader {
        Reader { bytes, at: 0 }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `n` bytes, sharing the allocation.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    pub fn take(&mut self, n: usize) -> Result<Bytes, DecodeError> {
        if n > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        let out = self.bytes.slice(self.at..self.at + n);
        self.at += n;
        Ok(out)
    }

    /// One byte.
    ///
    /// # Errors
    /// `Truncated` at the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let b = *self.bytes.get(self.at).ok_or(DecodeError::Truncated)?;
        self.at += 1;
        Ok(b)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// `Truncated` at the end.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        let s = self.bytes.get(self.at..self.at + 4).ok_or(DecodeError::Truncated)?;
        self.at += 4;
        Ok(s.iter().rev().fold(0, |v, b| (v << 8) | u32::from(*b)))
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// `Truncated` at the end.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        let s = self.bytes.get(self.at..self.at + 8).ok_or(DecodeError::Truncated)?;
        self.at += 8;
        Ok(s.iter().rev().fold(0, |v, b| (v << 8) | u64::from(*b)))
    }

    /// A LEB128 number.
    ///
    /// # Errors
    /// `Truncated` at the end, `Malformed` beyond 64 bits.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.u8()?;
            let part = u64::from(b & 0x7f);
            if shift == 63 && part > 1 {
                return Err(DecodeError::Malformed("varint exceeds 64 bits"));
            }
            v |= part << shift;
            if b & 0x80 == 0 {
                return Ok(v);
            }
        }
        Err(DecodeError::Malformed("varint exceeds ten bytes"))
    }

    /// A length-prefixed run of bytes.
    ///
    /// # Errors
    /// `Truncated` when the length exceeds what is left.
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let n = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        self.take(n)
    }

    /// Succeeds only when everything was read.
    ///
    /// # Errors
    /// `Trailing` with the number of bytes left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            n => Err(DecodeError::Trailing(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, Put, Reader};
    use bytes::Bytes;

    #[test]
    fn primitives_round_trip() {
        let mut out = Vec::new();
        out.put_u8(7);
        out.put_u32(0xdead_beef);
        out.put_u64(u64::MAX - 1);
        for v in [0, 127, 128, 300, u64::MAX] {
            out.put_varint(v);
        }
        out.put_bytes(b"hello");
        let mut r = Reader::new(Bytes::from(out));
        assert_eq!(r.u8(), Ok(7));
        assert_eq!(r.u32(), Ok(0xdead_beef));
        assert_eq!(r.u64(), Ok(u64::MAX - 1));
        for v in [0, 127, 128, 300, u64::MAX] {
            assert_eq!(r.varint(), Ok(v));
        }
        assert_eq!(r.bytes().unwrap(), "hello");
        assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn hostile_bytes_are_errors() {
        let read = |b: &'static [u8]| Reader::new(Bytes::from_static(b));
        assert_eq!(read(b"").u8(), Err(DecodeError::Truncated));
        assert_eq!(read(&[0xff; 11]).varint(), Err(DecodeError::Malformed("varint exceeds 64 bits")));
        assert_eq!(read(&[5, 1]).bytes(), Err(DecodeError::Truncated));
        assert_eq!(read(&[1]).finish(), Err(DecodeError::Trailing(1)));
    }
}

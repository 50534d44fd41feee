//! Small collections that Redis keeps in one block of bytes: ziplists (to 6.2), listpacks (from 7.0), sets of integers.
//! `None` for a block that is not sound.

use bytes::Bytes;

/// A signed number of 1 to 8 bytes, little-endian.
pub(super) fn integer(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len() as u32;
    let value = bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    (value << unused) as i64 >> unused
}

fn unsigned(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte))
}

/// A block that is being read.
struct Block<'a> {
    body: &'a Bytes,
    at: usize,
}

impl Block<'_> {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.body.len())?;
        Some(self.body.slice(std::mem::replace(&mut self.at, end)..end))
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn integer(&mut self, bytes: usize) -> Option<Bytes> {
        Some(integer(&self.take(bytes)?).to_string().into())
    }
}

/// `bytes u32 | count u16 | entries | ff`
pub(super) fn listpack(body: &Bytes) -> Option<Vec<Bytes>> {
    let mut block = Block { body, at: 0 };
    let size = unsigned(&block.take(4)?);
    block.take(2)?;
    let mut out = Vec::new();
    loop {
        let start = block.at;
        let first = block.byte()?;
        let entry = match first {
            0xff => return (size == body.len() && block.at == body.len()).then_some(out),
            0x00..=0x7f => Bytes::from(first.to_string()),
            0x80..=0xbf => block.take(usize::from(first & 0x3f))?,
            0xc0..=0xdf => {
                let bits = i64::from(first & 0x1f) << 8 | i64::from(block.byte()?);
                Bytes::from((bits << 51 >> 51).to_string())
            }
            0xe0..=0xef => {
                let len = usize::from(first & 0x0f) << 8 | usize::from(block.byte()?);
                block.take(len)?
            }
            0xf0 => {
                let len = unsigned(&block.take(4)?);
                block.take(len)?
            }
            0xf1..=0xf3 => block.integer(usize::from(first - 0xf1) + 2)?,
            0xf4 => block.integer(8)?,
            _ => return None,
        };
        // Behind each entry stands its length, for those who read backwards.
        block.take(match block.at - start {
            0..=127 => 1,
            128..=16_382 => 2,
            16_383..=2_097_150 => 3,
            2_097_151..=268_435_454 => 4,
            _ => 5,
        })?;
        out.push(entry);
    }
}

/// `bytes u32 | offset of the last entry u32 | count u16 | entries | ff`
pub(super) fn ziplist(body: &Bytes) -> Option<Vec<Bytes>> {
    let mut block = Block { body, at: 0 };
    let size = unsigned(&block.take(4)?);
    block.take(6)?;
    let mut out = Vec::new();
    loop {
        // The length of the entry before.
        match block.byte()? {
            0xff => return (size == body.len() && block.at == body.len()).then_some(out),
            0xfe => drop(block.take(4)?),
            _ => {}
        }
        let first = block.byte()?;
        out.push(match first {
            0x00..=0x3f => block.take(usize::from(first))?,
            0x40..=0x7f => {
                let len = usize::from(first & 0x3f) << 8 | usize::from(block.byte()?);
                block.take(len)?
            }
            0x80 => {
                let len = block.take(4)?.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
                block.take(len)?
            }
            0xc0 => block.integer(2)?,
            0xd0 => block.integer(4)?,
            0xe0 => block.integer(8)?,
            0xf0 => block.integer(3)?,
            0xfe => block.integer(1)?,
            0xf1..=0xfd => Bytes::from((first - 0xf1).to_string()),
            _ => return None,
        });
    }
}

/// `bytes of a number u32 | count u32 | numbers`
pub(super) fn intset(body: &Bytes) -> Option<Vec<Bytes>> {
    let mut block = Block { body, at: 0 };
    let (width, count) = (unsigned(&block.take(4)?), unsigned(&block.take(4)?));
    let sound = matches!(width, 2 | 4 | 8) && width.checked_mul(count) == Some(body.len() - block.at);
    if !sound {
        return None;
    }
    (0..count).map(|_| block.integer(width)).collect()
}

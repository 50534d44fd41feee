//! Writing listpacks: `bytes u32 | count u16 | entries | ff`, numbers little-endian; an entry is its bytes and its length, for those
//! who read backwards.

/// A listpack that is being written.
pub(super) struct Listpack {
    body: Vec<u8>,
    count: usize,
}

/// The two numbers in front, bytes.
const HEADER_BYTES: usize = 6;

impl Listpack {
    pub(super) fn new() -> Listpack {
        Listpack { body: vec![0; HEADER_BYTES], count: 0 }
    }

    pub(super) fn integer(&mut self, n: i64) {
        let start = self.body.len();
        match n {
            0..=127 => self.body.push(n as u8),
            -4096..=4095 => self.body.extend([0xc0 | (n >> 8) as u8 & 0x1f, n as u8]),
            _ => {
                // As many bytes as it takes, with its sign.
                let width = [2, 3, 4, 8].into_iter().find(|bytes| n << (64 - 8 * bytes) >> (64 - 8 * bytes) == n);
                let width = width.unwrap_or(8);
                self.body.push(if width == 8 { 0xf4 } else { 0xef + width as u8 });
                self.body.extend_from_slice(&n.to_le_bytes()[..width]);
            }
        }
        self.end(start);
    }

    pub(super) fn string(&mut self, bytes: &[u8]) {
        let start = self.body.len();
        match bytes.len() {
            len @ 0..=63 => self.body.push(0x80 | len as u8),
            len @ 64..=4095 => self.body.extend([0xe0 | (len >> 8) as u8, len as u8]),
            len => {
                self.body.push(0xf0);
                self.body.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        self.body.extend_from_slice(bytes);
        self.end(start);
    }

    /// Writes how long the entry that began at `start` is: seven bits a byte, the highest first, and all but the first marked.
    fn end(&mut self, start: usize) {
        let len = self.body.len() - start;
        let width = match len {
            0..=127 => 1,
            128..=16_382 => 2,
            16_383..=2_097_150 => 3,
            2_097_151..=268_435_454 => 4,
            _ => 5,
        };
        for at in (0..width).rev() {
            let bits = (len >> (7 * at)) as u8 & 0x7f;
            self.body.push(if at + 1 == width { bits } else { bits | 0x80 });
        }
        self.count += 1;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.body.push(0xff);
        let bytes = self.body.len() as u32;
        self.body[..4].copy_from_slice(&bytes.to_le_bytes());
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.body[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        self.body
    }
}

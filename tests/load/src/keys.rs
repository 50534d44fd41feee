//! Keys and values: the same for every server.

/// Draws keys uniformly from a key space, and values that do not compress. Two clients with different seeds draw differently;
/// the same seed always draws the same.
pub struct Keys {
    count: u64,
    size: usize,
    state: u64,
}

impl Keys {
    /// Keys `key:000000000000` up to, not including, number `count`; values of `size` bytes.
    pub fn new(count: u64, size: usize, seed: u64) -> Keys {
        Keys { count, size, state: seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) }
    }

    /// A key drawn at random.
    pub fn draw(&mut self) -> String {
        let number = self.next() % self.count;
        Keys::name(number)
    }

    /// The key with a number.
    pub fn name(number: u64) -> String {
        format!("key:{number:012}")
    }

    /// A value, of printable bytes.
    pub fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.size + 8);
        while value.len() < self.size {
            let bits = self.next();
            value.extend((0..8).map(|i| b'0' + ((bits >> (8 * i)) as u8 & 0x3F)));
        }
        value.truncate(self.size);
        value
    }

    /// Xorshift: cheap and good enough to draw keys.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

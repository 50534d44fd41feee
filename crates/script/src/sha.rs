//! SHA-1, by which scripts are known (FIPS 180-4).

use std::fmt;

/// The digest of a script's body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha(pub [u8; 20]);

impl Sha {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Sha {
        let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        let (blocks, rest) = bytes.as_chunks::<64>();
        blocks.iter().for_each(|block| compress(&mut state, block));
        // The end: a set bit, zeros, and the length in bits, in one block or two.
        let mut tail = [0; 128];
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len()] = 0x80;
        let end = if rest.len() < 56 { 64 } else { 128 };
        tail[end - 8..end].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
        tail[..end].as_chunks::<64>().0.iter().for_each(|block| compress(&mut state, block));
        let mut out = [0; 20];
        out.as_chunks_mut::<4>().0.iter_mut().zip(state).for_each(|(cell, word)| *cell = word.to_be_bytes());
        Sha(out)
    }

    /// Reads forty hexadecimal digits, in any case.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Sha> {
        let (pairs, []) = text.as_chunks::<2>() else { return None };
        let digit = |c: u8| (c as char).to_digit(16);
        let mut out = [0; 20];
        if pairs.len() != out.len() {
            return None;
        }
        for (byte, [high, low]) in out.iter_mut().zip(pairs) {
            *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        }
        Some(Sha(out))
    }
}

fn compress(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut words = [0u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for t in 16..80 {
        words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (t, word) in words.iter().enumerate() {
        let (f, k) = match t / 20 {
            0 => (b & c | !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    for (cell, word) in state.iter_mut().zip([a, b, c, d, e]) {
        *cell = cell.wrapping_add(word);
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Sha;

    #[test]
    fn digests_are_those_of_the_standard() {
        let check = |bytes: &[u8], digest: &str| {
            assert_eq!(Sha::of(bytes).to_string(), digest);
            assert_eq!(Sha::parse(digest.to_uppercase().as_bytes()), Some(Sha::of(bytes)));
        };
        check(b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        check(&[b'a'; 1_000_000], "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }

    #[test]
    fn only_forty_digits_are_a_digest() {
        for bad in
            ["", "da39", "zz39a3ee5e6b4b0d3255bfef95601890afd80709", "da39a3ee5e6b4b0d3255bfef95601890afd8070900"]
        {
            assert_eq!(Sha::parse(bad.as_bytes()), None);
        }
    }
}

//! Where a key lies within its cluster slot: 32 bits of hash that spread the keys of one slot.

// Odd constants with well-spread bits (the golden ratio and the square root of two, as 64-bit fractions).
const SEED: u64 = 0x6a09_e667_f3bc_c908;
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// 32 bits that spread keys evenly. Persisted in every record's key: the function never changes. Not secret: a client
/// that makes its own keys collide makes its own SCAN steps large, nothing else.
#[must_use]
pub fn key_hash(bytes: &[u8]) -> u32 {
    let mut h = SEED ^ (bytes.len() as u64).wrapping_mul(STEP);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        h = fold(h, word(chunk));
    }
    if !chunks.remainder().is_empty() {
        h = fold(h, word(chunks.remainder()));
    }
    h ^= h >> 32;
    h = h.wrapping_mul(STEP);
    (h >> 32) as u32
}

/// Up to eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |v, b| (v << 8) | u64::from(*b))
}

/// Mixes by a full 128-bit product, both halves of which are kept.
fn fold(h: u64, word: u64) -> u64 {
    let product = u128::from(h.rotate_left(29) ^ word) * u128::from(STEP);
    (product as u64) ^ (product >> 64) as u64
}

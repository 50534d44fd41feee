//! Which register an element belongs to, by Redis' hash function.

use super::encoding::REGISTERS;

/// Redis' seed.
const SEED: u64 = 0xadc8_3b19;

/// Bits of the hash that are counted, behind those that choose the register.
const COUNTED_BITS: u32 = 64 - REGISTERS.ilog2();

/// An element's register, and the position of the first set bit in the rest of its hash, from 1.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let rest = hash >> REGISTERS.ilog2() | 1 << COUNTED_BITS;
    (hash as usize % REGISTERS, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash2, 64 bits, variant A (Austin Appleby, public domain), reading little-endian.
fn murmur(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let number = |b: &[u8]| b.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    for word in words {
        let mut k = number(word).wrapping_mul(M);
        k = (k ^ k >> R).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash = (hash ^ number(rest)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

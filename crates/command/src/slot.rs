//! The 16,384 hash slots of Redis Cluster (Redis Cluster specification, "Key distribution model").

/// Number of hash slots.
pub const SLOT_COUNT: u16 = 16_384;

/// A hash slot, below `SLOT_COUNT`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u16);

/// The part of the key that decides its slot: what stands between the first `{` and the first `}` after it, when that
/// is not empty; otherwise the whole key.
#[must_use]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|b| *b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|b| *b == b'}') {
        Some(len) if len > 0 => &rest[..len],
        _ => key,
    }
}

/// The slot of a key.
#[must_use]
pub fn slot_of(key: &[u8]) -> Slot {
    Slot(stdx::crc::crc16_xmodem(hash_tag(key)) % SLOT_COUNT)
}

#[cfg(test)]
mod tests {
    use super::{Slot, hash_tag, slot_of};

    #[test]
    fn slots_as_redis_cluster_computes_them() {
        // CRC16("123456789") = 0x31C3 is the check value of the specification; the rest from `CLUSTER KEYSLOT` of Redis 7.0.
        for (key, slot) in [
            ("123456789", 0x31c3),
            ("foo", 12_182),
            ("bar", 5_061),
            ("", 0),
            ("foo{hash_tag}", 2_515),
            ("{}x", 10_595),
            ("{{x}}", 11_068),
        ] {
            assert_eq!(slot_of(key.as_bytes()), Slot(slot), "{key}");
        }
    }

    #[test]
    fn hash_tags() {
        for (key, tag) in [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("a{b", "a{b"),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
        }
    }
}

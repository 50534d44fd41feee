//! CRC-32C (Castagnoli), the checksum of every record on disk and every frame between nodes.

/// The checksum of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// The checksum of `prefix ++ bytes`, given the checksum of `prefix`.
#[must_use]
pub fn crc32c_append(prefix: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(prefix, bytes)
}

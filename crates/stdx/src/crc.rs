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

const CRC16_TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// CRC-16/XMODEM (polynomial 0x1021, initial value 0), the hash of Redis Cluster slots.
#[must_use]
pub fn crc16_xmodem(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, b| (crc << 8) ^ CRC16_TABLE[usize::from((crc >> 8) as u8 ^ b)])
}

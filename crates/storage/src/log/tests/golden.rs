//! The format, byte by byte: if one of these fails, logs written before can no longer be read.

use super::super::format::{Encoder, HeaderRead, SegmentHeader, Tag, seed};
use super::super::{HardState, LogError, Position};
use super::{Log, SEGMENT, entries, hard_state, open, options, shard, write};
use crate::memdisk::MemDisk;
use stdx::crc::crc32c;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join("")
}

/// The checksum fields of the expectations are those of an independent bitwise CRC-32C, see `checksums_are_crc32c`.
#[test]
fn header() {
    let header = SegmentHeader { sequence: 7, identity: 0x0102_0304_0506_0708, length: 0x4000, previous_end: 0x3f00 };
    let bytes = header.encode();
    assert_eq!(bytes.len(), 4096);
    assert_eq!(
        hex(&bytes[..60]),
        "504f4c44524c4f47010000000700000008070605040302010040000000\
         3f0000000000000000000000000000000000000000000000000000000000\
         00"
    );
    assert_eq!(hex(&bytes[60..64]), hex(&slow_crc32c(0, &bytes[..60]).to_le_bytes()));
    assert!(bytes[64..].iter().all(|b| *b == 0));
    assert_eq!(SegmentHeader::decode(&bytes), HeaderRead::Valid(header));
}

#[test]
fn round() {
    let seed = seed(0x0102_0304_0506_0708, 7);
    let mut round = Encoder::default();
    round.begin(seed);
    round.entry(Tag::Entry, shard(3), 5, 9, 1, b"hello");
    round.hard_state(shard(3), &HardState { term: 5, vote: 2, commit: 8 });
    round.position(Tag::Start, shard(4), Position { index: 6, term: 4 });
    round.group(shard(5), Position { index: 1, term: 1 }, &HardState { term: 2, vote: 3, commit: 1 }, true);
    round.commit(4096, 4096, 11, 6);
    let b = round.bytes();
    // After the two checksums: length, shard, term, index, tag, kind, two zeros, payload, padding.
    let records = [
        (0, "05000000030000000500000000000000090000000000000002010000", "68656c6c6f000000"),
        (48, "08000000030000000500000000000000080000000000000004000000", "020000000000000000000000"),
        (96, "00000000040000000400000000000000060000000000000005000000", "00000000"),
        (
            136,
            "19000000050000000100000000000000010000000000000008000000",
            "02000000000000000300000000000000010000000000000001000000",
        ),
    ];
    let mut digest = seed;
    for (at, head, payload) in records {
        let payload_at = at + 36;
        assert_eq!(hex(&b[at + 8..payload_at]), head, "record at {at}");
        assert_eq!(hex(&b[payload_at..payload_at + payload.len() / 2]), payload, "payload at {at}");
        let length = b[at + 8] as usize;
        assert_eq!(b[at..at + 4], slow_crc32c(seed, &b[at + 4..at + 36]).to_le_bytes());
        assert_eq!(b[at + 4..at + 8], slow_crc32c(seed, &b[payload_at..payload_at + length]).to_le_bytes());
        digest = slow_crc32c(digest, &b[at..at + 4]);
    }
    let commit = &b[200..];
    assert_eq!(hex(&commit[8..36]), "30000000000000000000000000000000000000000000000001000000");
    // Round start, synced, epoch, base; then the digest, the number of records, and three pairs.
    assert_eq!(hex(&commit[36..52]), "00100000001000000b00000006000000");
    assert_eq!(commit[52..56], digest.to_le_bytes());
    assert_eq!(hex(&commit[56..]), "0400000003000000020000000400000001000000050000000100000000000000"[..64].to_owned());
}

#[test]
fn seed_covers_version_identity_and_sequence() {
    let bytes = [1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0];
    assert_eq!(seed(0x0102_0304_0506_0708, 9), slow_crc32c(0, &bytes));
}

#[test]
fn checksums_are_crc32c() {
    // The check value of CRC-32/ISCSI.
    assert_eq!(slow_crc32c(0, b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

/// One bit at a time.
fn slow_crc32c(start: u32, bytes: &[u8]) -> u32 {
    let mut crc = !start;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn a_later_format_is_refused() {
    let disk = MemDisk::new();
    write(&mut open(&disk).0, vec![entries(1, 1, 1, 3, 10), hard_state(1, 1, 1, 3)]).unwrap();
    let mut bytes = disk.contents("00000001.log").unwrap();
    bytes[8] = 2;
    let sum = crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    disk.set_contents("00000001.log", bytes);
    assert_eq!(Log::open(disk, options()).err(), Some(LogError::Newer { segment: 1, version: 2 }));
}

#[test]
fn another_log_is_refused() {
    let disk = MemDisk::new();
    drop(open(&disk));
    let mut other = options();
    other.identity = 5;
    let error = Log::open(disk, other).err();
    assert_eq!(error, Some(LogError::Foreign { segment: 1, found: options().identity, expected: 5 }));
}

#[test]
fn options_have_a_range() {
    for segment_bytes in [0, SEGMENT - 1, u32::MAX] {
        let options = super::LogOptions { segment_bytes, ..options() };
        assert!(matches!(Log::open(MemDisk::new(), options).err(), Some(LogError::Invalid(_))));
    }
}

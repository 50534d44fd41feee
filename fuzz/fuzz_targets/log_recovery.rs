//! Recovery of the log from hostile segments.
//!
//! The first byte says how the rest becomes the inside of a segment: as it is, or as records whose checksums hold, so that
//! the fuzzer gets past them. Held: opening neither panics nor allocates beyond what the files justify; every group that
//! is called healthy can be read to its end and written to; and opening again finds the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use stdx::ShardId;
use stdx::crc::{crc32c, crc32c_append};
use storage::MemDisk;
use storage::log::{HardState, Log, LogError, LogOptions, Record, Recovered, RecoveredGroup, WriteSet};

const IDENTITY: u64 = 7;
const SEGMENT_BYTES: u32 = 16 << 10;
const HEADER_BYTES: usize = 4096;
/// Where a record's checksums are, and where its payload begins.
const PAYLOAD_AT: usize = 36;

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else { return };
    let disk = MemDisk::new();
    drop(Log::open(disk.clone(), options()).expect("an empty disk opens"));
    let first = disk.contents("00000001.log").expect("the first segment");
    let segments = usize::from(mode >> 1) % 3 + 1;
    let share = rest.len().div_ceil(segments).max(1);
    for (sequence, part) in (1..).zip(rest.chunks(share)) {
        let inside = if mode & 1 == 0 { part.to_vec() } else { sealed_records(part, sequence) };
        let mut file = header(&first, sequence, inside.len());
        file.resize(HEADER_BYTES, 0);
        file.extend_from_slice(&inside);
        file.resize(file.len().max(SEGMENT_BYTES as usize), 0);
        disk.set_contents(&format!("{sequence:08}.log"), file);
    }
    check(&disk);
});

fn options() -> LogOptions {
    LogOptions { identity: IDENTITY, segment_bytes: SEGMENT_BYTES, max_recycled: 1, reserve_bytes: 0 }
}

/// The header of a segment that follows one with `previous` bytes of records.
fn header(first: &[u8], sequence: u32, previous: usize) -> Vec<u8> {
    let mut header = first[..60].to_vec();
    header[12..16].copy_from_slice(&sequence.to_le_bytes());
    header[28..32].copy_from_slice(&((HEADER_BYTES + previous) as u32).to_le_bytes());
    let sum = crc32c(&header);
    header.extend_from_slice(&sum.to_le_bytes());
    header
}

/// Records of which the input says tag, kind, shard, term, index and payload. A commit gets the fields that let it count,
/// unless its kind says otherwise.
fn sealed_records(mut input: &[u8], sequence: u32) -> Vec<u8> {
    let mut seed = vec![1, 0, 0, 0];
    seed.extend_from_slice(&IDENTITY.to_le_bytes());
    seed.extend_from_slice(&sequence.to_le_bytes());
    let seed = crc32c(&seed);
    let mut out = Vec::new();
    let (mut round_start, mut digest) = (0, seed);
    let mut shards: BTreeMap<u32, u32> = BTreeMap::new();
    while let [tag, kind, shard, term, index, length, rest @ ..] = input {
        let (tag, shard) = (tag % 10, u32::from(shard % 4));
        let length = usize::from(*length).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        input = rest;
        let index = if *index == 255 { u64::MAX } else { u64::from(*index) };
        let payload = if tag == 1 && *kind < 128 {
            commit_payload(round_start, digest, &shards, payload)
        } else {
            payload.to_vec()
        };
        let mut record = vec![0; PAYLOAD_AT];
        record[4..8].copy_from_slice(&crc32c_append(seed, &payload).to_le_bytes());
        record[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        record[12..16].copy_from_slice(&shard.to_le_bytes());
        record[16..24].copy_from_slice(&u64::from(*term).to_le_bytes());
        record[24..32].copy_from_slice(&index.to_le_bytes());
        record[32] = tag;
        record[33] = *kind;
        let sum = crc32c_append(seed, &record[4..]);
        record[..4].copy_from_slice(&sum.to_le_bytes());
        record.extend_from_slice(&payload);
        record.resize(record.len().next_multiple_of(8), 0);
        out.extend_from_slice(&record);
        if tag == 1 {
            (round_start, digest) = (out.len(), seed);
            shards.clear();
        } else {
            digest = crc32c_append(digest, &sum.to_le_bytes());
            *shards.entry(shard).or_default() += 1;
        }
    }
    out
}

fn commit_payload(round_start: usize, digest: u32, shards: &BTreeMap<u32, u32>, input: &[u8]) -> Vec<u8> {
    let byte = |i: usize| u32::from(input.get(i).copied().unwrap_or(0));
    let synced = HEADER_BYTES as u32 + byte(0) * 8;
    let fields = [(HEADER_BYTES + round_start) as u32, synced, byte(1), byte(2) % 4, digest, shards.values().sum()];
    let pairs = shards.iter().flat_map(|(shard, records)| [*shard, *records]);
    fields.into_iter().chain(pairs).flat_map(u32::to_le_bytes).collect()
}

fn check(disk: &MemDisk) {
    let found = match Log::open(disk.clone(), options()) {
        Ok((mut writer, reader, found)) => {
            for (shard, group) in &found.groups {
                let read = reader.entries(*shard, group.start.index + 1, u64::MAX, u64::MAX).expect("healthy");
                assert_eq!(read.len() as u64, group.last.index - group.start.index);
                assert_eq!(read.last().map_or(group.start.term, |e| e.term), group.last.term);
            }
            let mut records = Vec::new();
            for shard in found.groups.keys() {
                records.push(Record::HardState { shard: *shard, state: HardState { term: 9, vote: 9, commit: 9 } });
            }
            writer.append(&WriteSet { records }).expect("healthy groups are written to");
            writer.sync().expect("the disk is well");
            let _ = writer.reclaim().expect("the disk is well");
            found
        }
        Err(LogError::Newer { .. } | LogError::Foreign { .. } | LogError::Invalid(_)) => return,
        Err(e) => panic!("a disk without faults gives {e}"),
    };
    let (_, _, again) = Log::open(disk.clone(), options()).expect("it opened before");
    assert_eq!(positions(&again), positions(&found));
    let fenced = |r: &Recovered| r.damaged.iter().filter_map(|d| d.shard).collect::<Vec<_>>();
    assert_eq!(fenced(&again), fenced(&found));
}

fn positions(found: &Recovered) -> Vec<(ShardId, RecoveredGroup)> {
    let same = |group: &RecoveredGroup| RecoveredGroup { hard_state: HardState::default(), ..*group };
    found.groups.iter().map(|(shard, group)| (*shard, same(group))).collect()
}

//! What the log does, told one case at a time.

use super::super::Note;
use super::{HardState, LogEntry, LogError, Position, Record, SEGMENT, WriteSet};
use super::{entries, entry, hard_state, open, options, shard, start, write};
use crate::disk::Disk;
use crate::disk_real::RealDisk;
use crate::log::Log;
use crate::memdisk::MemDisk;

fn indexes(read: &[LogEntry]) -> Vec<(u64, u64)> {
    read.iter().map(|e| (e.term, e.index)).collect()
}

#[test]
fn entries_appear_with_the_sync_and_survive_reopening() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    let set = WriteSet { records: vec![entries(1, 1, 1, 3, 100), hard_state(1, 1, 7, 2)] };
    writer.append(&set).unwrap();
    assert_eq!(reader.last_index(shard(1)), 0);
    writer.sync().unwrap();
    assert_eq!(reader.entries(shard(1), 2, 4, u64::MAX).unwrap(), [entry(1, 2, 100), entry(1, 3, 100)]);
    assert_eq!((reader.first_index(shard(1)), reader.last_index(shard(1))), (1, 3));
    assert_eq!(reader.bytes(shard(1)), 3 * 136);
    drop((writer, reader));
    let (_, reader, recovered) = open(&disk);
    let group = recovered.groups[&shard(1)];
    assert_eq!(group.hard_state, HardState { term: 1, vote: 7, commit: 2 });
    assert_eq!(group.last, Position { index: 3, term: 1 });
    assert_eq!(recovered.notes, []);
    assert_eq!(reader.term(shard(1), 3).unwrap(), Some(1));
    assert_eq!(reader.term(shard(1), 4).unwrap(), None);
}

#[test]
fn reads_are_limited_by_bytes_but_never_empty() {
    let (mut writer, reader, _) = open(&MemDisk::new());
    write(&mut writer, vec![entries(1, 1, 1, 9, 100)]).unwrap();
    let read = |low, high, max| reader.entries(shard(1), low, high, max).unwrap().len();
    assert_eq!([read(1, 100, 0), read(1, 100, 250), read(1, 100, 300), read(4, 6, 1000)], [1, 2, 3, 2]);
    assert_eq!([read(10, 20, 1000), read(5, 5, 1000)], [0, 0]);
    let compacted = LogError::Compacted { shard: shard(1), first: 1 };
    assert_eq!(reader.entries(shard(1), 0, 5, 10).unwrap_err(), compacted);
}

#[test]
fn a_conflict_replaces_the_suffix() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 9, 10)]).unwrap();
    write(&mut writer, vec![entries(1, 2, 4, 5, 10)]).unwrap();
    let expected = [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)];
    assert_eq!(indexes(&reader.entries(shard(1), 1, 100, u64::MAX).unwrap()), expected);
    let (_, reader, _) = open(&disk);
    assert_eq!(indexes(&reader.entries(shard(1), 1, 100, u64::MAX).unwrap()), expected);
}

#[test]
fn a_start_keeps_the_suffix_it_agrees_with_and_drops_any_other() {
    for (index, term, kept) in [(4, 1, vec![5, 6]), (6, 1, vec![]), (4, 2, vec![]), (9, 3, vec![])] {
        let disk = MemDisk::new();
        let (mut writer, _, _) = open(&disk);
        write(&mut writer, vec![entries(1, 1, 1, 6, 10)]).unwrap();
        write(&mut writer, vec![start(1, index, term)]).unwrap();
        for _ in 0..2 {
            let (_, reader, _) = open(&disk);
            assert_eq!(reader.start(shard(1)), Position { index, term });
            let read = reader.entries(shard(1), index + 1, 100, u64::MAX).unwrap();
            assert_eq!(read.iter().map(|e| e.index).collect::<Vec<_>>(), kept);
            assert!(matches!(reader.entries(shard(1), index, 100, 1), Err(LogError::Compacted { .. })));
        }
    }
}

#[test]
fn a_start_sees_what_was_appended_but_not_synced() {
    let (mut writer, reader, _) = open(&MemDisk::new());
    write(&mut writer, vec![entries(1, 1, 1, 6, 10)]).unwrap();
    writer.append(&WriteSet { records: vec![entries(1, 2, 3, 8, 10)] }).unwrap();
    write(&mut writer, vec![start(1, 5, 2)]).unwrap();
    assert_eq!(indexes(&reader.entries(shard(1), 6, 100, u64::MAX).unwrap()), [(2, 6), (2, 7), (2, 8)]);
}

#[test]
fn what_has_no_meaning_is_refused_and_leaves_no_trace() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 6, 10), start(1, 3, 1)]).unwrap();
    let gap = Record::Entries { shard: shard(1), entries: vec![entry(1, 7, 1), entry(1, 9, 1)] };
    for bad in [entries(1, 1, 8, 9, 10), entries(1, 1, 3, 4, 10), entries(2, 1, 2, 2, 1), start(1, 2, 1), gap] {
        let records = vec![hard_state(3, 1, 1, 1), entries(1, 9, 5, 5, 1), bad];
        assert!(matches!(writer.append(&WriteSet { records }), Err(LogError::Invalid(_))));
    }
    write(&mut writer, vec![entries(1, 1, 7, 7, 10)]).unwrap();
    for reader in [reader, open(&disk).1] {
        assert_eq!(indexes(&reader.entries(shard(1), 4, 100, u64::MAX).unwrap()), [(1, 4), (1, 5), (1, 6), (1, 7)]);
        assert_eq!(reader.last_index(shard(3)), 0);
    }
}

#[test]
fn a_removed_shard_begins_again() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 6, 10), hard_state(1, 5, 5, 5)]).unwrap();
    write(&mut writer, vec![Record::Remove { shard: shard(1) }]).unwrap();
    assert!(open(&disk).2.groups.is_empty());
    write(&mut writer, vec![entries(1, 9, 1, 1, 10)]).unwrap();
    let group = open(&disk).2.groups[&shard(1)];
    assert_eq!((group.last, group.hard_state), (Position { index: 1, term: 9 }, HardState::default()));
}

#[test]
fn a_round_larger_than_a_segment_gets_its_own() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 2, 10)]).unwrap();
    write(&mut writer, vec![entries(1, 1, 3, 3, 5 * SEGMENT as usize)]).unwrap();
    write(&mut writer, vec![entries(1, 1, 4, 4, 10)]).unwrap();
    for reader in [reader, open(&disk).1] {
        let read = reader.entries(shard(1), 1, 100, u64::MAX).unwrap();
        assert_eq!(read.iter().map(|e| e.data.len()).collect::<Vec<_>>(), [10, 10, 5 * SEGMENT as usize, 10]);
    }
}

#[test]
fn an_unfinished_round_is_cut_as_a_whole() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 2, 700)]).unwrap();
    let before = disk.contents("00000001.log").unwrap();
    write(&mut writer, vec![entries(1, 1, 3, 4, 700), entries(2, 1, 1, 2, 700)]).unwrap();
    let mut torn = disk.contents("00000001.log").unwrap();
    let end = torn.iter().rposition(|b| *b != 0).unwrap();
    torn[end - 600..].copy_from_slice(&before[end - 600..]);
    disk.set_contents("00000001.log", torn);
    let (mut writer, _, recovered) = open(&disk);
    assert_eq!(recovered.damaged, []);
    assert!(matches!(recovered.notes[..], [Note::TornTail { segment: 1, .. }]));
    assert_eq!(recovered.groups.len(), 1);
    assert_eq!(recovered.groups[&shard(1)].last.index, 2);
    write(&mut writer, vec![entries(1, 2, 3, 3, 10)]).unwrap();
    assert_eq!(open(&disk).2.groups[&shard(1)].last, Position { index: 3, term: 2 });
}

/// The first of two unsynced rounds is lost, the second survives. After the cut a round of the first one's size ends exactly
/// where the second one's remains begin: they must not come back.
#[test]
fn the_remains_of_a_cut_round_never_come_back() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 1, 700)]).unwrap();
    let before = disk.contents("00000001.log").unwrap();
    writer.append(&WriteSet { records: vec![entries(1, 1, 2, 2, 700)] }).unwrap();
    let first = disk.contents("00000001.log").unwrap();
    writer.append(&WriteSet { records: vec![entries(1, 1, 3, 3, 700)] }).unwrap();
    let mut torn = disk.contents("00000001.log").unwrap();
    let changed = (0..first.len()).filter(|i| first[*i] != before[*i]).collect::<Vec<_>>();
    torn[changed[0]..changed[0] + 100].fill(0);
    disk.set_contents("00000001.log", torn);
    let (mut writer, _, recovered) = open(&disk);
    assert_eq!((recovered.groups[&shard(1)].last.index, recovered.damaged), (1, vec![]));
    write(&mut writer, vec![entries(1, 1, 2, 2, 700)]).unwrap();
    let (_, _, recovered) = open(&disk);
    assert_eq!((recovered.groups[&shard(1)].last.index, recovered.damaged), (2, vec![]));
}

/// A round is torn and cut; another of the same shape is torn over it, so that a record of the first one, intact, stands
/// where the second one's should. The second one's commit must not take it for its own.
#[test]
fn a_round_is_not_completed_by_the_remains_of_another() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 1, 700)]).unwrap();
    let begin = writer.current.tail as usize;
    writer.append(&WriteSet { records: vec![entries(1, 2, 2, 3, 700)] }).unwrap();
    let mut torn = disk.contents("00000001.log").unwrap();
    let remains = torn[begin..begin + 736].to_vec();
    torn[begin + 2 * 736..].fill(0);
    disk.set_contents("00000001.log", torn);
    let (mut writer, _, _) = open(&disk);
    assert_eq!(writer.current.tail as usize, begin);
    writer.append(&WriteSet { records: vec![entries(1, 3, 2, 3, 700)] }).unwrap();
    let mut mixed = disk.contents("00000001.log").unwrap();
    mixed[begin..begin + 736].copy_from_slice(&remains);
    disk.set_contents("00000001.log", mixed);
    let (_, _, recovered) = open(&disk);
    assert_eq!((recovered.groups[&shard(1)].last, recovered.damaged), (Position { index: 1, term: 1 }, vec![]));
}

#[test]
fn one_write_and_one_sync_for_a_round() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    let before = disk.stats();
    write(&mut writer, (1..=20).map(|n| entries(n, 1, 1, 3, 50)).collect()).unwrap();
    writer.sync().unwrap();
    let after = disk.stats();
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (1, 1));
}

#[test]
fn it_works_on_a_real_disk() {
    let path = std::env::temp_dir().join(format!("polder-log-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    for round in 0..3u64 {
        let (mut writer, reader, recovered) = Log::open(RealDisk::open(&path).unwrap(), options()).unwrap();
        assert_eq!(recovered.groups.get(&shard(1)).map_or(0, |g| g.last.index), round * 200);
        for i in 1..=200 {
            let index = round * 200 + i;
            writer.append(&WriteSet { records: vec![entries(1, 1, index, index, 300)] }).unwrap();
        }
        writer.sync().unwrap();
        let from = (round * 200).max(1);
        assert_eq!(
            reader.entries(shard(1), from, u64::MAX, u64::MAX).unwrap().last(),
            Some(&entry(1, round * 200 + 200, 300))
        );
        writer.append(&WriteSet { records: vec![start(1, round * 200 + 100, 1)] }).unwrap();
        assert!(writer.reclaim().unwrap().segments > 0);
    }
    let disk = RealDisk::open(&path).unwrap();
    assert!(disk.list().unwrap().len() < 20);
    std::fs::remove_dir_all(&path).unwrap();
}

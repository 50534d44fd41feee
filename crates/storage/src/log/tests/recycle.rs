//! Reclaiming and recycling segments.

use super::super::{LogReader, LogWriter};
use super::{HardState, LogError, MemDisk, Model, Record, SEGMENT, check_accounts};
use super::{entries, hard_state, open, options, shard, start, write};
use crate::disk::Disk;
use crate::log::Log;
use stdx::Rng;

/// Appends small rounds until `segments` more segments were begun.
fn fill(writer: &mut LogWriter<MemDisk>, reader: &LogReader<MemDisk>, n: u32, segments: u32) {
    let goal = writer.current.sequence + segments;
    while writer.current.sequence < goal {
        let next = reader.last_index(shard(n)) + 1;
        write(writer, vec![entries(n, 1, next, next, 400)]).unwrap();
    }
}

fn logs(disk: &MemDisk, suffix: &str) -> usize {
    disk.list().unwrap().iter().filter(|name| name.ends_with(suffix)).count()
}

#[test]
fn idle_groups_do_not_pin_old_segments() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    let mut model = Model::default();
    let idle = [
        entries(1, 1, 1, 5, 100),
        hard_state(1, 3, 2, 4),
        start(2, 50, 9),
        hard_state(3, 7, 7, 0),
        entries(4, 1, 1, 3, 9),
        start(4, 2, 1),
    ];
    idle.iter().for_each(|r| model.apply(r));
    write(&mut writer, idle.to_vec()).unwrap();
    for _ in 0..6 {
        fill(&mut writer, &reader, 9, 3);
        let last = reader.last(shard(9));
        write(&mut writer, vec![start(9, last.index, last.term)]).unwrap();
        let done = writer.reclaim().unwrap();
        assert!(done.segments >= 3 && !done.more, "{done:?}");
        check_accounts(&reader);
        assert_eq!(logs(&disk, ".log"), 1);
        assert_eq!(logs(&disk, ".free"), 2);
        let (_, reader, recovered) = open(&disk);
        let mut recovered = recovered;
        recovered.groups.remove(&shard(9)).unwrap();
        assert!(model.matches(&recovered, &reader));
        assert_eq!(recovered.damaged, []);
    }
}

#[test]
fn entries_copied_forward_can_still_be_replaced_and_removed() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 9, 100), entries(2, 1, 1, 9, 100)]).unwrap();
    fill(&mut writer, &reader, 9, 2);
    // Entries of shard 1 in three places: the first segment, the middle, the end.
    write(&mut writer, vec![entries(1, 2, 6, 12, 100)]).unwrap();
    fill(&mut writer, &reader, 9, 1);
    let last = reader.last(shard(9));
    write(&mut writer, vec![start(9, last.index, last.term)]).unwrap();
    assert!(writer.reclaim().unwrap().copied_bytes > 0);
    let terms = |reader: &LogReader<MemDisk>| {
        reader.entries(shard(1), 1, 100, u64::MAX).unwrap().iter().map(|e| e.term).collect::<Vec<_>>()
    };
    let expected = [vec![1; 5], vec![2; 7]].concat();
    assert_eq!([terms(&reader), terms(&open(&disk).1)], [expected.clone(), expected]);
    write(&mut writer, vec![entries(1, 3, 3, 3, 10), Record::Remove { shard: shard(2) }]).unwrap();
    let (_, again, recovered) = open(&disk);
    assert_eq!([terms(&reader), terms(&again)], [vec![1, 1, 3], vec![1, 1, 3]]);
    assert!(!recovered.groups.contains_key(&shard(2)));
}

#[test]
fn the_log_stays_small_beside_what_lives_in_it() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    // A slow shard's entries lie between those of a fast one that is compacted again and again.
    for round in 0..200u64 {
        let next = reader.last_index(shard(9)) + 1;
        write(&mut writer, vec![entries(1, 1, round + 1, round + 1, 300), entries(9, 1, next, next + 9, 300)]).unwrap();
        if round % 10 == 9 {
            write(&mut writer, vec![start(9, next + 9, 1)]).unwrap();
            while writer.reclaim().unwrap().more {}
        }
    }
    check_accounts(&reader);
    assert!(reader.live_bytes() > 200 * 300);
    assert!(reader.total_bytes() < 3 * reader.live_bytes() + 3 * u64::from(SEGMENT), "{}", reader.total_bytes());
    assert_eq!(open(&disk).1.entries(shard(1), 1, 1000, u64::MAX).unwrap().len(), 200);
}

#[test]
fn records_of_a_recycled_file_never_pass() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    fill(&mut writer, &reader, 1, 3);
    let last = reader.last(shard(1));
    write(&mut writer, vec![start(1, last.index, last.term)]).unwrap();
    writer.reclaim().unwrap();
    let used = disk.used_bytes();
    // The recycled files are full of old records of the same sizes at the same offsets.
    fill(&mut writer, &reader, 1, 1);
    assert_eq!(disk.used_bytes(), used, "no file was made");
    let last = reader.last(shard(1));
    let (_, again, recovered) = open(&disk);
    assert_eq!((again.last(shard(1)), recovered.damaged), (last, vec![]));
}

#[test]
fn a_reader_that_looked_before_the_segment_was_recycled_reads_the_copy() {
    let (mut writer, reader, _) = open(&MemDisk::new());
    write(&mut writer, vec![entries(1, 1, 1, 5, 100)]).unwrap();
    fill(&mut writer, &reader, 9, 2);
    std::thread::scope(|scope| {
        let other = reader.clone();
        scope.spawn(move || {
            for _ in 0..3000 {
                assert_eq!(other.entries(shard(1), 1, 6, u64::MAX).unwrap().len(), 5);
            }
        });
        for _ in 0..20 {
            fill(&mut writer, &reader, 9, 2);
            let last = reader.last(shard(9));
            write(&mut writer, vec![start(9, last.index, last.term)]).unwrap();
            writer.reclaim().unwrap();
        }
    });
}

#[test]
fn damage_found_while_copying_stays_known_after_its_place_is_gone() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 5, 100), hard_state(1, 4, 4, 4), entries(2, 1, 1, 5, 100)]).unwrap();
    fill(&mut writer, &reader, 9, 3);
    // Two records in (the first is the removal that begins shard 1) lies the second entry.
    assert!(disk.rot("00000001.log", 4096 + 40 + 136 + 60, 4));
    let last = reader.last(shard(9));
    write(&mut writer, vec![start(9, last.index, last.term)]).unwrap();
    let done = writer.reclaim().unwrap();
    assert_eq!(done.damaged.iter().map(|d| d.shard).collect::<Vec<_>>(), [Some(shard(1))]);
    assert!(done.segments >= 3);
    for _ in 0..2 {
        let (_, reader, recovered) = open(&disk);
        assert_eq!(recovered.damaged.iter().map(|d| d.shard).collect::<Vec<_>>(), [Some(shard(1))]);
        assert!(matches!(reader.entries(shard(1), 1, 3, 100), Err(LogError::Damaged(_))));
        assert_eq!(reader.entries(shard(2), 1, 9, u64::MAX).unwrap().len(), 5);
    }
    assert!(matches!(write(&mut writer, vec![hard_state(1, 5, 5, 5)]), Err(LogError::Damaged(_))));
    write(&mut writer, vec![Record::Remove { shard: shard(1) }, start(1, 100, 7), hard_state(1, 8, 1, 100)]).unwrap();
    let (_, _, recovered) = open(&disk);
    assert_eq!(recovered.damaged, []);
    assert_eq!(recovered.groups[&shard(1)].hard_state, HardState { term: 8, vote: 1, commit: 100 });
}

#[test]
fn spare_segments_are_made_ahead_and_survive_crashes() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    let preparer = writer.preparer();
    assert!(preparer.prepare().unwrap());
    assert!(!preparer.prepare().unwrap());
    let used = disk.used_bytes();
    fill(&mut writer, &reader, 1, 1);
    assert_eq!(disk.used_bytes(), used);
    let last = reader.last(shard(1));
    for seed in 0..40 {
        let (writer, ..) = open(&disk);
        disk.halt_after(seed % 6);
        let _ = writer.preparer().prepare();
        disk.crash(&mut Rng::new(seed));
        let (_, reader, recovered) = Log::open(disk.clone(), options()).unwrap();
        assert_eq!((reader.last(shard(1)), recovered.damaged), (last, vec![]));
        assert!(logs(&disk, ".tmp") == 0 && logs(&disk, ".free") <= 2);
    }
}

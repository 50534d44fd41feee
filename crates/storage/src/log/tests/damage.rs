//! Flipped bits: whatever is damaged is found and named, or was harmless; wrong data is never served.

use super::super::{Damage, LogError, Note};
use super::{Log, Model, Open, Record, SEGMENT, WriteSet, entries, hard_state, open, options, shard, start, write};
use crate::memdisk::MemDisk;
use std::collections::BTreeSet;
use stdx::ShardId;

/// A log of a few shards over two segments, its end proven by a marker.
fn small_log() -> (MemDisk, Model, u64) {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    let rounds = vec![
        vec![entries(1, 1, 1, 3, 20), hard_state(1, 1, 2, 3), entries(2, 1, 1, 1, 60)],
        vec![start(3, 40, 2), hard_state(3, 3, 3, 40)],
        vec![entries(1, 2, 3, 4, 33), entries(3, 3, 41, 42, 5)],
        vec![entries(2, 1, 2, 2, 10_500)],
        vec![start(1, 2, 1), hard_state(2, 9, 1, 1)],
        vec![entries(2, 2, 3, 4, 800), Record::Remove { shard: shard(3) }],
        vec![entries(1, 2, 5, 6, 10)],
    ];
    let mut model = Model::default();
    for round in rounds {
        round.iter().for_each(|r| model.apply(r));
        write(&mut writer, round).unwrap();
    }
    writer.append(&WriteSet::default()).unwrap();
    let end = u64::from(writer.current.tail);
    assert_eq!(writer.current.sequence, 2);
    (disk, model, end)
}

fn copy(disk: &MemDisk) -> MemDisk {
    let copy = MemDisk::new();
    for name in ["00000001.log", "00000002.log"] {
        copy.set_contents(name, disk.contents(name).unwrap());
    }
    copy
}

fn hurt(damaged: &[Damage]) -> (BTreeSet<ShardId>, bool) {
    (damaged.iter().filter_map(|d| d.shard).collect(), damaged.iter().any(|d| d.shard.is_none()))
}

/// Asserts that healthy groups are as they were, and fenced ones refuse; returns what was hurt.
fn check(opened: &Open, model: &Model) -> (BTreeSet<ShardId>, bool) {
    let (_, reader, recovered) = opened;
    let (hurt, unknown) = hurt(&recovered.damaged);
    for (id, group) in &model.groups {
        if hurt.contains(id) {
            assert!(!recovered.groups.contains_key(id));
            assert!(matches!(reader.entries(*id, 1, 9, 9), Err(LogError::Damaged(_))));
            continue;
        }
        let found = recovered.groups.get(id).unwrap_or_else(|| panic!("{id} is lost: {recovered:?}"));
        assert_eq!((found.start, found.last, found.hard_state), (group.start, group.last(), group.hard_state));
        let read = reader.entries(*id, group.start.index + 1, u64::MAX, u64::MAX).expect("reads");
        assert!(read.iter().eq(group.entries.values()), "wrong data of {id}");
    }
    assert!(recovered.groups.keys().all(|id| model.groups.contains_key(id)), "nobody comes back from the dead");
    (hurt, unknown)
}

#[test]
fn every_flipped_byte_is_found_or_harmless() {
    let (disk, model, end) = small_log();
    let (mut named, mut unknown, mut noted, mut harmless) = (0, 0, 0, 0);
    for (name, length) in [("00000001.log", u64::from(SEGMENT)), ("00000002.log", end + 100)] {
        // The large payload is all alike: a few of its bytes are enough.
        for at in (0..length).filter(|at| name != "00000001.log" || *at < 5400 || *at > 15_000 || at % 500 == 0) {
            for mask in [1, 0xff] {
                let disk = copy(&disk);
                assert!(disk.rot(name, at, mask));
                let opened = open(&disk);
                let (hurt, everyone) = check(&opened, &model);
                let notes = &opened.2.notes;
                match (everyone, hurt.is_empty(), notes.is_empty()) {
                    (true, ..) => unknown += 1,
                    (_, false, _) => named += 1,
                    (_, _, false) => noted += 1,
                    _ => harmless += 1,
                }
            }
        }
    }
    assert!(named > 1000 && noted > 300 && harmless > 1000, "{named} {noted} {harmless}");
    assert_eq!(unknown, 0, "one flipped byte always leaves enough to tell whom it hurts");
}

#[test]
fn a_lost_stretch_never_makes_wrong_data() {
    let (disk, model, end) = small_log();
    let (mut found, mut harmless) = (0, 0);
    for (name, length) in [("00000001.log", 5400), ("00000002.log", end)] {
        for from in (4096..length - 8).step_by(16) {
            for n in [16, 64, 200, 512, 1024] {
                let disk = copy(&disk);
                let mut bytes = disk.contents(name).unwrap();
                let to = (from + n).min(length - 8) as usize;
                // Up to, but without, the marker that proves the end.
                let to = if name == "00000002.log" { to.min(end as usize - 64) } else { to };
                if to <= from as usize {
                    continue;
                }
                bytes[from as usize..to].fill(0);
                disk.set_contents(name, bytes);
                let (hurt, unknown) = check(&open(&disk), &model);
                // Harmless: padding, a commit alone, or what was said of a shard that is removed later.
                if unknown || !hurt.is_empty() { found += 1 } else { harmless += 1 }
            }
        }
    }
    assert!(found > 9 * harmless, "{found} {harmless}");
}

#[test]
fn a_missing_or_short_segment_fences_all() {
    let (disk, _, _) = small_log();
    let all = [shard(1), shard(2)].into_iter().collect::<BTreeSet<_>>();
    let short = copy(&disk);
    short.set_contents("00000001.log", disk.contents("00000001.log").unwrap()[..4500].to_vec());
    let (hurt_by_short, unknown) = hurt(&open(&short).2.damaged);
    assert!(unknown && hurt_by_short.is_superset(&all));

    let (mut writer, _, _) = open(&disk);
    for i in 0..4 {
        write(&mut writer, vec![entries(1, 5, 7 + i, 7 + i, 9000)]).unwrap();
    }
    drop(writer);
    let disk = disk.clone();
    crate::disk::Disk::remove(&disk, "00000003.log").unwrap();
    let (hurt, unknown) = hurt(&open(&disk).2.damaged);
    assert!(unknown && hurt.is_superset(&all));
}

#[test]
fn a_fence_lasts_until_the_group_is_removed() {
    let (disk, _, _) = small_log();
    assert!(disk.rot("00000001.log", 4096 + 40 + 40, 1), "the first entry of shard 1");
    for _ in 0..2 {
        let (mut writer, reader, recovered) = open(&disk);
        assert_eq!(hurt(&recovered.damaged), ([shard(1)].into(), false));
        assert!(matches!(reader.term(shard(1), 3), Err(LogError::Damaged(_))));
        assert!(matches!(write(&mut writer, vec![entries(1, 3, 7, 7, 1)]), Err(LogError::Damaged(_))));
        write(&mut writer, vec![hard_state(2, 10, 1, 1)]).unwrap();
    }
    let (mut writer, _, _) = open(&disk);
    write(&mut writer, vec![Record::Remove { shard: shard(1) }, start(1, 70, 4), entries(1, 4, 71, 72, 9)]).unwrap();
    let (_, reader, recovered) = open(&disk);
    assert_eq!(recovered.damaged, []);
    assert_eq!(reader.entries(shard(1), 71, 99, 99).unwrap().len(), 2);
}

/// What proves the damage may be freed before the group is removed: the fence is written down first. Nothing is written
/// behind the damage in its own segment.
#[test]
fn a_fence_outlives_the_segment_that_proves_it() {
    let disk = small_log_with_rot();
    let (mut writer, _, recovered) = open(&disk);
    let fenced = hurt(&recovered.damaged);
    assert!(!fenced.0.is_empty());
    for index in 1..60 {
        write(&mut writer, vec![entries(9, 1, index, index, 900), start(9, index, 1)]).unwrap();
    }
    assert_eq!(disk.contents("00000002.log"), small_log_with_rot().contents("00000002.log"));
    while writer.reclaim().unwrap().more {}
    assert!(disk.contents("00000002.log").is_none(), "it is freed");
    assert_eq!(hurt(&open(&disk).2.damaged), fenced);
}

fn small_log_with_rot() -> MemDisk {
    let (disk, _, _) = small_log();
    disk.rot("00000002.log", 4096 + 60, 1);
    disk
}

/// After damage whose shard is unknown, a shard that begins later is not fenced at the next opening.
#[test]
fn damage_of_unknown_shards_does_not_reach_what_begins_after_it() {
    let (disk, _, _) = small_log();
    let mut bytes = disk.contents("00000001.log").unwrap();
    bytes[4096..4700].fill(0);
    disk.set_contents("00000001.log", bytes);
    let (mut writer, _, recovered) = open(&disk);
    assert_eq!(hurt(&recovered.damaged), ([shard(1), shard(2)].into(), true));
    write(&mut writer, vec![entries(8, 1, 1, 3, 9), Record::Remove { shard: shard(2) }, start(2, 9, 9)]).unwrap();
    let (_, reader, recovered) = open(&disk);
    assert_eq!(hurt(&recovered.damaged), ([shard(1)].into(), true));
    assert_eq!(reader.last_index(shard(8)), 3);
    assert_eq!(reader.last_index(shard(2)), 9);
}

#[test]
fn damage_is_found_on_reading_too() {
    let (disk, _, _) = small_log();
    let (_, reader, _) = open(&disk);
    assert!(disk.rot("00000002.log", 4096 + 300, 1));
    let read = |n: u32, low| reader.entries(shard(n), low, 100, u64::MAX);
    assert!([read(1, 3), read(2, 1)].iter().any(|r| matches!(r, Err(LogError::Damaged(_)))));
}

#[test]
fn without_a_marker_the_last_round_is_taken_for_torn() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 3, 20)]).unwrap();
    let end = u64::from(writer.current.tail);
    write(&mut writer, vec![entries(1, 1, 4, 5, 20)]).unwrap();
    let marked = copy_one(&disk);
    let (mut marker, _, _) = open(&marked);
    marker.append(&WriteSet::default()).unwrap();
    for (disk, damaged) in [(&disk, false), (&marked, true)] {
        assert!(disk.rot("00000001.log", end + 70, 1));
        let (_, _, recovered) = Log::open(disk.clone(), options()).unwrap();
        assert_eq!(recovered.groups.get(&shard(1)).map(|g| g.last.index), (!damaged).then_some(3));
        assert_eq!(recovered.notes.iter().any(|n| matches!(n, Note::TornTail { .. })), !damaged);
        assert_eq!(!recovered.damaged.is_empty(), damaged);
    }
}

fn copy_one(disk: &MemDisk) -> MemDisk {
    let copy = MemDisk::new();
    copy.set_contents("00000001.log", disk.contents("00000001.log").unwrap());
    copy
}

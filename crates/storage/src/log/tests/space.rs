//! A full disk, failing syncs, failing reads.

use super::super::LogError;
use super::{LogOptions, SEGMENT, WriteSet, entries, hard_state, open, options, shard, start, write};
use crate::log::Log;
use crate::memdisk::MemDisk;

#[test]
fn a_full_disk_refuses_before_writing_and_recovers_when_space_returns() {
    let disk = MemDisk::new();
    disk.set_capacity(Some(3 * u64::from(SEGMENT) + 1000));
    let (mut writer, reader, _) = open(&disk);
    let mut index = 0;
    let error = loop {
        let writes = disk.stats().writes;
        match write(&mut writer, vec![entries(1, 1, index + 1, index + 1, 500)]) {
            Ok(()) => index += 1,
            Err(e) => {
                assert_eq!(disk.stats().writes, writes, "nothing was written");
                break e;
            }
        }
    };
    assert_eq!(error, LogError::Full);
    assert!(index > 40);
    assert!(writer.headroom() < 600);
    // What frees space is still taken, and reading goes on.
    write(&mut writer, vec![hard_state(1, 1, 1, index)]).unwrap();
    assert_eq!(reader.entries(shard(1), 1, u64::MAX, u64::MAX).unwrap().len() as u64, index);
    assert_eq!(open(&disk).2.groups[&shard(1)].last.index, index);
    write(&mut writer, vec![start(1, index, 1)]).unwrap();
    assert!(writer.reclaim().unwrap().segments >= 2);
    assert!(writer.headroom() > u64::from(SEGMENT));
    write(&mut writer, vec![entries(1, 1, index + 1, index + 1, 500)]).unwrap();
    assert_eq!(open(&disk).2.groups[&shard(1)].last.index, index + 1);
}

#[test]
fn entries_leave_the_reserve_alone_and_control_records_may_use_it() {
    let disk = MemDisk::new();
    let segment = u64::from(SEGMENT);
    disk.set_capacity(Some(3 * segment));
    let options = LogOptions { reserve_bytes: segment, ..options() };
    let (mut writer, _, _) = Log::open(disk.clone(), options).unwrap();
    let mut index = 0;
    while write(&mut writer, vec![entries(1, 1, index + 1, index + 1, 500)]).is_ok() {
        index += 1;
    }
    assert_eq!(disk.used_bytes(), 2 * segment);
    for commit in 1..100 {
        write(&mut writer, vec![hard_state(1, 1, 1, commit)]).unwrap();
    }
    assert_eq!(disk.used_bytes(), 3 * segment);
    assert_eq!(write(&mut writer, vec![entries(1, 1, index + 1, index + 1, 16_000)]), Err(LogError::Full));
}

#[test]
fn space_that_vanishes_under_a_write_harms_nothing() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 5, 500)]).unwrap();
    disk.set_capacity(Some(0));
    assert_eq!(write(&mut writer, vec![entries(1, 1, 6, 30, 700)]), Err(LogError::Full));
    disk.set_capacity(None);
    write(&mut writer, vec![entries(1, 1, 6, 30, 700)]).unwrap();
    assert_eq!(open(&disk).2.groups[&shard(1)].last.index, 30);
}

#[test]
fn a_failed_sync_is_final() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 5, 50)]).unwrap();
    disk.fail_syncs(1);
    assert_eq!(write(&mut writer, vec![entries(1, 1, 6, 6, 50)]), Err(LogError::Poisoned));
    assert_eq!(reader.last_index(shard(1)), 5, "what was not synced is not seen");
    assert_eq!(writer.sync(), Err(LogError::Poisoned));
    assert_eq!(writer.append(&WriteSet::default()), Err(LogError::Poisoned));
    assert_eq!(writer.reclaim(), Err(LogError::Poisoned));
    assert_eq!(reader.entries(shard(1), 1, 9, u64::MAX).unwrap().len(), 5);
}

#[test]
fn a_failed_write_is_final() {
    let disk = MemDisk::new();
    let (mut writer, _, _) = open(&disk);
    disk.fail_writes("00000001.log", 0..u64::MAX);
    assert_eq!(write(&mut writer, vec![entries(1, 1, 1, 1, 50)]), Err(LogError::Poisoned));
    disk.heal();
    assert_eq!(writer.append(&WriteSet::default()), Err(LogError::Poisoned));
}

#[test]
fn a_failed_read_is_an_error_and_passes() {
    let disk = MemDisk::new();
    let (mut writer, reader, _) = open(&disk);
    write(&mut writer, vec![entries(1, 1, 1, 5, 50)]).unwrap();
    disk.fail_reads("00000001.log", 4096..5000);
    assert!(matches!(reader.entries(shard(1), 1, 9, 1000), Err(LogError::Io { .. })));
    assert!(matches!(Log::open(disk.clone(), options()).err(), Some(LogError::Io { .. })));
    disk.heal();
    assert_eq!(reader.entries(shard(1), 1, 9, 1000).unwrap().len(), 5);
}

//! The simulated disk is as cruel as it says.

use super::{MemDisk, SECTOR_BYTES};
use crate::disk::{Disk, DiskFile};
use std::io;
use std::time::Duration;
use stdx::Rng;

#[test]
fn a_crash_keeps_what_was_synced_and_tears_the_rest() {
    let mut torn = 0;
    for seed in 0..50 {
        let disk = MemDisk::new();
        let file = disk.open("a", true).unwrap();
        file.write_at(0, &[1; 4 * SECTOR_BYTES]).unwrap();
        file.sync().unwrap();
        disk.sync_directory().unwrap();
        file.write_at(0, &[2; 8 * SECTOR_BYTES]).unwrap();
        disk.crash(&mut Rng::new(seed));
        assert!(file.len().is_err(), "the handle is dead");
        let bytes = disk.contents("a").unwrap();
        assert!(bytes.len() >= 4 * SECTOR_BYTES);
        let sectors = bytes.chunks(SECTOR_BYTES).map(|s| s[0]).collect::<Vec<_>>();
        assert!(bytes.chunks(SECTOR_BYTES).all(|s| s.iter().all(|b| *b == s[0])));
        assert!(sectors[..4].iter().all(|b| [1, 2].contains(b)));
        torn += u32::from(sectors[..4].contains(&1) && sectors.contains(&2));
    }
    assert!(torn > 10, "crashes tear");
}

#[test]
fn unsynced_names_may_be_lost() {
    let mut seen = [0; 3];
    for seed in 0..50 {
        let disk = MemDisk::new();
        drop(disk.open("a", true).unwrap());
        disk.sync_directory().unwrap();
        disk.rename("a", "b").unwrap();
        disk.crash(&mut Rng::new(seed));
        let names = disk.list().unwrap();
        assert_eq!(names.len(), 1);
        seen[usize::from(names[0] == "b")] += 1;
    }
    assert!(seen[0] > 5 && seen[1] > 5);
}

#[test]
fn faults_fire_and_heal() {
    let disk = MemDisk::new();
    let file = disk.open("a", true).unwrap();
    file.write_at(0, &[7; 2000]).unwrap();
    disk.fail_reads("a", 600..601);
    let mut buf = [0; 500];
    file.read_at(0, &mut buf).unwrap();
    assert!(file.read_at(500, &mut buf).is_err());
    disk.fail_writes("a", 0..1);
    assert!(file.write_at(0, &[1]).is_err());
    disk.fail_syncs(1);
    assert!(file.sync().is_err());
    disk.heal();
    file.read_at(500, &mut buf).unwrap();
    disk.set_capacity(Some(2048));
    assert_eq!(file.allocate(4096).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.free_bytes().unwrap(), 48);
    disk.set_sync_delay(Duration::from_millis(300));
    file.sync().unwrap();
    assert_eq!(disk.take_stalled(), Duration::from_millis(300));
    assert!(disk.rot("a", 3, 1));
    assert_eq!(disk.contents("a").unwrap()[3], 6);
    disk.halt_after(1);
    file.write_at(0, &[1]).unwrap();
    assert!(file.write_at(0, &[1]).is_err());
    assert_eq!(disk.stats().faults, 3);
}

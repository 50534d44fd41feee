//! What survives a process: the disks of its logs and of its engine, and what was done to them.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use stdx::Rng;
use storage::{Disk, EngineError, Fault, MemDisk, MemEngine, SECTOR_BYTES, View};

/// A disk that nobody filled up reports more.
const FREE_ALWAYS: u64 = 1 << 40;

/// The disks of a node.
pub struct Disks {
    /// One log per worker.
    pub logs: Vec<MemDisk>,
    /// The engine.
    pub engine: MemEngine,
    /// What is wrong with the engine, by the number of the fault that did it.
    wrong: BTreeMap<usize, Fault>,
}

impl Disks {
    /// Empty disks for so many workers.
    pub fn new(workers: usize) -> Disks {
        Disks { logs: (0..workers).map(|_| MemDisk::new()).collect(), engine: MemEngine::new(), wrong: BTreeMap::new() }
    }

    /// The power fails.
    pub fn crash(&self, rng: &mut Rng) -> u64 {
        let lost = |disk: &MemDisk| disk.stats().lost_sectors;
        let before: u64 = self.logs.iter().map(lost).sum();
        self.logs.iter().for_each(|disk| disk.crash(rng));
        self.logs.iter().map(lost).sum::<u64>() - before
    }

    /// Ends all errors and gives room.
    pub fn heal(&mut self) {
        self.end_log_errors();
        self.give_room();
        self.wrong.clear();
        self.engine.heal();
    }

    /// Ends errors of the logs.
    pub fn end_log_errors(&self) {
        self.logs.iter().for_each(MemDisk::heal);
    }

    /// The logs may grow again.
    pub fn give_room(&self) {
        self.logs.iter().for_each(|disk| disk.set_capacity(None));
    }

    /// Ends what a fault did to the engine.
    pub fn end_engine(&mut self, number: usize) {
        if self.wrong.remove(&number).is_some() {
            self.engine.heal();
            self.wrong.values().for_each(|fault| self.engine.inject(fault.clone()));
        }
    }

    fn break_engine(&mut self, number: usize, fault: Fault) {
        self.engine.inject(fault.clone());
        self.wrong.insert(number, fault);
    }

    /// Changes a byte of a log segment. Whether there was one.
    pub fn rot(&self, rng: &mut Rng) -> bool {
        self.segment(rng)
            .is_some_and(|(disk, name, length)| disk.rot(&name, rng.below(length.max(1)), 1 << rng.below(8)))
    }

    /// A sector that was to be written somewhere landed at another place.
    pub fn misdirect(&self, rng: &mut Rng) -> bool {
        let Some((disk, name, _)) = self.segment(rng) else { return false };
        let Some(mut bytes) = disk.contents(&name) else { return false };
        let sectors = (bytes.len() / SECTOR_BYTES) as u64;
        let (from, to) = (rng.below(sectors) as usize * SECTOR_BYTES, rng.below(sectors) as usize * SECTOR_BYTES);
        if sectors == 0 || bytes[from..from + SECTOR_BYTES] == bytes[to..to + SECTOR_BYTES] {
            return false;
        }
        bytes.copy_within(from..from + SECTOR_BYTES, to);
        disk.set_contents(&name, bytes);
        true
    }

    /// Reads of one log segment fail until healed. Whether there was one.
    pub fn fail_reads(&self, rng: &mut Rng) -> bool {
        let Some((disk, name, length)) = self.segment(rng) else { return false };
        disk.fail_reads(&name, 0..length);
        true
    }

    /// Writes to all logs fail until healed.
    pub fn fail_writes(&self) {
        for disk in &self.logs {
            for name in disk.list().unwrap_or_default() {
                disk.fail_writes(&name, 0..u64::MAX);
            }
        }
    }

    /// The next sync of each log fails.
    pub fn fail_syncs(&self) {
        self.logs.iter().for_each(|disk| disk.fail_syncs(1));
    }

    /// So many more bytes, then there is no room.
    pub fn fill_up(&mut self, number: usize, room: u64) {
        for disk in &self.logs {
            disk.set_capacity(Some(disk.used_bytes() + room));
        }
        self.break_engine(number, Fault::Ingests(EngineError::Full("no room (injected)".into())));
    }

    /// The engine cannot write until healed.
    pub fn fail_engine(&mut self, number: usize) {
        self.break_engine(number, Fault::Ingests(EngineError::Io("write failed (injected)".into())));
    }

    /// Damages one pair of a replica's data. Whether there was one.
    pub fn damage_engine(&mut self, number: usize, rng: &mut Rng) -> bool {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let all = self.engine.scan(&[0], &[u8::MAX; 4], &mut |key, _| {
            // Records of a replica and of the node itself are not what this fault is about.
            if key.get(4..8).is_some_and(|incarnation| incarnation != [0; 4]) {
                keys.push(key.to_vec());
            }
            ControlFlow::Continue(())
        });
        if all.is_err() || keys.is_empty() {
            return false;
        }
        let key = keys.swap_remove(rng.below(keys.len() as u64) as usize);
        let end: Bytes = [key.as_slice(), &[0]].concat().into();
        self.break_engine(number, Fault::Damage(key.into(), end));
        true
    }

    /// Whether a log's disk stands still because of a fault.
    pub fn is_halted(&self) -> bool {
        self.logs.iter().any(MemDisk::is_halted)
    }

    /// Whether a fault of the engine is going on.
    pub fn is_engine_broken(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// Whether a fault that refuses calls is going on.
    pub fn refuses(&self) -> bool {
        !self.wrong.is_empty() || self.logs.iter().any(|disk| disk.free_bytes().is_ok_and(|free| free < FREE_ALWAYS))
    }

    /// Calls that failed because of a fault.
    pub fn faults(&self) -> u64 {
        self.logs.iter().map(|disk| disk.stats().faults).sum()
    }

    fn segment(&self, rng: &mut Rng) -> Option<(&MemDisk, String, u64)> {
        let disk = &self.logs[rng.below(self.logs.len() as u64) as usize];
        let mut files = disk.list().ok()?;
        files.retain(|name| name.ends_with(".log"));
        files.sort();
        let name = files.get(rng.below(files.len() as u64) as usize)?.clone();
        let length = disk.contents(&name)?.len() as u64;
        Some((disk, name, length))
    }
}

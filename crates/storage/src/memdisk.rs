//! A disk in memory for tests and the simulator. It knows which sectors were synced, so a crash can lose or tear what
//! was not; it rots, refuses, fills up and stalls on request. Deterministic: chance comes from the caller.

use crate::disk::{Disk, DiskFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use stdx::Rng;

/// What a disk writes as a whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// What an unlimited disk reports as free: more than any test writes.
const UNLIMITED_BYTES: u64 = 1 << 50;

/// A disk. Clones are handles of the same one, so a node that restarts finds its files.
#[derive(Clone, Default)]
pub struct MemDisk {
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<u64, Data>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    /// The directory as a crash leaves it, and what happened to it since.
    durable_names: BTreeMap<String, u64>,
    directory_changes: Vec<DirectoryChange>,
    capacity: Option<u64>,
    faults: Vec<Fault>,
    failing_syncs: u32,
    halt_after: Option<u64>,
    /// Handles of an earlier generation died in a crash.
    generation: u64,
    sync_delay: Duration,
    stalled: Duration,
    stats: DiskStats,
}

/// What one sector holds.
type Sector = Box<[u8; SECTOR_BYTES]>;

/// One file's bytes.
#[derive(Default)]
struct Data {
    bytes: Vec<u8>,
    /// What unsynced sectors held at the last sync; `None` for those that did not exist.
    unsynced: BTreeMap<usize, Option<Sector>>,
    durable_length: usize,
    handles: u32,
    /// The same of sectors whose sync failed: as on a real disk, later syncs succeed and do not write them.
    abandoned: BTreeMap<usize, Option<Sector>>,
}

#[derive(Clone)]
enum DirectoryChange {
    Link(String, u64),
    Unlink(String, u64),
    Rename(String, String, u64),
}

struct Fault {
    name: String,
    range: Range<u64>,
    on_read: bool,
}

/// What was done and what was refused: proof that a fault fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskStats {
    /// Calls of `write_at`.
    pub writes: u64,
    /// Calls of `sync` that succeeded.
    pub syncs: u64,
    /// Bytes given to `write_at`.
    pub written_bytes: u64,
    /// Calls that failed because of an injected fault, a full disk apart.
    pub faults: u64,
    /// Calls refused because the disk was full.
    pub full: u64,
    /// Sectors that crashes took back.
    pub lost_sectors: u64,
    /// Directory changes that crashes took back.
    pub lost_names: u64,
}

impl MemDisk {
    /// An empty disk without faults or limit.
    #[must_use]
    pub fn new() -> MemDisk {
        MemDisk::default()
    }

    /// The power fails: of what was not synced, any part of the sectors and any part of the directory changes survives.
    /// Open handles are dead afterwards. Faults stay, a halt ends.
    pub fn crash(&self, rng: &mut Rng) {
        let state = &mut *self.shared.lock();
        state.generation += 1;
        state.halt_after = None;
        for change in std::mem::take(&mut state.directory_changes) {
            if rng.one_in(2) {
                state.stats.lost_names += 1;
                continue;
            }
            let names = &mut state.durable_names;
            match change {
                DirectoryChange::Link(name, file) => {
                    names.insert(name, file);
                }
                DirectoryChange::Unlink(name, file) => {
                    if names.get(&name) == Some(&file) {
                        names.remove(&name);
                    }
                }
                DirectoryChange::Rename(from, to, file) => {
                    if names.get(&from) == Some(&file) {
                        names.remove(&from);
                    }
                    names.insert(to, file);
                }
            }
        }
        state.names = state.durable_names.clone();
        let State { files, names, stats, .. } = state;
        files.retain(|id, _| names.values().any(|n| n == id));
        for data in files.values_mut() {
            stats.lost_sectors += data.crash(rng);
            data.handles = 0;
        }
    }

    /// The process dies without the machine: written data stays, open handles are dead.
    pub fn kill(&self) {
        let mut state = self.shared.lock();
        state.generation += 1;
        state.halt_after = None;
    }

    /// Lets `changes` more changing calls (writes, syncs, directory changes) succeed, then fails all calls until `crash` or
    /// `kill`: a machine that stops at that point.
    pub fn halt_after(&self, changes: u64) {
        self.shared.lock().halt_after = Some(changes);
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.shared.lock().halt_after == Some(0)
    }

    /// Reads that touch this range of a file fail.
    pub fn fail_reads(&self, name: &str, range: Range<u64>) {
        self.shared.lock().faults.push(Fault { name: name.to_owned(), range, on_read: true });
    }

    /// Writes that touch this range of a file fail.
    pub fn fail_writes(&self, name: &str, range: Range<u64>) {
        self.shared.lock().faults.push(Fault { name: name.to_owned(), range, on_read: false });
    }

    /// The next `n` syncs of files fail. What they were about may be lost in a crash, unless it is written again.
    pub fn fail_syncs(&self, n: u32) {
        self.shared.lock().failing_syncs = n;
    }

    /// Ends failing reads, writes and syncs.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.faults.clear();
        state.failing_syncs = 0;
    }

    /// Limits the bytes of all files together; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.lock().capacity = bytes;
    }

    /// Bytes of all files.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.lock().used()
    }

    /// Every sync from now on takes this long, as `take_stalled` reports.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.shared.lock().sync_delay = delay;
    }

    /// The time that calls since the last asking have taken: whoever owns the clock lets it pass.
    pub fn take_stalled(&self) -> Duration {
        std::mem::take(&mut self.shared.lock().stalled)
    }

    /// What was done and refused so far.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.shared.lock().stats
    }

    /// A file's bytes as a process reads them; `None` when there is no such file.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.shared.lock();
        state.names.get(name).and_then(|id| state.files.get(id)).map(|data| data.bytes.clone())
    }

    /// Puts a file there, synced, as if it had always been so.
    pub fn set_contents(&self, name: &str, bytes: Vec<u8>) {
        let state = &mut *self.shared.lock();
        let id = state.create();
        state.names.insert(name.to_owned(), id);
        state.durable_names.insert(name.to_owned(), id);
        state.files.insert(id, Data { durable_length: bytes.len(), bytes, ..Data::default() });
    }

    /// Changes bits of one stored byte, synced or not, and says whether there was such a byte: bit rot.
    pub fn rot(&self, name: &str, offset: u64, mask: u8) -> bool {
        let state = &mut *self.shared.lock();
        let Some(data) = state.names.get(name).and_then(|id| state.files.get_mut(id)) else { return false };
        let Ok(at) = usize::try_from(offset) else { return false };
        let Some(byte) = data.bytes.get_mut(at) else { return false };
        *byte ^= mask;
        if let Some(Some(sector)) = data.unsynced.get_mut(&(at / SECTOR_BYTES)) {
            sector[at % SECTOR_BYTES] ^= mask;
        }
        true
    }
}

impl State {
    fn create(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file
    }

    fn used(&self) -> u64 {
        self.files.values().map(|data| data.bytes.len() as u64).sum()
    }

    /// Counts a changing call against a halt.
    fn change(&mut self) -> io::Result<()> {
        match &mut self.halt_after {
            Some(0) => Err(io::Error::other("the machine has halted")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.halt_after == Some(0) { Err(io::Error::other("the machine has halted")) } else { Ok(()) }
    }

    fn id(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Drops a file that has neither a name, also after a crash, nor a handle.
    fn collect(&mut self, id: u64) {
        let named = self.names.values().chain(self.durable_names.values()).any(|n| *n == id);
        let wanted = self.directory_changes.iter().any(|change| match change {
            DirectoryChange::Link(_, file) | DirectoryChange::Rename(_, _, file) => *file == id,
            DirectoryChange::Unlink(..) => false,
        });
        if !named && !wanted && self.files.get(&id).is_some_and(|data| data.handles == 0) {
            self.files.remove(&id);
        }
    }

    fn check_faults(&mut self, id: u64, range: &Range<u64>, on_read: bool) -> io::Result<()> {
        let hit = self.faults.iter().any(|fault| {
            let overlaps = fault.range.start < range.end && range.start < fault.range.end;
            fault.on_read == on_read && overlaps && self.names.get(&fault.name) == Some(&id)
        });
        if hit {
            self.stats.faults += 1;
            return Err(io::Error::other("injected I/O error"));
        }
        Ok(())
    }

    /// Refuses growth beyond the capacity.
    fn grow(&mut self, id: u64, length: u64) -> io::Result<()> {
        let old = self.files.get(&id).map_or(0, |data| data.bytes.len() as u64);
        let more = length.saturating_sub(old);
        if more > 0 && self.capacity.is_some_and(|capacity| self.used() + more > capacity) {
            self.stats.full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Data {
    /// Remembers what the sectors of this range hold before they change.
    fn remember(&mut self, range: Range<usize>) {
        for sector in range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES) {
            let (bytes, start) = (&self.bytes, sector * SECTOR_BYTES);
            if let Some(before) = self.abandoned.remove(&sector) {
                self.unsynced.insert(sector, before);
            }
            self.unsynced.entry(sector).or_insert_with(|| {
                let held = bytes.get(start..(start + SECTOR_BYTES).min(bytes.len()))?;
                let mut copy = Box::new([0; SECTOR_BYTES]);
                copy[..held.len()].copy_from_slice(held);
                Some(copy)
            });
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.remember(offset.min(self.bytes.len())..end);
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
    }

    fn sync(&mut self) {
        self.unsynced.clear();
        self.durable_length = self.bytes.len();
    }

    /// A sync failed.
    fn abandon(&mut self) {
        self.abandoned.append(&mut self.unsynced);
    }

    /// Takes back any part of what was not synced.
    fn crash(&mut self, rng: &mut Rng) -> u64 {
        let mut lost = 0;
        let mut length = self.durable_length;
        self.unsynced.append(&mut self.abandoned);
        for (sector, before) in std::mem::take(&mut self.unsynced) {
            let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(self.bytes.len());
            if rng.one_in(2) {
                length = length.max(range.end);
                continue;
            }
            lost += 1;
            let held = before.map_or([0; SECTOR_BYTES], |held| *held);
            let n = range.len();
            self.bytes[range].copy_from_slice(&held[..n]);
        }
        self.bytes.truncate(length);
        self.durable_length = self.bytes.len();
        lost
    }
}

impl Disk for MemDisk {
    type File = MemFile;

    fn open(&self, name: &str, create: bool) -> io::Result<MemFile> {
        let state = &mut *self.shared.lock();
        state.alive()?;
        let id = match state.id(name) {
            Ok(id) => id,
            Err(e) if !create => return Err(e),
            Err(_) => {
                state.change()?;
                let id = state.create();
                state.names.insert(name.to_owned(), id);
                state.directory_changes.push(DirectoryChange::Link(name.to_owned(), id));
                state.files.insert(id, Data::default());
                id
            }
        };
        if let Some(data) = state.files.get_mut(&id) {
            data.handles += 1;
        }
        Ok(MemFile { disk: self.clone(), id, generation: state.generation })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.shared.lock();
        state.alive()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let state = &mut *self.shared.lock();
        let id = state.id(from)?;
        state.change()?;
        state.names.remove(from);
        let replaced = state.names.insert(to.to_owned(), id);
        state.directory_changes.push(DirectoryChange::Rename(from.to_owned(), to.to_owned(), id));
        if let Some(replaced) = replaced {
            state.collect(replaced);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let state = &mut *self.shared.lock();
        let id = state.id(name)?;
        state.change()?;
        state.names.remove(name);
        state.directory_changes.push(DirectoryChange::Unlink(name.to_owned(), id));
        state.collect(id);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let state = &mut *self.shared.lock();
        state.change()?;
        state.stalled += state.sync_delay;
        let before = std::mem::replace(&mut state.durable_names, state.names.clone());
        state.directory_changes.clear();
        for id in before.into_values() {
            state.collect(id);
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.shared.lock();
        Ok(state.capacity.map_or(UNLIMITED_BYTES, |capacity| capacity.saturating_sub(state.used())))
    }
}

/// An open file of a `MemDisk`.
pub struct MemFile {
    disk: MemDisk,
    id: u64,
    generation: u64,
}

impl MemFile {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let state = &mut *self.disk.shared.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("the handle died in a crash"));
        }
        state.alive()?;
        act(state)
    }

    fn data<'s>(&self, state: &'s mut State) -> io::Result<&'s mut Data> {
        state.files.get_mut(&self.id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            state.check_faults(self.id, &(offset..offset + buf.len() as u64), true)?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let data = self.data(state)?;
            let held = data.bytes.get(start..).and_then(|b| b.get(..buf.len()));
            buf.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.change()?;
            let end = offset + buf.len() as u64;
            state.check_faults(self.id, &(offset..end), false)?;
            state.grow(self.id, end)?;
            state.stats.writes += 1;
            state.stats.written_bytes += buf.len() as u64;
            self.data(state)?.write(offset as usize, buf);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            state.change()?;
            state.stalled += state.sync_delay;
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                state.stats.faults += 1;
                self.data(state)?.abandon();
                return Err(io::Error::other("injected sync error"));
            }
            state.stats.syncs += 1;
            self.data(state)?.sync();
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.change()?;
            state.grow(self.id, len)?;
            let data = self.data(state)?;
            let (old, new) = (data.bytes.len(), len as usize);
            if new > old {
                data.write(old, &vec![0; new - old]);
            }
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(self.data(state)?.bytes.len() as u64))
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        let state = &mut *self.disk.shared.lock();
        if state.generation == self.generation
            && let Some(data) = state.files.get_mut(&self.id)
        {
            data.handles = data.handles.saturating_sub(1);
            state.collect(self.id);
        }
    }
}

#[cfg(test)]
mod tests;

//! Segment files: their names, making them durable before they are used, keeping freed ones for later.

use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{LogError, LogOptions, ROUND_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::disk::{Disk, DiskFile};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Segment files are multiples of this, the usual block of a file system.
const LENGTH_ALIGN: u64 = 4096;

const _: () = assert!(ROUND_BYTES_MAX + 2 * LENGTH_ALIGN + SEGMENT_HEADER_BYTES as u64 <= u32::MAX as u64);

/// A name in the log's directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    /// A segment in use.
    Segment(u32),
    /// A file of segment size, ready to become a segment.
    Spare(u64),
    /// A file that was not finished.
    Unfinished(u64),
}

impl Name {
    /// The name this string says; `None` for what is not the log's.
    pub(crate) fn parse(name: &str) -> Option<Name> {
        let (number, suffix) = name.split_once('.')?;
        if number.len() < 8 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let parsed = match suffix {
            "log" => Name::Segment(number.parse().ok()?),
            "free" => Name::Spare(number.parse().ok()?),
            "tmp" => Name::Unfinished(number.parse().ok()?),
            _ => return None,
        };
        (parsed.text() == name).then_some(parsed)
    }

    /// The file's name.
    pub(crate) fn text(self) -> String {
        match self {
            Name::Segment(n) => format!("{n:08}.log"),
            Name::Spare(n) => format!("{n:08}.free"),
            Name::Unfinished(n) => format!("{n:08}.tmp"),
        }
    }
}

/// Files that wait to become segments, and the next number for one.
#[derive(Default)]
struct Pool {
    spare: Vec<String>,
    next: u64,
}

/// Makes and frees segment files.
pub(crate) struct Files<D> {
    pub disk: Arc<D>,
    pub options: LogOptions,
    pool: Arc<Mutex<Pool>>,
}

impl<D> Clone for Files<D> {
    fn clone(&self) -> Files<D> {
        Files { disk: self.disk.clone(), options: self.options.clone(), pool: self.pool.clone() }
    }
}

/// A segment file ready for records.
pub(crate) struct NewSegment<F> {
    pub file: F,
    pub length: u32,
}

impl<D: Disk> Files<D> {
    /// # Errors
    /// `Invalid` when an option is out of its range.
    pub(crate) fn new(disk: Arc<D>, options: LogOptions) -> Result<Files<D>, LogError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&options.segment_bytes) {
            return Err(LogError::Invalid("segment_bytes must be between 16 KiB and 1 GiB"));
        }
        let options = LogOptions { segment_bytes: options.segment_bytes.next_multiple_of(4096), ..options };
        Ok(Files { disk, options, pool: Arc::default() })
    }

    /// Takes over what an earlier process left: spare files are kept when `keep` and in good shape, unfinished ones removed.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn adopt(&self, names: &[Name], keep: bool) -> Result<(), LogError> {
        for name in names {
            let (number, spare) = match *name {
                Name::Segment(_) => continue,
                Name::Spare(n) => (n, true),
                Name::Unfinished(n) => (n, false),
            };
            let text = name.text();
            let mut pool = self.pool.lock();
            pool.next = pool.next.max(number.saturating_add(1));
            if keep && spare && pool.spare.len() < self.options.max_recycled && self.is_whole(&text) {
                pool.spare.push(text);
            } else {
                self.disk.remove(&text).map_err(LogError::io("remove a spare segment"))?;
            }
        }
        Ok(())
    }

    fn is_whole(&self, name: &str) -> bool {
        let length = self.disk.open(name, false).and_then(|file| file.len());
        matches!(length, Ok(n) if n == u64::from(self.options.segment_bytes))
    }

    /// Whether a segment of ordinary size can be had without touching the reserve.
    pub(crate) fn can_create(&self) -> bool {
        !self.pool.lock().spare.is_empty() || self.has_free(u64::from(self.options.segment_bytes), true)
    }

    /// Bytes of records that fit into segments not made yet, the reserve left alone.
    pub(crate) fn room(&self) -> u64 {
        let segment = u64::from(self.options.segment_bytes);
        let free = self.disk.free_bytes().unwrap_or(0).saturating_sub(self.options.reserve_bytes);
        let spares = self.pool.lock().spare.len() as u64;
        (spares + free / segment) * (segment - u64::from(SEGMENT_HEADER_BYTES))
    }

    /// Makes the segment `sequence` with room for a round of `bytes`: durable, empty, under its name.
    ///
    /// # Errors
    /// `Full`; `Io` when nothing is harmed; `Poisoned` when a sync failed.
    pub(crate) fn create(
        &self,
        sequence: u32,
        previous_end: u32,
        bytes: u64,
        keep_reserve: bool,
    ) -> Result<NewSegment<D::File>, LogError> {
        let needed = (u64::from(SEGMENT_HEADER_BYTES) + bytes).next_multiple_of(LENGTH_ALIGN);
        let length = needed.max(u64::from(self.options.segment_bytes));
        let ordinary = length == u64::from(self.options.segment_bytes);
        let spare = if ordinary { self.pool.lock().spare.pop() } else { None };
        let (name, file) = match spare {
            Some(name) => {
                let file = self.disk.open(&name, false).map_err(LogError::io("open a spare segment"))?;
                (name, file)
            }
            None => self.allocate(length, keep_reserve)?,
        };
        let header = SegmentHeader {
            sequence,
            identity: self.options.identity,
            length: u32::try_from(length).map_err(|_| LogError::Invalid("a round exceeds ROUND_BYTES_MAX"))?,
            previous_end,
        };
        if let Err(e) = file.write_at(0, &header.encode()) {
            // Removing is best effort: opening the log removes or reuses what is left.
            let _ = self.disk.remove(&name);
            return Err(full_or(e, "write a segment's header"));
        }
        file.sync().map_err(|_| LogError::Poisoned)?;
        let target = Name::Segment(sequence).text();
        self.disk.rename(&name, &target).map_err(LogError::io("name a segment"))?;
        self.disk.sync_directory().map_err(|_| LogError::Poisoned)?;
        Ok(NewSegment { file, length: header.length })
    }

    /// Takes the files of freed segments out of use. They may become segments again.
    ///
    /// # Errors
    /// `Io`: the files stay and the next opening frees them; `Poisoned` when the directory could not be synced.
    pub(crate) fn free(&self, segments: &[(u32, u64)]) -> Result<(), LogError> {
        let mut recycled = Vec::new();
        for (sequence, length) in segments {
            let name = Name::Segment(*sequence).text();
            let kept = self.pool.lock().spare.len() + recycled.len();
            if *length == u64::from(self.options.segment_bytes) && kept < self.options.max_recycled {
                let spare = Name::Spare(self.number()).text();
                self.disk.rename(&name, &spare).map_err(LogError::io("recycle a segment"))?;
                recycled.push(spare);
            } else {
                self.disk.remove(&name).map_err(LogError::io("remove a segment"))?;
            }
        }
        // Only a durable renaming makes a file safe to overwrite: otherwise it could come back under its old name.
        self.disk.sync_directory().map_err(|_| LogError::Poisoned)?;
        self.pool.lock().spare.extend(recycled);
        Ok(())
    }

    fn allocate(&self, length: u64, keep_reserve: bool) -> Result<(String, D::File), LogError> {
        if !self.has_free(length, keep_reserve) {
            return Err(LogError::Full);
        }
        let name = Name::Unfinished(self.number()).text();
        let made = self.disk.open(&name, true).and_then(|file| file.allocate(length).map(|()| file));
        made.map(|file| (name.clone(), file)).map_err(|e| {
            let _ = self.disk.remove(&name);
            full_or(e, "allocate a segment")
        })
    }

    fn has_free(&self, length: u64, keep_reserve: bool) -> bool {
        let reserve = if keep_reserve { self.options.reserve_bytes } else { 0 };
        self.disk.free_bytes().is_ok_and(|free| free >= length.saturating_add(reserve))
    }

    fn number(&self) -> u64 {
        let mut pool = self.pool.lock();
        pool.next = pool.next.saturating_add(1);
        pool.next
    }
}

/// Makes segment files ahead of need, so that the writer's thread does not wait while one is filled with zeros.
pub struct Preparer<D>(pub(crate) Files<D>);

impl<D: Disk> Preparer<D> {
    /// Makes one spare segment if there is none, and says whether it did. For a background thread; call it now and then.
    ///
    /// # Errors
    /// `Full` when the reserve would be touched; `Io`.
    pub fn prepare(&self) -> Result<bool, LogError> {
        let files = &self.0;
        if files.options.max_recycled == 0 || !files.pool.lock().spare.is_empty() {
            return Ok(false);
        }
        let (name, file) = files.allocate(u64::from(files.options.segment_bytes), true)?;
        file.sync().map_err(LogError::io("sync a spare segment"))?;
        let spare = Name::Spare(files.number()).text();
        files.disk.rename(&name, &spare).map_err(LogError::io("name a spare segment"))?;
        files.pool.lock().spare.push(spare);
        Ok(true)
    }
}

pub(crate) fn full_or(e: io::Error, operation: &'static str) -> LogError {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::Full,
        _ => LogError::io(operation)(e),
    }
}

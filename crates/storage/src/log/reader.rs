//! Reading entries that were synced, from any thread.

use super::format::{RECORD_HEADER_BYTES, RecordHeader, Tag};
use super::index::{Location, Shared};
use super::{Damage, LogEntry, LogError, Position};
use crate::disk::{Disk, DiskFile};
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use stdx::ShardId;
use stdx::crc::crc32c_append;

/// How often a read starts over because what it reads was moved meanwhile. Moving takes a sync, so twice is already rare.
const ATTEMPTS_MAX: u32 = 16;
/// Bytes read from a segment at once, an entry larger than that apart.
const PIECE_BYTES_MAX: u64 = 4 << 20;

/// The reading side of a log.
pub struct LogReader<D: Disk>(pub(crate) Shared<D::File>);

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> LogReader<D> {
        LogReader(self.0.clone())
    }
}

/// Entries that lie one after another in a segment.
struct Piece<F> {
    file: Arc<F>,
    seed: u32,
    /// The index of the first.
    first: u64,
    locations: Vec<Location>,
}

impl<F> Piece<F> {
    fn range(&self) -> Range<u64> {
        let start = self.locations.first().map_or(0, |l| u64::from(l.offset));
        start..self.locations.last().map_or(start, Location::end)
    }
}

impl<D: Disk> LogReader<D> {
    /// Entries from `low` up to but without `high`, as far as there are any and until their data exceeds `max_bytes`;
    /// at least one if there is one.
    ///
    /// # Errors
    /// `Compacted` when `low` is not above the log's start, `Damaged` when the group is fenced or an entry does not verify, `Io`.
    pub fn entries(&self, shard: ShardId, low: u64, high: u64, max_bytes: u64) -> Result<Vec<LogEntry>, LogError> {
        for _ in 0..ATTEMPTS_MAX {
            let pieces = self.locate(shard, low, high, max_bytes)?;
            match read_pieces(shard, &pieces) {
                Ok(entries) => return Ok(entries),
                Err((index, location, e)) => {
                    // A segment may have been recycled between looking up and reading.
                    let unmoved = self.0.read().groups.get(&shard).and_then(|g| g.location(index)) == Some(&location);
                    if unmoved {
                        return Err(e);
                    }
                }
            }
        }
        Err(LogError::io("read entries")(io::ErrorKind::Interrupted.into()))
    }

    /// The term of the entry at `index`, or of the start when `index` is the start; `None` for what the log does not hold.
    ///
    /// # Errors
    /// `Damaged` when the group is fenced.
    pub fn term(&self, shard: ShardId, index: u64) -> Result<Option<u64>, LogError> {
        let log = self.0.read();
        let Some(group) = log.groups.get(&shard) else { return Ok((index == 0).then_some(0)) };
        group.check(shard)?;
        Ok(group.term(index))
    }

    /// The lowest index that the log holds or will hold next; 1 for an unknown shard.
    #[must_use]
    pub fn first_index(&self, shard: ShardId) -> u64 {
        self.start(shard).index + 1
    }

    /// The index of the last entry; the start's when there is none; 0 for an unknown shard.
    #[must_use]
    pub fn last_index(&self, shard: ShardId) -> u64 {
        self.last(shard).index
    }

    /// What the log begins after.
    #[must_use]
    pub fn start(&self, shard: ShardId) -> Position {
        self.0.read().groups.get(&shard).map_or(Position::default(), |g| g.start)
    }

    /// The last entry, or the start.
    #[must_use]
    pub fn last(&self, shard: ShardId) -> Position {
        self.0.read().groups.get(&shard).map_or(Position::default(), |g| g.last())
    }

    /// Bytes on disk of the shard's entries.
    #[must_use]
    pub fn bytes(&self, shard: ShardId) -> u64 {
        self.0.read().groups.get(&shard).map_or(0, |g| g.bytes)
    }

    /// Bytes on disk of the entries of all shards: what flushing and compacting could free.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.0.read().live_bytes()
    }

    /// Bytes of the segment files in use, spare ones not counted.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.0.read().file_bytes()
    }

    /// Looks up what to read, holding the lock no longer than that.
    fn locate(&self, shard: ShardId, low: u64, high: u64, max_bytes: u64) -> Result<Vec<Piece<D::File>>, LogError> {
        let log = self.0.read();
        let Some(group) = log.groups.get(&shard) else {
            return if low == 0 { Err(LogError::Compacted { shard, first: 1 }) } else { Ok(Vec::new()) };
        };
        group.check(shard)?;
        let first = group.start.index + 1;
        if low < first {
            return Err(LogError::Compacted { shard, first });
        }
        let mut pieces: Vec<Piece<D::File>> = Vec::new();
        let mut bytes = 0u64;
        for index in low..high.min(group.last_index() + 1) {
            let Some(location) = group.location(index) else { break };
            bytes = bytes.saturating_add(u64::from(location.length));
            if bytes > max_bytes && index > low {
                break;
            }
            if let Some(piece) = pieces.last_mut()
                && let Some(last) = piece.locations.last()
                && last.segment == location.segment
                && last.end() == u64::from(location.offset)
                && location.end() - piece.range().start <= PIECE_BYTES_MAX
            {
                piece.locations.push(*location);
                continue;
            }
            let Some(segment) = log.segments.get(&location.segment) else {
                return Err(LogError::Damaged(damage(shard, location)));
            };
            let (file, seed) = (segment.file.clone(), segment.seed);
            pieces.push(Piece { file, seed, first: index, locations: vec![*location] });
        }
        Ok(pieces)
    }
}

/// Reads and verifies all pieces; on failure also says which entry it was.
fn read_pieces<F: DiskFile>(shard: ShardId, pieces: &[Piece<F>]) -> Result<Vec<LogEntry>, (u64, Location, LogError)> {
    let mut entries = Vec::with_capacity(pieces.iter().map(|p| p.locations.len()).sum());
    for piece in pieces {
        let range = piece.range();
        let bytes = read_range(&*piece.file, &range).map_err(|e| (piece.first, piece.locations[0], e));
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err((index, location, None)) => return Err((index, location, LogError::Damaged(damage(shard, &location)))),
            Err((index, location, Some(e))) => return Err((index, location, e)),
        };
        for (location, index) in piece.locations.iter().zip(piece.first..) {
            let at = (u64::from(location.offset) - range.start) as usize;
            let record = bytes.slice(at..at + location.size() as usize);
            match decode(&record, piece.seed, shard, index, location) {
                Some(entry) => entries.push(entry),
                None => return Err((index, *location, LogError::Damaged(damage(shard, location)))),
            }
        }
    }
    Ok(entries)
}

/// Reads one entry.
///
/// # Errors
/// `Damaged` when it does not verify, `Io`.
pub(crate) fn read_entry<F: DiskFile>(
    file: &F,
    seed: u32,
    shard: ShardId,
    index: u64,
    location: &Location,
) -> Result<LogEntry, LogError> {
    let lost = || LogError::Damaged(damage(shard, location));
    let range = u64::from(location.offset)..location.end();
    let bytes = read_range(file, &range).map_err(|e| e.unwrap_or_else(lost))?;
    decode(&bytes, seed, shard, index, location).ok_or_else(lost)
}

fn damage(shard: ShardId, location: &Location) -> Damage {
    Damage { shard: Some(shard), segment: location.segment, offset: location.offset }
}

/// The bytes, or `None` as the error when the file has become too short for them.
fn read_range<F: DiskFile>(file: &F, range: &Range<u64>) -> Result<Bytes, Option<LogError>> {
    let mut buffer = vec![0; (range.end - range.start) as usize];
    match file.read_at(range.start, &mut buffer) {
        Ok(()) => Ok(buffer.into()),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(None),
        Err(e) => Err(Some(LogError::io("read entries")(e))),
    }
}

/// The entry, if these bytes are the one that the index speaks of.
fn decode(record: &Bytes, seed: u32, shard: ShardId, index: u64, location: &Location) -> Option<LogEntry> {
    let header = RecordHeader::parse(record, seed)?;
    let expected = matches!(header.tag, Tag::Entry | Tag::Moved)
        && header.shard == shard
        && header.index == index
        && header.term == location.term
        && header.length == location.length;
    let data = record.slice(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + location.length as usize);
    let intact = expected && crc32c_append(seed, &data) == header.payload_crc;
    intact.then_some(LogEntry { term: header.term, index, kind: header.kind, data })
}

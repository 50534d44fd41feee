//! Opening a log: finding its segments, replaying them, tidying what a crash left.

use super::format::{self, HeaderRead, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_USED, SegmentHeader};
use super::index::{Group, Index, Location, Segment};
use super::pool::{Files, Name};
use super::replay::{Extent, Replay};
use super::scan::{Scanner, Survey};
use super::writer::Current;
use super::{LogError, LogOptions, LogReader, LogWriter, Note, Recovered, RecoveredGroup};
use crate::disk::{Disk, DiskFile};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::ShardId;

/// A segment file as found.
struct Found<F> {
    file: Arc<F>,
    length: u64,
    header: Option<SegmentHeader>,
    seed: u32,
}

impl<F: DiskFile> Found<F> {
    fn scanner(&self) -> Scanner<'_, F> {
        Scanner::new(&*self.file, self.seed, self.length)
    }
}

type Segments<F> = BTreeMap<u32, Found<F>>;

pub(crate) type Opened<D> = (LogWriter<D>, LogReader<D>, Recovered);

/// See `Log::open`.
pub(crate) fn open<D: Disk>(disk: D, options: LogOptions) -> Result<Opened<D>, LogError> {
    let files = Files::new(Arc::new(disk), options)?;
    let listed = files.disk.list().map_err(LogError::io("list the log's directory"))?;
    let mut names = listed.iter().filter_map(|n| Name::parse(n)).collect::<Vec<_>>();
    names.sort_unstable_by_key(|n| n.text());
    let mut segments = load(&files, &names)?;
    // Without segments the numbers begin again, and a spare file might hold records of an earlier life under the same number.
    files.adopt(&names, !segments.is_empty())?;
    if segments.is_empty() {
        return begin(files);
    }
    let mut replay = Replay::default();
    let (last, survey) = last_written(&segments)?;
    let base = find_base(&segments, last, &survey)?;
    let tail = replay_all(&segments, base, last, &survey, &mut replay)?;

    // The process before may have died between writing and syncing what was just read as valid, or because syncing failed.
    let newest = &segments[&last];
    write_again(&*newest.file, survey.synced.max(SEGMENT_HEADER_BYTES), tail)?;
    newest.file.sync().map_err(|_| LogError::Poisoned)?;
    tidy(&files, &mut segments, base, last, &mut replay)?;

    let newest = &segments[&last];
    let current = Current {
        sequence: last,
        file: newest.file.clone(),
        seed: newest.seed,
        length: u32::try_from(newest.length).unwrap_or(u32::MAX),
        tail,
        synced: tail,
        closed: replay.wrecked == Some(last),
    };
    let epoch = survey.epoch.max(replay.epoch).saturating_add(1);
    Ok(assemble(files, segments, current, epoch, base, replay))
}

/// Writes bytes back where they were read. A system that failed to write a page to the disk may keep it in memory as if it
/// had succeeded: then a sync alone would promise what is not there.
fn write_again<F: DiskFile>(file: &F, from: u32, to: u32) -> Result<(), LogError> {
    /// Bytes at a time.
    const STEP: u32 = 1 << 20;
    let mut at = from;
    while at < to {
        let mut bytes = vec![0; (to - at).min(STEP) as usize];
        file.read_at(u64::from(at), &mut bytes).map_err(LogError::io("read a segment"))?;
        file.write_at(u64::from(at), &bytes).map_err(LogError::io("write a segment"))?;
        at += bytes.len() as u32;
    }
    Ok(())
}

/// Opens every segment and refuses those that are not ours to read.
fn load<D: Disk>(files: &Files<D>, names: &[Name]) -> Result<Segments<D::File>, LogError> {
    let identity = files.options.identity;
    let mut segments = BTreeMap::new();
    for name in names {
        let Name::Segment(sequence) = *name else { continue };
        let file = files.disk.open(&name.text(), false).map_err(LogError::io("open a segment"))?;
        let length = file.len().map_err(LogError::io("open a segment"))?;
        let mut bytes = [0; SEGMENT_HEADER_USED];
        let mut read = HeaderRead::Damaged;
        if length >= u64::from(SEGMENT_HEADER_BYTES) {
            file.read_at(0, &mut bytes).map_err(LogError::io("read a segment's header"))?;
            read = SegmentHeader::decode(&bytes);
        }
        let header = match read {
            HeaderRead::Newer(version) => return Err(LogError::Newer { segment: sequence, version }),
            HeaderRead::Valid(h) if h.identity != identity => {
                return Err(LogError::Foreign { segment: sequence, found: h.identity, expected: identity });
            }
            HeaderRead::Valid(h) if h.sequence == sequence => Some(h),
            HeaderRead::Valid(_) | HeaderRead::Damaged => None,
        };
        let seed = format::seed(identity, sequence);
        segments.insert(sequence, Found { file: Arc::new(file), length, header, seed });
    }
    Ok(segments)
}

/// The newest segment with a commit in it, the oldest of all if there is none. What comes after it was prepared but never written.
fn last_written<F: DiskFile>(segments: &Segments<F>) -> Result<(u32, Survey), LogError> {
    let mut oldest = (0, Survey::default());
    for (sequence, found) in segments.iter().rev() {
        let survey = found.scanner().survey()?;
        oldest = (*sequence, survey);
        if survey.commits > 0 {
            break;
        }
    }
    Ok(oldest)
}

/// The oldest segment in use. It never goes back, so the newest rounds know it.
fn find_base<F: DiskFile>(segments: &Segments<F>, last: u32, survey: &Survey) -> Result<u32, LogError> {
    for (sequence, found) in segments.range(..=last).rev() {
        let synced = if *sequence == last { survey.synced } else { found.scanner().survey()?.synced };
        let mut trial = Replay::default();
        trial.segment(&mut found.scanner(), found.seed, *sequence, Extent::Synced(synced))?;
        if trial.base > 0 {
            return Ok(trial.base.min(last));
        }
    }
    Ok(segments.keys().next().copied().unwrap_or(last))
}

/// Replays from the base on and says where the last segment ends.
fn replay_all<F: DiskFile>(
    segments: &Segments<F>,
    base: u32,
    last: u32,
    survey: &Survey,
    replay: &mut Replay,
) -> Result<u32, LogError> {
    let mut tail = SEGMENT_HEADER_BYTES;
    let mut expected = base;
    for (sequence, found) in segments.range(base..=last) {
        if *sequence != expected {
            replay.damaged(expected, 0);
        }
        expected = sequence.saturating_add(1);
        if found.header.is_none() {
            replay.notes.push(Note::HeaderDamaged { segment: *sequence });
        }
        let next = segments.get(&expected).and_then(|f| f.header).map(|h| h.previous_end);
        let extent = match next {
            _ if *sequence == last => Extent::Synced(survey.synced),
            Some(end) => Extent::End(end),
            None => Extent::Synced(found.scanner().survey()?.synced),
        };
        tail = replay.segment(&mut found.scanner(), found.seed, *sequence, extent)?;
    }
    Ok(tail)
}

/// Removes segments after the last written one and frees those below the base.
fn tidy<D: Disk>(
    files: &Files<D>,
    segments: &mut Segments<D::File>,
    base: u32,
    last: u32,
    replay: &mut Replay,
) -> Result<(), LogError> {
    let unused = segments.keys().copied().filter(|sequence| *sequence > last).collect::<Vec<_>>();
    for sequence in unused {
        // Removed, not recycled: its number will be used again, and with it the seed of whatever was half written there.
        files.disk.remove(&Name::Segment(sequence).text()).map_err(LogError::io("remove a segment"))?;
        segments.remove(&sequence);
        replay.notes.push(Note::EmptyRemoved { segment: sequence });
    }
    let kept = segments.split_off(&base);
    let freed = std::mem::replace(segments, kept);
    replay.notes.extend(freed.keys().map(|segment| Note::Freed { segment: *segment }));
    files.free(&freed.into_iter().map(|(sequence, found)| (sequence, found.length)).collect::<Vec<_>>())
}

/// A log that never was.
fn begin<D: Disk>(files: Files<D>) -> Result<Opened<D>, LogError> {
    const FIRST: u32 = 1;
    let made = files.create(FIRST, 0, 0, true)?;
    let file = Arc::new(made.file);
    let seed = format::seed(files.options.identity, FIRST);
    let tail = SEGMENT_HEADER_BYTES;
    let current =
        Current { sequence: FIRST, file: file.clone(), seed, length: made.length, tail, synced: tail, closed: false };
    let found = Found { file, length: u64::from(made.length), header: None, seed };
    Ok(assemble(files, BTreeMap::from([(FIRST, found)]), current, 1, FIRST, Replay::default()))
}

fn assemble<D: Disk>(
    files: Files<D>,
    segments: Segments<D::File>,
    current: Current<D::File>,
    epoch: u32,
    base: u32,
    mut replay: Replay,
) -> Opened<D> {
    let notes = std::mem::take(&mut replay.notes);
    let (groups, damaged) = replay.finish();
    let segments = segments.into_iter().map(|(sequence, found)| {
        (sequence, Segment { file: found.file, seed: found.seed, length: found.length, live: 0 })
    });
    let mut index = Index { groups, segments: segments.collect() };
    for location in index.groups.values().flat_map(|g| g.entries.iter()) {
        if let Some(segment) = index.segments.get_mut(&location.segment) {
            segment.live += Location::size(location);
        }
    }
    let healthy = |(shard, group): (&ShardId, &Group)| {
        let found = RecoveredGroup { start: group.start, hard_state: group.hard_state, last: group.last() };
        group.fence.is_none().then_some((*shard, found))
    };
    let recovered = Recovered { groups: index.groups.iter().filter_map(healthy).collect(), damaged, notes };
    let shared = Arc::new(RwLock::new(index));
    let reader = LogReader(shared.clone());
    (LogWriter::new(files, shared, current, epoch, base), reader, recovered)
}

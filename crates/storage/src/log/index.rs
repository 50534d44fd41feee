//! Where every live entry lies, and how much of every segment is alive. Readers share it; only a sync changes it.

use super::format;
use super::{Damage, HardState, LogError, Position};
use crate::disk::DiskFile;
use parking_lot::RwLock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use stdx::ShardId;

/// An entry's place on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Location {
    pub term: u64,
    pub segment: u32,
    pub offset: u32,
    /// Bytes of the payload.
    pub length: u32,
}

const _: () = assert!(size_of::<Location>() <= 24, "there is one of these in memory for every live entry");

impl Location {
    /// Bytes on disk.
    pub(crate) fn size(&self) -> u64 {
        format::record_size(self.length as usize)
    }

    /// Where the next record begins.
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.offset) + self.size()
    }
}

/// One shard's log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub start: Position,
    /// The segment of the record that says `start`; `None` while no record does.
    pub start_at: Option<u32>,
    pub hard_state: HardState,
    /// The segment of the record that says `hard_state`.
    pub hard_at: Option<u32>,
    /// The entries after `start`, in order.
    pub entries: VecDeque<Location>,
    /// Bytes of `entries` on disk.
    pub bytes: u64,
    /// Set when something of this group is damaged: segment and offset.
    pub fence: Option<(u32, u32)>,
    /// The segment of the record that says so; `None` while only the damage itself does.
    pub fence_at: Option<u32>,
}

impl Group {
    /// The last entry, or the start.
    pub(crate) fn last(&self) -> Position {
        match self.entries.back() {
            Some(location) => Position { index: self.last_index(), term: location.term },
            None => self.start,
        }
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.start.index + self.entries.len() as u64
    }

    pub(crate) fn location(&self, index: u64) -> Option<&Location> {
        let at = index.checked_sub(self.start.index + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The term at `index`, the start included.
    pub(crate) fn term(&self, index: u64) -> Option<u64> {
        if index == self.start.index { Some(self.start.term) } else { self.location(index).map(|l| l.term) }
    }

    /// # Errors
    /// `Damaged` when the group is fenced.
    pub(crate) fn check(&self, shard: ShardId) -> Result<(), LogError> {
        match self.fence {
            Some((segment, offset)) => Err(LogError::Damaged(Damage { shard: Some(shard), segment, offset })),
            None => Ok(()),
        }
    }

    /// The oldest segment that must stay for start, hard state or fence to be known; 0 for a fence that no record says: what
    /// proves the damage may be anywhere.
    pub(crate) fn state_at(&self) -> Option<u32> {
        match self.fence {
            Some(_) => Some(self.fence_at.unwrap_or(0)),
            None => self.start_at.into_iter().chain(self.hard_at).min(),
        }
    }
}

/// A segment in use.
pub(crate) struct Segment<F> {
    pub file: Arc<F>,
    /// Where its checksums start from.
    pub seed: u32,
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of live entries in it.
    pub live: u64,
}

/// A written change that waits for its sync.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// `count` locations from `from` of the side list, all in one segment.
    Entries {
        shard: ShardId,
        first: u64,
        from: usize,
        count: usize,
    },
    /// A copied entry.
    Moved {
        shard: ShardId,
        index: u64,
        to: Location,
    },
    HardState {
        shard: ShardId,
        state: HardState,
        segment: u32,
    },
    Start {
        shard: ShardId,
        start: Position,
        reset: bool,
        segment: u32,
    },
    Remove {
        shard: ShardId,
    },
    /// Start, hard state and fence were copied.
    State {
        shard: ShardId,
        segment: u32,
    },
    /// Damage was found while copying.
    Fence {
        shard: ShardId,
        segment: u32,
        offset: u32,
    },
}

/// All groups and segments.
pub(crate) struct Index<F> {
    pub groups: BTreeMap<ShardId, Group>,
    pub segments: BTreeMap<u32, Segment<F>>,
}

/// The index as writer and readers share it.
pub(crate) type Shared<F> = Arc<RwLock<Index<F>>>;

impl<F: DiskFile> Index<F> {
    /// Makes a synced change visible. `locations` is the side list that `Entries` points into.
    pub(crate) fn apply(&mut self, change: Change, locations: &[Location]) {
        match change {
            Change::Entries { shard, first, from, count } => self.append(shard, first, &locations[from..from + count]),
            Change::Moved { shard, index, to } => self.relocate(shard, index, to),
            Change::HardState { shard, state, segment } => {
                let group = self.groups.entry(shard).or_default();
                (group.hard_state, group.hard_at) = (state, Some(segment));
            }
            Change::Start { shard, start, reset, segment } => self.start(shard, start, reset, segment),
            Change::Remove { shard } => {
                if let Some(group) = self.groups.remove(&shard) {
                    self.release(group.entries);
                }
            }
            Change::State { shard, segment } => {
                let group = self.groups.entry(shard).or_default();
                (group.start_at, group.hard_at) = (Some(segment), Some(segment));
                group.fence_at = group.fence.map(|_| segment);
            }
            Change::Fence { shard, segment, offset } => {
                let group = self.groups.entry(shard).or_default();
                (group.fence, group.fence_at) = (Some((segment, offset)), Some(segment));
                group.bytes = 0;
                let dropped = std::mem::take(&mut group.entries);
                self.release(dropped);
            }
        }
    }

    fn append(&mut self, shard: ShardId, first: u64, locations: &[Location]) {
        let group = self.groups.entry(shard).or_default();
        let keep = first.saturating_sub(group.start.index + 1) as usize;
        let replaced = if keep < group.entries.len() { group.entries.split_off(keep) } else { VecDeque::new() };
        group.bytes -= replaced.iter().map(Location::size).sum::<u64>();
        let added = locations.iter().map(Location::size).sum::<u64>();
        group.bytes += added;
        group.entries.extend(locations);
        if let Some(segment) = locations.first().and_then(|l| self.segments.get_mut(&l.segment)) {
            segment.live += added;
        }
        self.release(replaced);
    }

    fn relocate(&mut self, shard: ShardId, index: u64, to: Location) {
        let Some(group) = self.groups.get_mut(&shard) else { return };
        let Some(at) = index.checked_sub(group.start.index + 1) else { return };
        let Some(place) = group.entries.get_mut(at as usize) else { return };
        let from = std::mem::replace(place, to);
        if let Some(segment) = self.segments.get_mut(&to.segment) {
            segment.live += to.size();
        }
        self.release([from]);
    }

    fn start(&mut self, shard: ShardId, start: Position, reset: bool, segment: u32) {
        let group = self.groups.entry(shard).or_default();
        let gone = if reset { u64::MAX } else { start.index.saturating_sub(group.start.index) };
        let gone = gone.min(group.entries.len() as u64) as usize;
        let rest = group.entries.split_off(gone);
        let dropped = std::mem::replace(&mut group.entries, rest);
        (group.start, group.start_at) = (start, Some(segment));
        group.bytes -= dropped.iter().map(Location::size).sum::<u64>();
        self.release(dropped);
    }

    /// Takes entries off the live bytes of their segments.
    fn release(&mut self, entries: impl IntoIterator<Item = Location>) {
        let mut entries = entries.into_iter().peekable();
        while let Some(first) = entries.next() {
            let mut bytes = first.size();
            while let Some(next) = entries.next_if(|l| l.segment == first.segment) {
                bytes += next.size();
            }
            if let Some(segment) = self.segments.get_mut(&first.segment) {
                segment.live = segment.live.saturating_sub(bytes);
            }
        }
    }

    /// Bytes of all segment files in use.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.segments.values().map(|s| s.length).sum()
    }

    /// Bytes of all live entries.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.groups.values().map(|g| g.bytes).sum()
    }
}

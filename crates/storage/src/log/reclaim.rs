//! Freeing segments from the oldest on, copying forward what little of them still lives.

use super::format::{self, Tag};
use super::index::{Change, Location};
use super::reader::read_entry;
use super::writer::{LogWriter, Need};
use super::{Damage, HardState, LogError, Position};
use crate::disk::Disk;
use std::sync::Arc;
use stdx::ShardId;

/// Bytes of entries that one call copies at most, so that appends do not wait long behind it. A larger entry is copied alone.
const COPY_BYTES_MAX: u64 = 8 << 20;
/// Bytes of one round of copies.
const ROUND_BYTES: u64 = 1 << 20;
/// A segment is copied when no more than one part in this many lives.
const SMALL_REST: u64 = 4;
/// Any segment is copied when less than one part in this many of all segments lives: the log's size is bounded by that.
const WASTE: u64 = 2;

/// What one call of `reclaim` did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reclaimed {
    /// Segments freed.
    pub segments: u32,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes of entries copied forward.
    pub copied_bytes: u64,
    /// Groups of which an entry did not verify while being copied: they are fenced.
    pub damaged: Vec<Damage>,
    /// Whether calling again would free more.
    pub more: bool,
}

/// What to copy so that segments can be freed.
#[derive(Default)]
struct Plan {
    /// The oldest segment to keep.
    base: u32,
    /// Entries to copy.
    entries: Vec<(ShardId, u64, Location)>,
    /// Groups whose start and hard state are to be copied.
    states: Vec<ShardId>,
    more: bool,
}

impl<D: Disk> LogWriter<D> {
    /// Frees old segments that hold little or nothing alive, after copying that forward. Syncs. Call it after compacting
    /// and now and then; without anything to free it costs nearly nothing.
    ///
    /// # Errors
    /// `Full` when there is no room for the copies and `Io` when something could not be read or renamed: the log goes on as
    /// it was. `Poisoned` is final.
    pub fn reclaim(&mut self) -> Result<Reclaimed, LogError> {
        self.sync()?;
        let plan = self.plan();
        let mut done = Reclaimed { more: plan.more, ..Reclaimed::default() };
        if plan.base == self.base && plan.entries.is_empty() {
            return Ok(done);
        }
        let before = self.base;
        let copied = self.copy(&plan, &mut done);
        if copied.is_err() {
            self.base = before;
        }
        // What was copied so far is valid by itself.
        self.sync()?;
        copied?;
        self.release(&mut done)?;
        Ok(done)
    }

    fn plan(&self) -> Plan {
        let log = self.shared.read();
        let mut plan = Plan { base: self.base, ..Plan::default() };
        let old = log.segments.range(..self.current.sequence);
        let (total, live) = old.clone().fold((0, 0), |(t, l), (_, s)| (t + s.length, l + s.live));
        let wasteful = live * WASTE < total;
        let mut budget = COPY_BYTES_MAX;
        let mut partly = None;
        for (sequence, segment) in old {
            if segment.live * SMALL_REST > segment.length && !wasteful {
                break;
            }
            if segment.live > budget {
                // Copying a part frees nothing yet, so it must not use what was kept for emergencies.
                partly = (plan.base == self.base && self.files.can_create()).then_some(*sequence);
                plan.more = true;
                break;
            }
            budget -= segment.live;
            plan.base = sequence + 1;
        }
        let fits = |location: &Location, left: &mut u64| {
            let inside = location.segment < plan.base
                || (Some(location.segment) == partly && (*left >= location.size() || *left == COPY_BYTES_MAX));
            if inside {
                *left = left.saturating_sub(location.size());
            }
            inside
        };
        let mut left = COPY_BYTES_MAX;
        let work = budget < COPY_BYTES_MAX || partly.is_some();
        for (shard, group) in &log.groups {
            if work {
                let live = group.entries.iter().zip(group.start.index + 1..);
                plan.entries.extend(live.filter(|(l, _)| fits(l, &mut left)).map(|(l, index)| (*shard, index, *l)));
            }
            if group.state_at().is_some_and(|at| at < plan.base) {
                plan.states.push(*shard);
            }
        }
        plan
    }

    /// Writes the copies; the last round also raises the base.
    fn copy(&mut self, plan: &Plan, done: &mut Reclaimed) -> Result<(), LogError> {
        let mut rest = plan.entries.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let n = rest
                .iter()
                .take_while(|(_, _, location)| {
                    let first = bytes == 0;
                    bytes += location.size();
                    first || bytes <= ROUND_BYTES
                })
                .count();
            let (round, later) = rest.split_at(n);
            self.copy_entries(round, done)?;
            rest = later;
        }
        let per_group = (ROUND_BYTES / format::group_size()).max(1) as usize;
        for round in plan.states.chunks(per_group) {
            self.copy_states(round)?;
        }
        if plan.base > self.base {
            self.ensure_room(format::commit_size(0), Need::Control)?;
            let mark = self.begin();
            self.base = plan.base;
            self.write(mark)?;
        }
        Ok(())
    }

    fn copy_entries(&mut self, round: &[(ShardId, u64, Location)], done: &mut Reclaimed) -> Result<(), LogError> {
        let bytes = round.iter().map(|(_, _, l)| l.size() + format::group_size()).sum::<u64>();
        self.ensure_room(bytes + format::commit_size(round.len()), Need::Control)?;
        let mark = self.begin();
        for (shard, index, from) in round {
            if self.tails.get(shard).is_none_or(|tail| tail.fence.is_some()) {
                continue;
            }
            let source = self.shared.read().segments.get(&from.segment).map(|s| (Arc::clone(&s.file), s.seed));
            let lost = Damage { shard: Some(*shard), segment: from.segment, offset: from.offset };
            let read = match source {
                Some((file, seed)) => read_entry(&*file, seed, *shard, *index, from),
                None => Err(LogError::Damaged(lost)),
            };
            match read {
                Ok(entry) => {
                    let at = self.encoder.entry(Tag::Moved, *shard, entry.term, *index, entry.kind, &entry.data);
                    let (segment, offset) = (self.current.sequence, self.current.tail + at);
                    let to = Location { segment, offset, ..*from };
                    self.pending.push(Change::Moved { shard: *shard, index: *index, to });
                    done.copied_bytes += to.size();
                }
                Err(LogError::Damaged(damage)) => {
                    self.fence(*shard);
                    done.damaged.push(damage);
                }
                Err(e) => {
                    self.roll_back(&mark);
                    return Err(e);
                }
            }
        }
        self.write(mark)
    }

    /// Writes down that a group is damaged: the place that proves it is about to be freed.
    fn fence(&mut self, shard: ShardId) {
        let (segment, offset) = (self.current.sequence, self.current.tail);
        let (start, state) = self.state(shard);
        self.encoder.group(shard, start, &state, true);
        self.pending.push(Change::Fence { shard, segment, offset });
        self.pending.push(Change::State { shard, segment });
        if let Some(mut tail) = self.tails.get(&shard).copied() {
            tail.fence = Some((segment, offset));
            self.set_tail(shard, tail);
        }
    }

    fn copy_states(&mut self, round: &[ShardId]) -> Result<(), LogError> {
        let bytes = round.len() as u64 * format::group_size();
        self.ensure_room(bytes + format::commit_size(round.len()), Need::Control)?;
        let mark = self.begin();
        for shard in round {
            let (start, state) = self.state(*shard);
            let fenced = self.tails.get(shard).is_some_and(|tail| tail.fence.is_some());
            self.encoder.group(*shard, start, &state, fenced);
            self.pending.push(Change::State { shard: *shard, segment: self.current.sequence });
        }
        self.write(mark)
    }

    fn state(&self, shard: ShardId) -> (Position, HardState) {
        self.shared.read().groups.get(&shard).map(|g| (g.start, g.hard_state)).unwrap_or_default()
    }

    fn release(&mut self, done: &mut Reclaimed) -> Result<(), LogError> {
        let freed = {
            let mut log = self.shared.write();
            let kept = log.segments.split_off(&self.base);
            std::mem::replace(&mut log.segments, kept)
        };
        let freed = freed.into_iter().map(|(sequence, segment)| (sequence, segment.length)).collect::<Vec<_>>();
        done.segments = freed.len() as u32;
        done.bytes = freed.iter().map(|(_, length)| length).sum();
        self.files.free(&freed).map_err(|e| if e == LogError::Poisoned { self.poison() } else { e })
    }
}

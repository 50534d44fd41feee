//! Replaying segments in order: which rounds count, what was torn, what is damaged and whom it hurts.

use super::format::{Body, Commit, INDEX_LIMIT, RECORD_ALIGN, SEGMENT_HEADER_BYTES, Tag, commit_size};
use super::index::{Group, Location};
use super::runs::Runs;
use super::scan::{Parsed, Scanner, Seen};
use super::{Damage, HardState, LogError, Note, Position};
use crate::disk::DiskFile;
use std::collections::{BTreeMap, BTreeSet};
use stdx::ShardId;
use stdx::crc::crc32c_append;

/// How far a segment is known to have been synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent {
    /// It ends exactly here: the next segment says so.
    End(u32),
    /// At least up to here; then comes what was not synced, possibly torn.
    Synced(u32),
}

/// A shard's log while replaying.
#[derive(Default)]
struct Building {
    group: Group,
    runs: Runs,
    /// Where the shard was last removed: damage before that does not concern it.
    born: (u32, u32),
}

/// The state of a replay.
#[derive(Default)]
pub(crate) struct Replay {
    groups: BTreeMap<ShardId, Building>,
    unattributed: Vec<(u32, u32)>,
    pub notes: Vec<Note>,
    /// The epoch of the last round that counted.
    pub epoch: u32,
    /// Segments below this are free.
    pub base: u32,
    /// The last segment in which a round that was synced did not verify.
    pub wrecked: Option<u32>,
}

impl Replay {
    /// Damage of which the shard is unknown.
    pub(crate) fn damaged(&mut self, segment: u32, offset: u32) {
        self.unattributed.push((segment, offset));
    }

    /// Replays one segment and says where its rounds end.
    ///
    /// # Errors
    /// `Io` when the disk refuses.
    pub(crate) fn segment<F: DiskFile>(
        &mut self,
        scanner: &mut Scanner<'_, F>,
        seed: u32,
        segment: u32,
        extent: Extent,
    ) -> Result<u32, LogError> {
        let (synced, limit) = match extent {
            Extent::End(end) => (end, end.min(scanner.length())),
            Extent::Synced(synced) => (synced.min(scanner.length()), scanner.length()),
        };
        let mut at = SEGMENT_HEADER_BYTES;
        while at < limit {
            let round = self.read_round(scanner, seed, at)?;
            if let Some((commit, end)) = round.commit {
                round.records.iter().for_each(|seen| self.apply(segment, seen));
                self.commit(&commit);
                at = end;
            } else if at < synced {
                at = self.salvage(scanner, segment, at, limit.min(synced))?;
            } else {
                if !round.records.is_empty() {
                    self.notes.push(Note::TornTail { segment, offset: at });
                }
                break;
            }
        }
        if at < synced {
            // The file is shorter than what was synced to it.
            self.damaged(segment, at);
        }
        Ok(at)
    }

    fn commit(&mut self, commit: &Commit) {
        self.epoch = self.epoch.max(commit.epoch);
        self.base = self.base.max(commit.base);
    }

    /// Reads the round at `start`; its commit is given only if the whole round is as it was written.
    fn read_round<F: DiskFile>(&self, scanner: &mut Scanner<'_, F>, seed: u32, start: u32) -> Result<Round, LogError> {
        let mut round = Round { records: Vec::new(), commit: None };
        let (mut at, mut digest) = (start, seed);
        loop {
            match scanner.read(at)? {
                Parsed::Record(seen) => {
                    digest = crc32c_append(digest, &seen.header.checksum.to_le_bytes());
                    at = seen.end();
                    round.records.push(seen);
                }
                Parsed::Commit(commit, end) => {
                    let ours = commit.round_start == start
                        && commit.epoch >= self.epoch
                        && commit.records as usize == round.records.len()
                        && commit.digest == digest;
                    round.commit = ours.then_some((commit, end));
                    return Ok(round);
                }
                Parsed::BadPayload(_) | Parsed::Nothing => return Ok(round),
            }
        }
    }

    /// Takes what it can from a round that was synced and is damaged, finds out whom the rest belonged to, and says where
    /// the next round begins.
    fn salvage<F: DiskFile>(
        &mut self,
        scanner: &mut Scanner<'_, F>,
        segment: u32,
        start: u32,
        synced: u32,
    ) -> Result<u32, LogError> {
        self.wrecked = Some(segment);
        let mut rest = Wreck { start, records: Vec::new(), payloads: Vec::new(), first_bad: None };
        let mut at = start;
        while at < synced {
            match scanner.read(at)? {
                Parsed::Record(seen) => {
                    at = seen.end();
                    rest.records.push(seen);
                }
                Parsed::BadPayload(seen) if seen.header.tag != Tag::Commit => {
                    rest.first_bad.get_or_insert(at);
                    at = seen.end();
                    rest.payloads.push(seen);
                }
                Parsed::Commit(commit, end) if commit.round_start == start => {
                    self.attribute(segment, &rest, &commit);
                    self.commit(&commit);
                    return Ok(end);
                }
                Parsed::Commit(commit, _) if commit.round_start > start && commit.round_start <= at => {
                    self.without_commit(segment, rest, commit.round_start);
                    return Ok(commit.round_start);
                }
                Parsed::BadPayload(_) | Parsed::Commit(..) | Parsed::Nothing => {
                    rest.first_bad.get_or_insert(at);
                    at = at.saturating_add(RECORD_ALIGN);
                }
            }
        }
        self.without_commit(segment, rest, synced);
        Ok(synced)
    }

    /// The commit is intact and says which shards the round was about.
    fn attribute(&mut self, segment: u32, rest: &Wreck, commit: &Commit) {
        let mut missing: BTreeMap<ShardId, u32> = commit.shards.iter().copied().collect();
        let mut hurt: BTreeMap<ShardId, u32> = BTreeMap::new();
        for seen in &rest.payloads {
            hurt.entry(seen.header.shard).or_insert(seen.offset);
        }
        for seen in rest.records.iter().chain(&rest.payloads) {
            if let Some(n) = missing.get_mut(&seen.header.shard) {
                *n = n.saturating_sub(1);
            }
        }
        let at = rest.first_bad.unwrap_or(rest.start);
        let lost = missing.iter().filter(|(_, n)| **n > 0).map(|(shard, _)| *shard).collect::<Vec<_>>();
        for shard in lost {
            hurt.entry(shard).or_insert(at);
        }
        if hurt.is_empty() {
            // Every record verifies by itself, but they are not the ones that were committed.
            hurt = commit.shards.iter().map(|(shard, _)| (*shard, at)).collect();
        }
        // First apply, then fence: a removal in this round must not lift a fence that the rest of the round calls for.
        rest.records.iter().for_each(|seen| self.apply(segment, seen));
        for (shard, offset) in &hurt {
            self.fence(*shard, segment, *offset);
        }
    }

    /// The commit is lost. If it fills the gap before the next round exactly, nothing else can be.
    fn without_commit(&mut self, segment: u32, mut rest: Wreck, next: u32) {
        rest.records.retain(|seen| seen.offset < next);
        let end = rest.records.iter().try_fold(rest.start, |at, seen| (seen.offset == at).then(|| seen.end()));
        let shards = rest.records.iter().map(|seen| seen.header.shard).collect::<BTreeSet<_>>();
        let gap = end.and_then(|end| next.checked_sub(end)).map(u64::from);
        rest.records.iter().for_each(|seen| self.apply(segment, seen));
        match end {
            Some(offset) if rest.payloads.is_empty() && gap == Some(commit_size(shards.len())) => {
                self.notes.push(Note::CommitDamaged { segment, offset });
            }
            _ => self.damaged(segment, rest.first_bad.unwrap_or(rest.start)),
        }
    }

    fn fence(&mut self, shard: ShardId, segment: u32, offset: u32) {
        let building = self.groups.entry(shard).or_default();
        building.group.fence.get_or_insert((segment, offset));
        building.runs.clear();
    }

    fn apply(&mut self, segment: u32, seen: &Seen) {
        let header = &seen.header;
        let here = (segment, seen.offset);
        let building = self.groups.entry(header.shard).or_default();
        let group = &mut building.group;
        if header.tag == Tag::Remove {
            *building = Building { born: here, ..Building::default() };
            return;
        }
        if group.fence.is_some() {
            if let Body::Group(_, true) = seen.body {
                (group.fence, group.fence_at) = (Some(here), Some(segment));
            }
            return;
        }
        let at = Position { index: header.index, term: header.term };
        let location = Location { term: header.term, segment, offset: seen.offset, length: header.length };
        let possible = match header.tag {
            Tag::Entry | Tag::Moved => at.index > group.start.index && at.index < INDEX_LIMIT,
            Tag::Start | Tag::Reset | Tag::Group => at.index < INDEX_LIMIT,
            Tag::HardState | Tag::Remove | Tag::Commit => true,
        };
        if !possible {
            return self.fence(header.shard, segment, seen.offset);
        }
        match (header.tag, seen.body) {
            (Tag::Entry, _) => building.runs.append(at.index, location),
            (Tag::Moved, _) => building.runs.place(at.index, location),
            (Tag::HardState, Body::HardState(vote)) => {
                group.hard_state = HardState { term: header.term, vote, commit: header.index };
                group.hard_at = Some(segment);
            }
            (Tag::Start, _) => {
                (group.start, group.start_at) = (at, Some(segment));
                building.runs.drop_through(at.index);
            }
            (Tag::Reset, _) => {
                (group.start, group.start_at) = (at, Some(segment));
                building.runs.clear();
            }
            (Tag::Group, Body::Group(state, fenced)) => {
                (group.start, group.start_at) = (at, Some(segment));
                (group.hard_state, group.hard_at) = (state, Some(segment));
                building.runs.drop_through(at.index);
                if fenced {
                    group.fence_at = Some(segment);
                    self.fence(header.shard, segment, seen.offset);
                }
            }
            _ => {}
        }
    }

    /// The groups, and what is damaged.
    pub(crate) fn finish(self) -> (BTreeMap<ShardId, Group>, Vec<Damage>) {
        let mut groups = BTreeMap::new();
        let mut damages = Vec::new();
        for (shard, building) in self.groups {
            let Building { mut group, runs, born } = building;
            if group.state_at().is_none() && runs.is_empty() {
                continue;
            }
            if group.fence.is_none() {
                group.fence = self.unattributed.iter().copied().find(|at| born < *at);
            }
            if group.fence.is_none() {
                match runs.into_consecutive(group.start.index + 1) {
                    Ok(entries) => group.entries = entries,
                    Err(after) => group.fence = Some((after.segment, after.offset)),
                }
            }
            group.bytes = group.entries.iter().map(Location::size).sum();
            if let Some((segment, offset)) = group.fence {
                damages.push(Damage { shard: Some(shard), segment, offset });
            }
            groups.insert(shard, group);
        }
        damages.extend(self.unattributed.iter().map(|&(segment, offset)| Damage { shard: None, segment, offset }));
        (groups, damages)
    }
}

/// A round as far as it could be read.
struct Round {
    records: Vec<Seen>,
    commit: Option<(Commit, u32)>,
}

/// What is left of a damaged round.
struct Wreck {
    start: u32,
    records: Vec<Seen>,
    /// Records whose header is intact and whose payload is not.
    payloads: Vec<Seen>,
    first_bad: Option<u32>,
}

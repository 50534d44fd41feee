//! One replica with its disk and its state machine.

use super::checker::Checker;
use crate::{
    Barrier, Config, Entry, EntryKind, Group, HardState, LogUnavailable, Membership, MembershipError, Message,
    MessageKind, OlderEntries, Persist, Restored, SnapshotMeta,
};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};

/// The state machine: everything it was told, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    pub applied: u64,
    pub term: u64,
    pub membership: Membership,
    pub values: Vec<(u64, Bytes)>,
}

#[derive(Default, Debug)]
pub struct DiskState {
    pub hard: HardState,
    pub start: (u64, u64),
    pub entries: BTreeMap<u64, Entry>,
    pub flushed: Machine,
    pub broken: bool,
}

#[derive(Clone, Default, Debug)]
pub struct Disk(pub Rc<RefCell<DiskState>>);

impl DiskState {
    pub fn last(&self) -> (u64, u64) {
        self.entries.values().next_back().map_or(self.start, |e| (e.index, e.term))
    }

    fn term(&self, index: u64) -> Option<u64> {
        if index == self.start.0 { Some(self.start.1) } else { self.entries.get(&index).map(|e| e.term) }
    }
}

impl OlderEntries for Disk {
    fn entries(&self, low: u64, high: u64, max_bytes: u64) -> Result<Vec<Entry>, LogUnavailable> {
        let disk = self.0.borrow();
        if disk.broken {
            return Err(LogUnavailable("the disk is broken".into()));
        }
        let mut bytes = 0;
        let mut out = Vec::new();
        for entry in disk.entries.range(low..high).map(|(_, e)| e) {
            bytes += entry.data.len() as u64;
            if !out.is_empty() && bytes > max_bytes {
                break;
            }
            out.push(entry.clone());
        }
        Ok(out)
    }

    fn term(&self, index: u64) -> Result<Option<u64>, LogUnavailable> {
        let disk = self.0.borrow();
        if disk.broken { Err(LogUnavailable("the disk is broken".into())) } else { Ok(disk.term(index)) }
    }
}

pub struct Replica {
    pub id: u64,
    pub group: Option<Group<Disk>>,
    pub disk: Disk,
    pub machine: Machine,
    pub incoming: BTreeMap<u64, Machine>,
    pub outgoing: BTreeMap<u64, Machine>,
    pub writes: VecDeque<(Mono, Persist)>,
    pub to_apply: VecDeque<Entry>,
    pub barriers: BTreeMap<Barrier, u64>,
    pub events: Vec<String>,
    pub paused: bool,
    pub disk_stalled: bool,
    /// It lost its disk once.
    pub wiped: bool,
    /// This node's clock: ahead by an offset, and running this much faster, in thousandths of a percent.
    pub clock: (u64, i64),
    emitted: u64,
}

impl Replica {
    pub fn new(id: u64, restored: &Restored) -> Replica {
        let machine = Machine {
            applied: restored.applied,
            term: restored.start.1,
            membership: restored.membership.clone(),
            values: Vec::new(),
        };
        let state = DiskState {
            hard: restored.hard_state,
            start: restored.start,
            flushed: machine.clone(),
            ..DiskState::default()
        };
        Replica {
            id,
            group: None,
            disk: Disk(Rc::new(RefCell::new(state))),
            machine,
            incoming: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            writes: VecDeque::new(),
            to_apply: VecDeque::new(),
            barriers: BTreeMap::new(),
            events: Vec::new(),
            paused: false,
            disk_stalled: false,
            wiped: false,
            clock: (0, 0),
            emitted: restored.applied,
        }
    }

    /// What this node's clock shows at a moment of the simulation.
    pub fn time(&self, now: Mono) -> Mono {
        let drift = i128::from(now.0) * i128::from(self.clock.1) / 100_000;
        Mono(u64::try_from(i128::from(now.0) + i128::from(self.clock.0) + drift).unwrap())
    }

    pub fn start(&mut self, config: &Config, rng: Rng, now: Mono) {
        let now = self.time(now);
        let (restored, flushed) = {
            let disk = self.disk.0.borrow();
            let restored = Restored {
                hard_state: disk.hard,
                membership: disk.flushed.membership.clone(),
                start: disk.start,
                last: disk.last(),
                applied: disk.flushed.applied,
            };
            (restored, disk.flushed.clone())
        };
        self.emitted = flushed.applied;
        self.machine = flushed;
        let config = Config { id: NodeId(self.id), ..config.clone() };
        self.group = Some(Group::new(&config, restored, self.disk.clone(), rng, now).unwrap());
    }

    /// Kill: of the writes under way a prefix may have reached the disk.
    pub fn crash(&mut self, kept: usize) {
        for _ in 0..kept {
            if let Some((_, persist)) = self.writes.pop_front() {
                self.write(&persist, &mut Checker::default());
            }
        }
        self.group = None;
        self.writes.clear();
        self.to_apply.clear();
        self.barriers.clear();
        self.incoming.clear();
        self.outgoing.clear();
        self.paused = false;
        self.disk_stalled = false;
    }

    fn write(&mut self, persist: &Persist, checker: &mut Checker) {
        let mut disk = self.disk.0.borrow_mut();
        let decided = disk.hard.commit.min(disk.last().0);
        if let Some(meta) = &persist.install {
            let machine = self.incoming.get(&meta.index).expect("data precedes the snapshot message").clone();
            assert_eq!((machine.applied, machine.term), (meta.index, meta.term), "snapshot and data belong together");
            assert_eq!(machine.membership, meta.membership, "the membership travels with the snapshot");
            disk.start = (meta.index, meta.term);
            disk.entries.clear();
            disk.flushed = machine;
            checker.count("installs");
        }
        if let Some(hard) = persist.hard_state {
            assert!(hard.term >= disk.hard.term, "the term never goes back");
            assert!(
                hard.term > disk.hard.term || disk.hard.vote.0 == 0 || hard.vote == disk.hard.vote,
                "one vote per term"
            );
            disk.hard = hard;
        }
        if let Some(first) = persist.entries.first() {
            assert!(first.index > decided, "entry {} was decided and is overwritten", first.index);
            if disk.entries.split_off(&first.index).is_empty() {
                assert_eq!(first.index, disk.last().0 + 1, "no gap");
            } else {
                checker.count("overwrites");
            }
        }
        for entry in &persist.entries {
            let previous = disk.term(entry.index - 1).expect("no gap");
            checker.written(previous, entry);
            disk.entries.insert(entry.index, entry.clone());
        }
    }

    /// Writes what is due and tells the group.
    pub fn complete_writes(&mut self, now: Mono, checker: &mut Checker) {
        while !self.disk_stalled && !self.paused && self.writes.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, persist)) = self.writes.pop_front() else {
                break;
            };
            self.write(&persist, checker);
            if let Some(meta) = &persist.install {
                self.machine = self.disk.0.borrow().flushed.clone();
                self.emitted = meta.index;
                self.to_apply.clear();
                self.incoming.retain(|index, _| *index > meta.index);
            }
            let time = self.time(now);
            if let Some(group) = &mut self.group {
                group.persisted(persist.number, time);
            }
        }
    }

    /// Takes everything that is ready, and returns the messages with the snapshot data that travels beside them.
    pub fn drain(
        &mut self,
        now: Mono,
        write_takes: Duration,
        checker: &mut Checker,
    ) -> Vec<(Message, Option<Machine>)> {
        let time = self.time(now);
        let mut out = Vec::new();
        while let Some(ready) = self.group.as_mut().and_then(|g| g.ready(time)) {
            for entry in &ready.committed {
                assert_eq!(entry.index, self.emitted + 1, "n{} is given every entry once, in order", self.id);
                self.emitted = entry.index;
                let durable = self.disk.0.borrow().entries.get(&entry.index).cloned();
                assert_eq!(durable.as_ref(), Some(entry), "n{} is given only what it has durably", self.id);
                checker.decided(self.id, entry);
            }
            self.to_apply.extend(ready.committed);
            if let Some(persist) = ready.persist {
                self.writes.push_back((now + write_takes, persist));
            }
            for message in ready.messages {
                self.check_claims(&message);
                let data = (message.kind == MessageKind::Snapshot).then(|| self.outgoing[&message.to.0].clone());
                out.push((message, data));
            }
            for (barrier, index) in ready.barriers {
                let decided = self.barriers.remove(&barrier).expect("a barrier completes once");
                assert!(index >= decided, "a read at {index} would miss entry {decided}, decided before it began");
                self.events.push(format!("n{} may read at {index}", self.id));
                checker.count("barriers");
            }
            for barrier in ready.barriers_lost {
                assert!(self.barriers.remove(&barrier).is_some(), "a barrier is lost once");
                self.events.push(format!("n{} lost a read barrier", self.id));
            }
            for to in ready.snapshot_wanted {
                self.provide_snapshot(to, checker);
            }
        }
        out
    }

    fn provide_snapshot(&mut self, to: NodeId, checker: &mut Checker) {
        let machine = self.machine.clone();
        let meta = SnapshotMeta { index: machine.applied, term: machine.term, membership: machine.membership.clone() };
        self.outgoing.insert(to.0, machine);
        checker.count("snapshots");
        if let Some(group) = &mut self.group {
            group.provide_snapshot(to, meta);
        }
    }

    /// What a message claims must be durable when it leaves.
    fn check_claims(&self, message: &Message) {
        let disk = self.disk.0.borrow();
        assert!(
            matches!(message.kind, MessageKind::RequestPreVote | MessageKind::Joining)
                || message.reject
                || disk.hard.term >= message.term
                || message.kind == MessageKind::RequestPreVoteResponse,
            "{message:?} claims a term that is not durable"
        );
        match message.kind {
            MessageKind::RequestVote if disk.hard.term == message.term => {
                assert_eq!(disk.hard.vote, message.from, "a candidate's own vote is durable");
            }
            MessageKind::RequestVoteResponse if !message.reject && disk.hard.term == message.term => {
                assert_eq!(disk.hard.vote, message.to, "a vote is durable before it is given");
            }
            MessageKind::AppendResponse if !message.reject && disk.hard.term == message.term => {
                assert!(disk.last().0 >= message.index, "{message:?} confirms more than is durable: {}", disk.last().0);
            }
            _ => {}
        }
    }

    /// Applies up to `count` decided entries.
    pub fn apply(&mut self, count: usize) {
        for _ in 0..count {
            let Some(entry) = self.to_apply.pop_front() else {
                return;
            };
            let Some(group) = &mut self.group else { return };
            match entry.kind {
                EntryKind::Membership => match group.apply_membership(&entry) {
                    Ok(membership) => self.machine.membership = membership,
                    Err(MembershipError::Superseded) => return self.to_apply.clear(),
                    Err(error) => panic!("n{}: only sensible changes are proposed: {error}", self.id),
                },
                EntryKind::Normal if entry.data.is_empty() => {}
                EntryKind::Normal => self.machine.values.push((entry.index, entry.data.clone())),
            }
            self.machine.applied = entry.index;
            self.machine.term = entry.term;
            group.applied(entry.index);
        }
    }

    pub fn flush(&mut self) {
        self.disk.0.borrow_mut().flushed = self.machine.clone();
    }

    /// Cuts the log below what is flushed.
    pub fn compact(&mut self) {
        let (index, term) = {
            let disk = self.disk.0.borrow();
            (disk.flushed.applied, disk.flushed.term)
        };
        let Some(group) = &mut self.group else { return };
        if index <= group.start().0 || !self.writes.is_empty() {
            return;
        }
        assert_eq!(group.term_of(index), Some(term));
        group.compact(index, term);
        let mut disk = self.disk.0.borrow_mut();
        disk.start = (index, term);
        disk.entries = disk.entries.split_off(&(index + 1));
    }
}

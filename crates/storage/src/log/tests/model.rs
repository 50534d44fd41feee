//! Random lives of a log against a model: appends, conflicts, starts, removals, reclaiming, full disks, and crashes at any
//! point that lose and tear what was not synced. After each, what recovery finds must be what the model was at some
//! append not before the last completed sync; and none of it may be taken for damage.

use super::super::{LogError, LogOptions, LogReader, LogWriter, Note, Record, WriteSet};
use super::{Log, Model, SEGMENT, check_accounts, entries, hard_state, options, shard, start};
use crate::memdisk::MemDisk;
use proptest::prelude::*;
use stdx::Rng;

const SHARDS: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// One write set of these.
    Append(Vec<Change>),
    Sync,
    Reclaim,
    /// The machine loses power; what survives is decided by the seed.
    Crash(u64),
    /// The machine loses power after so many more changes to the disk.
    CrashAfter(u64, u64),
    /// The process is killed.
    Kill,
    /// Bytes of room, from now on.
    Capacity(Option<u64>),
}

#[derive(Clone, Debug)]
enum Change {
    Entries {
        n: u32,
        back: u64,
        count: u64,
        size: usize,
    },
    HardState {
        n: u32,
    },
    /// Compaction somewhere within the log.
    Compact {
        n: u32,
        share: u64,
    },
    /// A snapshot ahead of the log, or of another history.
    Install {
        n: u32,
        ahead: u64,
    },
    Remove {
        n: u32,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let n = 0..SHARDS;
    let size = prop_oneof![10 => 0usize..200, 4 => 0usize..3000, 1 => Just(20_000usize)];
    prop_oneof![
        10 => (n.clone(), prop_oneof![3 => Just(0u64), 1 => 0u64..12], 1u64..12, size)
            .prop_map(|(n, back, count, size)| Change::Entries { n, back, count, size }),
        3 => n.clone().prop_map(|n| Change::HardState { n }),
        3 => (n.clone(), 0u64..=100).prop_map(|(n, share)| Change::Compact { n, share }),
        1 => (n.clone(), 0u64..20).prop_map(|(n, ahead)| Change::Install { n, ahead }),
        1 => n.prop_map(|n| Change::Remove { n }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => prop::collection::vec(change(), 0..6).prop_map(Step::Append),
        12 => Just(Step::Sync),
        4 => Just(Step::Reclaim),
        2 => any::<u64>().prop_map(Step::Crash),
        3 => (0u64..30, any::<u64>()).prop_map(|(changes, seed)| Step::CrashAfter(changes, seed)),
        1 => Just(Step::Kill),
        1 => prop::option::weighted(0.5, 0u64..12 * u64::from(SEGMENT)).prop_map(Step::Capacity),
    ]
}

struct Life {
    disk: MemDisk,
    log: Option<(LogWriter<MemDisk>, LogReader<MemDisk>)>,
    /// As of the last completed sync.
    durable: Model,
    /// After each append since, the last one possibly failed.
    since: Vec<Model>,
    /// The model with every accepted append.
    current: Model,
    term: u64,
    power_cut: Option<u64>,
}

impl Life {
    fn new() -> Life {
        let mut life = Life {
            disk: MemDisk::new(),
            log: None,
            durable: Model::default(),
            since: Vec::new(),
            current: Model::default(),
            term: 1,
            power_cut: None,
        };
        life.reopen();
        life
    }

    fn records(&mut self, changes: &[Change]) -> Vec<Record> {
        let mut model = self.current.clone();
        let mut records = Vec::new();
        for change in changes {
            self.term += 1;
            let term = self.term;
            let of = |n| model.groups.get(&shard(n)).cloned().unwrap_or_default();
            let record = match *change {
                Change::Entries { n, back, count, size } => {
                    let group = of(n);
                    let first = (group.last().index + 1).saturating_sub(back).max(group.start.index + 1);
                    entries(n, term, first, first + count - 1, size)
                }
                Change::HardState { n } => hard_state(n, term, u64::from(n), of(n).last().index),
                Change::Compact { n, share } => {
                    let group = of(n);
                    let index = group.start.index + (group.last().index - group.start.index) * share / 100;
                    start(n, index, group.term(index).expect("within the log"))
                }
                Change::Install { n, ahead } => start(n, of(n).start.index + 1 + ahead, term),
                Change::Remove { n } => Record::Remove { shard: shard(n) },
            };
            model.apply(&record);
            records.push(record);
        }
        records
    }

    fn step(&mut self, step: &Step) {
        if self.disk.is_halted() {
            let seed = self.power_cut.expect("a halt was asked for");
            self.crash(seed);
        }
        match step {
            Step::Append(changes) => {
                let records = self.records(changes);
                let mut after = self.current.clone();
                records.iter().for_each(|r| after.apply(r));
                let (writer, _) = self.log.as_mut().expect("open");
                match writer.append(&WriteSet { records }) {
                    Ok(()) => {
                        self.since.push(after.clone());
                        self.current = after;
                    }
                    Err(LogError::Full) => {}
                    Err(e) => {
                        self.since.push(after);
                        self.failed(&e);
                    }
                }
            }
            Step::Sync => {
                let (writer, reader) = self.log.as_mut().expect("open");
                self.durable.check(reader, SHARDS);
                match writer.sync() {
                    Ok(()) => self.synced(),
                    Err(e) => self.failed(&e),
                }
            }
            Step::Reclaim => {
                let (writer, _) = self.log.as_mut().expect("open");
                match writer.reclaim() {
                    Ok(done) => {
                        assert_eq!(done.damaged, []);
                        self.synced();
                    }
                    Err(LogError::Full) => self.synced(),
                    Err(e) => self.failed(&e),
                }
            }
            Step::Crash(seed) => self.crash(*seed),
            Step::CrashAfter(changes, seed) => {
                self.disk.halt_after(*changes);
                self.power_cut = Some(*seed);
            }
            Step::Kill => {
                self.disk.kill();
                self.power_cut = None;
                self.reopen();
            }
            Step::Capacity(bytes) => self.disk.set_capacity(*bytes),
        }
    }

    fn synced(&mut self) {
        self.durable = self.current.clone();
        self.since.clear();
        if self.disk.is_halted() {
            return;
        }
        let (_, reader) = self.log.as_ref().expect("open");
        self.durable.check(reader, SHARDS);
        check_accounts(reader);
    }

    /// Only a machine that has halted may fail.
    fn failed(&mut self, e: &LogError) {
        let seed = self.power_cut.unwrap_or_else(|| panic!("nothing was injected: {e}"));
        self.crash(seed);
    }

    fn crash(&mut self, seed: u64) {
        let mut rng = Rng::new(seed);
        self.disk.crash(&mut rng);
        // Recovery itself is cut short now and then.
        while rng.one_in(3) {
            self.disk.halt_after(rng.below(6));
            drop(Log::open(self.disk.clone(), Self::options()));
            self.disk.crash(&mut rng);
        }
        self.power_cut = None;
        self.reopen();
    }

    fn options() -> LogOptions {
        LogOptions { reserve_bytes: u64::from(SEGMENT), ..options() }
    }

    fn reopen(&mut self) {
        // Opening the first time needs room for a segment.
        self.log = None;
        let opened = Log::open(self.disk.clone(), Self::options());
        let (writer, reader, recovered) = match opened {
            Err(LogError::Full) => {
                self.disk.set_capacity(None);
                Log::open(self.disk.clone(), Self::options()).expect("there is room")
            }
            opened => opened.expect("opens"),
        };
        assert_eq!(recovered.damaged, [], "{:?}", recovered.notes);
        let odd = |note: &&Note| matches!(note, Note::HeaderDamaged { .. } | Note::CommitDamaged { .. });
        assert_eq!(recovered.notes.iter().find(odd), None);
        let candidates = std::iter::once(&self.durable).chain(&self.since);
        let found = candidates.rev().find(|model| model.matches(&recovered, &reader));
        let found = found.unwrap_or_else(|| panic!("recovered {recovered:?}, durable {:?}", self.durable)).clone();
        (self.durable, self.current) = (found.clone(), found);
        self.since.clear();
        check_accounts(&reader);
        self.durable.check(&reader, SHARDS);
        self.log = Some((writer, reader));
    }
}

proptest! {
    #[test]
    fn nothing_synced_is_ever_lost(steps in prop::collection::vec(step(), 1..120)) {
        let mut life = Life::new();
        for step in &steps {
            life.step(step);
        }
        life.crash(1);
    }
}

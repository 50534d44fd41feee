//! Random histories of two replicas against an ordered map, on both engines. A crash drops everything but the engine.

use super::*;
use crate::{FjallEngine, FjallOptions, MemEngine};
use proptest::prelude::*;

const SHARDS: [ShardId; 2] = [ShardId(0), ShardId(7)];

#[derive(Clone, Debug)]
enum Step {
    Apply(usize, Vec<Op>),
    Flush,
    Snapshot(usize),
    CheckSnapshot,
    Install { to: usize, pairs: Vec<(Bytes, Bytes)>, finish: bool },
    Copy { from: usize, to: usize },
    Recreate(usize),
    CollectGarbage,
    Crash,
}

/// What one replica must look like.
#[derive(Clone, Default)]
struct Expected {
    pairs: Pairs,
    applied: u64,
    durable: Pairs,
    durable_applied: u64,
}

impl Expected {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Put(k, v) => {
                self.pairs.insert(k.clone(), v.clone());
            }
            Op::Delete(k) => {
                self.pairs.remove(k);
            }
            Op::DeleteRange(start, end) => self.pairs.retain(|k, _| k < start || k >= end),
        }
    }

    fn make_durable(&mut self) {
        self.durable = self.pairs.clone();
        self.durable_applied = self.applied;
    }
}

fn key() -> impl Strategy<Value = Bytes> {
    // Few keys, of lengths around the 16 bytes that tables compare first, many with a common prefix.
    prop_oneof![
        proptest::collection::vec(0u8..3, 0..3).prop_map(Bytes::from),
        (0u8..8).prop_map(|n| Bytes::from([&[1; 15][..], &[n]].concat())),
        (0u8..8).prop_map(|n| Bytes::from([&[1; 20][..], &[n]].concat())),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (key(), value()).prop_map(|(k, v)| Op::Put(k, v)),
        3 => key().prop_map(Op::Delete),
        1 => (key(), key()).prop_map(|(a, b)| Op::DeleteRange(a, b)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let replica = || 0..SHARDS.len();
    let pairs = proptest::collection::btree_map(key(), value(), 0..10);
    prop_oneof![
        12 => (replica(), proptest::collection::vec(op(), 1..8)).prop_map(|(r, ops)| Step::Apply(r, ops)),
        4 => Just(Step::Flush),
        2 => replica().prop_map(Step::Snapshot),
        2 => Just(Step::CheckSnapshot),
        1 => (replica(), pairs, any::<bool>()).prop_map(|(to, pairs, finish)| {
            Step::Install { to, pairs: pairs.into_iter().collect(), finish }
        }),
        1 => (replica(), replica()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => replica().prop_map(Step::Recreate),
        2 => Just(Step::CollectGarbage),
        2 => Just(Step::Crash),
    ]
}

/// A history in progress.
struct World {
    reopen: Box<dyn Fn() -> Arc<dyn Engine>>,
    store: Store,
    expected: Vec<Expected>,
    snapshots: Vec<(ReplicaSnapshot, Pairs)>,
}

impl World {
    fn new(reopen: Box<dyn Fn() -> Arc<dyn Engine>>) -> World {
        let store = open(&reopen());
        store.create_replicas(&SHARDS.map(|shard| (shard, at(0)))).unwrap();
        World { reopen, store, expected: vec![Expected::default(); SHARDS.len()], snapshots: Vec::new() }
    }

    fn replica(&self, i: usize) -> Arc<Replica> {
        self.store.replica(SHARDS[i]).unwrap()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Apply(i, ops) => {
                let expected = &mut self.expected[i];
                ops.iter().for_each(|op| expected.apply(op));
                expected.applied += 1;
                let index = expected.applied;
                apply(&self.replica(i), index, ops);
            }
            Step::Flush => {
                self.store.flush().unwrap();
                assert_eq!(self.store.memory_bytes(), 0);
                self.expected.iter_mut().for_each(Expected::make_durable);
            }
            Step::Snapshot(i) => {
                let snapshot = self.replica(i).snapshot().unwrap();
                assert_eq!(snapshot.applied().index, self.expected[i].applied);
                self.snapshots.push((snapshot, self.expected[i].pairs.clone()));
            }
            Step::CheckSnapshot => self.check_snapshots(),
            Step::Install { to, pairs, finish } => self.install(to, pairs, finish),
            Step::Copy { from, to } => {
                let snapshot = self.replica(from).snapshot().unwrap();
                self.install(to, drained(&snapshot, 30).into_iter().collect(), true);
                let copy = self.replica(to).snapshot().unwrap();
                assert_eq!(copy.checksum().unwrap(), snapshot.checksum().unwrap());
            }
            Step::Recreate(i) => {
                self.store.remove_replica(SHARDS[i]).unwrap();
                assert!(self.store.replica(SHARDS[i]).is_none());
                self.store.create_replica(SHARDS[i], at(0)).unwrap();
                self.expected[i] = Expected::default();
            }
            Step::CollectGarbage => {
                self.store.collect_garbage(3).unwrap();
            }
            Step::Crash => self.crash(),
        }
    }

    fn install(&mut self, to: usize, pairs: Vec<(Bytes, Bytes)>, finish: bool) {
        let index = self.expected[to].applied + 5;
        let mut install = self.replica(to).begin_install(at(index)).unwrap();
        for pair in &pairs {
            install.write_chunk(vec![pair.clone()]).unwrap();
        }
        assert_eq!(install.last_key(), pairs.last().map(|(k, _)| k));
        if finish {
            install.finish().unwrap();
            let pairs: Pairs = pairs.into_iter().collect();
            let durable = pairs.clone();
            self.expected[to] = Expected { pairs, applied: index, durable, durable_applied: index };
        }
    }

    fn crash(&mut self) {
        self.check_snapshots();
        self.snapshots.clear();
        // The old engine goes first: a directory has one owner.
        self.store = open(&(Arc::new(MemEngine::new()) as Arc<dyn Engine>));
        self.store = open(&(self.reopen)());
        for (i, expected) in self.expected.iter_mut().enumerate() {
            expected.pairs = expected.durable.clone();
            expected.applied = expected.durable_applied;
            let replica = self.store.replica(SHARDS[i]).unwrap();
            assert_eq!(replica.applied(), at(expected.applied));
            assert_eq!(replica.flushed(), at(expected.applied));
        }
    }

    fn check_snapshots(&self) {
        for (snapshot, pairs) in &self.snapshots {
            assert_eq!(&drained(snapshot, 40), pairs);
        }
    }

    fn check(&self) {
        for (i, expected) in self.expected.iter().enumerate() {
            let replica = self.replica(i);
            assert_eq!(replica.applied().index, expected.applied);
            assert_eq!(replica.flushed().index, expected.durable_applied);
            let guard = replica.read();
            for n in 0..8 {
                for key in [vec![n / 3, n % 3], [&[1; 15][..], &[n]].concat(), [&[1; 20][..], &[n]].concat()] {
                    assert_eq!(guard.get(&key).unwrap().as_ref(), expected.pairs.get(&key[..]), "{key:?}");
                }
            }
            let all: Vec<_> = expected.pairs.clone().into_iter().collect();
            assert_eq!(scanned(&guard, b"", &[9]), all);
            let (start, end) = ([1; 15], [1; 21]);
            let mut part: Vec<_> = expected.pairs.clone().into_iter().collect();
            part.retain(|(k, _)| k[..] >= start[..] && k[..] < end[..]);
            assert_eq!(scanned(&guard, &start, &end), part);
            part.reverse();
            assert_eq!(scanned_reverse(&guard, &start, &end), part);
            assert_eq!(scanned(&guard, &end, &start), vec![], "an inverted range is empty");
        }
    }
}

fn run(steps: Vec<Step>, reopen: Box<dyn Fn() -> Arc<dyn Engine>>) {
    let mut world = World::new(reopen);
    for step in steps {
        world.step(step);
        world.check();
    }
    world.step(Step::Crash);
    while world.store.collect_garbage(2).unwrap().more {}
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn memory_engine(steps in proptest::collection::vec(step(), 1..60)) {
        let engine = MemEngine::new();
        let kept = engine.clone();
        run(steps, Box::new(move || Arc::new(kept.clone())));
        // Two records and the pairs of two replicas: no garbage is left.
        prop_assert!(engine.key_count() <= 2 + 2 * 29);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn fjall_engine(steps in proptest::collection::vec(step(), 20..60)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_path_buf();
        let options = FjallOptions { table_bytes: 1024, reserve_bytes: 0, compaction_reserve_bytes: 0, ..FjallOptions::default() };
        run(steps, Box::new(move || Arc::new(FjallEngine::open(&path, &options).unwrap())));
    }
}

//! Readers, one that applies, one that flushes and one that takes snapshots, all at once.

use super::*;
use crate::{FjallEngine, FjallOptions, MemEngine};
use std::sync::atomic::{AtomicBool, Ordering};

const KEYS: u64 = 50;
const ROUNDS: u64 = 400;

/// Every round sets all keys to its number, so any reader must find them equal, and equal to the applied index.
fn race(engine: Arc<dyn Engine>) {
    let store = open(&engine);
    let replica = store.create_replica(ShardId(1), at(0)).unwrap();
    let round = |n: u64| (0..KEYS).map(|k| put(&format!("key{k:04}"), &n.to_string())).collect::<Vec<_>>();
    apply(&replica, 1, round(1));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2u64 {
            let (replica, done) = (&replica, &done);
            scope.spawn(move || {
                let mut k = reader;
                while !done.load(Ordering::Relaxed) {
                    k = (k + 7) % KEYS;
                    let guard = replica.read();
                    let expected = b(&guard.applied().index.to_string());
                    assert_eq!(guard.get(format!("key{k:04}").as_bytes()).unwrap(), Some(expected.clone()));
                    let all = scanned(&guard, b"key0010", b"key0020");
                    assert!(all.len() == 10 && all.iter().all(|(_, v)| *v == expected));
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.flush().unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let snapshot = replica.snapshot().unwrap();
                let expected = b(&snapshot.applied().index.to_string());
                let all = drained(&snapshot, 200);
                assert!(all.len() as u64 == KEYS && all.values().all(|v| *v == expected));
            }
        });
        for n in 2..ROUNDS {
            apply(&replica, n, round(n));
        }
        done.store(true, Ordering::Relaxed);
    });
    store.flush().unwrap();
    assert_eq!(replica.flushed().index, ROUNDS - 1);
    assert_eq!(store.memory().active + store.memory().frozen, 0);
}

#[test]
fn in_memory() {
    race(Arc::new(MemEngine::new()));
}

#[test]
fn on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = FjallOptions { reserve_bytes: 0, compaction_reserve_bytes: 0, ..FjallOptions::default() };
    race(Arc::new(FjallEngine::open(dir.path(), &options).unwrap()));
}

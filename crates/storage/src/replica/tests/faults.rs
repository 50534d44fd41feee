//! Errors of the engine, and what is left after them.

use super::*;
use crate::{Fault, MemEngine};

fn store_with(mem: &MemEngine) -> (Store, Arc<Replica>) {
    let store = open(&(Arc::new(mem.clone()) as Arc<dyn Engine>));
    let replica = store.create_replica(ShardId(3), at(0)).unwrap();
    (store, replica)
}

fn full() -> EngineError {
    EngineError::Full("no room".into())
}

#[test]
fn failed_flushes_lose_nothing_and_stay_bounded() {
    let mem = MemEngine::new();
    let (store, replica) = store_with(&mem);
    mem.inject(Fault::Ingests(full()));
    for i in 1..20u64 {
        apply(&replica, i, vec![put(&format!("k{i}"), "v"), put("same", &i.to_string())]);
        assert_eq!(store.flush(), Err(full()));
        assert_eq!(replica.read().get(b"same").unwrap(), Some(b(&i.to_string())));
        assert!(replica.state.read().frozen.len() <= MAX_FROZEN_TABLES);
    }
    assert_eq!(replica.flushed().index, 0);
    let snapshot = replica.snapshot().unwrap();
    mem.heal();
    store.flush().unwrap();
    store.flush().unwrap();
    assert_eq!(replica.flushed(), at(19));
    assert_eq!(store.memory(), MemoryUse { cache: store.memory().cache, ..MemoryUse::default() });
    assert_eq!(drained(&snapshot, 10).len(), 20);
    drop(store);
    let (_, replica) = store_with(&mem);
    assert_eq!(contents(&replica).len(), 20);
}

#[test]
fn an_apply_that_cannot_read_changes_nothing() {
    let mem = MemEngine::new();
    let (store, replica) = store_with(&mem);
    apply(&replica, 1, vec![put("a", "1"), put("b", "1")]);
    store.flush().unwrap();
    mem.inject(Fault::Reads(EngineError::Io("gone".into())));
    let batch = Batch { ops: vec![put("c", "2"), Op::DeleteRange(b("a"), b("z"))] };
    assert_eq!(replica.apply(&[batch], at(2)), Err(EngineError::Io("gone".into())));
    assert!(replica.read().get(b"c").is_err());
    mem.heal();
    assert_eq!(replica.applied(), at(1));
    assert_eq!(contents(&replica).len(), 2);
}

#[test]
fn damage_is_an_error_and_never_a_value() {
    let mem = MemEngine::new();
    let (store, replica) = store_with(&mem);
    apply(&replica, 1, vec![put("a", "1"), put("b", "1"), put("c", "1")]);
    store.flush().unwrap();
    let prefix = keys::prefix(ShardId(3), 1);
    mem.inject(Fault::Damage(keys::join_owned(prefix, b"b"), keys::join_owned(prefix, b"c")));
    let guard = replica.read();
    assert_eq!(guard.get(b"a").unwrap(), Some(b("1")));
    assert!(matches!(guard.get(b"b"), Err(EngineError::Damaged(_))));
    let walk = guard.scan(b"", b"z", &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(walk, Err(EngineError::Damaged(_))));
}

#[test]
fn a_failed_install_leaves_the_old_state() {
    let mem = MemEngine::new();
    let (store, replica) = store_with(&mem);
    apply(&replica, 1, vec![put("old", "1")]);
    store.flush().unwrap();
    let mut install = replica.begin_install(at(9)).unwrap();
    install.write_chunk(vec![(b("new"), b("1"))]).unwrap();
    assert!(matches!(install.write_chunk(vec![(b("new"), b("2"))]), Err(EngineError::Damaged(_))));
    mem.inject(Fault::Ingests(full()));
    assert_eq!(install.finish(), Err(full()));
    mem.heal();
    assert_eq!(contents(&replica), Pairs::from([(b("old"), b("1"))]));
    apply(&replica, 2, vec![put("more", "2")]);
    store.flush().unwrap();
    drop(store);
    let (store, replica) = store_with(&mem);
    assert_eq!(replica.applied(), at(2));
    assert_eq!(contents(&replica).len(), 2);
    assert!(!store.collect_garbage(100).unwrap().more);
}

#[test]
fn an_abandoned_install_is_garbage_even_after_a_crash() {
    let mem = MemEngine::new();
    let (_store, replica) = store_with(&mem);
    let mut install = replica.begin_install(at(9)).unwrap();
    let large = Bytes::from(vec![7; 9 << 20]);
    install.write_chunk(vec![(b("a"), large.clone()), (b("b"), large)]).unwrap();
    // The first pair is in the engine by now; the process dies here.
    std::mem::forget(install);
    let (store, replica) = store_with(&mem);
    assert!(contents(&replica).is_empty());
    assert_eq!(store.collect_garbage(100).unwrap(), GarbageReport { removed: 1, more: false });
    assert_eq!(mem.key_count(), 1);
}

#[test]
fn a_removed_replica_answers_with_errors() {
    let mem = MemEngine::new();
    let (store, replica) = store_with(&mem);
    apply(&replica, 1, vec![put("a", "1")]);
    store.flush().unwrap();
    store.remove_replica(ShardId(3)).unwrap();
    assert!(replica.read().get(b"a").is_err());
    assert!(replica.apply(&[Batch::default()], at(2)).is_err());
    assert!(replica.snapshot().is_err());
    let again = store.create_replica(ShardId(3), at(0)).unwrap();
    assert!(contents(&again).is_empty());
    assert!(store.create_replica(ShardId(u32::MAX), at(0)).is_err());
}

#[test]
fn oversized_keys_are_refused_and_the_longest_are_kept() {
    let mem = MemEngine::new();
    let (store, replica) = store_with(&mem);
    let put_len = |n: usize| Batch { ops: vec![Op::Put(Bytes::from(vec![b'k'; n]), b("v"))] };
    assert!(replica.apply(&[put_len(MAX_KEY_BYTES + 1)], at(1)).is_err());
    replica.apply(&[put_len(MAX_KEY_BYTES)], at(1)).unwrap();
    store.flush().unwrap();
    assert_eq!(replica.read().get(&[b'k'; MAX_KEY_BYTES]).unwrap(), Some(b("v")));
}

#[test]
fn records_of_the_node_survive() {
    let mem = MemEngine::new();
    let (store, _) = store_with(&mem);
    assert_eq!(store.get_local("identity").unwrap(), None);
    store.put_local("identity", b("n1")).unwrap();
    let (store, _) = store_with(&mem);
    assert_eq!(store.get_local("identity").unwrap(), Some(b("n1")));
    assert_eq!(store.replicas().len(), 1);
}

#[test]
fn a_record_of_another_version_is_damage() {
    let mem = MemEngine::new();
    let (store, _) = store_with(&mem);
    let key = Bytes::copy_from_slice(&keys::record_key(ShardId(3)));
    store.engine().ingest(&mut std::iter::once((key, Some(b("\u{2}"))))).unwrap();
    let reopened = Store::open(Arc::clone(store.engine()), StoreOptions::default());
    assert!(matches!(reopened.map(|_| ()), Err(EngineError::Damaged(_))));
}

#[test]
fn the_cache_serves_what_was_read_and_never_what_was_replaced() {
    let mem = MemEngine::new();
    let (store, replica) = store_with(&mem);
    apply(&replica, 1, vec![put("hot", "1"), put("cold", "1")]);
    assert_eq!(replica.read().get(b"hot").unwrap(), Some(b("1")));
    store.flush().unwrap();
    mem.inject(Fault::Reads(EngineError::Io("gone".into())));
    assert_eq!(replica.read().get(b"hot").unwrap(), Some(b("1")), "read while in memory, so kept");
    assert!(replica.read().get(b"cold").is_err(), "never read, so only in the engine");
    mem.heal();
    apply(&replica, 2, vec![put("hot", "2")]);
    store.flush().unwrap();
    assert_eq!(replica.read().get(b"hot").unwrap(), Some(b("2")));
    apply(&replica, 3, vec![Op::Delete(b("hot"))]);
    store.flush().unwrap();
    assert_eq!(replica.read().get(b"hot").unwrap(), None);
}

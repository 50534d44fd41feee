//! What `Engine` promises, checked on both engines, and what only the one on disk can get wrong.

use super::*;
use std::ops::ControlFlow;
use std::path::Path;

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn options() -> FjallOptions {
    FjallOptions { table_bytes: 64 * 1024, reserve_bytes: 0, compaction_reserve_bytes: 0, ..FjallOptions::default() }
}

fn on_disk(path: &Path) -> FjallEngine {
    FjallEngine::open(path, &options()).unwrap()
}

fn ingest(engine: &dyn Engine, changes: &[(&str, Option<&str>)]) -> Result<(), EngineError> {
    engine.ingest(&mut changes.iter().map(|(k, v)| (b(k), v.map(b))))
}

fn keys(view: &dyn View, start: &str, end: &str) -> String {
    let mut out = Vec::new();
    let mut visit = |k: &[u8], v: &Bytes| {
        out.push(format!("{}={}", String::from_utf8_lossy(k), String::from_utf8_lossy(v)));
        ControlFlow::Continue(())
    };
    view.scan(start.as_bytes(), end.as_bytes(), &mut visit).unwrap();
    out.join(" ")
}

fn keeps_its_promises(engine: &dyn Engine) {
    ingest(engine, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]).unwrap();
    let snapshot = engine.snapshot().unwrap();
    ingest(engine, &[("a", None), ("b", Some("2")), ("d", Some("2"))]).unwrap();
    assert_eq!(keys(engine, "a", "z"), "b=2 c=1 d=2");
    assert_eq!(keys(snapshot.as_ref(), "a", "z"), "a=1 b=1 c=1");
    assert_eq!(snapshot.get(b"a").unwrap(), Some(b("1")));
    assert_eq!(engine.get(b"a").unwrap(), None);
    assert_eq!(keys(engine, "b", "d"), "b=2 c=1");
    assert_eq!(keys(engine, "d", "b"), "");
    let mut last = None;
    let mut visit = |k: &[u8], _: &Bytes| {
        last = Some(k.to_vec());
        ControlFlow::Break(())
    };
    engine.scan_reverse(b"a", b"d", &mut visit).unwrap();
    assert_eq!(last.as_deref(), Some(&b"c"[..]));
    assert!(matches!(ingest(engine, &[("y", Some("")), ("x", Some(""))]), Err(EngineError::Damaged(_))));
    assert!(matches!(ingest(engine, &[("x", Some("")), ("x", Some(""))]), Err(EngineError::Damaged(_))));
    let long = Bytes::from(vec![b'k'; MAX_ENGINE_KEY_BYTES + 1]);
    assert!(engine.ingest(&mut std::iter::once((long, None))).is_err());
    let longest = Bytes::from(vec![b'k'; MAX_ENGINE_KEY_BYTES]);
    engine.ingest(&mut std::iter::once((longest.clone(), Some(b("v"))))).unwrap();
    assert_eq!(engine.get(&longest).unwrap(), Some(b("v")));
    engine.ingest(&mut std::iter::empty()).unwrap();
    assert_eq!(keys(engine, "a", "e"), "b=2 c=1 d=2");
    assert!(engine.approximate_bytes(b"", &[0xff]) > 0);
    engine.compact();
    engine.close().unwrap();
    assert_eq!(engine.get(b"d").unwrap(), Some(b("2")));
}

#[test]
fn memory_engine_keeps_its_promises() {
    keeps_its_promises(&MemEngine::new());
}

#[test]
fn fjall_engine_keeps_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    keeps_its_promises(&on_disk(dir.path()));
    let reopened = on_disk(dir.path());
    assert_eq!(keys(&reopened, "a", "e"), "b=2 c=1 d=2");
}

#[test]
fn newer_ingestions_win_across_reopening_and_compaction() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..30u32 {
        let engine = on_disk(dir.path());
        let changes = (0..200u32).map(|k| {
            let value = ((k + round) % 3 != 0).then(|| b(&format!("{round}")));
            (b(&format!("key{k:03}")), value)
        });
        engine.ingest(&mut changes.into_iter()).unwrap();
        for k in 0..200u32 {
            let expected = ((k + round) % 3 != 0).then(|| b(&format!("{round}")));
            assert_eq!(engine.get(format!("key{k:03}").as_bytes()).unwrap(), expected, "round {round} key {k}");
        }
    }
}

#[test]
fn many_small_ingestions_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let engine = on_disk(dir.path());
    let mut highest = 0;
    for i in 0..200u32 {
        engine
            .ingest(
                &mut (0..10u32).map(|k| (b(&format!("{:05}", (k * 7919 + i * 31) % 5000 + k * 5000)), Some(b("v")))),
            )
            .unwrap();
        highest = highest.max(engine.first_level_tables());
    }
    assert!(highest <= 17, "{highest} tables in the first level");
    let files = std::fs::read_dir(dir.path().join("keyspaces/1/tables")).unwrap().count();
    assert!(files < 60, "{files} table files");
}

#[test]
fn a_second_owner_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = on_disk(dir.path());
    assert!(matches!(FjallEngine::open(dir.path(), &options()).map(|_| ()), Err(EngineError::Io(_))));
}

#[test]
fn a_reserve_of_space_refuses_ingestion_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    ingest(&on_disk(dir.path()), &[("a", Some("1"))]).unwrap();
    let greedy =
        FjallOptions { reserve_bytes: u64::MAX, compaction_reserve_bytes: u64::MAX, reserve_part: 1, ..options() };
    let engine = FjallEngine::open(dir.path(), &greedy).unwrap();
    assert!(matches!(ingest(&engine, &[("a", Some("2"))]), Err(EngineError::Full(_))));
    assert_eq!(engine.get(b"a").unwrap(), Some(b("1")));
    drop(engine);
    ingest(&on_disk(dir.path()), &[("a", Some("2"))]).unwrap();
}

/// Flips each of many bytes of a table file: every read then gives the right value or an error, and nothing panics.
#[test]
fn flipped_bytes_are_errors_never_values() {
    let dir = tempfile::tempdir().unwrap();
    let value = |k: u32| Bytes::from(format!("value of {k} ").repeat(4));
    on_disk(dir.path()).ingest(&mut (0..500u32).map(|k| (b(&format!("key{k:03}")), Some(value(k))))).unwrap();
    let tables = dir.path().join("keyspaces/1/tables");
    let table = std::fs::read_dir(tables).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&table).unwrap();
    let mut errors = 0;
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        std::fs::write(&table, &bad).unwrap();
        let Ok(engine) = FjallEngine::open(dir.path(), &options()) else {
            errors += 1;
            continue;
        };
        for k in (0..500).step_by(7) {
            match engine.get(format!("key{k:03}").as_bytes()) {
                Ok(found) => assert_eq!(found, Some(value(k)), "byte {at}"),
                Err(EngineError::Damaged(_)) => errors += 1,
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }
    assert!(errors > 30, "only {errors} reads noticed");
}

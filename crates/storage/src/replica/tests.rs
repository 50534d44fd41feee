mod faults;
mod model;
mod threads;

use super::*;
use crate::{Batch, Engine, Op, View};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

type Pairs = BTreeMap<Bytes, Bytes>;

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &str, value: &str) -> Op {
    Op::Put(b(key), b(value))
}

fn at(index: u64) -> Applied {
    Applied { index, term: 1, stamp_ms: index * 10, membership: b("members") }
}

fn open(engine: &Arc<dyn Engine>) -> Store {
    Store::open(Arc::clone(engine), StoreOptions::default()).unwrap()
}

fn apply(replica: &Replica, index: u64, ops: Vec<Op>) {
    replica.apply(&[Batch { ops }], at(index)).unwrap();
}

fn scanned(view: &dyn View, start: &[u8], end: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut out = Vec::new();
    view.scan(start, end, &mut |k, v| {
        out.push((Bytes::copy_from_slice(k), v.clone()));
        ControlFlow::Continue(())
    })
    .unwrap();
    out
}

fn scanned_reverse(view: &dyn View, start: &[u8], end: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut out = Vec::new();
    view.scan_reverse(start, end, &mut |k, v| {
        out.push((Bytes::copy_from_slice(k), v.clone()));
        ControlFlow::Continue(())
    })
    .unwrap();
    out
}

/// Everything a replica shows.
fn contents(replica: &Replica) -> Pairs {
    scanned(&replica.read(), b"", &[0xff; 8]).into_iter().collect()
}

/// Everything a snapshot holds, read in chunks.
fn drained(snapshot: &ReplicaSnapshot, max_bytes: usize) -> Pairs {
    let mut out = Pairs::new();
    let mut after: Option<Bytes> = None;
    loop {
        let chunk = snapshot.chunk(after.as_deref(), max_bytes).unwrap();
        for (key, value) in chunk.pairs {
            assert!(after.as_ref().is_none_or(|after| *after < key), "chunks ascend");
            after = Some(key.clone());
            out.insert(key, value);
        }
        if chunk.last {
            return out;
        }
    }
}

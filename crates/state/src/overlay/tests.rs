//! The merged view against the plain meaning of it: all changes made to one map.

use super::{Merged, Overlay};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use storage::{EngineError, View};

type Map = BTreeMap<Bytes, Bytes>;
type Visit<'a> = &'a mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>;

struct Base(Map);

impl View for Base {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        let _ = self.0.iter().filter(|(k, _)| *k >= start && *k < end).try_for_each(|(k, v)| visit(k, v));
        Ok(())
    }

    fn scan_reverse(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        let _ = self.0.iter().rev().filter(|(k, _)| *k >= start && *k < end).try_for_each(|(k, v)| visit(k, v));
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Change {
    Put(u8),
    Delete(u8),
    DeleteRange(u8, u8),
    /// The next change belongs to another proposal.
    Propose,
    /// The oldest proposal is applied.
    Apply,
}

fn change() -> impl Strategy<Value = Change> {
    let key = || 0..16u8;
    prop_oneof![
        6 => key().prop_map(Change::Put),
        3 => key().prop_map(Change::Delete),
        1 => (key(), key()).prop_map(|(a, b)| Change::DeleteRange(a, b)),
        3 => Just(Change::Propose),
        2 => Just(Change::Apply),
    ]
}

fn key(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[n])
}

fn change_map(map: &mut Map, change: &Change, value: &Bytes) {
    match change {
        Change::Put(k) => drop(map.insert(key(*k), value.clone())),
        Change::Delete(k) => drop(map.remove(&key(*k))),
        Change::DeleteRange(a, b) => map.retain(|k, _| k[0] < *a || k[0] >= *b),
        Change::Propose | Change::Apply => {}
    }
}

fn change_overlay(overlay: &mut Overlay, sequence: u64, change: &Change, value: &Bytes) {
    match change {
        Change::Put(k) => drop(overlay.insert(sequence, 0, key(*k), Some(value.clone()))),
        Change::Delete(k) => drop(overlay.insert(sequence, 0, key(*k), None)),
        Change::DeleteRange(a, b) => overlay.insert_range(sequence, key(*a), key(*b)),
        Change::Propose | Change::Apply => {}
    }
}

fn collect(scan: impl FnOnce(Visit<'_>) -> Result<(), EngineError>, limit: usize) -> Vec<(Bytes, Bytes)> {
    let mut out = Vec::new();
    scan(&mut |k, v| {
        out.push((Bytes::copy_from_slice(k), v.clone()));
        if out.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    out
}

proptest! {
    #[test]
    fn the_merged_view_is_what_all_changes_make(
        changes in prop::collection::vec(change(), 0..60),
        (from, to) in (0..18u8, 0..18u8),
        limit in 1..20usize,
    ) {
        let (mut base, mut expected, mut overlay) = (Base(Map::new()), Map::new(), Overlay::new());
        let mut proposals: VecDeque<(u64, Vec<(Change, Bytes)>)> = VecDeque::from([(1, Vec::new())]);
        for (n, change) in changes.iter().enumerate() {
            let value = Bytes::from(n.to_string());
            let newest = proposals.back().map_or(0, |(s, _)| *s);
            match change {
                Change::Propose => proposals.push_back((newest + 1, Vec::new())),
                // The newest proposal is still being built.
                Change::Apply if proposals.len() > 1 => {
                    let (sequence, batch) = proposals.pop_front().unwrap();
                    batch.iter().for_each(|(c, v)| change_map(&mut base.0, c, v));
                    overlay.retire(sequence);
                }
                Change::Apply => {}
                _ => {
                    change_map(&mut expected, change, &value);
                    change_overlay(&mut overlay, newest, change, &value);
                    if let Some((_, batch)) = proposals.back_mut() {
                        batch.push((change.clone(), value));
                    }
                }
            }
            let merged = Merged::new(&base, &overlay);
            for k in 0..16 {
                prop_assert_eq!(merged.get(&key(k)).unwrap(), expected.get(&key(k)).cloned());
            }
            let (from, to) = (key(from), key(to));
            let mut within: Vec<_> = expected.clone().into_iter().filter(|(k, _)| *k >= from && *k < to).collect();
            let all = within.len();
            prop_assert_eq!(collect(|v| merged.scan(&from, &to, v), limit), &within[..all.min(limit)]);
            within.reverse();
            prop_assert_eq!(collect(|v| merged.scan_reverse(&from, &to, v), limit), &within[..all.min(limit)]);
        }
        overlay.retire(u64::MAX);
        prop_assert!(overlay.is_empty());
        prop_assert_eq!(overlay.bytes(), 0);
    }
}

//! What must hold whatever happens.

use crate::{Entry, EntryKind};
use bytes::Bytes;
use std::collections::BTreeMap;

type Content = (u64, EntryKind, Bytes);

/// What all replicas together have shown so far.
#[derive(Default)]
pub struct Checker {
    leaders: BTreeMap<u64, u64>,
    committed: BTreeMap<u64, Content>,
    written: BTreeMap<(u64, u64), (u64, EntryKind, Bytes)>,
    /// The highest term of a decided entry, and the highest decided index.
    pub decided_term: u64,
    pub decided_index: u64,
    /// How often each kind of event was seen: proof that something was tested.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Checker {
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// One leader per term.
    pub fn leads(&mut self, term: u64, node: u64) {
        let known = *self.leaders.entry(term).or_insert_with(|| {
            *self.counts.entry("leaders").or_default() += 1;
            node
        });
        assert_eq!(known, node, "term {term} has two leaders: n{known} and n{node}");
    }

    /// Log matching: entries with equal index and term are equal, and so is all before them.
    pub fn written(&mut self, previous_term: u64, entry: &Entry) {
        let content = (previous_term, entry.kind, entry.data.clone());
        let known = self.written.entry((entry.index, entry.term)).or_insert_with(|| content.clone());
        assert_eq!(*known, content, "entry {} of term {} differs between two logs", entry.index, entry.term);
    }

    /// A decided entry is the same everywhere, for ever.
    pub fn decided(&mut self, node: u64, entry: &Entry) {
        let content = (entry.term, entry.kind, entry.data.clone());
        let known = self.committed.entry(entry.index).or_insert_with(|| content.clone());
        assert_eq!(*known, content, "n{node} was given another entry {} than was decided", entry.index);
        self.count("decided");
        self.decided_term = self.decided_term.max(entry.term);
        self.decided_index = self.decided_index.max(entry.index);
    }

    /// At most one lease, and none while something newer is decided. `leases` has node and term.
    pub fn leases(&mut self, leases: &[(u64, u64)]) {
        assert!(leases.len() <= 1, "two leases at once: {leases:?}");
        if let [(node, term)] = leases {
            self.count("lease");
            let decided = self.decided_term;
            assert!(
                decided <= *term,
                "n{node} has a lease of term {term} although an entry of term {decided} is decided"
            );
        }
    }
}

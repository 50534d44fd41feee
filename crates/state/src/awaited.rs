//! Keys that clients wait for on a shard's leader, and which of them were touched: those who wait are then asked again.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which keys somebody waits for. Kept in memory for one reign.
#[derive(Debug, Default)]
pub struct Awaited {
    /// database → user key → how many wait for it.
    keys: BTreeMap<u16, BTreeMap<Bytes, usize>>,
    /// In the order of their first touch, each once.
    touched: VecDeque<(u16, Bytes)>,
    queued: BTreeSet<(u16, Bytes)>,
}

impl Awaited {
    /// One more waits for `key`.
    pub fn add(&mut self, db: u16, key: &Bytes) {
        *self.keys.entry(db).or_default().entry(key.clone()).or_default() += 1;
    }

    /// One less waits for `key`.
    pub fn remove(&mut self, db: u16, key: &Bytes) {
        let Some(keys) = self.keys.get_mut(&db) else { return };
        let Some(count) = keys.get_mut(key) else { return };
        *count -= 1;
        if *count == 0 {
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(&db);
            }
        }
    }

    /// The next key that was touched since it was last returned.
    pub fn next_touched(&mut self) -> Option<(u16, Bytes)> {
        let next = self.touched.pop_front()?;
        self.queued.remove(&next);
        Some(next)
    }

    /// How many touched keys are to be returned.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.touched.len()
    }

    /// Forgets keys touched since there were `before` of them.
    pub fn forget_touched(&mut self, before: usize) {
        while self.touched.len() > before
            && let Some(last) = self.touched.pop_back()
        {
            self.queued.remove(&last);
        }
    }

    /// The key was changed: written, removed or replaced.
    pub(crate) fn touch(&mut self, db: u16, key: &[u8]) {
        let Some((key, _)) = self.keys.get(&db).and_then(|keys| keys.get_key_value(key)) else { return };
        if self.queued.insert((db, key.clone())) {
            self.touched.push_back((db, key.clone()));
        }
    }

    /// All that is awaited in a database may have changed.
    pub(crate) fn touch_all(&mut self, db: u16) {
        let keys: Vec<Bytes> = self.keys.get(&db).map(|keys| keys.keys().cloned().collect()).unwrap_or_default();
        keys.iter().for_each(|key| self.touch(db, key));
    }
}

#[cfg(test)]
mod tests {
    use super::Awaited;
    use bytes::Bytes;

    #[test]
    fn touched_keys_come_once_in_the_order_of_their_first_touch() {
        let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        let mut awaited = Awaited::default();
        awaited.add(0, &a);
        awaited.add(0, &b);
        awaited.add(0, &b);
        for key in [&b[..], b"c", b"a", b"b"] {
            awaited.touch(0, key);
        }
        awaited.touch(1, b"a");
        let mut all = Vec::new();
        while let Some((db, key)) = awaited.next_touched() {
            all.push((db, key));
        }
        assert_eq!(all, [(0, b.clone()), (0, a)]);
        awaited.remove(0, &b);
        awaited.touch_all(0);
        assert!(awaited.next_touched().is_some(), "one still waits");
        awaited.remove(0, &b);
        assert_eq!(awaited.keys.len(), 1);
    }
}

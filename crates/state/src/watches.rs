//! What sessions WATCH on a shard's leader: kept in memory for one reign, cleared with the overlay.

use bytes::Bytes;
use command::SessionId;
use std::collections::BTreeMap;

/// Keys that one session may watch in one shard, so that one client cannot fill the table.
const SESSION_LIMIT: usize = 16_384;
/// Watched keys of all sessions of one shard; about 100 bytes each.
const SHARD_LIMIT: usize = 262_144;

/// Who watches what.
#[derive(Debug, Default)]
pub struct Watches {
    /// database → user key → sessions, in the order they came.
    keys: BTreeMap<u16, BTreeMap<Bytes, Vec<SessionId>>>,
    sessions: BTreeMap<SessionId, Session>,
    total: usize,
}

#[derive(Debug, Default)]
struct Session {
    dirty: bool,
    keys: BTreeMap<(u16, Bytes), Watched>,
}

/// A watched key as it was when WATCH ran.
#[derive(Clone, Copy, Debug)]
enum Watched {
    /// Absent, or present without expiry.
    Steady,
    /// It expires then, which counts as a change.
    Expires(u64),
    /// It was logically gone already: removing its remains changes nothing.
    Gone,
}

/// What became of a session's watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing it watched changed.
    Clean,
    /// Something changed: EXEC must abort.
    Dirty,
    /// This leader does not know the session: when it watched anything, EXEC must abort.
    Unknown,
}

/// Why a WATCH was refused: too many keys are watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("ERR too many watched keys")]
pub struct TooManyWatched;

impl Watches {
    /// An empty table.
    #[must_use]
    pub fn new() -> Watches {
        Watches::default()
    }

    /// Forgets everything: the next EXEC of every session that watched is `Unknown` and aborts.
    pub fn clear(&mut self) {
        *self = Watches::default();
    }

    /// Makes every watch dirty: what it started from is not what will be.
    pub fn spoil(&mut self) {
        self.sessions.values_mut().for_each(|s| s.dirty = true);
    }

    /// `session` adds to what it watches already. When that is not known here, another leader knew it: some of it may have
    /// changed since.
    pub fn resume(&mut self, session: SessionId) {
        self.sessions.entry(session).or_insert_with(|| Session { dirty: true, ..Session::default() });
    }

    /// Forgets what `session` watches: UNWATCH, DISCARD, or the connection closed.
    pub fn unwatch(&mut self, session: SessionId) {
        let Some(gone) = self.sessions.remove(&session) else { return };
        for (db, key) in gone.keys.into_keys() {
            self.total -= 1;
            let Some(keys) = self.keys.get_mut(&db) else { continue };
            if let Some(who) = keys.get_mut(&key) {
                who.retain(|s| *s != session);
                if who.is_empty() {
                    keys.remove(&key);
                }
            }
        }
        self.keys.retain(|_, keys| !keys.is_empty());
    }

    /// Ends what `session` watches and says whether any of it changed; keys that expired meanwhile count as changed.
    pub fn take(&mut self, session: SessionId, now_ms: u64) -> Outcome {
        let Some(s) = self.sessions.get(&session) else { return Outcome::Unknown };
        let expired = s.keys.values().any(|w| matches!(w, Watched::Expires(at) if now_ms > *at));
        let outcome = if s.dirty || expired { Outcome::Dirty } else { Outcome::Clean };
        self.unwatch(session);
        outcome
    }

    /// Files a watch on `key`. `expire_ms` is the key's expiry if it exists.
    pub(crate) fn add(
        &mut self,
        session: SessionId,
        db: u16,
        key: &Bytes,
        expire_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<(), TooManyWatched> {
        let total = self.total;
        let s = self.sessions.entry(session).or_default();
        if s.keys.contains_key(&(db, key.clone())) {
            return Ok(());
        }
        if s.keys.len() >= SESSION_LIMIT || total >= SHARD_LIMIT {
            return Err(TooManyWatched);
        }
        let watched = match expire_ms {
            None => Watched::Steady,
            Some(at) if now_ms > at => Watched::Gone,
            Some(at) => Watched::Expires(at),
        };
        s.keys.insert((db, key.clone()), watched);
        self.keys.entry(db).or_default().entry(key.clone()).or_default().push(session);
        self.total += 1;
        Ok(())
    }

    /// The key was changed.
    pub(crate) fn touch(&mut self, db: u16, key: &[u8]) {
        if self.total > 0 {
            self.mark(db, key, false);
        }
    }

    /// The remains of an expired key were removed: a change only for those who watched it while it lived.
    pub(crate) fn touch_expired(&mut self, db: u16, key: &[u8]) {
        if self.total > 0 {
            self.mark(db, key, true);
        }
    }

    fn mark(&mut self, db: u16, key: &[u8], remains: bool) {
        let Some(who) = self.keys.get(&db).and_then(|keys| keys.get(key)) else { return };
        let filed = (db, Bytes::copy_from_slice(key));
        for session in who {
            let Some(s) = self.sessions.get_mut(session) else { continue };
            match s.keys.get_mut(&filed) {
                Some(watched @ Watched::Gone) if remains => *watched = Watched::Steady,
                _ => s.dirty = true,
            }
        }
    }

    /// The keys watched in a database.
    pub(crate) fn watched_in(&self, db: u16) -> Vec<Bytes> {
        self.keys.get(&db).map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, SESSION_LIMIT, TooManyWatched, Watches};
    use bytes::Bytes;
    use command::SessionId;
    use stdx::NodeId;

    const A: SessionId = SessionId { node: NodeId(1), client: 1 };
    const K: Bytes = Bytes::from_static(b"k");

    fn watching(expire_ms: Option<u64>, now_ms: u64) -> Watches {
        let mut w = Watches::new();
        w.add(A, 0, &K, expire_ms, now_ms).unwrap();
        w
    }

    #[test]
    fn a_touched_key_is_dirty_and_another_is_not() {
        let mut w = watching(None, 5);
        w.touch(1, b"k");
        w.touch(0, b"other");
        assert_eq!(w.take(A, 5), Outcome::Clean);
        assert_eq!(w.take(A, 5), Outcome::Unknown);
        let mut w = watching(None, 5);
        w.touch(0, b"k");
        assert_eq!(w.take(A, 5), Outcome::Dirty);
        assert_eq!(w.total, 0);
    }

    #[test]
    fn a_session_that_another_leader_knew_is_dirty() {
        let mut w = Watches::new();
        w.resume(A);
        w.add(A, 0, &K, None, 5).unwrap();
        assert_eq!(w.take(A, 5), Outcome::Dirty);
        let mut w = watching(None, 5);
        w.resume(A);
        assert_eq!(w.take(A, 5), Outcome::Clean, "it was known here");
    }

    #[test]
    fn expiry_of_a_live_key_is_a_change_and_of_a_gone_key_is_not() {
        assert_eq!(watching(Some(10), 5).take(A, 10), Outcome::Clean);
        assert_eq!(watching(Some(10), 5).take(A, 11), Outcome::Dirty);
        let mut w = watching(Some(10), 11);
        w.touch_expired(0, b"k");
        assert_eq!(w.take(A, 12), Outcome::Clean);
        let mut w = watching(Some(10), 11);
        w.touch_expired(0, b"k");
        w.touch(0, b"k");
        assert_eq!(w.take(A, 12), Outcome::Dirty);
    }

    #[test]
    fn one_session_cannot_fill_the_table() {
        let mut w = Watches::new();
        for i in 0..SESSION_LIMIT {
            w.add(A, 0, &Bytes::from(i.to_string()), None, 0).unwrap();
        }
        assert_eq!(w.add(A, 0, &Bytes::from_static(b"one more"), None, 0), Err(TooManyWatched));
        w.unwatch(A);
        assert!(w.keys.is_empty());
    }
}

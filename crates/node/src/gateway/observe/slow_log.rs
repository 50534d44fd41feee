//! SLOWLOG: the commands of this node's clients that took longest to answer.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Words of a command that are kept, and bytes of a word, as in Redis.
const WORDS_MAX: usize = 32;
const WORD_BYTES_MAX: usize = 128;

/// A command that was slow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlowCall {
    /// Rises by one; starts at 0.
    pub id: u64,
    /// When it was answered, in seconds since 1970.
    pub at_s: u64,
    /// How long that took, in microseconds.
    pub took_us: u64,
    /// Its words, without what is secret or too long.
    pub words: Vec<Bytes>,
    /// The client's address.
    pub addr: String,
    /// CLIENT SETNAME.
    pub name: String,
}

/// The newest slow commands.
#[derive(Debug, Default)]
pub struct SlowLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// The newest first.
    calls: VecDeque<SlowCall>,
}

impl SlowLog {
    /// Adds a call, whose number is given here; at most `most` are kept.
    pub fn add(&self, call: SlowCall, most: usize) {
        let mut inner = self.inner.lock();
        let id = inner.next;
        inner.next += 1;
        inner.calls.push_front(SlowCall { id, ..call });
        inner.calls.truncate(most);
    }

    /// The newest calls, at most `count`.
    pub fn newest(&self, count: usize) -> Vec<SlowCall> {
        self.inner.lock().calls.iter().take(count).cloned().collect()
    }

    /// How many are kept.
    pub fn count(&self) -> usize {
        self.inner.lock().calls.len()
    }

    /// Forgets all; numbers go on.
    pub fn reset(&self) {
        self.inner.lock().calls.clear();
    }
}

/// Words as they are kept: copies, so that nothing larger stays in memory for them.
pub fn trimmed(words: &[Bytes]) -> Vec<Bytes> {
    let shown = if words.len() > WORDS_MAX { WORDS_MAX - 1 } else { words.len() };
    let word = |word: &Bytes| match word.len().checked_sub(WORD_BYTES_MAX) {
        None | Some(0) => Bytes::copy_from_slice(word),
        Some(more) => [&word[..WORD_BYTES_MAX], format!("... ({more} more bytes)").as_bytes()].concat().into(),
    };
    let mut out: Vec<Bytes> = words[..shown].iter().map(word).collect();
    if shown < words.len() {
        out.push(format!("... ({} more arguments)", words.len() - shown).into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{SlowCall, SlowLog, trimmed};
    use bytes::Bytes;

    #[test]
    fn long_commands_are_cut() {
        let cut = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|w| Bytes::copy_from_slice(w.as_bytes())).collect();
            trimmed(&words).iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cut(&["a"; 32]), ["a"; 32]);
        assert_eq!(cut(&["a"; 33])[30..], ["a", "... (2 more arguments)"]);
        let (whole, long) = ("b".repeat(128), "b".repeat(129));
        assert_eq!(cut(&[&whole, &long]), [whole.clone(), whole + "... (1 more bytes)"]);
    }

    #[test]
    fn the_newest_stay() {
        let log = SlowLog::default();
        for took_us in 0..5 {
            let call = SlowCall { id: 0, at_s: 1, took_us, words: vec![], addr: String::new(), name: String::new() };
            log.add(call, 3);
        }
        let ids = |count| log.newest(count).iter().map(|c| (c.id, c.took_us)).collect::<Vec<_>>();
        assert_eq!(ids(2), [(4, 4), (3, 3)]);
        assert_eq!((ids(9).len(), log.count()), (3, 3));
        log.reset();
        assert_eq!(log.count(), 0);
    }
}

//! Read barriers: "which index must be applied before a read that arrived now may be served?" (ReadIndex, Raft
//! dissertation 6.4). Barriers that arrive between two rounds share one exchange of heartbeats.

use std::collections::VecDeque;

/// One pending linearizable read. Never used twice by a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Barrier(u64);

/// Barriers waiting at once; beyond it reads are refused as busy. Each costs eight bytes here and a request elsewhere.
const PENDING_MAX: usize = 1 << 16;

/// Exchanges on their way at once; while so many are, further barriers wait for the next one together.
const ROUNDS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Barriers {
    issued: u64,
    rounds_begun: u64,
    open: Vec<Barrier>,
    rounds: VecDeque<(u64, Vec<Barrier>)>,
    pending: usize,
    done: Vec<(Barrier, u64)>,
    lost: Vec<Barrier>,
}

impl Barriers {
    /// A barrier for the next round; `None` when too many wait.
    pub fn open(&mut self) -> Option<Barrier> {
        if self.pending >= PENDING_MAX {
            return None;
        }
        self.issued += 1;
        self.pending += 1;
        let barrier = Barrier(self.issued);
        self.open.push(barrier);
        Some(barrier)
    }

    /// The context of a round for everything that is open, if there is anything and room for a round.
    pub fn begin_round(&mut self) -> Option<[u8; 8]> {
        if self.open.is_empty() || self.rounds.len() >= ROUNDS_MAX {
            return None;
        }
        self.rounds_begun += 1;
        self.rounds.push_back((self.rounds_begun, std::mem::take(&mut self.open)));
        Some(self.rounds_begun.to_le_bytes())
    }

    /// A quorum confirmed the round of `context`: its barriers may read at `index`.
    pub fn complete(&mut self, context: &[u8], index: u64) {
        let Ok(bytes) = <[u8; 8]>::try_from(context) else {
            return;
        };
        let round = u64::from_le_bytes(bytes);
        if let Some(at) = self.rounds.iter().position(|(r, _)| *r == round)
            && let Some((_, barriers)) = self.rounds.remove(at)
        {
            self.done.extend(barriers.into_iter().map(|b| (b, index)));
        }
    }

    /// Leadership is gone: nothing pending can complete.
    pub fn lose_all(&mut self) {
        for (_, barriers) in self.rounds.drain(..) {
            self.lost.extend(barriers);
        }
        self.lost.append(&mut self.open);
    }

    pub fn is_pending(&self) -> bool {
        self.pending > 0
    }

    pub fn has_results(&self) -> bool {
        !self.done.is_empty() || !self.lost.is_empty()
    }

    /// Barriers with their index, and barriers that must start again.
    pub fn take_results(&mut self) -> (Vec<(Barrier, u64)>, Vec<Barrier>) {
        self.pending -= self.done.len() + self.lost.len();
        (std::mem::take(&mut self.done), std::mem::take(&mut self.lost))
    }
}

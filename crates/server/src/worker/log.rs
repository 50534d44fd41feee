//! The thread that writes a worker's log: everything queued becomes one round, one write and one fsync.

use crate::clock;
use crate::inbox::{Hurry, Outlet, Round};
use crate::node::Node;
use node::ConsensusInput;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use storage::Disk;
use storage::log::{LogError, LogWriter, Record, WriteSet};

/// Payload after which a round takes no further write set, in bytes: bounds its memory and how long its first one waits.
const ROUND_BYTES_TARGET: usize = 64 * 1024 * 1024;
/// How long the thread waits for work before it looks for segments to free.
const IDLE: Duration = Duration::from_millis(200);
/// How often segments to free are looked for under load, in rounds.
const RECLAIM_ROUNDS: u64 = 512;
/// Pause before a write that found no room is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(100);
/// Room for entries below which proposals are refused, before the log itself has to refuse.
const HEADROOM_MIN_BYTES: u64 = 32 * 1024 * 1024;

/// What the thread owns.
pub struct LogThread<D: Disk> {
    /// The process.
    pub node: Arc<Node>,
    /// Its worker's number.
    pub worker: usize,
    /// The log.
    pub writer: LogWriter<D>,
    /// Its queue: tickets and what to make durable under them, in order.
    pub queue: Outlet<(u64, WriteSet)>,
}

impl<D: Disk> LogThread<D> {
    /// Runs until told to stop, or until the log cannot be written any more.
    pub fn run(mut self) {
        if let Err(error) = self.write_all() {
            self.node.fail(format!("the log of worker {} failed: {error}", self.worker));
        }
    }

    fn write_all(&mut self) -> Result<(), LogError> {
        let mut full = false;
        let mut rounds: u64 = 0;
        let mut marked = true;
        let mut queued = Vec::new();
        loop {
            let stop = self.queue.receive(IDLE, &mut queued) == Round::Stop;
            let idle = queued.is_empty();
            for Batch { set, tickets, .. } in batches(&mut queued) {
                self.persist(&set, &mut full)?;
                let mut done: Vec<_> = tickets.into_iter().map(ConsensusInput::Persisted).collect();
                self.inbox().bring_consensus(&mut done, Hurry::Now);
                rounds += 1;
                marked = false;
            }
            if idle && !marked {
                // Proves to the next start that everything before was synced.
                marked = true;
                self.persist(&WriteSet::default(), &mut full)?;
            }
            if (!marked && rounds.is_multiple_of(RECLAIM_ROUNDS)) || idle {
                self.reclaim()?;
            }
            self.watch_room(&mut full);
            if stop {
                return self.persist(&WriteSet::default(), &mut full);
            }
        }
    }

    fn inbox(&self) -> &crate::node::WorkerInbox {
        &self.node.workers[self.worker]
    }

    /// Writes and syncs one round. Without room it waits: what was promised to be persisted must be, in order, and new
    /// proposals are refused meanwhile.
    fn persist(&mut self, set: &WriteSet, full: &mut bool) -> Result<(), LogError> {
        loop {
            match self.timed(|writer| writer.append(set)) {
                Ok(()) => break,
                Err(LogError::Full) => {
                    if self.node.is_stopping() {
                        return Err(LogError::Full);
                    }
                    self.set_full(full, true);
                    self.reclaim()?;
                    std::thread::sleep(FULL_PAUSE);
                }
                Err(LogError::Damaged(damage)) if damage.shard.is_some() => {
                    // The shard's log is fenced: its records are left out, the other groups go on.
                    self.rebuild(damage.shard.unwrap_or_default(), damage.to_string());
                    let rest: Vec<Record> =
                        set.records.iter().filter(|r| Some(r.shard()) != damage.shard).cloned().collect();
                    return self.persist(&WriteSet { records: rest }, full);
                }
                Err(error) => return Err(error),
            }
        }
        self.timed(LogWriter::sync)
    }

    /// Runs what may have to wait for the disk, so that others see for how long it does.
    fn timed<T>(&mut self, f: impl FnOnce(&mut LogWriter<D>) -> T) -> T {
        let since = &self.node.workers[self.worker].writing_since;
        since.store(clock::now().0, Relaxed);
        let done = f(&mut self.writer);
        since.store(0, Relaxed);
        done
    }

    /// A shard's log is damaged: the shard is rebuilt from its peers, the others go on.
    fn rebuild(&self, shard: stdx::ShardId, why: String) {
        self.inbox().consensus.send(ConsensusInput::Rebuild(shard, why));
    }

    fn reclaim(&mut self) -> Result<(), LogError> {
        match self.timed(LogWriter::reclaim) {
            Ok(done) => {
                for damage in done.damaged {
                    if let Some(shard) = damage.shard {
                        self.rebuild(shard, damage.to_string());
                    }
                }
                Ok(())
            }
            // The log goes on as it was, and a later attempt may find room.
            Err(LogError::Full) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn watch_room(&mut self, full: &mut bool) {
        let headroom = self.writer.headroom();
        if headroom < HEADROOM_MIN_BYTES {
            self.set_full(full, true);
        } else if headroom >= 2 * HEADROOM_MIN_BYTES {
            self.set_full(full, false);
        }
    }

    fn set_full(&self, full: &mut bool, now: bool) {
        if *full != now {
            *full = now;
            if now {
                tracing::error!(
                    worker = self.worker,
                    "the disk is full: leaderships go to nodes with room; if none has any, writes are refused"
                );
            } else {
                tracing::info!(worker = self.worker, "the disk has room again");
            }
            self.inbox().full.store(now, Relaxed);
            self.inbox().consensus.send(ConsensusInput::DiskFull(now));
        }
    }
}

/// Write sets that one round makes durable.
struct Batch {
    set: WriteSet,
    tickets: Vec<u64>,
    bytes: usize,
}

/// What is queued, in rounds; nearly always one.
fn batches(queued: &mut Vec<(u64, WriteSet)>) -> Vec<Batch> {
    let mut out: Vec<Batch> = Vec::new();
    for (ticket, set) in queued.drain(..) {
        let bytes: usize = set.records.iter().map(payload).sum();
        match out.last_mut() {
            Some(batch) if batch.bytes < ROUND_BYTES_TARGET => {
                batch.tickets.push(ticket);
                batch.bytes += bytes;
                batch.set.records.extend(set.records);
            }
            _ => out.push(Batch { set, tickets: vec![ticket], bytes }),
        }
    }
    out
}

fn payload(record: &Record) -> usize {
    match record {
        Record::Entries { entries, .. } => entries.iter().map(|e| e.data.len()).sum(),
        Record::HardState { .. } | Record::Start { .. } | Record::Remove { .. } => 0,
    }
}

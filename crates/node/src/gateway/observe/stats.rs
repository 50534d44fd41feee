//! Counters that INFO reports and CONFIG RESETSTAT clears.

use super::histogram::Histogram;
use command::{COMMAND_COUNT, Reply, Spec, specs};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Different error codes counted at most; further ones are counted together.
const ERROR_CODES_MAX: usize = 128;
/// The code under which errors beyond `ERROR_CODES_MAX` are counted.
const OTHER_ERRORS: &str = "OTHER";

/// Calls of one command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Calls {
    /// How often it was run.
    pub calls: u64,
    /// How often it was refused before it ran (arity, routing).
    pub rejected: u64,
    /// How often it answered an error.
    pub failed: u64,
    /// How long those that ran took to be answered, together, in nanoseconds.
    pub nanos: u64,
}

/// Counters of one command, on a cache line of their own: two busy commands must not slow each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Row {
    calls: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
    times: OnceLock<Histogram>,
}

/// Counters of the whole node.
#[derive(Debug)]
pub struct Stats {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub rejected_connections: AtomicU64,
    /// Bytes read from clients.
    pub bytes_in: AtomicU64,
    /// Bytes written to clients.
    pub bytes_out: AtomicU64,
    /// Commands processed.
    pub commands: AtomicU64,
    /// Reads answered from the local replica under a lease.
    pub local_reads: AtomicU64,
    /// Error replies sent.
    pub errors: AtomicU64,
    by_command: Box<[Row]>,
    by_error: Mutex<BTreeMap<String, u64>>,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            connections: AtomicU64::default(),
            rejected_connections: AtomicU64::default(),
            bytes_in: AtomicU64::default(),
            bytes_out: AtomicU64::default(),
            commands: AtomicU64::default(),
            local_reads: AtomicU64::default(),
            errors: AtomicU64::default(),
            by_command: (0..COMMAND_COUNT).map(|_| Row::default()).collect(),
            by_error: Mutex::default(),
        }
    }
}

impl Stats {
    /// Counts an error reply under its first word.
    pub fn error(&self, line: &str) {
        self.errors.fetch_add(1, Relaxed);
        let code = line.split(' ').next().unwrap_or(OTHER_ERRORS);
        let mut codes = self.by_error.lock();
        if let Some(n) = codes.get_mut(code) {
            *n += 1;
        } else {
            let code = if codes.len() < ERROR_CODES_MAX { code } else { OTHER_ERRORS };
            *codes.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// Counts `reply` if it is an error.
    pub fn reply(&self, reply: &Reply) {
        if let Reply::Error(line) = reply {
            self.error(line);
        }
    }

    /// Calls of commands that were called, by name.
    #[must_use]
    pub fn by_command(&self) -> Vec<(&'static str, Calls)> {
        let read = |row: &Row| Calls {
            calls: row.calls.load(Relaxed),
            rejected: row.rejected.load(Relaxed),
            failed: row.failed.load(Relaxed),
            nanos: row.nanos.load(Relaxed),
        };
        let all = specs().iter().map(|spec| (spec.name, read(&self.by_command[spec.id.index()])));
        all.filter(|(_, calls)| *calls != Calls::default()).collect()
    }

    /// How long calls of a command took; `None` when none was counted.
    pub(in crate::gateway) fn times(&self, spec: &Spec) -> Option<&Histogram> {
        self.by_command[spec.id.index()].times.get().filter(|times| times.count() > 0)
    }

    /// Errors by code.
    #[must_use]
    pub fn by_error(&self) -> Vec<(String, u64)> {
        self.by_error.lock().iter().map(|(code, n)| (code.clone(), *n)).collect()
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        for counter in [
            &self.connections,
            &self.rejected_connections,
            &self.bytes_in,
            &self.bytes_out,
            &self.commands,
            &self.local_reads,
            &self.errors,
        ] {
            counter.store(0, Relaxed);
        }
        for row in &self.by_command {
            for counter in [&row.calls, &row.rejected, &row.failed, &row.nanos] {
                counter.store(0, Relaxed);
            }
            if let Some(times) = row.times.get() {
                times.reset();
            }
        }
        self.by_error.lock().clear();
    }
}

/// What one connection counted since it last told the node: most batches hold one or two different commands.
#[derive(Debug, Default)]
pub struct Tally {
    seen: smallvec::SmallVec<[(&'static Spec, Calls); 4]>,
    /// Calls that took the same time, in nanoseconds: a batch is measured together.
    times: smallvec::SmallVec<[(&'static Spec, u64, u64); 4]>,
    local_reads: u64,
    last: Option<&'static str>,
}

impl Tally {
    /// Notes a command that was understood.
    pub(super) fn taken_up(&mut self, spec: &'static Spec) {
        self.last = Some(spec.name);
    }

    /// Counts a call, and whether it answered an error.
    pub(super) fn called(&mut self, spec: &'static Spec, failed: bool) {
        let calls = self.entry(spec);
        calls.calls += 1;
        calls.failed += u64::from(failed);
    }

    /// Counts a command that was refused before it ran.
    pub(super) fn rejected(&mut self, spec: &'static Spec) {
        self.entry(spec).rejected += 1;
    }

    /// Adds how long `n` calls took, each.
    pub(super) fn took(&mut self, spec: &'static Spec, nanos: u64, n: u64) {
        self.entry(spec).nanos += nanos * n;
        match self.times.last_mut() {
            Some((last, same, count)) if *last == spec && *same == nanos => *count += n,
            _ => self.times.push((spec, nanos, n)),
        }
    }

    /// Counts a read served without visiting a worker.
    pub fn local_read(&mut self) {
        self.local_reads += 1;
    }

    /// The command taken up last.
    #[must_use]
    pub fn last(&self) -> Option<&'static str> {
        self.last
    }

    fn entry(&mut self, spec: &'static Spec) -> &mut Calls {
        let at = self.seen.iter().position(|(s, _)| *s == spec).unwrap_or_else(|| {
            self.seen.push((spec, Calls::default()));
            self.seen.len() - 1
        });
        &mut self.seen[at].1
    }

    /// Adds everything to the node's counters. `tracks`: how long calls took is counted by command.
    pub fn flush(&mut self, stats: &Stats, tracks: bool) {
        if self.seen.is_empty() {
            return;
        }
        let mut commands = 0;
        for (spec, calls) in self.seen.drain(..) {
            let row = &stats.by_command[spec.id.index()];
            commands += calls.calls;
            for (counter, n) in [
                (&row.calls, calls.calls),
                (&row.rejected, calls.rejected),
                (&row.failed, calls.failed),
                (&row.nanos, calls.nanos),
            ] {
                if n > 0 {
                    counter.fetch_add(n, Relaxed);
                }
            }
        }
        for (spec, nanos, n) in self.times.drain(..) {
            if tracks {
                stats.by_command[spec.id.index()].times.get_or_init(Histogram::default).record(nanos, n);
            }
        }
        stats.commands.fetch_add(commands, Relaxed);
        if self.local_reads > 0 {
            stats.local_reads.fetch_add(std::mem::take(&mut self.local_reads), Relaxed);
        }
    }
}

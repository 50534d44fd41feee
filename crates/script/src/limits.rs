//! What a script may use, and how it is noticed that it uses more.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use stdx::Mono;

/// What one run of a script may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Instructions of the interpreter. Counted the same in every run, so that a simulation repeats.
    pub instructions: u64,
    /// Memory beyond the interpreter's own, bytes.
    pub memory_bytes: usize,
    /// How long it may take, and the shell's clock to measure it with. Without a clock instructions alone are counted.
    pub time: Option<(Duration, fn() -> Mono)>,
}

impl Limits {
    /// The default limits, without a clock. An instruction takes a few nanoseconds.
    pub const DEFAULT: Limits = Limits { instructions: 1_000_000_000, memory_bytes: 64 << 20, time: None };
}

/// Why a script was ended before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It took more instructions or more time than it may.
    Time,
    /// It took more memory than it may.
    Memory,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ended::Time => "ERR the script ran for longer than a script may and was ended; nothing was written",
            Ended::Memory => "ERR the script took more memory than a script may and was ended; nothing was written",
        })
    }
}

/// Instructions between two looks at the clock.
pub(crate) const STRIDE: u32 = 1_000;
/// What a command counts for, in instructions.
pub(crate) const CALL_INSTRUCTIONS: u32 = 200;

const RUNS: u8 = 0;
const TOO_LONG: u8 = 1;
const HALTED: u8 = 2;

/// What the run under way has used. The interpreter's hook and the functions that scripts call share it.
#[derive(Debug)]
pub(crate) struct Meter {
    clock: Option<(Duration, fn() -> Mono)>,
    left: AtomicI64,
    used: AtomicU64,
    deadline: AtomicU64,
    state: AtomicU8,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Meter {
        let meter = Meter {
            clock: limits.time,
            left: AtomicI64::new(0),
            used: AtomicU64::new(0),
            deadline: AtomicU64::new(u64::MAX),
            state: AtomicU8::new(RUNS),
        };
        meter.start(limits);
        meter
    }

    /// A run begins.
    pub(crate) fn start(&self, limits: &Limits) {
        self.left.store(i64::try_from(limits.instructions).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
        let deadline = self.clock.map_or(u64::MAX, |(limit, clock)| (clock() + limit).0);
        self.deadline.store(deadline, Ordering::Relaxed);
        self.state.store(RUNS, Ordering::Relaxed);
    }

    /// Counts instructions; whether the run may go on.
    pub(crate) fn spend(&self, instructions: u32) -> bool {
        if self.state.load(Ordering::Relaxed) != RUNS {
            return false;
        }
        self.used.fetch_add(u64::from(instructions), Ordering::Relaxed);
        let left = self.left.fetch_sub(i64::from(instructions), Ordering::Relaxed);
        let late = self.clock.is_some_and(|(_, clock)| clock().0 > self.deadline.load(Ordering::Relaxed));
        if left < i64::from(instructions) || late {
            self.state.store(TOO_LONG, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// The host wants the run to end.
    pub(crate) fn halt(&self) {
        self.state.store(HALTED, Ordering::Relaxed);
    }

    /// Whether the run must end.
    pub(crate) fn is_over(&self) -> bool {
        self.state.load(Ordering::Relaxed) != RUNS
    }

    /// Whether the run used up its time.
    pub(crate) fn ran_out(&self) -> bool {
        self.state.load(Ordering::Relaxed) == TOO_LONG
    }

    /// Instructions of this run so far, in whole strides.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

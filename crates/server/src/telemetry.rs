//! Structured logs on standard error, and what the process uses.

use crate::config::{LogFormat, Logging};
use node::gateway::Usage;
use std::io::IsTerminal as _;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. A second call changes nothing.
pub fn init(config: &Logging) {
    let human = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder =
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::from_level(config.level));
    let result = if human {
        builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    // Somebody (a test) has installed a subscriber before: theirs stays.
    drop(result);
}

/// Microseconds of one tick of the kernel's process accounting (`USER_HZ` is 100 on every Linux port Rust supports).
const TICK_US: u64 = 10_000;

/// Memory and processor time of this process; what cannot be read is 0.
#[must_use]
pub fn usage() -> Usage {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |field: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(field));
        line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may contain blanks; the fields after it do not.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Usage {
        resident: kib("VmRSS:"),
        resident_peak: kib("VmHWM:"),
        cpu_user_us: ticks(11) * TICK_US,
        cpu_system_us: ticks(12) * TICK_US,
    }
}

/// Bytes of main memory; 0 when unknown.
#[must_use]
pub fn memory_total() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

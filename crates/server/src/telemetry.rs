//! Structured logs on standard error, and what the process uses.

use crate::config::{LogFormat, Logging};
use node::gateway::Usage;
use std::io::IsTerminal as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Our own crates; others are heard only when they warn.
const OWN: [&str; 3] = ["server", "node", "polder"];

/// Starts logging. A second call changes nothing.
pub fn init(config: &Logging) {
    let human = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let level = LevelFilter::from_level(config.level);
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(OWN.map(|name| (name, level)));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let result = if human {
        registry.with(lines.with_target(false).with_ansi(std::io::stderr().is_terminal())).try_init()
    } else {
        registry.with(lines.json().flatten_event(true)).try_init()
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

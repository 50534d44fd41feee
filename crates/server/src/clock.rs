//! The two clocks. Everything else is told the time.

use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};
use stdx::{Mono, WallMs};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The clock that runs through pauses and suspension: leases and timeouts are measured with it.
#[must_use]
pub fn now() -> Mono {
    let t = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec).unwrap_or(0);
    Mono(seconds * NANOS_PER_SECOND + nanos)
}

/// The wall clock, for expiry. It may jump; shards keep their own time from going back.
#[must_use]
pub fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

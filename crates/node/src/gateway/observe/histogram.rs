//! How long calls of one command took: counts in buckets that grow with the time, so that every time is known to three
//! percent.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets in one doubling, as a power of two.
const STEPS_BITS: u32 = 5;
const STEPS: u64 = 1 << STEPS_BITS;
/// Times below two to this power, in nanoseconds, are one bucket.
const FIRST_POWER: u32 = 10;
/// Times from two to this power on, in nanoseconds (about 69 s), are counted in the last bucket.
const LAST_POWER: u32 = 36;
const BUCKETS: usize = 1 + ((LAST_POWER - FIRST_POWER) as usize) * STEPS as usize;

/// See the module.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: (0..BUCKETS).map(|_| AtomicU64::default()).collect() }
    }
}

/// The bucket of a time in nanoseconds.
fn bucket(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    if power < FIRST_POWER {
        0
    } else if power >= LAST_POWER {
        BUCKETS - 1
    } else {
        let step = (nanos >> (power - STEPS_BITS)) & (STEPS - 1);
        1 + ((power - FIRST_POWER) as usize) * STEPS as usize + step as usize
    }
}

/// The longest time of a bucket, nanoseconds.
fn longest(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(1) else { return (1 << FIRST_POWER) - 1 };
    let (power, step) = (FIRST_POWER + (above / STEPS as usize) as u32, (above % STEPS as usize) as u64);
    ((STEPS + step + 1) << (power - STEPS_BITS)) - 1
}

impl Histogram {
    /// Counts `n` calls of `nanos` each.
    pub fn record(&self, nanos: u64, n: u64) {
        self.buckets[bucket(nanos)].fetch_add(n, Relaxed);
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.buckets.iter().for_each(|b| b.store(0, Relaxed));
    }

    /// Calls counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.load(Relaxed)).sum()
    }

    /// The time that so many percent of the calls did not exceed, in nanoseconds; `None` without calls.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        let total = self.count();
        let rank = ((total as f64 * percent / 100.0).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        self.buckets
            .iter()
            .position(|b| {
                seen += b.load(Relaxed);
                seen >= rank
            })
            .map(longest)
    }

    /// Calls that took less than each power of two, in the form of LATENCY HISTOGRAM: microseconds as Redis rounds them, and
    /// the count; only powers that have more calls than the one before.
    pub fn powers(&self) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        let (mut seen, mut said) = (0, 0);
        let mut buckets = self.buckets.iter();
        for power in FIRST_POWER..=LAST_POWER {
            let steps = if power == FIRST_POWER { 1 } else { STEPS as usize };
            seen += buckets.by_ref().take(steps).map(|b| b.load(Relaxed)).sum::<u64>();
            if seen > said {
                out.push((((1 << power) + (1 << (power - 7)) - 1) / 1000, seen));
                said = seen;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, bucket, longest};

    #[test]
    fn buckets_follow_one_another_and_hold_a_time_to_three_percent() {
        for at in 0..BUCKETS - 1 {
            assert_eq!((bucket(longest(at)), bucket(longest(at) + 1)), (at, at + 1));
        }
        for nanos in [1_024, 5_000, 1_234_567, 999_999_999, 60_000_000_000] {
            let error = longest(bucket(nanos)) - nanos;
            assert!(error * 32 <= nanos, "{nanos}");
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn percentiles_and_powers_are_cumulative() {
        let h = Histogram::default();
        assert_eq!((h.percentile(50.0), h.powers()), (None, vec![]));
        h.record(500, 90);
        h.record(3_000, 9);
        h.record(40_000, 1);
        assert_eq!(h.count(), 100);
        let us = |percent| h.percentile(percent).map(|ns| ns / 1000);
        assert_eq!([us(0.0), us(50.0), us(95.0), us(100.0)], [Some(1), Some(1), Some(3), Some(40)]);
        assert_eq!(h.powers(), [(1, 90), (4, 99), (66, 100)]);
        h.reset();
        assert_eq!(h.count(), 0);
    }
}

//! Latencies in buckets of a microsecond.

use std::time::Duration;

/// Longer than this counts as this: a second and a half is a failure in every benchmark here.
const BUCKETS: usize = 1_500_000;

/// How often each latency was seen.
pub struct Histogram {
    buckets: Vec<u32>,
    count: u64,
}

impl Histogram {
    /// Nothing seen yet.
    pub fn new() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS], count: 0 }
    }

    /// One more.
    pub fn record(&mut self, latency: Duration) {
        let micros = usize::try_from(latency.as_micros()).unwrap_or(BUCKETS);
        self.buckets[micros.min(BUCKETS - 1)] += 1;
        self.count += 1;
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The least latency that a share of all, from 0 to 1, does not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (micros, n) in self.buckets.iter().enumerate() {
            seen += u64::from(*n);
            if seen >= wanted {
                return Duration::from_micros(micros as u64);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred() {
        let mut histogram = Histogram::new();
        (1..=100).for_each(|n| histogram.record(Duration::from_micros(n)));
        assert_eq!(histogram.quantile(0.5), Duration::from_micros(50));
        assert_eq!(histogram.quantile(0.99), Duration::from_micros(99));
        assert_eq!(histogram.quantile(1.0), Duration::from_micros(100));
    }
}

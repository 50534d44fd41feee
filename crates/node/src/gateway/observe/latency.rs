//! LATENCY: moments at which something took at least `latency-monitor-threshold` milliseconds.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// Samples of one event that are kept, as in Redis.
const SAMPLES_MAX: usize = 160;
/// Columns and rows of a graph, in characters.
const GRAPH_COLUMNS: usize = 80;
const GRAPH_ROWS: u64 = 4;

/// What happened once, or several times in one second: then it is the longest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Seconds since 1970.
    pub at_s: u64,
    /// Milliseconds it took.
    pub took_ms: u64,
}

/// The samples of an event.
#[derive(Clone, Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    /// The longest since the last reset, in milliseconds.
    pub longest_ms: u64,
}

impl Series {
    /// The newest sample.
    pub fn latest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    fn add(&mut self, sample: Sample) {
        self.longest_ms = self.longest_ms.max(sample.took_ms);
        match self.samples.back_mut() {
            Some(last) if last.at_s == sample.at_s => last.took_ms = last.took_ms.max(sample.took_ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
    }

    fn average_ms(&self) -> u64 {
        self.samples.iter().map(|s| s.took_ms).sum::<u64>() / self.samples.len().max(1) as u64
    }

    fn graph(&self, name: &str, now_s: u64) -> String {
        let shown: Vec<Sample> =
            self.samples.iter().skip(self.samples.len().saturating_sub(GRAPH_COLUMNS)).copied().collect();
        let (low, high) = shown.iter().fold((u64::MAX, 0), |(l, h), s| (l.min(s.took_ms), h.max(s.took_ms)));
        let mut out = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", self.longest_ms);
        out += &"-".repeat(GRAPH_COLUMNS);
        out.push('\n');
        let height = |s: &Sample| (s.took_ms - low) * GRAPH_ROWS / (high - low + 1);
        for row in (0..GRAPH_ROWS).rev() {
            let cell = |s: &Sample| {
                if height(s) > row {
                    '|'
                } else if height(s) == row {
                    '_'
                } else {
                    ' '
                }
            };
            out += shown.iter().map(cell).collect::<String>().trim_end();
            out.push('\n');
        }
        if let (Some(first), Some(last)) = (shown.first(), shown.last()) {
            let ago = |s: &Sample| now_s.saturating_sub(s.at_s);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "from {} s to {} s ago", ago(first), ago(last));
        }
        out
    }
}

/// All events, by name.
#[derive(Debug, Default)]
pub struct LatencyEvents {
    events: Mutex<BTreeMap<&'static str, Series>>,
}

impl LatencyEvents {
    /// Notes that `event` took so long.
    pub fn add(&self, event: &'static str, sample: Sample) {
        self.events.lock().entry(event).or_default().add(sample);
    }

    /// Every event that has samples.
    pub fn all(&self) -> Vec<(&'static str, Series)> {
        self.events.lock().iter().map(|(name, series)| (*name, series.clone())).collect()
    }

    /// The samples of an event, the oldest first.
    pub fn history(&self, event: &[u8]) -> Vec<Sample> {
        let events = self.events.lock();
        events.iter().find(|(name, _)| is(name, event)).map_or(Vec::new(), |(_, s)| s.samples.iter().copied().collect())
    }

    /// A drawing of an event's samples; `None` without any.
    pub fn graph(&self, event: &[u8], now_s: u64) -> Option<String> {
        self.events.lock().iter().find(|(name, _)| is(name, event)).map(|(name, series)| series.graph(name, now_s))
    }

    /// Forgets the events of these names, or all when there are none; how many there were.
    pub fn reset(&self, names: &[bytes::Bytes]) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|name, _| !names.is_empty() && !names.iter().any(|n| is(name, n)));
        before - events.len()
    }

    /// What the samples say, in words. `threshold_ms`: from when on something is noted, if at all.
    pub fn report(&self, threshold_ms: Option<u64>) -> String {
        let Some(threshold_ms) = threshold_ms else {
            return "Latency is not monitored on this node. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n"
                .to_owned();
        };
        let events = self.events.lock();
        if events.is_empty() {
            return format!("Nothing took {threshold_ms} ms or longer on this node since the last LATENCY RESET.\n");
        }
        let mut out = format!("Events of this node that took {threshold_ms} ms or longer:\n");
        for (name, series) in events.iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "- {name}: {} samples, average {} ms, longest {} ms.",
                series.samples.len(),
                series.average_ms(),
                series.longest_ms
            );
        }
        out += "A command's time includes its way to the shard's leader and, for a write, the fsync on a majority of replicas. \
                SLOWLOG GET names the commands; slow disks and busy machines show in all of them, large ranges in few.\n";
        out
    }
}

fn is(name: &str, word: &[u8]) -> bool {
    name.as_bytes().eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests {
    use super::{LatencyEvents, SAMPLES_MAX, Sample};

    #[test]
    fn one_sample_a_second_the_longest() {
        let events = LatencyEvents::default();
        for (at_s, took_ms) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            events.add("command", Sample { at_s, took_ms });
        }
        assert_eq!(events.history(b"COMMAND"), [Sample { at_s: 1, took_ms: 9 }, Sample { at_s: 2, took_ms: 3 }]);
        assert_eq!(events.all()[0].1.longest_ms, 9);
        assert_eq!(events.history(b"other"), []);
        for at_s in 3..1000 {
            events.add("command", Sample { at_s, took_ms: 1 });
        }
        assert_eq!(events.history(b"command").len(), SAMPLES_MAX);
        assert_eq!(events.reset(&["other".into()]), 0);
        assert_eq!((events.reset(&[]), events.all().len()), (1, 0));
    }

    #[test]
    fn a_graph_has_a_column_for_each_sample() {
        let events = LatencyEvents::default();
        for (at_s, took_ms) in [(1, 10), (2, 20), (3, 30), (4, 49)] {
            events.add("command", Sample { at_s, took_ms });
        }
        let graph = events.graph(b"command", 10).unwrap_or_default();
        let rows: Vec<&str> = graph.lines().skip(2).collect();
        assert_eq!(rows, ["   _", "  _|", " _||", "_|||", "from 9 s to 6 s ago"]);
        assert_eq!(events.graph(b"other", 10), None);
    }
}

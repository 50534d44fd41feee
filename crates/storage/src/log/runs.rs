//! Entry locations while the log is replayed: unlike afterwards there may be holes, because what was copied forward is
//! met later than what follows it.

use super::index::Location;
use std::collections::VecDeque;

/// Consecutive entries.
struct Run {
    first: u64,
    items: VecDeque<Location>,
}

impl Run {
    fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }
}

/// Locations by index: disjoint runs in ascending order. Indexes are below `INDEX_LIMIT`.
#[derive(Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
}

impl Runs {
    /// An appended entry: it replaces everything at or above it.
    pub(crate) fn append(&mut self, index: u64, location: Location) {
        self.truncate_from(index);
        match self.runs.last_mut() {
            Some(run) if run.end() == index => run.items.push_back(location),
            _ => self.runs.push(Run { first: index, items: VecDeque::from([location]) }),
        }
    }

    /// An entry copied forward: it takes its own place only.
    pub(crate) fn place(&mut self, index: u64, location: Location) {
        let next = self.runs.partition_point(|run| run.first <= index);
        if let Some(run) = next.checked_sub(1).map(|i| &mut self.runs[i]) {
            if index < run.end() {
                run.items[(index - run.first) as usize] = location;
                return;
            }
            if index == run.end() {
                run.items.push_back(location);
                return;
            }
        }
        self.runs.insert(next, Run { first: index, items: VecDeque::from([location]) });
    }

    /// Drops everything at or below `index`.
    pub(crate) fn drop_through(&mut self, index: u64) {
        self.runs.retain_mut(|run| {
            if run.first <= index {
                let n = (index - run.first + 1).min(run.items.len() as u64);
                run.items.drain(..n as usize);
                run.first += n;
            }
            !run.items.is_empty()
        });
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
    }

    /// Whether there is no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// All entries if they are consecutive from `first`; otherwise the location after the first hole.
    pub(crate) fn into_consecutive(self, first: u64) -> Result<VecDeque<Location>, Location> {
        let mut out = VecDeque::new();
        for run in self.runs {
            if run.first != first + out.len() as u64 {
                return Err(run.items[0]);
            }
            if out.is_empty() {
                out = run.items;
            } else {
                out.extend(run.items);
            }
        }
        Ok(out)
    }

    fn truncate_from(&mut self, index: u64) {
        while let Some(run) = self.runs.last_mut() {
            if run.end() <= index {
                return;
            }
            if run.first < index {
                run.items.truncate((index - run.first) as usize);
                return;
            }
            self.runs.pop();
        }
    }
}

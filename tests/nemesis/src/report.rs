//! What a run did, in figures, and the story of a violation.

use crate::connection::parse;
use crate::driver::Subject;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::Mono;
use workload::{Fate, Operation, Outcome, Violation, fate};

/// How long after a fault's end a time without acknowledged writes still counts as its, unless the next begins before.
const AFTERMATH: Duration = Duration::from_secs(3);

/// Operations and bytes of a line that a story shows.
const STORY_OPERATIONS_MAX: usize = 60;
const STORY_LINE_BYTES: usize = 220;

/// A fault that was done.
pub struct Fired {
    /// Its kind.
    pub kind: &'static str,
    /// To whom.
    pub what: String,
    /// From when.
    pub began: Mono,
    /// Until when.
    pub ended: Mono,
    /// It was seen to have an effect.
    pub bit: bool,
}

/// Figures of one or several runs.
#[derive(Default)]
pub struct Figures {
    /// Operations of each workload: acknowledged, refused, unknown.
    pub operations: BTreeMap<&'static str, [u64; 3]>,
    /// Of each kind of fault: how many were done, how many had an effect, and the longest time that a workload went without
    /// an acknowledged write.
    pub faults: BTreeMap<&'static str, FaultFigures>,
}

/// Figures of one kind of fault.
#[derive(Clone, Copy, Default)]
pub struct FaultFigures {
    /// Done.
    pub fired: u64,
    /// Seen to have an effect.
    pub bit: u64,
    /// Longest time that some workload went without an acknowledged write during such a fault, while no other went on.
    pub longest: Duration,
}

impl Figures {
    /// Adds a run.
    pub fn add(&mut self, subjects: &[Subject], faults: &[Fired]) {
        let writes: Vec<Vec<Mono>> = subjects.iter().map(|subject| acknowledged_writes(&subject.history)).collect();
        for subject in subjects {
            let counts = self.operations.entry(subject.workload.name()).or_default();
            for operation in &subject.history {
                counts[class(operation)] += 1;
            }
        }
        for fault in faults {
            let next = faults.iter().map(|other| other.began).filter(|began| *began >= fault.ended).min();
            let until = (fault.ended + AFTERMATH).min(next.unwrap_or(Mono(u64::MAX)));
            let figures = self.faults.entry(fault.kind).or_default();
            figures.fired += 1;
            figures.bit += u64::from(fault.bit);
            // Where two overlap, nobody can say which it was.
            if faults
                .iter()
                .any(|other| !std::ptr::eq(other, fault) && other.began < fault.ended && fault.began < other.ended)
            {
                continue;
            }
            let longest = writes.iter().map(|times| longest_gap(times, fault.began, until)).max();
            figures.longest = figures.longest.max(longest.unwrap_or_default());
        }
    }

    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, [acknowledged, refused, unknown]) in &self.operations {
            lines.push(format!("{name}: {acknowledged} acknowledged, {refused} refused, {unknown} of unknown outcome"));
        }
        for (kind, FaultFigures { fired, bit, longest }) in &self.faults {
            let seconds = longest.as_secs_f64();
            lines.push(format!(
                "{kind}: {fired} times, {bit} with effect; longest without an acknowledged write {seconds:.1} s"
            ));
        }
        lines
    }
}

/// 0: every command ran; 1: none or not all did, and that is certain; 2: unknown.
fn class(operation: &Operation) -> usize {
    let Outcome::Answered(replies) = &operation.outcome else { return 2 };
    let has = |wanted| replies.iter().any(|reply| fate(reply) == wanted);
    if has(Fate::Unknown) { 2 } else { usize::from(has(Fate::Refused)) }
}

/// When writes were acknowledged, in order.
fn acknowledged_writes(history: &[Operation]) -> Vec<Mono> {
    let writes = history.iter().filter(|operation| class(operation) == 0 && is_write(operation));
    let mut times: Vec<Mono> = writes.map(|operation| operation.ended).collect();
    times.sort_unstable();
    times
}

fn is_write(operation: &Operation) -> bool {
    // The table's row decides, not its parser: a transaction's commands come one by one.
    operation.request.commands.iter().any(|words| parse(words).is_some_and(|command| command.is_write()))
}

/// The longest time between two times that touches `from..to`, counted from `from` at the earliest.
fn longest_gap(times: &[Mono], from: Mono, to: Mono) -> Duration {
    let first = times.partition_point(|time| *time <= from);
    let mut last = from;
    let mut longest = Duration::ZERO;
    for time in &times[first..] {
        longest = longest.max(time.since(last));
        last = *time;
        if *time >= to {
            return longest;
        }
    }
    longest.max(to.since(last))
}

/// The story of a violation: the operations that cannot all be true or, if it names none, the last of the key, with the faults
/// in between.
pub fn story(violation: &Violation, history: &[Operation], faults: &[Fired]) -> String {
    let mut places: Vec<usize> = violation.operations.clone();
    if let Some(key) = &violation.key
        && places.len() < STORY_OPERATIONS_MAX
    {
        let around = places.first().copied().unwrap_or(history.len());
        let of_key: Vec<usize> = (0..history.len()).filter(|at| names(&history[*at], key)).collect();
        let middle = of_key.partition_point(|at| *at < around);
        let half = (STORY_OPERATIONS_MAX - places.len()) / 2;
        places.extend(&of_key[middle.saturating_sub(half)..(middle + half).min(of_key.len())]);
    }
    places.sort_unstable();
    places.dedup();
    places.truncate(STORY_OPERATIONS_MAX);
    let mut lines: Vec<(Mono, String)> = Vec::new();
    for place in &places {
        let Some(operation) = history.get(*place) else { continue };
        let mark = if violation.operations.contains(place) { '!' } else { ' ' };
        lines.push((operation.invoked, format!("{mark} #{place} {}", shown(operation))));
    }
    let (from, to) = (lines.first().map_or(Mono(0), |l| l.0), lines.last().map_or(Mono(u64::MAX), |l| l.0));
    for fault in faults.iter().filter(|f| f.ended + AFTERMATH >= from && f.began <= to) {
        lines.push((fault.began, format!("* {} until {:.3} s: {}", fault.kind, seconds(fault.ended), fault.what)));
    }
    lines.sort_by_key(|line| line.0);
    let told: String = lines.iter().map(|(at, line)| format!("{:>9.3} s {line}\n", seconds(*at))).collect();
    format!("{violation}\n{told}")
}

fn names(operation: &Operation, key: &Bytes) -> bool {
    operation.request.commands.iter().flatten().any(|word| word == key)
}

fn seconds(at: Mono) -> f64 {
    at.since(Mono(0)).as_secs_f64()
}

fn shown(operation: &Operation) -> String {
    let command = |words: &Vec<Bytes>| {
        let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
        words.join(" ")
    };
    let commands: Vec<_> = operation.request.commands.iter().map(command).collect();
    let took = operation.ended.since(operation.invoked).as_millis();
    let (client, node, connection) = (operation.client.0, operation.node, operation.connection);
    let line = format!(
        "client {client} node {node} connection {connection}: {} → {:?} after {took} ms",
        commands.join("; "),
        operation.outcome
    );
    let end = (0..=STORY_LINE_BYTES.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    line[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_from_the_fault_and_reaches_beyond_its_end() {
        let at = |ms: u64| Mono(ms * 1_000_000);
        let times: Vec<Mono> = [100, 200, 1500, 1600, 4000].map(at).to_vec();
        let gap = |from, to| longest_gap(&times, at(from), at(to)).as_millis();
        assert_eq!(gap(300, 1400), 1200);
        assert_eq!(gap(0, 150), 100);
        assert_eq!(gap(1550, 1700), 2400);
        assert_eq!(gap(4100, 5000), 900);
    }
}

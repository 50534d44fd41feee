//! The story of a failure: what is wrong, the operations of the offending key and what happened to the nodes around
//! them, in time order.

use crate::plan::Plan;
use crate::run::{Failure, Outcome};
use bytes::Bytes;
use std::fmt::{self, Write as _};
use std::time::Duration;
use stdx::Mono;
use workload::{Operation, Outcome as Ended};

/// Most lines of operations and of notes shown, each.
const LINES_MAX: usize = 120;
/// Notes so long before the first operation shown still belong to the story.
const BEFORE: Duration = Duration::from_secs(3);
/// Longest text of a reply or a word shown, in characters.
const TEXT_MAX: usize = 60;

/// Something to be printed at its time.
struct Line {
    at: Mono,
    text: String,
}

/// A failed history, to be printed.
pub struct Story<'a> {
    /// The plan that led to it.
    pub plan: &'a Plan,
    /// What came out.
    pub outcome: &'a Outcome,
}

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.outcome.failure else { return writeln!(f, "nothing is wrong") };
        writeln!(f, "{failure}")?;
        write!(f, "{}", self.plan)?;
        let operations = self.operations(failure);
        let first = operations.iter().map(|l| l.at).min().unwrap_or_default();
        let notes = self.outcome.notes.iter().filter(|n| n.at + BEFORE >= first);
        let mut lines: Vec<Line> = notes.map(|n| Line { at: n.at, text: n.text.clone() }).collect();
        let left_out = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..left_out);
        lines.extend(operations);
        lines.sort_by_key(|l| l.at);
        if left_out > 0 {
            writeln!(f, "({left_out} earlier lines about nodes are left out)")?;
        }
        lines.iter().try_for_each(|l| writeln!(f, "{:>10.6}  {}", l.at.0 as f64 / 1e9, l.text))
    }
}

impl Story<'_> {
    /// The operations that the violation is about: those it names, and the others of its key around them.
    fn operations(&self, failure: &Failure) -> Vec<Line> {
        let Failure::Workload(violation) = failure else { return Vec::new() };
        let named = |place: usize| violation.operations.contains(&place);
        let about = |o: &Operation| violation.key.as_ref().is_some_and(|key| mentions(o, key));
        let mut chosen: Vec<(usize, &Operation)> =
            self.outcome.history.iter().enumerate().filter(|(place, o)| named(*place) || about(o)).collect();
        // Those around the operations that contradict each other.
        let last = violation.operations.iter().max().copied().unwrap_or(usize::MAX);
        let after = chosen.iter().position(|(place, _)| *place > last).unwrap_or(chosen.len());
        chosen.truncate((after + LINES_MAX / 6).min(chosen.len()));
        let skip = chosen.len().saturating_sub(LINES_MAX);
        let line = |(place, o): &(usize, &Operation)| {
            let mark = if named(*place) { "▶" } else { " " };
            Line { at: o.invoked, text: format!("{mark} {}", describe(o)) }
        };
        chosen[skip..].iter().map(line).collect()
    }
}

fn mentions(operation: &Operation, key: &Bytes) -> bool {
    operation.request.commands.iter().any(|words| words.contains(key))
}

fn describe(o: &Operation) -> String {
    let mut text = format!("client {} on node {} ({})", o.client.0, o.node, o.connection);
    for words in &o.request.commands {
        let words: Vec<String> = words.iter().map(|w| shorten(&String::from_utf8_lossy(w))).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, " · {}", words.join(" "));
    }
    let took = o.ended.since(o.invoked).as_secs_f64() * 1e3;
    let _ = match &o.outcome {
        Ended::Answered(replies) => {
            let replies: Vec<String> = replies.iter().map(|r| shorten(&format!("{r:?}"))).collect();
            write!(text, " → {} after {took:.3} ms", replies.join(", "))
        }
        Ended::Lost => write!(text, " → nothing within {took:.3} ms"),
    };
    text
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= TEXT_MAX {
        text.to_owned()
    } else {
        text.chars().take(TEXT_MAX).chain(['…']).collect()
    }
}

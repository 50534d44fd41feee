//! Counters: INCR and GET of a few keys by all clients.
//!
//! The checker needs no search. Every INCR that was acknowledged got a number of its own, numbers follow real time, and
//! no number is larger than the increments that had been sent. For a counter that only grows by one and whose
//! increments are all acknowledged this is linearizability (Herlihy and Wing); increments of unknown outcome may fill
//! gaps.

use crate::calls::{Call, broken, by_key, calls_of};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::{ClientId, Operation, Options, Request, Step, Violation, Workload};
use command::Reply;
use stdx::{Mono, Rng};

const NAME: &str = "counter";

/// Commands on a key before another takes its place; many, because the checker is linear.
const SPAN: Span = Span { uses: 100_000, unknown: u32::MAX };

/// Most commands of one request.
const MAX_PIPELINE: u64 = 6;

/// See the module.
#[derive(Debug)]
pub struct Counter {
    beginning: String,
    pace: Pace,
    lives: Lives,
    /// One request in this many only reads.
    reads: u64,
}

impl Counter {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Counter {
        let reads = Rng::new(seed).range(2, 6);
        let lives = Lives::new(options, NAME, SPAN);
        Counter { beginning: beginning(options, NAME), pace: Pace::new(options), lives, reads }
    }
}

impl Workload for Counter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let n = rng.below(self.lives.count() as u64) as usize;
        let name: &[u8] = if rng.one_in(self.reads) { b"GET" } else { b"INCR" };
        let command = words(&[name, self.lives.name(n)]);
        let times = if rng.one_in(8) { rng.range(2, MAX_PIPELINE + 1) } else { 1 };
        Step::Send(Request { namespace: self.lives.namespace(n), commands: vec![command; times as usize] })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            self.lives.used(call.key(), call.reply().is_some());
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all().into_iter();
        conclude(all.map(|(namespace, key)| (namespace, words(&[b"GET", &key[..]]))))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        by_key(history, &self.beginning).into_iter().try_for_each(|(key, calls)| check_key(key, &calls))
    }
}

/// A call with the number it was told, if any.
struct Seen<'a> {
    call: &'a Call<'a>,
    increments: bool,
    value: Option<u64>,
}

fn check_key(key: &[u8], calls: &[Call<'_>]) -> Result<(), Violation> {
    let mut all = Vec::with_capacity(calls.len());
    for call in calls {
        let value =
            match call.reply() {
                None => None,
                Some(reply) => Some(number(reply).ok_or_else(|| {
                    broken(NAME, format!("{}, which is no count", call.show()), key, &[call.position])
                })?),
            };
        all.push(Seen { call, increments: call.name() == b"INCR", value });
    }
    distinct(key, &all)?;
    follow_time(key, &all)
}

fn number(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Null => Some(0),
        Reply::Integer(n) => u64::try_from(*n).ok(),
        Reply::Bulk(b) => std::str::from_utf8(b).ok()?.parse().ok(),
        _ => None,
    }
}

fn distinct(key: &[u8], all: &[Seen<'_>]) -> Result<(), Violation> {
    let mut numbers: Vec<(u64, usize)> =
        all.iter().filter(|s| s.increments).filter_map(|s| Some((s.value?, s.call.position))).collect();
    numbers.sort_unstable();
    match numbers.windows(2).find(|w| w[0].0 == w[1].0) {
        None => Ok(()),
        Some(twice) => {
            let what = format!("two increments were acknowledged with {}", twice[0].0);
            Err(broken(NAME, what, key, &[twice[0].1, twice[1].1]))
        }
    }
}

/// Walks through beginnings and ends in the order of time; an end at the instant of a beginning counts as before.
fn follow_time(key: &[u8], all: &[Seen<'_>]) -> Result<(), Violation> {
    let mut edges: Vec<(Mono, bool, usize)> = Vec::with_capacity(2 * all.len());
    for (i, seen) in all.iter().enumerate() {
        edges.push((seen.call.invoked, true, i));
        if seen.value.is_some() {
            edges.push((seen.call.ended.max(Mono(seen.call.invoked.0.saturating_add(1))), false, i));
        }
    }
    edges.sort_unstable();
    // The largest number acknowledged so far, by whom, and the increments sent so far.
    let (mut floor, mut by, mut sent) = (0, None, 0);
    for (_, begins, i) in edges {
        let seen = &all[i];
        sent += u64::from(begins && seen.increments);
        let Some(value) = seen.value else { continue };
        if begins {
            let least = floor + u64::from(seen.increments);
            if value < least {
                let what = format!("{}, but {floor} had been acknowledged before it began", seen.call.show());
                let others = by.into_iter().collect::<Vec<usize>>();
                return Err(broken(NAME, what, key, &[&[seen.call.position], &others[..]].concat()));
            }
            continue;
        }
        if value > sent {
            let what = format!("{}, but only {sent} increments had been sent", seen.call.show());
            return Err(broken(NAME, what, key, &[seen.call.position]));
        }
        if value > floor {
            (floor, by) = (value, Some(seen.call.position));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Counter;
    use crate::testing::{Flaw, Given, Plan, history, prove};
    use crate::{Options, Workload};

    const KEY: &str = "w:counter:0.0";

    fn check(given: &[Given<'_>], broken: Option<&str>) {
        let found = Counter::new(&Options::default(), 0).check(&history(given)).err().map(|v| v.what);
        match (&found, broken) {
            (None, None) => {}
            (Some(what), Some(part)) if what.contains(part) => {}
            _ => panic!("{given:?}: {found:?}"),
        }
    }

    #[test]
    fn good_histories_are_accepted() {
        check(&[(1, 0, 10, "INCR", "1"), (2, 5, 15, "GET", "0"), (3, 11, 12, "GET", "1")].map(on_key), None);
        check(&[(1, 0, 9, "INCR", "?"), (2, 5, 6, "GET", "1"), (3, 7, 8, "INCR", "2")].map(on_key), None);
        check(&[(1, 0, 9, "INCR", "?"), (2, 10, 11, "GET", "0"), (3, 20, 21, "GET", "1")].map(on_key), None);
        check(&[(1, 0, 9, "INCR", "-"), (2, 10, 11, "GET", "0")].map(on_key), None);
    }

    #[test]
    fn bad_histories_are_rejected() {
        let stale = [(1, 0, 10, "INCR", "1"), (2, 11, 12, "GET", "0")];
        check(&stale.map(on_key), Some("1 had been acknowledged"));
        check(&[(1, 0, 10, "INCR", "1"), (2, 5, 15, "INCR", "1")].map(on_key), Some("two increments"));
        check(&[(1, 0, 1, "GET", "3")].map(on_key), Some("only 0 increments"));
        check(&[(1, 0, 1, "INCR", "-"), (2, 5, 6, "GET", "1")].map(on_key), Some("only 0 increments"));
        let lost = [(1, 0, 10, "INCR", "1"), (2, 11, 12, "INCR", "2"), (3, 20, 21, "GET", "1")];
        check(&lost.map(on_key), Some("2 had been acknowledged"));
        let back = [(1, 0, 100, "INCR", "1"), (2, 10, 20, "GET", "1"), (3, 21, 30, "GET", "0")];
        check(&back.map(on_key), Some("1 had been acknowledged"));
        // An increment that is applied twice is seen as one more than was asked for.
        check(&[(1, 0, 10, "INCR", "1"), (2, 20, 30, "GET", "2")].map(on_key), Some("only 1 increments"));
    }

    #[test]
    fn finds_what_it_is_there_for() {
        let make = |seed| Box::new(Counter::new(&Options::default(), seed)) as Box<dyn Workload>;
        let flaws = [
            Flaw::LosesWrites,
            Flaw::ReadsThePast,
            Flaw::AppliesTwice,
            Flaw::RefusesWhatItDoes,
            Flaw::Reorders,
            Flaw::SplitsInTwo,
        ];
        prove(make, &Plan::default(), &flaws);
    }

    fn on_key((client, from, to, name, answer): (u64, u64, u64, &'static str, &'static str)) -> Given<'static> {
        Given { client, from, to, command: vec![name, KEY], answer }
    }
}

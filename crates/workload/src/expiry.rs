//! Deadlines: strings with PX, PEXPIRE and PERSIST, read with GET and PTTL, against the clock of the history.
//!
//! A shard's own clock never goes back, and is never farther from true time than the option `clock_error` says. So a
//! deadline that a command set between two times lies between two times, and each answer narrows it: who saw the key
//! alive shows that the deadline was not over, who saw it gone shows that it was, and gone it stays until it is written.
//! The search for an order of the operations keeps such a pair of bounds with each possible state; an answer that no
//! deadline between the bounds explains came too early, too late, or back from the dead.

use crate::calls::{Call, broken, by_key, calls_of, gravest};
use crate::linearizability::{self, Event, Failure, Specification};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::{ClientId, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use command::Reply;
use std::marker::PhantomData;
use std::time::Duration;
use stdx::{Mono, Rng};

const NAME: &str = "expiry";

/// Commands on a key before another takes its place.
const SPAN: Span = Span { uses: 1_000, unknown: 6 };

/// Deadlines are this far away at most, in milliseconds.
const MAX_TTL_MS: u64 = 4_000;

/// Clocks are compared in whole milliseconds.
const ROUNDING_MS: i64 = 1;

/// Later than any time.
const NEVER_MS: i64 = i64::MAX / 4;

/// See the module.
#[derive(Debug)]
pub struct Expiry {
    beginning: String,
    options: Options,
    pace: Pace,
    lives: Lives,
    values: u64,
    error_ms: i64,
    /// Of 10 commands, how many read.
    reads: u64,
}

impl Expiry {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Expiry {
        Expiry {
            beginning: beginning(options, NAME),
            options: options.clone(),
            pace: Pace::new(options),
            lives: Lives::neighbourly(options, NAME, SPAN),
            values: 0,
            error_ms: milliseconds(options.clock_error) + ROUNDING_MS,
            reads: Rng::new(seed).range(3, 9),
        }
    }

    fn command(&mut self, n: usize, rng: &mut Rng) -> Vec<Bytes> {
        let key = &self.lives.name(n)[..];
        if rng.below(10) < self.reads {
            let name: &[u8] = if rng.one_in(3) { b"PTTL" } else { b"GET" };
            return words(&[name, key]);
        }
        self.values += 1;
        let value = format!("v{}", self.values);
        // Short ones and long ones alike.
        let longest = MAX_TTL_MS >> rng.below(7);
        let ttl = rng.range(5, 5 + longest).to_string();
        let (value, ttl) = (value.as_bytes(), ttl.as_bytes());
        match rng.below(10) {
            0..4 => words(&[b"SET", key, value, b"PX", ttl]),
            4 => words(&[b"PSETEX", key, ttl, value]),
            5 => words(&[b"SET", key, value]),
            6 | 7 => words(&[b"PEXPIRE", key, ttl]),
            8 => words(&[b"PERSIST", key]),
            _ => words(&[b"DEL", key]),
        }
    }
}

fn milliseconds(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(NEVER_MS).min(NEVER_MS)
}

impl Workload for Expiry {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        // Time has to pass for something to happen.
        if rng.one_in(6) {
            return Step::Wait(Duration::from_millis(rng.below(MAX_TTL_MS / 4)));
        }
        let n = self.lives.near(client, &self.options, rng);
        let command = self.command(n, rng);
        Step::Send(Request { namespace: self.lives.namespace(n), commands: vec![command] })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            self.lives.used(call.key(), call.reply().is_some() || matches!(call.name(), b"GET" | b"PTTL"));
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all().into_iter();
        conclude(all.map(|(namespace, key)| (namespace, words(&[b"GET", &key[..]]))))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        gravest(by_key(history, &self.beginning).into_iter().map(|(key, calls)| self.check_key(key, &calls)))
    }
}

impl Expiry {
    fn check_key(&self, key: &[u8], calls: &[Call<'_>]) -> Result<(), Violation> {
        let known = |c: &&Call<'_>| c.reply().is_some() || !matches!(c.name(), b"GET" | b"PTTL");
        let events: Vec<Event<Asked<'_>>> = calls.iter().filter(known).map(|c| self.event(c)).collect();
        let (named, why, undecided) = match linearizability::check(&Deadlines(PhantomData), &events) {
            Ok(()) => return Ok(()),
            Err(Failure::NotLinearizable(named)) => (named, "which no order and no deadline explain", false),
            Err(Failure::GaveUp(at)) => (vec![at], "where the search was given up: nothing is known to be wrong", true),
        };
        let shown = calls.iter().find(|c| named.first() == Some(&c.position)).map(Call::show).unwrap_or_default();
        let what = format!("{shown}, {why} (clocks are right to {} ms)", self.error_ms);
        Err(Violation { undecided, ..broken(NAME, what, key, &named) })
    }

    fn event<'a>(&self, call: &Call<'a>) -> Event<Asked<'a>> {
        let ms = |at: Mono| i64::try_from(at.0 / 1_000_000).unwrap_or(NEVER_MS);
        let latest = call.done_at().map_or(NEVER_MS, |at| ms(at) + 1 + self.error_ms);
        let asked =
            Asked { words: call.words, reply: call.reply(), earliest: ms(call.invoked) - self.error_ms, latest };
        Event { call: asked, position: call.position, invoked: call.invoked, ended: call.done_at(), after: None }
    }
}

/// A command, its answer if that is known, and between which times the shard's clock stood when it ran, in milliseconds.
struct Asked<'a> {
    words: &'a [Bytes],
    reply: Option<&'a Reply>,
    earliest: i64,
    latest: i64,
}

/// A key that is there, or whose deadline has not been seen to pass.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Alive {
    value: Bytes,
    deadline: Option<Deadline>,
}

/// When a key goes, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Deadline {
    earliest: i64,
    latest: i64,
    /// What was left when it was set. The shard's clock never goes back, so more is never left, however wrong clocks are.
    given: i64,
}

/// The sequential machine.
struct Deadlines<'a>(PhantomData<Asked<'a>>);

impl<'a> Specification for Deadlines<'a> {
    type State = Option<Alive>;
    type Call = Asked<'a>;

    fn initial(&self) -> Option<Alive> {
        None
    }

    fn step(&self, state: &Option<Alive>, call: &Asked<'a>) -> Option<Option<Alive>> {
        let (name, rest) = call.words.split_first()?;
        let gone = || call.sees_gone(state);
        let alive = || call.sees_alive(state);
        let answered = call.reply.map(|r| if let Reply::Integer(n) = r { *n } else { i64::MIN });
        match &name[..] {
            b"SET" => Some(Some(Alive { value: rest[1].clone(), deadline: call.deadline(rest.get(3)) })),
            b"PSETEX" => Some(Some(Alive { value: rest[2].clone(), deadline: call.deadline(rest.get(1)) })),
            b"GET" => match call.reply? {
                Reply::Null => gone(),
                Reply::Bulk(value) => alive().filter(|a| a.value == value).map(Some),
                _ => None,
            },
            b"PTTL" => match answered? {
                -2 => gone(),
                -1 => alive().filter(|a| a.deadline.is_none()).map(Some),
                left => alive()?.with_left(call, left).map(Some),
            },
            b"PEXPIRE" => match answered {
                Some(0) => gone(),
                Some(1) | None => alive().map(|a| Some(Alive { deadline: call.deadline(rest.get(1)), ..a })),
                _ => None,
            },
            b"PERSIST" => match answered {
                Some(0) if state.as_ref().is_some_and(|a| a.deadline.is_none()) => Some(state.clone()),
                Some(0) => gone(),
                Some(1) | None => alive().filter(|a| a.deadline.is_some()).map(|a| Some(Alive { deadline: None, ..a })),
                _ => None,
            },
            b"DEL" => match answered {
                Some(0) => gone(),
                Some(1) => alive().map(|_| None),
                None => Some(None),
                _ => None,
            },
            _ => None,
        }
    }

    /// A read narrows the deadline.
    fn only_reads(&self, _call: &Asked<'a>) -> bool {
        false
    }

    fn interchangeable(&self, _one: &Asked<'a>, _other: &Asked<'a>) -> bool {
        false
    }
}

impl Asked<'_> {
    /// The deadline that this command sets.
    fn deadline(&self, ttl: Option<&Bytes>) -> Option<Deadline> {
        let given: i64 = std::str::from_utf8(ttl?).ok()?.parse().ok()?;
        Some(Deadline { earliest: self.earliest + given, latest: self.latest.saturating_add(given), given })
    }

    /// The key was found: its deadline had not passed.
    fn sees_alive(&self, state: &Option<Alive>) -> Option<Alive> {
        let alive = state.clone()?;
        let deadline = match alive.deadline {
            Some(deadline) if deadline.latest < self.earliest => return None,
            Some(deadline) => Some(Deadline { earliest: deadline.earliest.max(self.earliest), ..deadline }),
            None => None,
        };
        Some(Alive { deadline, ..alive })
    }

    /// The key was not found: there was none, or its deadline had passed.
    fn sees_gone(&self, state: &Option<Alive>) -> Option<Option<Alive>> {
        match state {
            None => Some(None),
            Some(Alive { deadline: Some(deadline), .. }) if deadline.earliest < self.latest => Some(None),
            Some(_) => None,
        }
    }
}

impl Alive {
    /// The state after the time left was told.
    fn with_left(self, call: &Asked<'_>, left: i64) -> Option<Alive> {
        let Deadline { earliest, latest, given } = self.deadline?;
        let earliest = earliest.max(call.earliest.saturating_add(left));
        let latest = latest.min(call.latest.saturating_add(left));
        let deadline = Some(Deadline { earliest, latest, given });
        ((0..=given).contains(&left) && earliest <= latest).then_some(Alive { deadline, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::Expiry;
    use crate::testing::{Flaw, Given, Plan, history, prove};
    use crate::{Options, Workload};
    use std::time::Duration;

    const KEY: &str = "w:expiry:0.0";

    fn accepts(error: Duration, given: &[(u64, u64, u64, &'static str, &'static str)]) -> bool {
        let given: Vec<Given<'_>> = given
            .iter()
            .map(|(client, from, to, line, answer)| Given {
                client: *client,
                from: *from,
                to: *to,
                command: line.split(' ').map(|w| if w == "K" { KEY } else { w }).collect(),
                answer,
            })
            .collect();
        let options = Options { clock_error: error, ..Options::default() };
        Expiry::new(&options, 0).check(&history(&given)).is_ok()
    }

    fn good(given: &[(u64, u64, u64, &'static str, &'static str)]) {
        assert!(accepts(Duration::ZERO, given), "{given:?}");
    }

    fn bad(given: &[(u64, u64, u64, &'static str, &'static str)]) {
        assert!(!accepts(Duration::ZERO, given), "{given:?}");
    }

    // Times are in seconds: the deadline is 10 s after a time between 0 and 1.
    const SET: (u64, u64, u64, &str, &str) = (1, 0, 1, "SET K v PX 10000", "OK");

    #[test]
    fn good_histories_are_accepted() {
        good(&[SET, (1, 9, 10, "GET K", "v"), (1, 12, 13, "GET K", "nil")]);
        good(&[SET, (1, 9, 11, "GET K", "nil")]);
        good(&[SET, (1, 10, 11, "GET K", "v")]);
        good(&[SET, (1, 2, 3, "PERSIST K", "1"), (1, 30, 31, "GET K", "v"), (1, 32, 33, "PTTL K", "-1")]);
        good(&[SET, (1, 2, 3, "PEXPIRE K 20000", "1"), (1, 20, 21, "GET K", "v"), (1, 40, 41, "GET K", "nil")]);
        good(&[SET, (1, 12, 13, "PEXPIRE K 20000", "0"), (1, 20, 21, "SET K w", "OK"), (1, 22, 23, "GET K", "w")]);
        good(&[SET, (1, 2, 3, "PTTL K", "8000")]);
        good(&[(1, 0, 1, "SET K v PX 10000", "?"), (1, 20, 21, "GET K", "v"), (1, 90, 91, "GET K", "nil")]);
    }

    #[test]
    fn bad_histories_are_rejected() {
        // Too early, too late, back from the dead.
        bad(&[SET, (1, 5, 6, "GET K", "nil")]);
        bad(&[SET, (1, 12, 13, "GET K", "v")]);
        bad(&[SET, (1, 10, 11, "GET K", "nil"), (1, 11, 12, "GET K", "v")]);
        bad(&[SET, (1, 2, 3, "PERSIST K", "1"), (1, 30, 31, "GET K", "nil")]);
        bad(&[SET, (1, 2, 3, "PEXPIRE K 20000", "1"), (1, 12, 13, "GET K", "nil")]);
        bad(&[SET, (1, 2, 3, "PTTL K", "3000")]);
        bad(&[SET, (1, 2, 3, "PTTL K", "12000")]);
        // What one answer tells binds the next: the deadline is at 9 s or later, and 10 s are not yet over at 9.5.
        bad(&[SET, (1, 2, 2, "PTTL K", "8500"), (1, 10, 10, "GET K", "nil")]);
        bad(&[SET, (1, 2, 3, "DEL K", "1"), (1, 4, 5, "GET K", "v")]);
    }

    #[test]
    fn clocks_may_be_as_wrong_as_is_said() {
        let early = [SET, (1, 7, 8, "GET K", "nil")];
        let late = [SET, (1, 13, 14, "GET K", "v")];
        for history in [early, late] {
            assert!(accepts(Duration::from_secs(2), &history), "{history:?}");
            assert!(!accepts(Duration::from_millis(400), &history), "{history:?}");
        }
    }

    /// The time that a write took is a lower bound for those after it, whoever leads.
    #[test]
    fn no_more_is_left_than_was_given() {
        let left = |ms| [SET, (1, 2, 3, "PTTL K", ms)];
        assert!(accepts(Duration::from_secs(60), &left("10000")));
        assert!(!accepts(Duration::from_secs(60), &left("10001")));
    }

    #[test]
    fn finds_what_it_is_there_for() {
        let clock_error = Duration::from_millis(30);
        let options = Options { clock_error, ..Options::default() };
        let make = |seed| Box::new(Expiry::new(&options, seed)) as Box<dyn Workload>;
        let flaws = [
            Flaw::ExpiresEarly,
            Flaw::ExpiresLate,
            Flaw::LosesWrites,
            Flaw::ReadsThePast,
            Flaw::RefusesWhatItDoes,
            Flaw::Reorders,
            Flaw::SplitsInTwo,
        ];
        prove(make, &Plan { clock_error, ..Plan::default() }, &flaws);
    }
}

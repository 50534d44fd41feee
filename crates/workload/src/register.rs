//! Registers: several clients read, write and compare-and-set a few strings. Each key's history must be linearizable.
//!
//! Values are unique, so a read says which write it saw. Every other key holds numbers instead, which INCR and its like
//! change. Compare-and-set is SET NX, SET XX and SETNX; GETSET and GETDEL read what they replace.

use crate::calls::{by_key, calls_of, gravest};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::reference::judge;
use crate::{ClientId, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use stdx::{Mono, Rng};

const NAME: &str = "register";

/// Commands on a key before another takes its place. Each one of unknown outcome can double what the search considers.
const SPAN: Span = Span { uses: 3_000, unknown: 8 };

/// Most commands of one request.
const MAX_PIPELINE: u64 = 4;

/// See the module.
#[derive(Debug)]
pub struct Register {
    beginning: String,
    options: Options,
    pace: Pace,
    lives: Lives,
    values: u64,
    /// Of 12 commands, how many are GET.
    reads: u64,
    /// One request in this many has several commands.
    pipelines: u64,
}

impl Register {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Register {
        let mut mix = Rng::new(seed);
        Register {
            beginning: beginning(options, NAME),
            options: options.clone(),
            pace: Pace::new(options),
            lives: Lives::neighbourly(options, NAME, SPAN),
            values: 0,
            reads: mix.range(2, 9),
            pipelines: mix.range(3, 20),
        }
    }

    fn command(&mut self, n: usize, rng: &mut Rng) -> Vec<Bytes> {
        let key = self.lives.name(n).clone();
        let key = &key[..];
        if rng.below(12) < self.reads {
            return words(&[b"GET", key]);
        }
        let value = self.value(n, rng);
        let value = value.as_bytes();
        if n % 2 == 1 && rng.one_in(2) {
            let by = rng.range(1, 100).to_string();
            return match rng.below(4) {
                0 => words(&[b"INCR", key]),
                1 => words(&[b"DECR", key]),
                2 => words(&[b"INCRBY", key, by.as_bytes()]),
                _ => words(&[b"DECRBY", key, by.as_bytes()]),
            };
        }
        match rng.below(12) {
            0..4 => words(&[b"SET", key, value]),
            4 => words(&[b"SET", key, value, b"NX"]),
            5 => words(&[b"SET", key, value, b"XX"]),
            6 => words(&[b"SET", key, value, b"XX", b"GET"]),
            7 => words(&[b"SETNX", key, value]),
            8 => words(&[b"GETSET", key, value]),
            9 => words(&[b"GETDEL", key]),
            10 => words(&[b"APPEND", key, value]),
            _ => words(&[b"DEL", key]),
        }
    }

    /// A value that no other command writes; a number on every other key.
    fn value(&mut self, n: usize, rng: &mut Rng) -> String {
        self.values += 1;
        if n % 2 == 1 {
            format!("{}", self.values % 100_000 * 1_000 + rng.below(10))
        } else {
            format!("v{}", self.values)
        }
    }
}

impl Workload for Register {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let n = self.lives.near(client, &self.options, rng);
        let times = if rng.one_in(self.pipelines) { rng.range(2, MAX_PIPELINE + 1) } else { 1 };
        let commands = (0..times).map(|_| self.command(n, rng)).collect();
        Step::Send(Request { namespace: self.lives.namespace(n), commands })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            self.lives.used(call.key(), call.reply().is_some() || call.name() == b"GET");
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all().into_iter();
        conclude(all.map(|(namespace, key)| (namespace, words(&[b"GET", &key[..]]))))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        gravest(by_key(history, &self.beginning).into_iter().map(|(key, calls)| judge(NAME, key, &calls)))
    }
}

#[cfg(test)]
mod tests {
    use super::Register;
    use crate::testing::{Flaw, Given, Plan, drive, history, prove};
    use crate::{Options, Workload};

    const KEY: &str = "w:register:0.0";

    /// Clients with the times of their requests, the command with `K` for the key, and the answer.
    fn found(given: &[(u64, u64, u64, &'static str, &'static str)]) -> Option<Vec<usize>> {
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
        Register::new(&Options::default(), 0).check(&history(&given)).err().map(|v| v.operations)
    }

    fn good(given: &[(u64, u64, u64, &'static str, &'static str)]) {
        assert_eq!(found(given), None, "{given:?}");
    }

    /// The operation named first is the one that cannot be explained.
    fn bad(given: &[(u64, u64, u64, &'static str, &'static str)], first: usize) {
        let named = found(given);
        assert_eq!(named.as_ref().and_then(|n| n.first()), Some(&first), "{given:?}: {named:?}");
    }

    #[test]
    fn good_histories_are_accepted() {
        good(&[(1, 0, 10, "SET K a", "OK"), (2, 5, 15, "GET K", "nil"), (2, 16, 17, "GET K", "a")]);
        // Unknown: never, late, and seen by one before it is overwritten.
        good(&[(1, 0, 10, "SET K a", "?"), (2, 20, 21, "GET K", "nil")]);
        good(&[(1, 0, 10, "SET K a", "?"), (2, 20, 21, "GET K", "nil"), (2, 30, 31, "GET K", "a")]);
        good(&[
            (1, 0, 10, "SET K a", "?"),
            (2, 20, 21, "SET K b", "OK"),
            (2, 30, 31, "GET K", "a"),
            (2, 40, 41, "SET K c", "OK"),
            (2, 50, 51, "GET K", "c"),
        ]);
        good(&[(1, 0, 10, "SET K a", "-"), (2, 20, 21, "SETNX K b", "1"), (2, 30, 31, "GET K", "b")]);
        // Of two that overlap, either may win.
        good(&[(1, 0, 10, "SETNX K a", "1"), (2, 0, 10, "SETNX K b", "0"), (1, 20, 21, "GET K", "a")]);
        good(&[(1, 0, 10, "SETNX K a", "0"), (2, 0, 10, "SETNX K b", "1"), (1, 20, 21, "GET K", "b")]);
        // Two of unknown outcome, in the order opposite to their sending.
        good(&[
            (1, 0, 5, "APPEND K a", "?"),
            (2, 6, 9, "APPEND K b", "?"),
            (3, 20, 21, "GET K", "b"),
            (3, 30, 31, "GET K", "ba"),
        ]);
    }

    #[test]
    fn bad_histories_are_rejected() {
        // A stale read, a lost write, a lost update.
        bad(&[(1, 0, 10, "SET K a", "OK"), (2, 11, 12, "GET K", "nil")], 1);
        bad(&[(1, 0, 1, "SET K a", "OK"), (1, 2, 3, "SET K b", "OK"), (2, 9, 10, "GET K", "a")], 2);
        bad(&[(1, 0, 1, "INCR K", "1"), (2, 2, 3, "INCR K", "1")], 1);
        // Both halves of a split brain said yes.
        bad(&[(1, 0, 10, "SETNX K a", "1"), (2, 0, 12, "SETNX K b", "1")], 1);
        bad(&[(1, 0, 10, "GETDEL K", "nil"), (1, 20, 21, "SET K a", "OK"), (2, 30, 31, "SET K b NX", "OK")], 2);
        // What was refused must not appear; what was never sent neither.
        bad(&[(1, 0, 1, "SET K a", "-"), (2, 5, 6, "GET K", "a")], 1);
        bad(&[(1, 0, 1, "GET K", "z")], 0);
        // Of unknown outcome: once seen, it stays; and it happens once.
        bad(&[(1, 0, 9, "SET K a", "?"), (2, 10, 11, "GET K", "a"), (2, 12, 13, "GET K", "nil")], 2);
        bad(&[(1, 0, 9, "INCR K", "?"), (2, 10, 11, "GET K", "1"), (2, 12, 13, "GET K", "2")], 2);
        bad(
            &[
                (1, 0, 5, "SET K a", "?"),
                (2, 6, 7, "SET K b", "OK"),
                (2, 8, 9, "GET K", "a"),
                (2, 10, 11, "SET K c", "OK"),
                (2, 12, 13, "GET K", "a"),
            ],
            4,
        );
        // Not before it was sent.
        bad(&[(2, 0, 4, "GET K", "a"), (1, 5, 9, "SET K a", "?")], 0);
        // Reads that overlap one write, but not each other, must not go back.
        bad(&[(1, 0, 99, "SET K a", "OK"), (2, 10, 20, "GET K", "a"), (3, 21, 30, "GET K", "nil")], 2);
    }

    #[test]
    fn finds_what_it_is_there_for() {
        let make = |seed| Box::new(Register::new(&Options::default(), seed)) as Box<dyn Workload>;
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

    #[test]
    fn many_clients_are_judged_without_giving_up() {
        let options = Options { clients: 12, keys: 1, ..Options::default() };
        let mut register = Register::new(&options, 3);
        let history = drive(&mut register, &Plan { clients: 12, requests: 4_000, ..Plan::default() }, None);
        assert_eq!(register.check(&history), Ok(()));
    }

    #[test]
    fn answers_of_one_connection_follow_its_order() {
        let (mut ops, key) = (history(&[]), bytes::Bytes::from(KEY));
        let get = vec![bytes::Bytes::from("GET"), key.clone()];
        let set = vec![bytes::Bytes::from("SET"), key, bytes::Bytes::from("a")];
        let given = Given { client: 1, from: 0, to: 10, command: vec!["GET", KEY], answer: "nil" };
        ops.extend(history(&[given]));
        ops[0].request.commands = vec![set, get];
        ops[0].outcome = crate::Outcome::Answered(vec![command::Reply::OK, command::Reply::Null]);
        assert!(Register::new(&Options::default(), 0).check(&ops).is_err(), "a SET before a GET that saw nothing");
        ops[0].request.commands.reverse();
        ops[0].outcome = crate::Outcome::Answered(vec![command::Reply::Null, command::Reply::OK]);
        assert_eq!(Register::new(&Options::default(), 0).check(&ops), Ok(()));
    }
}

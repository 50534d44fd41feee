//! What the checkers are proven with: histories written by hand, and a server in memory that is perfect or has one fault.

mod run;
mod server;

pub(crate) use run::{Plan, drive};
pub(crate) use server::Flaw;

use crate::{ClientId, Namespace, Operation, Outcome, Request, Workload};
use command::{Fault, Reply};
use stdx::Mono;

/// One command of a client, between two times in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Given<'a> {
    pub(crate) client: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) command: Vec<&'a str>,
    /// `?` for none, `-` for a refusal, `nil`, `OK`, a number, or text.
    pub(crate) answer: &'a str,
}

/// The history of commands given in the order in which they were sent.
pub(crate) fn history(given: &[Given<'_>]) -> Vec<Operation> {
    let second = 1_000_000_000;
    let operation = |g: &Given<'_>| Operation {
        client: ClientId(g.client),
        node: 1,
        connection: g.client,
        request: Request::one(Namespace::Plain, &g.command),
        invoked: Mono(g.from * second),
        ended: Mono(g.to * second),
        outcome: outcome(g.command[0], g.answer),
    };
    given.iter().map(operation).collect()
}

fn outcome(name: &str, answer: &str) -> Outcome {
    let reads_text = name.starts_with("GET") || name == "HGET";
    let reply = match answer {
        "?" => return Outcome::Lost,
        "-" => Fault::NoLeader.into(),
        "nil" => Reply::Null,
        "OK" => Reply::OK,
        number if !reads_text && number.parse::<i64>().is_ok() => Reply::Integer(number.parse().unwrap_or_default()),
        text => Reply::bulk(text.as_bytes()),
    };
    Outcome::Answered(vec![reply])
}

/// Seeds on which a perfect server must be accepted.
const GOOD_SEEDS: u64 = 40;

/// Seeds of which one at least must show the flaw.
const BAD_SEEDS: u64 = 30;

/// Proves a checker: a perfect server is accepted whatever clients lose, and each flaw is found.
pub(crate) fn prove(make: impl Fn(u64) -> Box<dyn Workload>, plan: &Plan, flaws: &[Flaw]) {
    let mut answered = 0;
    for seed in 0..GOOD_SEEDS {
        let mut workload = make(seed);
        let history = drive(&mut *workload, &Plan { seed, ..plan.clone() }, None);
        answered += history.iter().filter(|o| matches!(o.outcome, Outcome::Answered(_))).count();
        if let Err(violation) = workload.check(&history) {
            panic!("seed {seed}: {violation}\n{}", show(&history, &violation));
        }
    }
    assert!(answered > GOOD_SEEDS as usize * plan.requests / 2, "the workload ran: {answered} answers");
    for flaw in flaws {
        let found = (0..BAD_SEEDS).find_map(|seed| {
            let mut workload = make(seed);
            let history = drive(&mut *workload, &Plan { seed, ..plan.clone() }, Some(*flaw));
            workload.check(&history).err()
        });
        let violation = found.unwrap_or_else(|| panic!("{flaw:?} went unnoticed"));
        assert!(!violation.operations.is_empty(), "{violation} names operations");
        assert!(!violation.undecided, "{violation}");
    }
}

fn show(history: &[Operation], violation: &crate::Violation) -> String {
    let key = violation.key.clone().unwrap_or_default();
    let about = |o: &&Operation| o.request.commands.iter().flatten().any(|w| *w == key);
    let line = |o: &Operation| {
        format!("{} {}..{} {:?} {:?}", o.client.0, o.invoked.0, o.ended.0, o.request.commands, o.outcome)
    };
    let mut lines: Vec<String> = violation.operations.iter().filter_map(|at| history.get(*at)).map(line).collect();
    lines.push("all of the key's:".to_owned());
    lines.extend(history.iter().filter(about).take(60).map(line));
    lines.join("\n")
}

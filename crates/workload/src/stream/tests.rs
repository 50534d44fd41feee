use super::Stream;
use crate::history::{ClientId, Namespace};
use crate::options::words;
use crate::testing::{Flaw, Plan, prove};
use crate::{Operation, Options, Outcome, Request, Workload};
use command::{Fault, Reply};
use stdx::Mono;

const KEY: &str = "w:stream:0.0";

/// A client's command between two times in seconds, `K` for the key, and its answer: a number, an ID, entries as
/// `id=token`, pending IDs behind a `#`, `-` for a refusal, `?` for none.
type Given = (u64, u64, u64, &'static str, &'static str);

fn reply(name: &str, answer: &str) -> Reply {
    let bulk = |s: &str| Reply::bulk(s.as_bytes());
    if let Some(pending) = answer.strip_prefix('#') {
        return Reply::Array(pending.split_whitespace().map(|id| Reply::Array(vec![bulk(id)])).collect());
    }
    if let Ok(n) = answer.parse() {
        return Reply::Integer(n);
    }
    let entry = |e: &str| {
        e.split_once('=').map(|(id, token)| Reply::Array(vec![bulk(id), Reply::Array(vec![bulk("t"), bulk(token)])]))
    };
    match (name, answer) {
        ("XADD", id) => bulk(id),
        ("XREADGROUP", entries) => {
            let entries = Reply::Array(entries.split_whitespace().filter_map(entry).collect());
            Reply::Map(vec![(bulk(KEY), entries)])
        }
        (_, entries) => Reply::Array(entries.split_whitespace().filter_map(entry).collect()),
    }
}

fn check(given: &[Given], broken: Option<&str>) {
    let second = 1_000_000_000;
    let history: Vec<Operation> = given
        .iter()
        .map(|(client, from, to, line, answer)| {
            let line = match line.strip_prefix("READ ") {
                Some(consumer) => format!("XREADGROUP GROUP g {consumer} COUNT 9 STREAMS K >"),
                None => (*line).to_owned(),
            };
            let command: Vec<&str> = line.split(' ').map(|w| if w == "K" { KEY } else { w }).collect();
            let outcome = match *answer {
                "?" => Outcome::Lost,
                "-" => Outcome::Answered(vec![Fault::NoLeader.into()]),
                answer => Outcome::Answered(vec![reply(command[0], answer)]),
            };
            Operation {
                client: ClientId(*client),
                node: 1,
                connection: *client,
                request: Request { namespace: Namespace::Plain, commands: vec![words(&command)] },
                invoked: Mono(from * second),
                ended: Mono(to * second),
                outcome,
            }
        })
        .collect();
    let found = Stream::new(&Options::default(), 0).check(&history).err().map(|v| v.what);
    match (&found, broken) {
        (None, None) => {}
        (Some(what), Some(part)) if what.contains(part) => {}
        _ => panic!("{given:?}: {found:?}"),
    }
}

const ADDED: [Given; 2] = [(1, 0, 1, "XADD K * t a", "5-0"), (2, 2, 3, "XADD K * t b", "5-1")];
const RANGE: Given = (1, 20, 21, "XRANGE K - +", "5-0=a 5-1=b");
const DRAINED: Given = (1, 22, 23, "READ end", "5-1=b");

#[test]
fn good_histories_are_accepted() {
    let read: Given = (1, 4, 5, "READ c1", "5-0=a");
    check(&[ADDED[0], ADDED[1], (3, 4, 5, "XLEN K", "2"), RANGE], None);
    check(&[ADDED[0], ADDED[1], read, RANGE, DRAINED, (1, 24, 25, "XPENDING K g - + 9", "#5-0 5-1")], None);
    let acknowledged: Given = (1, 6, 7, "XACK K g 5-0", "1");
    check(&[ADDED[0], ADDED[1], read, acknowledged, RANGE, DRAINED, (1, 24, 25, "XPENDING K g - + 9", "#5-1")], None);
    // Unknown: late, or never.
    check(&[(1, 0, 1, "XADD K * t a", "?"), (2, 2, 3, "XADD K * t b", "5-1"), RANGE], None);
    check(&[(1, 0, 1, "XADD K * t c", "?"), ADDED[0], ADDED[1], RANGE], None);
    check(&[ADDED[0], ADDED[1], (1, 4, 5, "READ c1", "?"), RANGE, DRAINED], None);
}

#[test]
fn bad_histories_are_rejected() {
    let [a, b] = ADDED;
    check(&[a, b, (3, 4, 5, "XLEN K", "1"), RANGE], Some("more had been there"));
    check(&[a, b, (3, 4, 5, "XRANGE K - +", "5-1=b"), RANGE], Some("no beginning"));
    check(&[a, b, (3, 4, 5, "XRANGE K - +", "5-1=b 5-0=a")], Some("do not increase"));
    check(&[a, b, (3, 30, 31, "XRANGE K - +", "5-0=a 5-1=b 5-2=c")], Some("never sent"));
    check(&[a, b, (3, 30, 31, "XRANGE K - +", "5-0=a 5-1=b 5-2=b")], Some("twice"));
    check(&[a, (2, 2, 3, "XADD K * t b", "-"), RANGE], Some("never sent"));
    check(&[a, b, (1, 10, 11, "XADD K * t c", "5-2"), RANGE], Some("lacks it"));
    check(&[a, (2, 2, 3, "XADD K * t b", "4-0"), (1, 20, 21, "XRANGE K - +", "4-0=b 5-0=a")], Some("more had been"));
    check(&[a, b, (1, 4, 5, "READ c1", "5-0=a"), (2, 6, 7, "READ c2", "5-0=a"), RANGE], Some("another consumer"));
    check(&[a, b, (1, 4, 5, "READ c1", "5-1=b"), (2, 6, 7, "READ c2", "5-0=a"), RANGE], Some("later entries"));
    let read: Given = (1, 4, 5, "READ c1", "5-0=a");
    check(&[a, b, read, RANGE, DRAINED, (1, 24, 25, "XPENDING K g - + 9", "#5-1")], Some("nobody acknowledged"));
    let acknowledged: Given = (1, 6, 7, "XACK K g 5-0", "1");
    let left: Given = (1, 24, 25, "XPENDING K g - + 9", "#5-0 5-1");
    check(&[a, b, read, acknowledged, RANGE, DRAINED, left], Some("though it was acknowledged"));
}

#[test]
fn finds_what_it_is_there_for() {
    let make = |seed| Box::new(Stream::new(&Options::default(), seed)) as Box<dyn Workload>;
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

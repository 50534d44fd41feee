//! Every command on keys, strings, hashes, lists, sets and sorted sets (but for SPOP, whose choice no reference foresees), by one client per group of keys. Each answer must be the one that the
//! reference model gives, up to commands of unknown outcome, which may take effect at any later time or never.
//!
//! One client at a time leaves nothing open, so these two find what a command does wrong across leaders, overlays and
//! restarts; what clients do to each other is the business of the other workloads.

mod tables;

use crate::calls::{Call, calls_of, gravest};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude};
use crate::reference::judge;
use crate::{ClientId, Namespace, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use std::collections::BTreeMap;
use stdx::{Mono, Rng};

/// Commands on a group before another takes its place; each one of unknown outcome multiplies the possible states.
const SPAN: Span = Span { uses: 400, unknown: 4 };

/// Keys of a group, a letter each behind its name.
const KEYS: [char; 4] = ['a', 'b', 'c', 'd'];

/// Most commands of one request.
const MAX_PIPELINE: u64 = 5;

/// Which commands.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// Most of them.
    own: &'static [&'static str],
    /// Some, to meet keys of another type, and to make them.
    others: &'static [&'static str],
    /// What reads a key as a whole.
    read: &'static str,
}

/// Every kind.
static KINDS: [Kind; 5] = [
    Kind { name: "strings", own: tables::STRINGS, others: tables::HASHES, read: "GET K" },
    Kind { name: "hashes", own: tables::HASHES, others: tables::STRINGS, read: "HGETALL K" },
    Kind { name: "lists", own: tables::LISTS, others: tables::STRINGS, read: "LRANGE K 0 -1" },
    Kind { name: "sets", own: tables::SETS, others: tables::SORTED_SETS, read: "SMEMBERS K" },
    Kind { name: "sorted-sets", own: tables::SORTED_SETS, others: tables::SETS, read: "ZRANGE K 0 -1 WITHSCORES" },
];

/// See the module.
#[derive(Debug)]
pub struct Commands {
    kind: &'static Kind,
    beginning: String,
    options: Options,
    pace: Pace,
    lives: Lives,
    groups: BTreeMap<ClientId, usize>,
    /// One request in this many has several commands.
    pipelines: u64,
}

impl Commands {
    /// Mostly commands of the kind called `name`, and those on keys.
    #[must_use]
    pub fn named(name: &str, options: &Options, seed: u64) -> Option<Commands> {
        let kind = KINDS.iter().find(|kind| kind.name == name)?;
        Some(Commands {
            kind,
            beginning: beginning(options, kind.name),
            pace: Pace::new(options),
            lives: Lives::tagged(options, kind.name, 0, SPAN),
            options: options.clone(),
            groups: BTreeMap::new(),
            pipelines: Rng::new(seed).range(2, 12),
        })
    }

    /// The groups that a client uses: as many as there are keys in the options, of no other client.
    fn group(&mut self, client: ClientId, rng: &mut Rng) -> usize {
        let count = self.options.key_count() as usize;
        let lives = &mut self.lives;
        let first = *self.groups.entry(client).or_insert_with(|| {
            let first = lives.add();
            for _ in 1..count {
                lives.add();
            }
            first
        });
        first + rng.below(count as u64) as usize
    }

    fn all_keys(&self) -> impl Iterator<Item = (Namespace, Bytes)> {
        self.lives.all().into_iter().flat_map(|(at, group)| KEYS.map(|k| (at, key_of(&group, k))))
    }
}

fn key_of(group: &[u8], key: char) -> Bytes {
    [group, key.to_string().as_bytes()].concat().into()
}

/// The group of a key.
fn group_of(key: &[u8]) -> &[u8] {
    key.split_last().map_or(key, |(_, group)| group)
}

impl Workload for Commands {
    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let n = self.group(client, rng);
        let times = if rng.one_in(self.pipelines) { rng.range(2, MAX_PIPELINE + 1) } else { 1 };
        let group = self.lives.name(n);
        let commands = (0..times).map(|_| command(self.kind, group, rng)).collect();
        Step::Send(Request { namespace: self.lives.namespace(n), commands })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            self.lives.used(group_of(call.key()), call.reply().is_some());
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let read = self.kind.read;
        conclude(self.all_keys().flat_map(|(at, key)| {
            ["TYPE K", read].map(|line| {
                let word = |w: &str| if w == "K" { key.clone() } else { Bytes::copy_from_slice(w.as_bytes()) };
                (at, line.split(' ').map(word).collect())
            })
        }))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        let mut groups: BTreeMap<&[u8], Vec<Call<'_>>> = BTreeMap::new();
        for call in history.iter().enumerate().flat_map(|(at, operation)| calls_of(at, operation)) {
            if call.key().starts_with(self.beginning.as_bytes()) && call.answer != crate::calls::Answer::Refused {
                groups.entry(group_of(call.key())).or_default().push(call);
            }
        }
        gravest(groups.values().map(|calls| judge(self.kind.name, calls[0].key(), calls)))
    }
}

/// A random command on a group.
fn command(kind: &Kind, group: &Bytes, rng: &mut Rng) -> Vec<Bytes> {
    let table = match rng.below(10) {
        0 | 1 => tables::KEYS,
        2 => kind.others,
        _ => kind.own,
    };
    let line = table[rng.below(table.len() as u64) as usize];
    line.split(' ').map(|word| fill(word, group, rng)).collect()
}

/// Puts in what a placeholder stands for: `K` a key, `F` a field, `E` an element or member, `V` a value, `T` one that no number
/// comes out of when it is put beside another, `I` a small integer, `N` one that is not
/// negative, `D` a decimal.
fn fill(word: &str, group: &Bytes, rng: &mut Rng) -> Bytes {
    let small = rng.below(25) as i64 - 12;
    match word {
        "K" => key_of(group, KEYS[rng.below(KEYS.len() as u64) as usize]),
        "F" => Bytes::from(format!("f{}", rng.below(6))),
        "E" => element(rng),
        "V" => value(rng),
        "T" => Bytes::from(format!("t{}", rng.below(1_000))),
        "I" => Bytes::from(small.to_string()),
        "N" => Bytes::from(small.unsigned_abs().to_string()),
        "D" => Bytes::from(["0.5", "-1.25", "3", "10.1", "x"][rng.below(5) as usize]),
        word => Bytes::copy_from_slice(word.as_bytes()),
    }
}

/// One of a few, so that they meet; now and then one that does not fit beside many others.
fn element(rng: &mut Rng) -> Bytes {
    match rng.below(40) {
        0 => Bytes::from(vec![b'y'; rng.range(60, 400) as usize]),
        n => Bytes::from(format!("e{}", n % 8)),
    }
}

fn value(rng: &mut Rng) -> Bytes {
    match rng.below(8) {
        0..4 => Bytes::from((rng.below(41) as i64 - 20).to_string()),
        4 => Bytes::from((i64::MAX - 3).to_string()),
        5 => Bytes::from(format!("text{}", rng.below(1_000))),
        6 => Bytes::new(),
        _ => Bytes::from(vec![b'x'; rng.range(100, 700) as usize]),
    }
}

#[cfg(test)]
mod tests {
    use super::Commands;
    use crate::testing::{Flaw, Plan, prove};
    use crate::{Options, Workload};

    const FLAWS: [Flaw; 6] = [
        Flaw::LosesWrites,
        Flaw::ReadsThePast,
        Flaw::AppliesTwice,
        Flaw::RefusesWhatItDoes,
        Flaw::Reorders,
        Flaw::SplitsInTwo,
    ];

    fn proved(kind: &str) {
        let options = Options { keys: 2, ..Options::default() };
        let make = |seed| {
            let made = Commands::named(kind, &options, seed);
            Box::new(made.expect("it is one of the kinds")) as Box<dyn Workload>
        };
        prove(make, &Plan::default(), &FLAWS);
    }

    #[test]
    fn strings_find_what_they_are_there_for() {
        proved("strings");
    }

    #[test]
    fn hashes_find_what_they_are_there_for() {
        proved("hashes");
    }

    #[test]
    fn lists_find_what_they_are_there_for() {
        proved("lists");
    }

    #[test]
    fn sets_find_what_they_are_there_for() {
        proved("sets");
    }

    #[test]
    fn sorted_sets_find_what_they_are_there_for() {
        proved("sorted-sets");
    }
}

//! Every command on strings, keys and hashes, by one client per group of keys. Each answer must be the one that the
//! reference model gives, up to commands of unknown outcome, which may take effect at any later time or never.
//!
//! One client at a time leaves nothing open, so these two find what a command does wrong across leaders, overlays and
//! restarts; what clients do to each other is the business of the other workloads.

use crate::calls::{Call, calls_of, gravest};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Strings,
    Hashes,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Strings => "strings",
            Kind::Hashes => "hashes",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Commands {
    kind: Kind,
    beginning: String,
    options: Options,
    pace: Pace,
    lives: Lives,
    groups: BTreeMap<ClientId, usize>,
    /// One request in this many has several commands.
    pipelines: u64,
}

impl Commands {
    /// Mostly commands on strings, and those on keys.
    #[must_use]
    pub fn strings(options: &Options, seed: u64) -> Commands {
        Commands::new(Kind::Strings, options, seed)
    }

    /// Mostly commands on hashes, and those on keys.
    #[must_use]
    pub fn hashes(options: &Options, seed: u64) -> Commands {
        Commands::new(Kind::Hashes, options, seed)
    }

    fn new(kind: Kind, options: &Options, seed: u64) -> Commands {
        Commands {
            kind,
            beginning: beginning(options, kind.name()),
            pace: Pace::new(options),
            lives: Lives::tagged(options, kind.name(), 0, SPAN),
            options: options.clone(),
            groups: BTreeMap::new(),
            pipelines: Rng::new(seed).range(2, 12),
        }
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
        self.kind.name()
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
        let kind = self.kind;
        conclude(self.all_keys().flat_map(|(at, key)| {
            let reads: [&[u8]; 2] = match kind {
                Kind::Strings => [b"TYPE", b"GET"],
                Kind::Hashes => [b"TYPE", b"HGETALL"],
            };
            reads.map(|name| (at, words(&[name, &key[..]])))
        }))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        let mut groups: BTreeMap<&[u8], Vec<Call<'_>>> = BTreeMap::new();
        for call in history.iter().enumerate().flat_map(|(at, operation)| calls_of(at, operation)) {
            if call.key().starts_with(self.beginning.as_bytes()) && call.answer != crate::calls::Answer::Refused {
                groups.entry(group_of(call.key())).or_default().push(call);
            }
        }
        gravest(groups.values().map(|calls| judge(self.kind.name(), calls[0].key(), calls)))
    }
}

/// A random command on a group.
fn command(kind: Kind, group: &Bytes, rng: &mut Rng) -> Vec<Bytes> {
    let line = match (kind, rng.below(10)) {
        (_, 0 | 1) => on_keys(rng),
        (Kind::Strings, 2) => on_hashes(rng),
        (Kind::Hashes, 2) => on_strings(rng),
        (Kind::Strings, _) => on_strings(rng),
        (Kind::Hashes, _) => on_hashes(rng),
    };
    line.split(' ').map(|word| fill(word, group, rng)).collect()
}

/// Puts in what a placeholder stands for: `K` a key, `F` a field, `V` a value, `T` one that no number
/// comes out of when it is put beside another, `I` a small integer, `N` one that is not
/// negative, `D` a decimal.
fn fill(word: &str, group: &Bytes, rng: &mut Rng) -> Bytes {
    let small = rng.below(25) as i64 - 12;
    match word {
        "K" => key_of(group, KEYS[rng.below(KEYS.len() as u64) as usize]),
        "F" => Bytes::from(format!("f{}", rng.below(6))),
        "V" => value(rng),
        "T" => Bytes::from(format!("t{}", rng.below(1_000))),
        "I" => Bytes::from(small.to_string()),
        "N" => Bytes::from(small.unsigned_abs().to_string()),
        "D" => Bytes::from(["0.5", "-1.25", "3", "10.1", "x"][rng.below(5) as usize]),
        word => Bytes::copy_from_slice(word.as_bytes()),
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

fn pick<'a>(of: &[&'a str], rng: &mut Rng) -> &'a str {
    of[rng.below(of.len() as u64) as usize]
}

fn on_strings(rng: &mut Rng) -> &'static str {
    pick(
        &[
            "SET K V",
            "SET K V",
            "SET K V NX",
            "SET K V XX",
            "SET K V GET",
            "SET K V NX GET",
            "SET K V XX KEEPTTL",
            "GET K",
            "GET K",
            "GETSET K V",
            "GETDEL K",
            "GETEX K",
            "GETEX K PERSIST",
            "SETNX K V",
            "APPEND K T",
            "STRLEN K",
            "SETRANGE K N T",
            "GETRANGE K I I",
            "SUBSTR K I I",
            "INCR K",
            "DECR K",
            "INCRBY K I",
            "DECRBY K I",
            "INCRBYFLOAT K D",
            "MSET K V K V",
            "MSETNX K V K V",
            "MGET K K K",
            "LCS K K LEN",
        ],
        rng,
    )
}

fn on_keys(rng: &mut Rng) -> &'static str {
    pick(
        &[
            "DEL K",
            "DEL K K",
            "UNLINK K",
            "EXISTS K K",
            "TOUCH K K",
            "TYPE K",
            "RENAME K K",
            "RENAMENX K K",
            "COPY K K",
            "COPY K K REPLACE",
            "PERSIST K",
            "TTL K",
            "PTTL K",
            "EXPIRETIME K",
            "PEXPIRETIME K",
        ],
        rng,
    )
}

fn on_hashes(rng: &mut Rng) -> &'static str {
    pick(
        &[
            "HSET K F V",
            "HSET K F V",
            "HSET K F V F V F V",
            "HMSET K F V F V",
            "HSETNX K F V",
            "HDEL K F",
            "HDEL K F F F",
            "HGET K F",
            "HMGET K F F F",
            "HGETALL K",
            "HKEYS K",
            "HVALS K",
            "HLEN K",
            "HEXISTS K F",
            "HSTRLEN K F",
            "HINCRBY K F I",
            "HINCRBYFLOAT K F D",
            "HRANDFIELD K",
            "HRANDFIELD K I",
            "HRANDFIELD K I WITHVALUES",
        ],
        rng,
    )
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

    #[test]
    fn strings_find_what_they_are_there_for() {
        let options = Options { keys: 2, ..Options::default() };
        let make = |seed| Box::new(Commands::strings(&options, seed)) as Box<dyn Workload>;
        prove(make, &Plan::default(), &FLAWS);
    }

    #[test]
    fn hashes_find_what_they_are_there_for() {
        let options = Options { keys: 2, ..Options::default() };
        let make = |seed| Box::new(Commands::hashes(&options, seed)) as Box<dyn Workload>;
        prove(make, &Plan::default(), &FLAWS);
    }
}

//! Streams with a consumer group: XADD of unique tokens; XREADGROUP and XACK by each client as a consumer; XRANGE, XLEN.
//!
//! Entries are never deleted and IDs only grow, so the checker needs no search: every read is a beginning of the longest
//! one, and IDs follow real time. The group gives each entry to one consumer only, in order; at the end, when the rest
//! was read, each entry is pending or somebody acknowledged it.

mod judge;

use crate::calls::calls_of;
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::{ClientId, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use stdx::{Mono, Rng};

const NAME: &str = "stream";

/// Commands on a key before another takes its place: reads return all of it.
const SPAN: Span = Span { uses: 600, unknown: u32::MAX };

/// Most commands of one request.
const MAX_PIPELINE: u64 = 5;

/// Entries that a consumer takes at once at most.
const MAX_TAKEN: u64 = 8;

/// The group of every stream.
const GROUP: &[u8] = b"g";

/// The consumer that takes what is left at the end.
const LAST_CONSUMER: &[u8] = b"end";

/// More pending entries than a stream ever has.
const ALL: &[u8] = b"1000000";

/// See the module.
#[derive(Debug)]
pub struct Stream {
    beginning: String,
    pace: Pace,
    lives: Lives,
    tokens: u64,
    /// One command in this many only reads.
    reads: u64,
    /// Keys whose group is there.
    made: BTreeSet<Bytes>,
    /// What clients were given and did not acknowledge.
    held: BTreeMap<(ClientId, Bytes), Vec<Bytes>>,
}

impl Stream {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Stream {
        let reads = Rng::new(seed).range(4, 16);
        Stream {
            beginning: beginning(options, NAME),
            pace: Pace::new(options),
            lives: Lives::new(options, NAME, SPAN),
            tokens: 0,
            reads,
            made: BTreeSet::new(),
            held: BTreeMap::new(),
        }
    }

    fn command(&mut self, client: ClientId, n: usize, rng: &mut Rng) -> Vec<Bytes> {
        let key = self.lives.name(n).clone();
        if !self.made.contains(&key) {
            return words::<&[u8]>(&[b"XGROUP", b"CREATE", &key[..], GROUP, b"0", b"MKSTREAM"]);
        }
        if rng.one_in(self.reads) {
            return if rng.one_in(2) {
                words::<&[u8]>(&[b"XLEN", &key[..]])
            } else {
                words::<&[u8]>(&[b"XRANGE", &key[..], b"-", b"+"])
            };
        }
        if rng.one_in(2) {
            self.tokens += 1;
            return words::<&[u8]>(&[b"XADD", &key[..], b"*", b"t", self.tokens.to_string().as_bytes()]);
        }
        let held = self.held.entry((client, key.clone())).or_default();
        if !held.is_empty() && rng.one_in(2) {
            let count = rng.range(1, held.len() as u64 + 1) as usize;
            let ids: Vec<Bytes> = held.drain(..count).collect();
            return [words::<&[u8]>(&[b"XACK", &key[..], GROUP]), ids].concat();
        }
        let count = rng.range(1, MAX_TAKEN + 1).to_string();
        let from: &[u8] = if rng.one_in(12) { b"0" } else { b">" };
        read_group(&key, format!("c{}", client.0).as_bytes(), count.as_bytes(), from)
    }
}

fn read_group(key: &[u8], consumer: &[u8], count: &[u8], from: &[u8]) -> Vec<Bytes> {
    words::<&[u8]>(&[b"XREADGROUP", b"GROUP", GROUP, consumer, b"COUNT", count, b"STREAMS", key, from])
}

/// The key of one of this workload's commands.
fn key_of(words: &[Bytes]) -> &[u8] {
    let at = match words.first().map(|w| &w[..]) {
        Some(b"XREADGROUP") => words.len().saturating_sub(2),
        Some(b"XGROUP") => 2,
        _ => 1,
    };
    words.get(at).map_or(b"", |w| w)
}

impl Workload for Stream {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let n = rng.below(self.lives.count() as u64) as usize;
        let times = if rng.one_in(8) { rng.range(2, MAX_PIPELINE + 1) } else { 1 };
        let commands = (0..times).map(|_| self.command(client, n, rng)).collect();
        Step::Send(Request { namespace: self.lives.namespace(n), commands })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            let key = Bytes::copy_from_slice(key_of(call.words));
            if let Some(reply) = call.reply() {
                if call.name() == b"XGROUP" {
                    self.made.insert(key.clone());
                }
                if call.name() == b"XREADGROUP" && call.words.last().is_some_and(|from| from == ">") {
                    let given = judge::entries_of_group(reply).unwrap_or_default();
                    let held = self.held.entry((call.client, key.clone())).or_default();
                    held.extend(given.into_iter().map(|(id, _)| id.clone()));
                }
            }
            self.lives.used(&key, call.reply().is_some());
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all();
        let phase = |command: &dyn Fn(&[u8]) -> Vec<Bytes>| {
            conclude(all.iter().map(|(namespace, key)| (*namespace, command(&key[..]))))
        };
        // One after the other: what was there is delivered, and what is delivered is pending.
        [
            phase(&|key| words::<&[u8]>(&[b"XGROUP", b"CREATE", key, GROUP, b"0", b"MKSTREAM"])),
            phase(&|key| words::<&[u8]>(&[b"XRANGE", key, b"-", b"+"])),
            phase(&|key| read_group(key, LAST_CONSUMER, ALL, b">")),
            phase(&|key| words::<&[u8]>(&[b"XPENDING", key, GROUP, b"-", b"+", ALL])),
        ]
        .concat()
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        judge::check(history, &self.beginning)
    }
}

#[cfg(test)]
mod tests;

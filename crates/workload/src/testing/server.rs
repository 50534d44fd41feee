//! A sequential server on the reference model, and what can be wrong with one.

use crate::model::Model;
use bytes::Bytes;
use command::{Command, Reply, lookup};
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::{Mono, Rng};

/// What a server does wrong, now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// Acknowledges a write and forgets it.
    LosesWrites,
    /// Answers a read from the past.
    ReadsThePast,
    /// Applies a write twice.
    AppliesTwice,
    /// Applies a write that it refused.
    RefusesWhatItDoes,
    /// Acknowledges a write and applies it behind later ones.
    Reorders,
    /// For a while two halves serve different clients, and one half's writes vanish.
    SplitsInTwo,
    /// Applies a part of a transaction.
    TearsTransactions,
    /// Runs EXEC though a watched key changed.
    ForgetsWatches,
    /// Deadlines come at half of their time.
    ExpiresEarly,
    /// Deadlines come at twice their time.
    ExpiresLate,
    /// Pages of SCAN and HSCAN lack an element.
    SkipsElements,
}

/// One in this many commands on which a flaw can act, it does.
const COMMANDS_PER_FLAW: u64 = 25;

/// The wall clock at the beginning of time.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// Commands served by two halves before they find each other again.
const SPLIT_COMMANDS: u32 = 40;

type Words = Vec<Bytes>;

#[derive(Debug, Default)]
struct Session {
    queued: Option<Vec<Words>>,
    watched: Vec<(Bytes, u64)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Server {
    model: Model,
    /// The database as it was a while ago.
    past: Model,
    /// The other half and how long it lasts.
    other: Option<(Model, u32)>,
    /// An acknowledged write that waits, and for how many commands.
    late: Option<(Words, u32)>,
    sessions: BTreeMap<u64, Session>,
    versions: BTreeMap<Bytes, u64>,
    flaw: Option<Flaw>,
    clock_error_ms: u64,
    clock_off_ms: i64,
    commands: u64,
    rng: Rng,
}

impl Server {
    pub(crate) fn new(flaw: Option<Flaw>, clock_error: Duration, seed: u64) -> Server {
        Server {
            model: Model::at(EPOCH_MS),
            past: Model::at(EPOCH_MS),
            other: None,
            late: None,
            sessions: BTreeMap::new(),
            versions: BTreeMap::new(),
            flaw,
            clock_error_ms: clock_error.as_millis() as u64,
            clock_off_ms: 0,
            commands: 0,
            rng: Rng::new(seed),
        }
    }

    /// The server is flawless from here on; what it holds stays.
    pub(crate) fn heal(&mut self) {
        self.flaw = None;
        self.other = None;
        if let Some((words, _)) = self.late.take() {
            self.apply(&words);
        }
    }

    fn strikes(&mut self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw) && self.rng.one_in(COMMANDS_PER_FLAW)
    }

    /// Runs a command of a connection.
    pub(crate) fn run(&mut self, connection: u64, words: &Words, now: Mono) -> Reply {
        self.tick(now);
        let name = words[0].to_ascii_uppercase();
        let session = self.sessions.entry(connection).or_default();
        match &name[..] {
            b"MULTI" => session.queued = Some(Vec::new()),
            b"DISCARD" => *session = Session::default(),
            b"EXEC" => return self.exec(connection),
            b"WATCH" => {
                let versions = &self.versions;
                let seen = words[1..].iter().map(|k| (k.clone(), versions.get(k).copied().unwrap_or(0)));
                session.watched.extend(seen);
            }
            _ => {
                if let Some(queue) = &mut session.queued {
                    queue.push(words.clone());
                    return Reply::Simple("QUEUED".into());
                }
                return self.single(connection, words);
            }
        }
        Reply::OK
    }

    /// Time goes on, and what waits gets its turn.
    fn tick(&mut self, now: Mono) {
        let error = self.clock_error_ms;
        if error > 0 && self.rng.one_in(100) {
            self.clock_off_ms = self.rng.below(2 * error + 1) as i64 - error as i64;
        }
        let wall = EPOCH_MS + (now.0 / 1_000_000) as i64 + self.clock_off_ms;
        self.model.now = self.model.now.max(wall);
        self.commands += 1;
        if self.commands.is_multiple_of(10) && self.rng.one_in(3) {
            self.past = self.model.clone();
        }
        match &mut self.late {
            Some((_, left)) if *left > 0 => *left -= 1,
            Some(_) => {
                if let Some((words, _)) = self.late.take() {
                    self.apply(&words);
                }
            }
            None => {}
        }
        match &mut self.other {
            Some((_, left)) if *left > 0 => *left -= 1,
            _ => self.other = None,
        }
    }

    fn single(&mut self, connection: u64, words: &Words) -> Reply {
        let writes = lookup(&words[0]).is_some_and(command::Spec::is_write);
        if self.other.is_none() && self.strikes(Flaw::SplitsInTwo) {
            self.other = Some((self.model.clone(), SPLIT_COMMANDS));
        }
        if let Some((other, _)) = &mut self.other
            && connection % 2 == 1
        {
            return answer(other, words, &mut self.rng);
        }
        if !writes && self.strikes(Flaw::ReadsThePast) {
            let mut past = self.past.clone();
            past.now = self.model.now;
            return answer(&mut past, words, &mut self.rng);
        }
        if writes && self.strikes(Flaw::LosesWrites) {
            return answer(&mut self.model.clone(), words, &mut self.rng);
        }
        if writes && self.late.is_none() && self.strikes(Flaw::Reorders) {
            self.late = Some((words.clone(), 12));
            return answer(&mut self.model.clone(), words, &mut self.rng);
        }
        let reply = self.apply(words);
        if writes && self.strikes(Flaw::AppliesTwice) {
            self.apply(words);
        }
        if writes && self.strikes(Flaw::RefusesWhatItDoes) {
            return command::Fault::NoLeader.into();
        }
        if self.strikes(Flaw::SkipsElements) { without_one(reply) } else { reply }
    }

    fn apply(&mut self, words: &Words) -> Reply {
        let parsed = Command::parse(words.iter().cloned().collect());
        if let Ok(command) = parsed
            && command.is_write()
        {
            for key in command.keys() {
                *self.versions.entry(Bytes::copy_from_slice(key)).or_default() += 1;
            }
        }
        let words = self.distort(words);
        answer(&mut self.model, &words, &mut self.rng)
    }

    /// The command with its deadline changed, if that is the flaw.
    fn distort(&mut self, words: &Words) -> Words {
        let early = self.strikes(Flaw::ExpiresEarly);
        let late = self.strikes(Flaw::ExpiresLate);
        let mut words = words.clone();
        let at = match words.iter().position(|w| w.eq_ignore_ascii_case(b"px")) {
            Some(px) => px + 1,
            None => 2,
        };
        let is_deadline = at > 2 || words[0].eq_ignore_ascii_case(b"pexpire");
        if (early || late)
            && is_deadline
            && let Some(ms) = words.get(at).and_then(|w| std::str::from_utf8(w).ok()?.parse::<u64>().ok())
        {
            words[at] = Bytes::from(if early { ms / 2 } else { ms * 2 }.to_string());
        }
        words
    }

    fn exec(&mut self, connection: u64) -> Reply {
        let session = self.sessions.remove(&connection).unwrap_or_default();
        let Some(queue) = session.queued else { return Reply::error("ERR EXEC without MULTI") };
        let changed = session.watched.iter().any(|(key, seen)| self.versions.get(key).copied().unwrap_or(0) != *seen);
        if changed && !self.strikes(Flaw::ForgetsWatches) {
            return Reply::NullArray;
        }
        if self.strikes(Flaw::LosesWrites) {
            let mut copy = self.model.clone();
            return Reply::Array(queue.iter().map(|words| answer(&mut copy, words, &mut self.rng)).collect());
        }
        let torn = if self.strikes(Flaw::TearsTransactions) { queue.len() / 2 } else { queue.len() };
        let mut replies: Vec<Reply> = queue[..torn].iter().map(|words| self.apply(words)).collect();
        let mut copy = self.model.clone();
        replies.extend(queue[torn..].iter().map(|words| answer(&mut copy, words, &mut self.rng)));
        Reply::Array(replies)
    }
}

/// The model's answer, and those of the commands that it does not run itself.
fn answer(model: &mut Model, words: &Words, rng: &mut Rng) -> Reply {
    let name = words[0].to_ascii_uppercase();
    match &name[..] {
        b"SCAN" => {
            let keys = model.keys().into_iter().map(|k| (k, None));
            page(keys.collect(), &words[1], &words[2..])
        }
        b"HSCAN" => {
            let Some(Reply::Map(pairs)) = model.run(&[Bytes::from("HGETALL"), words[1].clone()]) else {
                return Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value");
            };
            let bulk = |r: Reply| if let Reply::Bulk(b) = r { b } else { Bytes::new() };
            page(pairs.into_iter().map(|(f, v)| (bulk(f), Some(bulk(v)))).collect(), &words[2], &words[3..])
        }
        b"HRANDFIELD" | b"SRANDMEMBER" => random(model, words, rng),
        _ => match model.run(words) {
            Some(reply) => reply,
            None => panic!("the test server has no {words:?}"),
        },
    }
}

/// Some fields of a hash or members of a set.
fn random(model: &mut Model, words: &Words, rng: &mut Rng) -> Reply {
    let whole = if words[0].eq_ignore_ascii_case(b"HRANDFIELD") { "HGETALL" } else { "SMEMBERS" };
    let pairs = match model.run(&[Bytes::from(whole), words[1].clone()]) {
        Some(Reply::Map(pairs)) => pairs,
        Some(Reply::Set(members)) => members.into_iter().map(|member| (member, Reply::Null)).collect(),
        Some(other) => return other,
        None => Vec::new(),
    };
    let Some(count) = words.get(2) else {
        let at = rng.below(pairs.len() as u64) as usize;
        return pairs.into_iter().nth(at).map_or(Reply::Null, |(field, _)| field);
    };
    let count: i64 = String::from_utf8_lossy(count).parse().unwrap_or(0);
    let drawn: Vec<(Reply, Reply)> = if count >= 0 {
        pairs.into_iter().take(count as usize).collect()
    } else if pairs.is_empty() {
        Vec::new()
    } else {
        (0..-count).map(|_| pairs[rng.below(pairs.len() as u64) as usize].clone()).collect()
    };
    let with_values = words.len() > 3;
    Reply::Array(drawn.into_iter().flat_map(|(f, v)| if with_values { vec![f, v] } else { vec![f] }).collect())
}

/// A page of elements in the order of their hashes: what is added or removed meanwhile shifts nothing.
fn page(mut elements: Vec<(Bytes, Option<Bytes>)>, cursor: &Bytes, options: &[Bytes]) -> Reply {
    let place =
        |element: &[u8]| element.iter().fold(7u64, |h, b| h.wrapping_mul(1_099_511_628_211) ^ u64::from(*b)) >> 1;
    let cursor: u64 = String::from_utf8_lossy(cursor).parse().unwrap_or(0);
    let count = options.iter().position(|w| w == "COUNT").and_then(|at| options.get(at + 1));
    let count: usize = count.map_or(10, |w| String::from_utf8_lossy(w).parse().unwrap_or(10));
    elements.sort_by_key(|(e, _)| place(e));
    let mut from = elements.into_iter().filter(|(e, _)| place(e) >= cursor).peekable();
    let page: Vec<_> = from.by_ref().take(count).collect();
    let next = from.peek().map_or(0, |(e, _)| place(e));
    let pattern = options.iter().position(|w| w == "MATCH").and_then(|at| options.get(at + 1));
    let page = page.into_iter().filter(|(e, _)| pattern.is_none_or(|p| command::glob::matches(p, e)));
    let shown = page.flat_map(|(e, v)| std::iter::once(e).chain(v)).map(Reply::Bulk);
    Reply::Array(vec![Reply::bulk(next.to_string().as_bytes()), Reply::Array(shown.collect())])
}

fn without_one(reply: Reply) -> Reply {
    match reply {
        Reply::Array(mut parts) => {
            if let Some(Reply::Array(elements)) = parts.get_mut(1) {
                elements.truncate(elements.len().saturating_sub(2));
            }
            Reply::Array(parts)
        }
        other => other,
    }
}

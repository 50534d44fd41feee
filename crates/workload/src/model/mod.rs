//! What the commands on keys, strings, hashes, lists, sets and sorted sets, and some on streams, do, said in the plainest way: maps of
//! whole values. Written from the documentation of Redis and independently of the evaluator, which is tested against it
//! (crates/state/tests/reference.rs): it knows nothing of records, overlays, batches or shards.

mod answer;
mod hashes;
mod keys;
mod lists;
mod sets;
mod sorted;
mod streams;
mod strings;

use bytes::Bytes;
use command::Reply;
use sets::Set;
use sorted::Sorted;
use std::collections::BTreeMap;

/// The words of a command, the name first.
type Words<'a> = &'a [Bytes];

/// An answer, or the error that stands in for it; `None` when the model does not know the command.
type Answer = Result<Reply, Option<Reply>>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Value {
    Text(Bytes),
    Hash(Hash),
    List(Vec<Bytes>),
    Set(Set),
    Sorted(Sorted),
    Stream(streams::Stream),
}

impl Value {
    /// What TYPE answers.
    fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::Hash(_) => "hash",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Sorted(_) => "zset",
            Value::Stream(_) => "stream",
        }
    }

    /// Whether it is a collection without elements, which goes away.
    fn is_empty(&self) -> bool {
        match self {
            Value::Text(_) | Value::Stream(_) => false,
            Value::Hash(hash) => hash.is_empty(),
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Sorted(set) => set.is_empty(),
        }
    }
}

type Hash = BTreeMap<Bytes, Bytes>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    value: Value,
    /// Milliseconds since the epoch; alive up to and including that one.
    dies_at: Option<i64>,
}

/// Databases of keys, and the clock and the selected database of the one client that uses them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Model {
    /// Milliseconds since the epoch.
    pub now: i64,
    /// The database commands work on; SELECT changes it.
    pub db: usize,
    databases: BTreeMap<usize, BTreeMap<Bytes, Entry>>,
}

const WRONG_TYPE: Reply = Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value");
const NOT_AN_INTEGER: Reply = Reply::error("ERR value is not an integer or out of range");
const NOT_A_FLOAT: Reply = Reply::error("ERR value is not a valid float");
const OVERFLOW: Reply = Reply::error("ERR increment or decrement would overflow");
const SYNTAX: Reply = Reply::error("ERR syntax error");
const SAME_OBJECT: Reply = Reply::error("ERR source and destination objects are the same");

impl Model {
    /// Empty databases at a time.
    #[must_use]
    pub fn at(now: i64) -> Model {
        Model { now, ..Model::default() }
    }

    /// Keys of the selected database that a client can see, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<Bytes> {
        let alive = |e: &Entry| e.dies_at.is_none_or(|at| at >= self.now);
        let all = self.databases.get(&self.db).into_iter().flatten();
        all.filter(|(_, e)| alive(e)).map(|(k, _)| k.clone()).collect()
    }

    /// Runs a command. Pairs and lists whose order is free come sorted. `None` for commands that the model does not
    /// know or that answer at random; [`Model::accepts`] judges the latter.
    pub fn run(&mut self, words: &[Bytes]) -> Option<Reply> {
        let (name, rest) = words.split_first()?;
        let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
        self.bury();
        let groups = [
            Model::on_strings,
            Model::on_keys,
            Model::on_hashes,
            Model::on_lists,
            Model::on_sets,
            Model::on_sorted_sets,
            Model::on_streams,
        ];
        let known = groups.iter().map(|group| group(self, &name, rest)).find(|answer| *answer != Err(None));
        let answer = known.unwrap_or(Err(None));
        self.bury();
        match answer {
            Ok(reply) | Err(Some(reply)) => Some(reply),
            Err(None) => None,
        }
    }

    /// Runs a command and says whether `reply` is a right answer to it, in either version of the protocol.
    pub fn accepts(&mut self, words: &[Bytes], reply: &Reply) -> bool {
        if let Some(fits) = self.random_answer_fits(words, reply) {
            return fits;
        }
        self.run(words).is_some_and(|expected| answer::same(words, &expected, reply))
    }

    /// Drops what has died; everything else may then ignore time.
    fn bury(&mut self) {
        let now = self.now;
        for database in self.databases.values_mut() {
            database.retain(|_, e| e.dies_at.is_none_or(|at| at >= now));
        }
        self.databases.retain(|_, database| !database.is_empty());
    }

    fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.databases.get_mut(&self.db)?.get_mut(key)
    }

    fn exists(&mut self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    fn put(&mut self, key: &Bytes, value: Value, dies_at: Option<i64>) {
        self.databases.entry(self.db).or_default().insert(key.clone(), Entry { value, dies_at });
    }

    fn delete(&mut self, key: &[u8]) -> Option<Entry> {
        self.databases.get_mut(&self.db)?.remove(key)
    }

    /// Changes a value and keeps its expiry; an empty one goes away.
    fn change(&mut self, key: &Bytes, value: Value) {
        let dies_at = self.entry(key).and_then(|e| e.dies_at);
        if value.is_empty() {
            self.delete(key);
        } else {
            self.put(key, value, dies_at);
        }
    }

    /// The value under a key, if `of` says that its type is the right one.
    fn value<T>(&mut self, key: &[u8], of: impl FnOnce(&Value) -> Option<&T>) -> Result<Option<T>, Option<Reply>>
    where
        T: Clone,
    {
        match self.entry(key) {
            None => Ok(None),
            Some(entry) => of(&entry.value).cloned().map(Some).ok_or(Some(WRONG_TYPE)),
        }
    }

    /// The string under a key.
    fn text(&mut self, key: &[u8]) -> Result<Option<Bytes>, Option<Reply>> {
        self.value(key, |v| if let Value::Text(text) = v { Some(text) } else { None })
    }

    /// The hash under a key.
    fn hash(&mut self, key: &[u8]) -> Result<Hash, Option<Reply>> {
        self.value(key, |v| if let Value::Hash(hash) = v { Some(hash) } else { None }).map(Option::unwrap_or_default)
    }

    /// The list under a key.
    fn list(&mut self, key: &[u8]) -> Result<Vec<Bytes>, Option<Reply>> {
        self.value(key, |v| if let Value::List(list) = v { Some(list) } else { None }).map(Option::unwrap_or_default)
    }

    /// The set under a key.
    fn set_at(&mut self, key: &[u8]) -> Result<Set, Option<Reply>> {
        self.value(key, |v| if let Value::Set(set) = v { Some(set) } else { None }).map(Option::unwrap_or_default)
    }

    /// The sorted set under a key.
    fn sorted(&mut self, key: &[u8]) -> Result<Sorted, Option<Reply>> {
        self.value(key, |v| if let Value::Sorted(set) = v { Some(set) } else { None }).map(Option::unwrap_or_default)
    }
}

fn count(n: usize) -> Reply {
    Reply::Integer(n as i64)
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// A word that is exactly how an integer is printed.
fn number(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let n: i64 = text.parse().ok()?;
    (n.to_string() == text).then_some(n)
}

fn integer(word: &[u8]) -> Result<i64, Option<Reply>> {
    number(word).ok_or(Some(NOT_AN_INTEGER))
}

/// A number with at most two decimal places, in hundredths: all that the workloads write.
fn hundredths(word: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(word).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(places) || places.len() > 2 {
        return None;
    }
    let n: i128 = format!("{whole}{places:0<2}").parse().ok()?;
    Some(if negative { -n } else { n })
}

/// Hundredths in their shortest form.
fn print_hundredths(n: i128) -> Bytes {
    let sign = if n < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:02}", n.unsigned_abs() / 100, n.unsigned_abs() % 100);
    Bytes::from(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

//! What Redis does, said in the plainest way: maps of whole values. It knows nothing of records, overlays or batches.

mod bits;
mod counts;
mod lists;
mod sets;
mod sorted;
mod streams;

use command::Reply;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Clone, PartialEq, Debug)]
enum Value {
    Text(Vec<u8>),
    Hash(HashMap<Vec<u8>, Vec<u8>>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Sorted(BTreeMap<Vec<u8>, f64>),
    Stream(streams::Stream),
    /// What was added to an approximate count.
    Counted(BTreeSet<Vec<u8>>),
}

impl Value {
    /// What TYPE answers.
    fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) | Value::Counted(_) => "string",
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
            Value::Text(_) | Value::Counted(_) | Value::Stream(_) => false,
            Value::Hash(h) => h.is_empty(),
            Value::List(l) => l.is_empty(),
            Value::Set(s) => s.is_empty(),
            Value::Sorted(s) => s.is_empty(),
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Entry {
    value: Value,
    dies_at: Option<i64>,
}

#[derive(Default)]
pub struct Model {
    pub now: i64,
    pub db: usize,
    databases: HashMap<usize, HashMap<Vec<u8>, Entry>>,
}

const WRONG: Reply = Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value");
const NOT_INT: Reply = Reply::error("ERR value is not an integer or out of range");

fn text(v: &[u8]) -> Reply {
    Reply::bulk(v)
}

fn int(n: usize) -> Reply {
    Reply::Integer(n as i64)
}

fn number(word: &[u8]) -> Option<i64> {
    let s = std::str::from_utf8(word).ok()?;
    let n: i64 = s.parse().ok()?;
    (n.to_string() == s).then_some(n)
}

type Words<'a> = &'a [Vec<u8>];

impl Model {
    pub fn at(now: i64) -> Model {
        Model { now, ..Model::default() }
    }

    /// Keys that a client can see.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<_> = self.databases.get(&self.db).into_iter().flat_map(|d| d.keys().cloned()).collect();
        keys.sort();
        keys
    }

    /// Drops what has died; everything else may then ignore time.
    fn bury(&mut self) {
        for database in self.databases.values_mut() {
            database.retain(|_, e| e.dies_at.is_none_or(|at| at >= self.now));
        }
    }

    fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.databases.entry(self.db).or_default().get_mut(key)
    }

    fn put(&mut self, key: &[u8], value: Value, dies_at: Option<i64>) {
        self.databases.entry(self.db).or_default().insert(key.to_vec(), Entry { value, dies_at });
    }

    fn delete(&mut self, key: &[u8]) -> Option<Entry> {
        self.databases.entry(self.db).or_default().remove(key)
    }

    /// The value of a key as `of` sees it, empty when absent; an error for another type.
    fn get<T: Default>(&mut self, key: &[u8], of: fn(Value) -> Option<T>) -> Result<T, Reply> {
        match self.entry(key).map(|e| e.value.clone()) {
            None => Ok(T::default()),
            Some(value) => of(value).ok_or(WRONG),
        }
    }

    fn get_text(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Reply> {
        self.get(key, |v| if let Value::Text(t) = v { Some(Some(t)) } else { None })
    }

    fn get_hash(&mut self, key: &[u8]) -> Result<HashMap<Vec<u8>, Vec<u8>>, Reply> {
        self.get(key, |v| if let Value::Hash(h) = v { Some(h) } else { None })
    }

    /// Changes a value and keeps its expiry; an empty collection goes away.
    fn set_value(&mut self, key: &[u8], value: Value) {
        let dies_at = self.entry(key).and_then(|e| e.dies_at);
        if value.is_empty() {
            self.delete(key);
        } else {
            self.put(key, value, dies_at);
        }
    }

    pub fn run(&mut self, words: Words<'_>) -> Reply {
        self.bury();
        let name = String::from_utf8(words[0].to_ascii_lowercase()).unwrap();
        let a = &words[1..];
        let is_in = |commands: &str| commands.contains(&format!(" {name} "));
        let result = match () {
            () if name.starts_with('h') => self.hash(&name, a),
            () if is_in(bits::COMMANDS) => self.bits(&name, a),
            () if name.starts_with("pf") => self.counts(&name, a),
            () if is_in(lists::COMMANDS) => self.list(&name, a),
            () if is_in(sets::COMMANDS) => self.set_command(&name, a),
            () if name.starts_with('z') => self.sorted(&name, a),
            () if is_in(streams::COMMANDS) => self.stream(&name, a),
            () => self.other(&name, a),
        };
        self.bury();
        result.unwrap_or_else(|e| e)
    }

    fn other(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        Ok(match name {
            "get" => self.get_text(&a[0])?.map_or(Reply::Null, |v| text(&v)),
            "set" => return self.set(&a[0], &a[1], &a[2..]),
            "getdel" => {
                let v = self.get_text(&a[0])?;
                self.delete(&a[0]);
                v.map_or(Reply::Null, |v| text(&v))
            }
            "append" => {
                let mut v = self.get_text(&a[0])?.unwrap_or_default();
                v.extend_from_slice(&a[1]);
                let len = v.len();
                self.set_value(&a[0], Value::Text(v));
                int(len)
            }
            "setrange" => {
                let mut v = self.get_text(&a[0])?.unwrap_or_default();
                if !a[2].is_empty() {
                    let from = number(&a[1]).unwrap() as usize;
                    v.resize(v.len().max(from + a[2].len()), 0);
                    v[from..from + a[2].len()].copy_from_slice(&a[2]);
                    self.set_value(&a[0], Value::Text(v.clone()));
                }
                int(v.len())
            }
            "getrange" => {
                let v = self.get_text(&a[0])?.unwrap_or_default();
                let place = |w: &[u8]| number(w).map(|n| if n < 0 { n + v.len() as i64 } else { n }).unwrap();
                let (from, to) = (place(&a[1]).max(0), place(&a[2]).max(0));
                // Two negative ends in the wrong order are empty even where both are clamped to the first byte.
                let inverted = a[1][0] == b'-' && a[2][0] == b'-' && number(&a[1]) > number(&a[2]);
                let part = v.iter().enumerate().filter(|(i, _)| !inverted && (from..=to).contains(&(*i as i64)));
                text(&part.map(|(_, b)| *b).collect::<Vec<_>>())
            }
            "strlen" => int(self.get_text(&a[0])?.unwrap_or_default().len()),
            "incrby" => {
                let old = self.get_text(&a[0])?.map_or(Some(0), |v| number(&v)).ok_or(NOT_INT)?;
                let new = old.checked_add(number(&a[1]).unwrap());
                let new = new.ok_or(Reply::error("ERR increment or decrement would overflow"))?;
                self.set_value(&a[0], Value::Text(new.to_string().into_bytes()));
                Reply::Integer(new)
            }
            "mset" => {
                for pair in a.chunks(2) {
                    self.put(&pair[0], Value::Text(pair[1].clone()), None);
                }
                Reply::OK
            }
            "msetnx" => {
                let free = a.chunks(2).all(|pair| self.entry(&pair[0]).is_none());
                if free {
                    self.other("mset", a)?;
                }
                int(usize::from(free))
            }
            "mget" => Reply::Array(
                a.iter().map(|k| self.get_text(k).ok().flatten().map_or(Reply::Null, |v| text(&v))).collect(),
            ),
            _ => return self.keyed(name, a),
        })
    }

    fn set(&mut self, key: &[u8], value: &[u8], options: Words<'_>) -> Result<Reply, Reply> {
        let options: Vec<String> = options.iter().map(|o| String::from_utf8_lossy(o).to_lowercase()).collect();
        let has = |o: &str| options.iter().any(|w| w == o);
        let before = if has("get") { Some(self.get_text(key)?) } else { None };
        let exists = self.entry(key).is_some();
        let old = |done: Reply| before.clone().map_or(done, |b| b.map_or(Reply::Null, |v| text(&v)));
        if (has("nx") && exists) || (has("xx") && !exists) {
            return Ok(old(Reply::Null));
        }
        let mut dies_at = if has("keepttl") { self.entry(key).and_then(|e| e.dies_at) } else { None };
        if let Some(at) = options.iter().position(|o| o == "px") {
            dies_at = Some(self.now + options[at + 1].parse::<i64>().unwrap());
        }
        self.put(key, Value::Text(value.to_vec()), dies_at);
        Ok(old(Reply::OK))
    }

    fn keyed(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        let now = self.now;
        Ok(match name {
            "del" => int(a.iter().filter(|k| self.delete(k).is_some()).count()),
            "exists" => int(a.iter().filter(|k| self.entry(k).is_some()).count()),
            "type" => Reply::Simple(self.entry(&a[0]).map_or("none", |e| e.value.kind()).into()),
            "pttl" => Reply::Integer(self.entry(&a[0]).map_or(-2, |e| e.dies_at.map_or(-1, |at| at - now))),
            "persist" => int(usize::from(self.entry(&a[0]).is_some_and(|e| e.dies_at.take().is_some()))),
            "pexpire" => {
                let at = now + number(&a[1]).unwrap();
                let Some(e) = self.entry(&a[0]) else { return Ok(int(0)) };
                let allowed = match a.get(2).map(|o| o.as_slice()) {
                    Some(b"NX") => e.dies_at.is_none(),
                    Some(b"XX") => e.dies_at.is_some(),
                    Some(b"GT") => e.dies_at.is_some_and(|old| at > old),
                    Some(b"LT") => e.dies_at.is_none_or(|old| at < old),
                    _ => true,
                };
                if allowed && at > now {
                    e.dies_at = Some(at);
                } else if allowed {
                    self.delete(&a[0]);
                }
                int(usize::from(allowed))
            }
            "rename" => {
                let Some(e) = self.delete(&a[0]) else { return Err(Reply::error("ERR no such key")) };
                self.put(&a[1], e.value, e.dies_at);
                Reply::OK
            }
            "renamenx" => {
                if self.entry(&a[0]).is_none() {
                    return Err(Reply::error("ERR no such key"));
                }
                let free = self.entry(&a[1]).is_none();
                if free {
                    self.keyed("rename", a)?;
                }
                int(usize::from(free))
            }
            "copy" => {
                let (home, away) = (self.db, number(&a[3]).unwrap() as usize);
                if home == away && a[0] == a[1] {
                    return Err(Reply::error("ERR source and destination objects are the same"));
                }
                let Some(e) = self.entry(&a[0]).cloned() else { return Ok(int(0)) };
                self.db = away;
                let done = a.len() > 4 || self.entry(&a[1]).is_none();
                if done {
                    self.put(&a[1], e.value, e.dies_at);
                }
                self.db = home;
                int(usize::from(done))
            }
            "move" => {
                let (home, away) = (self.db, number(&a[1]).unwrap() as usize);
                if home == away {
                    return Err(Reply::error("ERR source and destination objects are the same"));
                }
                let copied = self.keyed("copy", &[a[0].clone(), a[0].clone(), b"DB".to_vec(), a[1].clone()])?;
                if copied == int(1) {
                    self.delete(&a[0]);
                }
                copied
            }
            "dbsize" => int(self.keys().len()),
            "flushdb" => {
                self.databases.remove(&self.db);
                Reply::OK
            }
            "flushall" => {
                self.databases.clear();
                Reply::OK
            }
            "select" => {
                self.db = number(&a[0]).unwrap() as usize;
                Reply::OK
            }
            other => panic!("the model has no {other}"),
        })
    }

    fn hash(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        let mut h = self.get_hash(&a[0])?;
        let before = h.len();
        Ok(match name {
            "hset" => {
                for pair in a[1..].chunks(2) {
                    h.insert(pair[0].clone(), pair[1].clone());
                }
                let created = h.len() - before;
                self.set_value(&a[0], Value::Hash(h));
                int(created)
            }
            "hsetnx" => {
                let free = !h.contains_key(&a[1]);
                if free {
                    h.insert(a[1].clone(), a[2].clone());
                    self.set_value(&a[0], Value::Hash(h));
                }
                int(usize::from(free))
            }
            "hdel" => {
                a[1..].iter().for_each(|f| drop(h.remove(f)));
                let removed = before - h.len();
                self.set_value(&a[0], Value::Hash(h));
                int(removed)
            }
            "hincrby" => {
                let old = h.get(&a[1]).map_or(Some(0), |v| number(v));
                let old = old.ok_or(Reply::error("ERR hash value is not an integer"))?;
                let new = old.checked_add(number(&a[2]).unwrap());
                let new = new.ok_or(Reply::error("ERR increment or decrement would overflow"))?;
                h.insert(a[1].clone(), new.to_string().into_bytes());
                self.set_value(&a[0], Value::Hash(h));
                Reply::Integer(new)
            }
            "hget" => h.get(&a[1]).map_or(Reply::Null, |v| text(v)),
            "hlen" => int(before),
            "hgetall" => {
                let mut pairs: Vec<_> = h.iter().map(|(f, v)| (text(f), text(v))).collect();
                pairs.sort_by_key(|p| format!("{p:?}"));
                Reply::Map(pairs)
            }
            other => panic!("the model has no {other}"),
        })
    }
}

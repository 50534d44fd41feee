//! Streams, as maps of entries and of pending ones.

use super::{Model, Value, Words, int, number, text};
use command::Reply;
use std::collections::BTreeMap;

pub const COMMANDS: &str =
    " xadd xlen xrange xrevrange xdel xtrim xread xgroup xreadgroup xack xpending xclaim xautoclaim ";

type Id = (u64, u64);

#[derive(Clone, PartialEq, Debug)]
struct Pending {
    consumer: Vec<u8>,
    delivered: i64,
    count: i64,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Group {
    last: Id,
    pending: BTreeMap<Id, Pending>,
    consumers: std::collections::BTreeSet<Vec<u8>>,
}

/// A stream, which stays when it is empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stream {
    entries: BTreeMap<Id, Vec<Vec<u8>>>,
    last: Id,
    groups: BTreeMap<Vec<u8>, Group>,
}

fn id(word: &[u8], seq: u64) -> Id {
    let word = std::str::from_utf8(word).unwrap();
    match (word, word.split_once('-')) {
        ("-", _) => (0, 0),
        ("+", _) => (u64::MAX, u64::MAX),
        (_, Some((ms, seq))) => (ms.parse().unwrap(), seq.parse().unwrap()),
        (ms, None) => (ms.parse().unwrap(), seq),
    }
}

fn show(id: Id) -> Reply {
    text(format!("{}-{}", id.0, id.1).as_bytes())
}

fn entry((id, words): (&Id, &Vec<Vec<u8>>)) -> Reply {
    Reply::Array(vec![show(*id), Reply::Array(words.iter().map(|w| text(w)).collect())])
}

fn after(id: Id) -> Id {
    if id.1 == u64::MAX { (id.0 + 1, 0) } else { (id.0, id.1 + 1) }
}

impl Stream {
    /// Drops entries at the front until no more than `max` are left, or none before `min`.
    fn trim(&mut self, how: &[u8], limit: &[u8]) -> usize {
        let before = self.entries.len();
        if how == b"MAXLEN" {
            while self.entries.len() > number(limit).unwrap() as usize {
                self.entries.pop_first();
            }
        } else {
            self.entries = self.entries.split_off(&id(limit, 0));
        }
        before - self.entries.len()
    }

    fn from(&self, start: Id, count: usize) -> Vec<Id> {
        self.entries.range(start..).map(|(id, _)| *id).take(count).collect()
    }
}

impl Model {
    fn get_stream(&mut self, key: &[u8]) -> Result<Option<Stream>, Reply> {
        self.get(key, |v| if let Value::Stream(s) = v { Some(Some(s)) } else { None })
    }

    fn set_stream(&mut self, key: &[u8], stream: Stream) {
        self.set_value(key, Value::Stream(stream));
    }

    pub(super) fn stream(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        match name {
            "xread" => return self.xread(a),
            "xreadgroup" => return self.xreadgroup(a),
            "xgroup" => return self.xgroup(a),
            "xadd" => return self.xadd(a),
            "xack" | "xpending" | "xclaim" | "xautoclaim" => return self.of_group(name, a),
            _ => {}
        }
        let Some(mut s) = self.get_stream(&a[0])? else {
            return Ok(if name.ends_with("range") { Reply::Array(vec![]) } else { int(0) });
        };
        Ok(match name {
            "xlen" => int(s.entries.len()),
            "xrange" | "xrevrange" => {
                let (from, to) = if name == "xrange" { (&a[1], &a[2]) } else { (&a[2], &a[1]) };
                let (from, to) = (id(from, 0), id(to, u64::MAX));
                let count = a.get(4).map_or(usize::MAX, |n| number(n).unwrap() as usize);
                let inside = s.entries.iter().filter(|(id, _)| from <= **id && **id <= to);
                let mut found: Vec<Reply> = inside.map(entry).collect();
                if name == "xrevrange" {
                    found.reverse();
                }
                found.truncate(count);
                Reply::Array(found)
            }
            "xdel" => {
                let gone = a[1..].iter().filter(|w| s.entries.remove(&id(w, 0)).is_some()).count();
                self.set_stream(&a[0], s);
                int(gone)
            }
            "xtrim" => {
                let gone = s.trim(&a[1], &a[2]);
                self.set_stream(&a[0], s);
                int(gone)
            }
            other => panic!("the model has no {other}"),
        })
    }

    fn xadd(&mut self, a: Words<'_>) -> Result<Reply, Reply> {
        let trims = a[1] == b"MAXLEN" || a[1] == b"MINID";
        let (trim, rest) = if trims { (Some((&a[1], &a[2])), &a[3..]) } else { (None, &a[1..]) };
        let mut s = self.get_stream(&a[0])?.unwrap_or_default();
        let word = std::str::from_utf8(&rest[0]).unwrap();
        let new = match (word, word.strip_suffix("-*")) {
            ("*", _) => after(s.last).max((self.now as u64, 0)),
            (_, Some(ms)) if ms.parse() == Ok(s.last.0) => after(s.last),
            (_, Some(ms)) => (ms.parse().unwrap(), 0),
            (word, None) => id(word.as_bytes(), 0),
        };
        if new == (0, 0) && !word.ends_with('*') {
            return Err(Reply::error("ERR The ID specified in XADD must be greater than 0-0"));
        }
        if new <= s.last {
            return Err(Reply::error(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            ));
        }
        s.entries.insert(new, rest[1..].to_vec());
        s.last = new;
        if let Some((how, limit)) = trim {
            s.trim(how, limit);
        }
        self.set_stream(&a[0], s);
        Ok(show(new))
    }

    /// `COUNT n STREAMS key id`.
    fn xread(&mut self, a: Words<'_>) -> Result<Reply, Reply> {
        let Some(s) = self.get_stream(&a[3])? else { return Ok(Reply::NullArray) };
        let ids = s.from(after(id(&a[4], 0)), number(&a[1]).unwrap() as usize);
        let found: Vec<Reply> = ids.iter().map(|id| entry((id, &s.entries[id]))).collect();
        Ok(if found.is_empty() {
            Reply::NullArray
        } else {
            Reply::Array(vec![Reply::Array(vec![text(&a[3]), Reply::Array(found)])])
        })
    }

    fn xgroup(&mut self, a: Words<'_>) -> Result<Reply, Reply> {
        let found = self.get_stream(&a[1])?;
        let no_key = Reply::error(
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
             MKSTREAM option to create an empty stream automatically.",
        );
        if found.is_none() && a.last().unwrap() != b"MKSTREAM" {
            return Err(no_key);
        }
        let mut s = found.unwrap_or_default();
        let last = |s: &Stream, word: &[u8]| if word == b"$" { s.last } else { id(word, 0) };
        let reply = match &a[0][..] {
            b"CREATE" if s.groups.contains_key(&a[2]) => {
                return Err(Reply::error("BUSYGROUP Consumer Group name already exists"));
            }
            b"CREATE" => {
                let group = Group { last: last(&s, &a[3]), ..Group::default() };
                s.groups.insert(a[2].clone(), group);
                Reply::OK
            }
            b"DESTROY" => int(usize::from(s.groups.remove(&a[2]).is_some())),
            sub => {
                let last = if sub == b"SETID" { last(&s, &a[3]) } else { (0, 0) };
                let Some(group) = s.groups.get_mut(&a[2]) else {
                    let (group, key) = (String::from_utf8_lossy(&a[2]), String::from_utf8_lossy(&a[1]));
                    let line = format!("NOGROUP No such consumer group '{group}' for key name '{key}'");
                    return Err(Reply::Error(line.into()));
                };
                match sub {
                    b"SETID" => {
                        group.last = last;
                        Reply::OK
                    }
                    b"CREATECONSUMER" => int(usize::from(group.consumers.insert(a[3].clone()))),
                    b"DELCONSUMER" => {
                        let before = group.pending.len();
                        group.consumers.remove(&a[3]);
                        group.pending.retain(|_, p| p.consumer != a[3]);
                        int(before - group.pending.len())
                    }
                    other => panic!("the model has no XGROUP {}", other.escape_ascii()),
                }
            }
        };
        self.set_stream(&a[1], s);
        Ok(reply)
    }

    /// `GROUP group consumer COUNT n [NOACK] STREAMS key id`.
    fn xreadgroup(&mut self, a: Words<'_>) -> Result<Reply, Reply> {
        let (key, from, now) = (&a[a.len() - 2], &a[a.len() - 1], self.now);
        let found = self.get_stream(key)?;
        let (mut s, mut group) = match found.and_then(|s| Some((s.clone(), s.groups.get(&a[1])?.clone()))) {
            Some(found) => found,
            None => {
                let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(&a[1]));
                let line =
                    format!("NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option");
                return Err(Reply::Error(line.into()));
            }
        };
        group.consumers.insert(a[2].clone());
        let count = number(&a[4]).unwrap() as usize;
        let mut shown = Vec::new();
        if from == b">" {
            for id in s.from(after(group.last), count) {
                group.last = id;
                shown.push(entry((&id, &s.entries[&id])));
                if a[5] != b"NOACK" {
                    group.pending.insert(id, Pending { consumer: a[2].clone(), delivered: now, count: 1 });
                }
            }
        } else {
            let own = group.pending.range_mut(after(id(from, 0))..).filter(|(_, p)| p.consumer == a[2]);
            for (id, pending) in own.take(count) {
                match s.entries.get(id) {
                    Some(words) => {
                        (pending.delivered, pending.count) = (now, pending.count + 1);
                        shown.push(entry((id, words)));
                    }
                    None => shown.push(Reply::Array(vec![show(*id), Reply::NullArray])),
                }
            }
        }
        let nothing = shown.is_empty() && from == b">";
        s.groups.insert(a[1].clone(), group);
        self.set_stream(key, s);
        let reply = Reply::Array(vec![Reply::Array(vec![text(key), Reply::Array(shown)])]);
        Ok(if nothing { Reply::NullArray } else { reply })
    }

    fn of_group(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        let now = self.now;
        let found = self.get_stream(&a[0])?;
        let (mut s, mut group) = match found.and_then(|s| Some((s.clone(), s.groups.get(&a[1])?.clone()))) {
            Some(found) => found,
            None if name == "xack" => return Ok(int(0)),
            None => {
                let (key, group) = (String::from_utf8_lossy(&a[0]), String::from_utf8_lossy(&a[1]));
                return Err(Reply::Error(format!("NOGROUP No such key '{key}' or consumer group '{group}'").into()));
            }
        };
        let reply = match name {
            "xack" => int(a[2..].iter().filter(|w| group.pending.remove(&id(w, 0)).is_some()).count()),
            "xpending" if a.len() == 2 => summary(&group),
            "xpending" => {
                let count = number(&a[4]).unwrap() as usize;
                let owned = |p: &(&Id, &Pending)| a.get(5).is_none_or(|c| *c == p.1.consumer);
                let (from, to) = (id(&a[2], 0), id(&a[3], u64::MAX));
                let inside = group.pending.iter().filter(|(id, _)| from <= **id && **id <= to);
                let show = |(id, p): (&Id, &Pending)| {
                    let times = [Reply::Integer(now - p.delivered), Reply::Integer(p.count)];
                    Reply::Array([vec![show(*id), text(&p.consumer)], times.to_vec()].concat())
                };
                Reply::Array(inside.filter(owned).take(count).map(show).collect())
            }
            "xclaim" => {
                group.consumers.insert(a[2].clone());
                let (force, only_ids) = (a.last().unwrap() == b"FORCE", a.last().unwrap() == b"JUSTID");
                let mut claimed = Vec::new();
                for word in a[4..].iter().filter(|w| w[0].is_ascii_digit()) {
                    let id = id(word, 0);
                    claimed.extend(take_over(&s, &mut group, id, &a[2], number(&a[3]).unwrap(), now, force, only_ids));
                }
                Reply::Array(claimed)
            }
            _ => {
                group.consumers.insert(a[2].clone());
                let (mut left, mut claimed, mut gone) = (number(&a[6]).unwrap(), Vec::new(), Vec::new());
                let mut looks = left * 10;
                let ids: Vec<Id> = group.pending.range(id(&a[4], 0)..).map(|(id, _)| *id).collect();
                let mut next = (0, 0);
                for id in ids {
                    if left == 0 || looks == 0 {
                        next = id;
                        break;
                    }
                    looks -= 1;
                    let there = s.entries.contains_key(&id);
                    let taken = take_over(&s, &mut group, id, &a[2], number(&a[3]).unwrap(), now, false, false);
                    if !there {
                        gone.push(show(id));
                    }
                    left -= i64::from(!there || taken.is_some());
                    claimed.extend(taken);
                }
                Reply::Array(vec![show(next), Reply::Array(claimed), Reply::Array(gone)])
            }
        };
        s.groups.insert(a[1].clone(), group);
        self.set_stream(&a[0], s);
        Ok(reply)
    }
}

fn summary(group: &Group) -> Reply {
    let (Some((first, _)), Some((last, _))) = (group.pending.first_key_value(), group.pending.last_key_value()) else {
        return Reply::Array(vec![int(0), Reply::Null, Reply::Null, Reply::NullArray]);
    };
    let own = |c: &Vec<u8>| group.pending.values().filter(|p| p.consumer == *c).count();
    let counted = group.consumers.iter().filter(|c| own(c) > 0);
    let counted = counted.map(|c| Reply::Array(vec![text(c), text(own(c).to_string().as_bytes())]));
    Reply::Array(vec![int(group.pending.len()), show(*first), show(*last), Reply::Array(counted.collect())])
}

/// Gives a pending entry to a consumer, or drops one that was deleted; what is shown of it.
#[allow(clippy::too_many_arguments, reason = "what XCLAIM says")]
fn take_over(
    s: &Stream,
    group: &mut Group,
    id: Id,
    consumer: &[u8],
    idle: i64,
    now: i64,
    force: bool,
    only_ids: bool,
) -> Option<Reply> {
    let Some(words) = s.entries.get(&id) else {
        group.pending.remove(&id);
        return None;
    };
    let count = match group.pending.get(&id) {
        Some(p) if now - p.delivered < idle => return None,
        Some(p) => p.count,
        None if force => 1,
        None => return None,
    };
    let pending = Pending { consumer: consumer.to_vec(), delivered: now, count: count + i64::from(!only_ids) };
    group.pending.insert(id, pending);
    Some(if only_ids { show(id) } else { entry((&id, words)) })
}

//! Commands on streams, as the workloads send them: entries get their IDs from the clock, groups begin at the first entry.

use super::{Answer, Model, Value, Words, count, is, number};
use bytes::Bytes;
use command::Reply;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds and number.
type Id = (u64, u64);

/// A stream, which stays when it is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Stream {
    entries: BTreeMap<Id, Vec<Bytes>>,
    last: Id,
    groups: BTreeMap<Bytes, Group>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Group {
    last: Id,
    /// Who has which entry, since when, and how often.
    pending: BTreeMap<Id, (Bytes, i64, i64)>,
    consumers: BTreeSet<Bytes>,
}

fn id(word: &[u8]) -> Option<Id> {
    let text = std::str::from_utf8(word).ok()?;
    let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

fn show(id: Id) -> Reply {
    Reply::bulk(format!("{}-{}", id.0, id.1).as_bytes())
}

fn entry((id, words): (&Id, &Vec<Bytes>)) -> Reply {
    Reply::Array(vec![show(*id), Reply::Array(words.iter().cloned().map(Reply::Bulk).collect())])
}

fn after(id: Id) -> Id {
    (id.0, id.1 + 1)
}

impl Model {
    pub(super) fn on_streams(&mut self, name: &str, a: Words<'_>) -> Answer {
        let now = self.now;
        let (key, group) = match (name, a) {
            ("xgroup", [_, key, group, ..]) => (key, Some(group)),
            ("xreadgroup", [_, group, _, .., key, _]) => (key, Some(group)),
            ("xack" | "xpending", [key, group, ..]) => (key, Some(group)),
            ("xadd" | "xlen" | "xrange", [key, ..]) => (key, None),
            _ => return Err(None),
        };
        let mut stream = match self.entry(key).map(|e| &e.value) {
            None => Stream::default(),
            Some(Value::Stream(s)) => s.clone(),
            Some(_) => return Err(Some(super::WRONG_TYPE)),
        };
        let answer = match (name, a, group) {
            ("xadd", [_, star, words @ ..], _) if star == "*" => {
                stream.last = after(stream.last).max((u64::try_from(now).unwrap_or(0), 0));
                stream.entries.insert(stream.last, words.to_vec());
                show(stream.last)
            }
            ("xlen", _, _) => return Ok(count(stream.entries.len())),
            ("xrange", [_, from, to], _) if from == "-" && to == "+" => {
                return Ok(Reply::Array(stream.entries.iter().map(entry).collect()));
            }
            ("xgroup", [create, _, name, start, make], _) if is(create, "create") && is(make, "mkstream") => {
                if stream.groups.contains_key(name) {
                    return Err(Some(Reply::error("BUSYGROUP Consumer Group name already exists")));
                }
                let group = Group { last: id(start).ok_or(None)?, ..Group::default() };
                stream.groups.insert(name.clone(), group);
                Reply::OK
            }
            (_, _, Some(name_of_group)) => {
                let Stream { entries, groups, .. } = &mut stream;
                let group = groups.get_mut(name_of_group);
                match (name, a, group) {
                    ("xack", _, None) => return Ok(count(0)),
                    (_, _, None) => return Err(Some(Reply::error("NOGROUP No such consumer group"))),
                    ("xreadgroup", [_, _, me, _, n, _, _, from], Some(group)) => {
                        let n = number(n).and_then(|n| usize::try_from(n).ok()).ok_or(None)?;
                        let found = group.read(entries, me, from, n, now).ok_or(None)?;
                        match found.is_empty() && from == ">" {
                            true => Reply::NullArray,
                            false => {
                                Reply::Array(vec![Reply::Array(vec![Reply::Bulk(key.clone()), Reply::Array(found)])])
                            }
                        }
                    }
                    ("xack", [_, _, ids @ ..], Some(group)) => count(
                        ids.iter().filter(|w| id(w).is_some_and(|id| group.pending.remove(&id).is_some())).count(),
                    ),
                    ("xpending", [_, _, from, to, n], Some(group)) if from == "-" && to == "+" => {
                        let n = number(n).and_then(|n| usize::try_from(n).ok()).ok_or(None)?;
                        let pending = group.pending.iter().take(n).map(|(id, (who, at, times))| {
                            let times = [Reply::Integer(now - at), Reply::Integer(*times)];
                            Reply::Array([vec![show(*id), Reply::Bulk(who.clone())], times.to_vec()].concat())
                        });
                        return Ok(Reply::Array(pending.collect()));
                    }
                    _ => return Err(None),
                }
            }
            _ => return Err(None),
        };
        self.change(key, Value::Stream(stream));
        Ok(answer)
    }
}

impl Group {
    /// What a consumer gets: entries that nobody got yet, or its own pending ones behind an ID.
    fn read(
        &mut self,
        entries: &BTreeMap<Id, Vec<Bytes>>,
        me: &Bytes,
        from: &Bytes,
        n: usize,
        now: i64,
    ) -> Option<Vec<Reply>> {
        self.consumers.insert(me.clone());
        if from == ">" {
            let found: Vec<_> = entries.range(after(self.last)..).take(n).collect();
            for (id, _) in &found {
                self.last = **id;
                self.pending.insert(**id, (me.clone(), now, 1));
            }
            return Some(found.into_iter().map(entry).collect());
        }
        let own = self.pending.range_mut(after(id(from)?)..).filter(|(_, (who, ..))| who == me).take(n);
        let mut found = Vec::new();
        for (id, (_, at, times)) in own {
            (*at, *times) = (now, *times + 1);
            found.extend(entries.get_key_value(id).map(entry));
        }
        Some(found)
    }
}

//! Judging a history of streams.

use super::{LAST_CONSUMER, NAME, key_of};
use crate::calls::{Answer, Call, broken, calls_of};
use crate::{Operation, Violation};
use bytes::Bytes;
use command::Reply;
use std::collections::{BTreeMap, BTreeSet};
use stdx::Mono;

/// An entry's ID as it is written, and its token.
type Shown<'a> = (&'a Bytes, &'a Bytes);

/// An ID as a number.
type Id = u128;

fn number(id: &[u8]) -> Option<Id> {
    let (ms, seq) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some(u128::from(ms.parse::<u64>().ok()?) << 64 | u128::from(seq.parse::<u64>().ok()?))
}

/// The entries of a reply of XRANGE.
fn entries(reply: &Reply) -> Option<Vec<Shown<'_>>> {
    let Reply::Array(items) = reply else { return None };
    fn entry(item: &Reply) -> Option<Shown<'_>> {
        let Reply::Array(parts) = item else { return None };
        let [Reply::Bulk(id), Reply::Array(words)] = &parts[..] else { return None };
        let [Reply::Bulk(_), Reply::Bulk(token)] = &words[..] else { return None };
        Some((id, token))
    }
    items.iter().map(entry).collect()
}

/// The entries of a reply of XREADGROUP, which asks for one stream, in either version of the protocol.
pub(super) fn entries_of_group(reply: &Reply) -> Option<Vec<Shown<'_>>> {
    match reply {
        Reply::Null | Reply::NullArray => Some(Vec::new()),
        Reply::Map(pairs) => entries(&pairs.first()?.1),
        Reply::Array(streams) => match streams.first()? {
            Reply::Array(pair) => entries(pair.get(1)?),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn check(history: &[Operation], beginning: &str) -> Result<(), Violation> {
    let mut keys: BTreeMap<&[u8], Vec<Call<'_>>> = BTreeMap::new();
    for call in history.iter().enumerate().flat_map(|(at, operation)| calls_of(at, operation)) {
        let key = key_of(call.words);
        if key.starts_with(beginning.as_bytes()) && call.answer != Answer::Refused {
            keys.entry(key).or_default().push(call);
        }
    }
    keys.into_iter().try_for_each(|(key, calls)| {
        let stream = Judge::new(key, &calls)?;
        stream.each_alone()?;
        stream.follow_time()?;
        stream.deliveries()?;
        stream.nothing_is_lost()
    })
}

/// What is known of a key.
struct Judge<'a> {
    key: &'a [u8],
    calls: &'a [Call<'a>],
    /// The longest read, by ID.
    all: BTreeMap<Id, &'a Bytes>,
    /// Its IDs by token.
    ids: BTreeMap<&'a Bytes, Id>,
    /// The call that read it.
    read: Option<&'a Call<'a>>,
}

impl<'a> Judge<'a> {
    fn new(key: &'a [u8], calls: &'a [Call<'a>]) -> Result<Judge<'a>, Violation> {
        let ranges = calls.iter().filter(|c| c.name() == b"XRANGE");
        let mut judge = Judge { key, calls, all: BTreeMap::new(), ids: BTreeMap::new(), read: None };
        let mut longest: Option<(Vec<Shown<'_>>, &'a Call<'a>)> = None;
        for call in ranges {
            let Some(reply) = call.reply() else { continue };
            let Some(found) = entries(reply) else { return Err(judge.wrong(call, "which is no range")) };
            if longest.as_ref().is_none_or(|(entries, _)| entries.len() <= found.len()) {
                longest = Some((found, call));
            }
        }
        let Some((found, call)) = longest else { return Ok(judge) };
        judge.read = Some(call);
        let sent: BTreeSet<&Bytes> = calls.iter().filter_map(token).collect();
        let mut before = None;
        for (id, token) in found {
            let Some(id) = number(id).filter(|id| before.is_none_or(|before| before < *id)) else {
                return Err(judge.wrong(call, &format!("whose IDs do not increase at {}", id.escape_ascii())));
            };
            before = Some(id);
            if !sent.contains(token) {
                return Err(judge.wrong(call, &format!("with {}, which was never sent", token.escape_ascii())));
            }
            judge.all.insert(id, token);
            if judge.ids.insert(token, id).is_some() {
                return Err(judge.wrong(call, &format!("with {} twice", token.escape_ascii())));
            }
        }
        Ok(judge)
    }

    fn wrong(&self, call: &Call<'_>, what: &str) -> Violation {
        let read = self.read.map_or(call.position, |read| read.position);
        broken(NAME, format!("{}, {what}", call.show()), self.key, &[call.position, read])
    }

    /// The last ID of the longest read.
    fn top(&self) -> Id {
        self.all.last_key_value().map_or(0, |(id, _)| *id)
    }

    /// Whether an entry agrees with the longest read.
    fn agrees(&self, id: Id, token: &Bytes) -> bool {
        match self.all.get(&id) {
            Some(there) => *there == token,
            None => id > self.top() && !self.ids.contains_key(token),
        }
    }

    /// What each answer says beside the longest read.
    fn each_alone(&self) -> Result<(), Violation> {
        for call in self.calls {
            let Some(reply) = call.reply() else { continue };
            let shown = match call.name() {
                b"XADD" => {
                    let (Reply::Bulk(id), Some(token)) = (reply, token(call)) else {
                        return Err(self.wrong(call, "which is no ID"));
                    };
                    let late = self.read.is_none_or(|read| call.ended > read.invoked);
                    let there = number(id).is_some_and(|id| self.all.contains_key(&id));
                    if !there && !late {
                        return Err(self.wrong(call, "but the longest read lacks it"));
                    }
                    vec![(id, token)]
                }
                b"XRANGE" => entries(reply).ok_or_else(|| self.wrong(call, "which is no range"))?,
                b"XREADGROUP" => entries_of_group(reply).ok_or_else(|| self.wrong(call, "which is no entries"))?,
                b"XLEN" | b"XACK" if matches!(reply, Reply::Integer(_)) => continue,
                b"XPENDING" if pending(reply).is_some() => continue,
                b"XGROUP" => continue,
                _ => return Err(self.wrong(call, "which is no answer to it")),
            };
            if call.name() == b"XRANGE" && !shown.iter().map(|(_, token)| token).eq(self.all.values().take(shown.len()))
            {
                return Err(self.wrong(call, "which is no beginning of the longest read"));
            }
            for (id, token) in shown {
                if !number(id).is_some_and(|id| self.agrees(id, token)) {
                    let what = format!("but {} is not there in the longest read", id.escape_ascii());
                    return Err(self.wrong(call, &what));
                }
            }
        }
        Ok(())
    }

    /// The last ID that an answer, or the longest read, shows to have been there before and after a call.
    fn span(&self, call: &Call<'_>) -> Option<(Id, Id)> {
        let whole = |count: usize| match count {
            0 => Some((0, 0)),
            count => self.all.keys().nth(count - 1).map(|id| (*id, *id)),
        };
        match (call.name(), call.reply()) {
            (b"XADD", Some(Reply::Bulk(id))) => number(id).map(|id| (id.saturating_sub(1), id)),
            (b"XADD", None) => token(call).and_then(|token| self.ids.get(token)).map(|id| (id.saturating_sub(1), *id)),
            (b"XRANGE", Some(reply)) => whole(entries(reply)?.len()),
            (b"XLEN", Some(Reply::Integer(n))) => whole(usize::try_from(*n).ok()?),
            _ => None,
        }
    }

    /// An entry is behind all that had been there before it was sent; reads hold all that, and nothing sent later.
    fn follow_time(&self) -> Result<(), Violation> {
        let spans: Vec<_> = self.calls.iter().map(|call| self.span(call)).collect();
        let mut sent_at: BTreeMap<Id, (Mono, usize)> = BTreeMap::new();
        let (mut edges, mut floor, mut by) = (Vec::new(), 0, 0);
        for (i, call) in self.calls.iter().enumerate() {
            let Some((_, after)) = spans[i] else { continue };
            edges.push((call.invoked, true, i));
            if call.reply().is_some() {
                edges.push((call.ended.max(Mono(call.invoked.0.saturating_add(1))), false, i));
            }
            if call.name() == b"XADD" {
                sent_at.insert(after, (call.invoked, call.position));
            }
        }
        for (i, call) in self.calls.iter().enumerate() {
            if let Some((_, after)) = spans[i].filter(|_| call.name() != b"XADD")
                && let Some((sent, by)) = sent_at.get(&after).filter(|(sent, _)| *sent >= call.ended)
            {
                let what = format!("{}, which holds an entry that was sent later, at {}", call.show(), sent.0);
                return Err(broken(NAME, what, self.key, &[call.position, *by]));
            }
        }
        edges.sort_unstable();
        for (_, begins, i) in edges {
            let (Some((before, after)), call) = (spans[i], &self.calls[i]) else { continue };
            if begins && before < floor {
                let what = format!("{}, but more had been there before it was sent", call.show());
                return Err(broken(NAME, what, self.key, &[call.position, self.calls[by].position]));
            }
            if !begins && after > floor {
                (floor, by) = (after, i);
            }
        }
        Ok(())
    }

    /// The group gives no entry twice, and later reads get later entries.
    fn deliveries(&self) -> Result<(), Violation> {
        let mut given: BTreeMap<Id, usize> = BTreeMap::new();
        let mut edges = Vec::new();
        for (i, call) in self.calls.iter().enumerate().filter(|(_, call)| is_new(call)) {
            let Some(reply) = call.reply() else { continue };
            let ids: Vec<Id> =
                entries_of_group(reply).unwrap_or_default().into_iter().filter_map(|(id, _)| number(id)).collect();
            for id in &ids {
                if let Some(other) = given.insert(*id, call.position) {
                    let what = format!("{}, of which another consumer was given some", call.show());
                    return Err(broken(NAME, what, self.key, &[call.position, other]));
                }
            }
            if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
                edges.push((call.invoked, true, *first, i));
                edges.push((call.ended.max(Mono(call.invoked.0.saturating_add(1))), false, *last, i));
            }
        }
        edges.sort_unstable();
        let (mut floor, mut by) = (0, 0);
        for (_, begins, id, i) in edges {
            if begins && id <= floor {
                let what = format!("{}, but later entries had been delivered before", self.calls[i].show());
                return Err(broken(NAME, what, self.key, &[self.calls[i].position, self.calls[by].position]));
            }
            if !begins && id > floor {
                (floor, by) = (id, i);
            }
        }
        Ok(())
    }

    /// Once the rest was delivered, an entry is pending unless it was acknowledged.
    fn nothing_is_lost(&self) -> Result<(), Violation> {
        let Some(read) = self.read else { return Ok(()) };
        let drains = |c: &&Call<'_>| is_new(c) && c.words.get(3).is_some_and(|w| &w[..] == LAST_CONSUMER);
        let drained = self.calls.iter().filter(drains).rfind(|c| c.reply().is_some() && c.invoked >= read.ended);
        let Some(drained) = drained else { return Ok(()) };
        let left = self.calls.iter().rfind(|c| c.name() == b"XPENDING" && c.invoked >= drained.ended);
        let Some((left, pending)) = left.and_then(|c| Some((c, pending(c.reply()?)?))) else { return Ok(()) };
        let (mut may, mut must) = (BTreeSet::new(), BTreeMap::new());
        for call in self.calls.iter().filter(|c| c.name() == b"XACK") {
            let ids = call.words[3..].iter().filter_map(|w| number(w));
            may.extend(ids.clone());
            let all =
                matches!(call.reply(), Some(Reply::Integer(n)) if usize::try_from(*n) == Ok(call.words.len() - 3));
            if all && call.ended <= left.invoked {
                must.extend(ids.map(|id| (id, call.position)));
            }
        }
        for id in self.all.keys() {
            let what = match (pending.contains(id), must.get(id)) {
                (false, _) if !may.contains(id) => "is not pending, and nobody acknowledged it",
                (true, Some(_)) => "is pending, though it was acknowledged",
                _ => continue,
            };
            let what = format!("the entry {}-{} {what}", *id >> 64, *id as u64);
            let by = must.get(id).copied().unwrap_or(read.position);
            return Err(broken(NAME, what, self.key, &[by, left.position]));
        }
        Ok(())
    }
}

/// Whether a call asks the group for entries that nobody got.
fn is_new(call: &Call<'_>) -> bool {
    call.name() == b"XREADGROUP" && call.words.last().is_some_and(|from| from == ">")
}

fn token<'a>(call: &Call<'a>) -> Option<&'a Bytes> {
    if call.name() == b"XADD" { call.words.get(4) } else { None }
}

/// The IDs of a reply of XPENDING.
fn pending(reply: &Reply) -> Option<BTreeSet<Id>> {
    let Reply::Array(items) = reply else { return None };
    let id = |item: &Reply| {
        let Reply::Array(parts) = item else { return None };
        if let Some(Reply::Bulk(id)) = parts.first() { number(id) } else { None }
    };
    items.iter().map(id).collect()
}

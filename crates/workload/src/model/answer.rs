//! Comparing answers: what an order or a version of the protocol leaves open is no difference.

use super::{Model, Words, is, number};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeSet;

/// Commands that answer pairs in any order.
const PAIRS: [&str; 1] = ["hgetall"];

/// Commands that answer elements in any order.
const ELEMENTS: [&str; 7] = ["hkeys", "hvals", "keys", "smembers", "sinter", "sunion", "sdiff"];

/// Whether `reply` says what the model `expected`.
pub(super) fn same(words: Words<'_>, expected: &Reply, reply: &Reply) -> bool {
    if expected == reply {
        return true;
    }
    let named = |names: &[&str]| names.iter().any(|n| words.first().is_some_and(|w| is(w, n)));
    if named(&PAIRS) {
        return sorted(flat(expected), 2) == sorted(flat(reply), 2);
    }
    if named(&ELEMENTS) {
        return sorted(flat(expected), 1) == sorted(flat(reply), 1);
    }
    let (mut one, mut other) = (Vec::new(), Vec::new());
    plain(expected, &mut one);
    plain(reply, &mut other);
    one == other
}

/// What both versions of the protocol say alike: scores as text, one null, pairs one after the other.
fn plain(reply: &Reply, out: &mut Vec<Reply>) {
    match reply {
        Reply::Double(score) => out.push(Reply::Bulk(score.to_string().into())),
        Reply::NullArray => out.push(Reply::Null),
        Reply::Array(items) if items.is_empty() => out.push(Reply::Array(Vec::new())),
        Reply::Array(items) => items.iter().for_each(|item| plain(item, out)),
        other => out.push(other.clone()),
    }
}

/// The elements of an aggregate, pairs one after the other.
fn flat(reply: &Reply) -> Option<Vec<&Bytes>> {
    let all: Vec<&Reply> = match reply {
        Reply::Array(items) | Reply::Set(items) => items
            .iter()
            .flat_map(|i| if let Reply::Array(pair) = i { pair.iter().collect() } else { vec![i] })
            .collect(),
        Reply::Map(pairs) => pairs.iter().flat_map(|(k, v)| [k, v]).collect(),
        _ => return None,
    };
    all.into_iter().map(|r| if let Reply::Bulk(b) = r { Some(b) } else { None }).collect()
}

/// Groups of `size`, sorted; `None` also where the last group is short.
fn sorted(all: Option<Vec<&Bytes>>, size: usize) -> Option<Vec<Vec<&Bytes>>> {
    let all = all?;
    if all.len() % size != 0 {
        return None;
    }
    let mut groups: Vec<Vec<&Bytes>> = all.chunks(size).map(<[&Bytes]>::to_vec).collect();
    groups.sort_unstable();
    Some(groups)
}

impl Model {
    /// For a command that answers at random, whether `reply` is one of the possible answers.
    pub(super) fn random_answer_fits(&mut self, words: Words<'_>, reply: &Reply) -> Option<bool> {
        let [name, key, rest @ ..] = words else { return None };
        let population = match () {
            () if is(name, "hrandfield") => self.hash(key),
            () if is(name, "srandmember") => {
                self.set_at(key).map(|set| set.into_iter().map(|member| (member, Bytes::new())).collect())
            }
            () => return None,
        };
        let population = match population {
            Ok(population) => population,
            Err(e) => return Some(e.as_ref() == Some(reply)),
        };
        let Some(count) = rest.first() else {
            return Some(match reply {
                Reply::Bulk(field) => population.contains_key(field),
                other => population.is_empty() && matches!(other, Reply::Null),
            });
        };
        let count = number(count)?;
        let with_values = rest.len() > 1;
        let wanted = if count < 0 && !population.is_empty() {
            count.unsigned_abs() as usize
        } else {
            population.len().min(count.unsigned_abs() as usize)
        };
        let Some(groups) = sorted(flat(reply), 1 + usize::from(with_values)) else { return Some(false) };
        let fits = |g: &Vec<&Bytes>| {
            let value = g.first().and_then(|field| population.get(*field));
            value.is_some_and(|v| g.get(1).is_none_or(|shown| *shown == v))
        };
        let different = groups.iter().map(|g| g.first()).collect::<BTreeSet<_>>().len();
        Some(groups.len() == wanted && groups.iter().all(fits) && (count < 0 || different == wanted))
    }
}

//! Commands on sorted sets, as maps that are sorted when asked. Scores are integers: all that the workloads write.

use super::{Answer, Model, NOT_A_FLOAT, SYNTAX, Value, Words, count, integer, is, number};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeMap;

/// Members with their scores.
pub(super) type Sorted = BTreeMap<Bytes, i64>;

fn score(word: &[u8]) -> Result<i64, Option<Reply>> {
    number(word).ok_or(Some(NOT_A_FLOAT))
}

/// By score, then by member.
fn in_order(set: &Sorted, reverse: bool) -> Vec<(Bytes, i64)> {
    let mut all: Vec<_> = set.iter().map(|(m, s)| (m.clone(), *s)).collect();
    all.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    if reverse {
        all.reverse();
    }
    all
}

fn shown(score: i64) -> Reply {
    Reply::Double(score as f64)
}

fn listed(entries: &[(Bytes, i64)], with_scores: bool) -> Reply {
    let words = |(member, s): &(Bytes, i64)| {
        let member = Reply::Bulk(member.clone());
        if with_scores { vec![member, shown(*s)] } else { vec![member] }
    };
    Reply::Array(entries.iter().flat_map(words).collect())
}

/// Whether a score is on the inner side of a bound, which it may touch unless that begins with a parenthesis.
fn within(bound: &[u8], beyond: impl Fn(i64) -> bool, touches: impl Fn(i64) -> bool) -> Result<bool, Option<Reply>> {
    Ok(match bound {
        b"-inf" | b"+inf" => true,
        [b'(', open @ ..] => beyond(score(open)?),
        closed => {
            let at = score(closed)?;
            beyond(at) || touches(at)
        }
    })
}

fn between(entries: Vec<(Bytes, i64)>, min: &[u8], max: &[u8]) -> Result<Vec<(Bytes, i64)>, Option<Reply>> {
    let mut kept = Vec::new();
    for (member, s) in entries {
        if within(min, |b| s > b, |b| s == b)? && within(max, |b| s < b, |b| s == b)? {
            kept.push((member, s));
        }
    }
    Ok(kept)
}

fn by_rank(entries: &[(Bytes, i64)], from: &[u8], to: &[u8]) -> Result<Vec<(Bytes, i64)>, Option<Reply>> {
    let place = |word: &[u8]| integer(word).map(|n| if n < 0 { n + entries.len() as i64 } else { n });
    let (from, to) = (place(from)?, place(to)?);
    let inside = |(i, _): &(usize, &(Bytes, i64))| (from..=to).contains(&(*i as i64));
    Ok(entries.iter().enumerate().filter(inside).map(|(_, e)| e.clone()).collect())
}

impl Model {
    pub(super) fn on_sorted_sets(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("zadd", [key, rest @ ..]) => self.zadd(key, rest),
            ("zincrby", [key, by, member]) => {
                self.zadd(key, &[Bytes::from_static(b"INCR"), by.clone(), member.clone()])
            }
            ("zcard", [key]) => Ok(count(self.sorted(key)?.len())),
            ("zscore", [key, member]) => Ok(self.sorted(key)?.get(member).map_or(Reply::Null, |s| shown(*s))),
            ("zmscore", [key, members @ ..]) => {
                let set = self.sorted(key)?;
                Ok(Reply::Array(members.iter().map(|m| set.get(m).map_or(Reply::Null, |s| shown(*s))).collect()))
            }
            ("zrank" | "zrevrank", [key, member]) => {
                let all = in_order(&self.sorted(key)?, name == "zrevrank");
                Ok(all.iter().position(|(m, _)| m == member).map_or(Reply::Null, count))
            }
            ("zcount", [key, min, max]) => Ok(count(between(in_order(&self.sorted(key)?, false), min, max)?.len())),
            ("zrange", [key, from, to, options @ ..]) => {
                let has = |option: &str| options.iter().any(|w| is(w, option));
                let all = in_order(&self.sorted(key)?, has("rev"));
                let (min, max) = if has("rev") { (to, from) } else { (from, to) };
                let found = if has("byscore") { between(all, min, max)? } else { by_rank(&all, from, to)? };
                Ok(listed(&found, has("withscores")))
            }
            _ => self.change_sorted_sets(name, a),
        }
    }

    /// Commands that take away from sorted sets or make new ones.
    fn change_sorted_sets(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("zrem", [key, members @ ..]) => self.drop_members(key, |set| {
                Ok(in_order(set, false).into_iter().filter(|(m, _)| members.contains(m)).collect())
            }),
            ("zremrangebyrank", [key, from, to]) => {
                self.drop_members(key, |set| by_rank(&in_order(set, false), from, to))
            }
            ("zremrangebyscore", [key, min, max]) => {
                self.drop_members(key, |set| between(in_order(set, false), min, max))
            }
            ("zpopmin" | "zpopmax", [key, most @ ..]) => {
                let most = most.first().map_or(Ok(1), |n| integer(n))? as usize;
                let mut set = self.sorted(key)?;
                let mut taken = in_order(&set, name == "zpopmax");
                taken.truncate(most);
                set.retain(|m, _| !taken.iter().any(|(gone, _)| gone == m));
                self.change(key, Value::Sorted(set));
                Ok(listed(&taken, true))
            }
            ("zrangestore", [to, from, min, max, by]) if is(by, "byscore") => {
                let found = between(in_order(&self.sorted(from)?, false), min, max)?;
                Ok(self.store(to, found.into_iter().collect()))
            }
            ("zunionstore" | "zinterstore" | "zdiffstore", [to, keys, rest @ ..]) => {
                let keys = rest.get(..integer(keys)? as usize).ok_or(Some(SYNTAX))?;
                let result = self.combine_sorted(name.trim_end_matches("store"), keys)?;
                Ok(self.store(to, result))
            }
            _ => Err(None),
        }
    }

    fn zadd(&mut self, key: &Bytes, rest: Words<'_>) -> Answer {
        let mut set = self.sorted(key)?;
        let known = ["nx", "xx", "gt", "lt", "ch", "incr"];
        let options = rest.iter().take_while(|w| known.iter().any(|k| is(w, k))).count();
        let (options, pairs) = rest.split_at(options);
        let has = |option: &str| options.iter().any(|w| is(w, option));
        let (mut added, mut changed, mut result) = (0, 0, Reply::Null);
        for pair in pairs.chunks(2) {
            let [given, member] = pair else { return Err(Some(SYNTAX)) };
            let old = set.get(member).copied();
            let new = score(given)? + if has("incr") { old.unwrap_or(0) } else { 0 };
            let wanted = match old {
                None => !has("xx"),
                Some(old) => !has("nx") && (!has("gt") || new > old) && (!has("lt") || new < old),
            };
            if wanted {
                set.insert(member.clone(), new);
                added += usize::from(old.is_none());
                changed += usize::from(old != Some(new));
                result = shown(new);
            }
        }
        self.change(key, Value::Sorted(set));
        Ok(match () {
            () if has("incr") => result,
            () if has("ch") => count(changed),
            () => count(added),
        })
    }

    /// Removes what `chosen` names and says how many those were.
    fn drop_members(
        &mut self,
        key: &Bytes,
        chosen: impl FnOnce(&Sorted) -> Result<Vec<(Bytes, i64)>, Option<Reply>>,
    ) -> Answer {
        let mut set = self.sorted(key)?;
        let gone = chosen(&set)?;
        set.retain(|m, _| !gone.iter().any(|(chosen, _)| chosen == m));
        self.change(key, Value::Sorted(set));
        Ok(count(gone.len()))
    }

    fn store(&mut self, to: &Bytes, set: Sorted) -> Reply {
        let len = set.len();
        self.delete(to);
        self.change(to, Value::Sorted(set));
        count(len)
    }

    /// Union, intersection or difference; scores of the same member are added.
    fn combine_sorted(&mut self, how: &str, keys: Words<'_>) -> Result<Sorted, Option<Reply>> {
        let sets: Vec<Sorted> = keys.iter().map(|k| self.operand(k)).collect::<Result<_, _>>()?;
        let mut out = Sorted::new();
        for member in sets.iter().flat_map(BTreeMap::keys) {
            let scores: Vec<i64> = sets.iter().filter_map(|s| s.get(member).copied()).collect();
            let kept = match how {
                "zinter" => scores.len() == sets.len(),
                "zdiff" => scores.len() == 1 && sets[0].contains_key(member),
                _ => true,
            };
            if kept {
                out.insert(member.clone(), scores.iter().sum());
            }
        }
        Ok(out)
    }

    /// A sorted set, or a set whose members have the score 1.
    fn operand(&mut self, key: &Bytes) -> Result<Sorted, Option<Reply>> {
        match self.entry(key).map(|e| &e.value) {
            Some(Value::Set(set)) => Ok(set.iter().map(|m| (m.clone(), 1)).collect()),
            _ => self.sorted(key),
        }
    }
}

//! Sorted sets, as maps that are sorted when asked.

use super::{Model, Value, Words, int, number, text};
use command::Reply;
use std::collections::BTreeMap;

type Sorted = BTreeMap<Vec<u8>, f64>;

fn float(word: &[u8]) -> f64 {
    std::str::from_utf8(word).unwrap().parse().unwrap()
}

/// By score, then by member.
fn in_order(set: &Sorted) -> Vec<(Vec<u8>, f64)> {
    let mut all: Vec<_> = set.iter().map(|(m, s)| (m.clone(), *s)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all
}

fn shown(entries: &[(Vec<u8>, f64)], with_scores: bool) -> Reply {
    let words = |(m, s): &(Vec<u8>, f64)| if with_scores { vec![text(m), Reply::Double(*s)] } else { vec![text(m)] };
    Reply::Array(entries.iter().flat_map(words).collect())
}

fn is_above(score: f64, bound: &[u8]) -> bool {
    bound.strip_prefix(b"(").map_or_else(|| score >= float(bound), |b| score > float(b))
}

fn is_below(score: f64, bound: &[u8]) -> bool {
    bound.strip_prefix(b"(").map_or_else(|| score <= float(bound), |b| score < float(b))
}

/// How a member lies to one end of a range of bytes.
fn lies(member: &[u8], bound: &[u8]) -> std::cmp::Ordering {
    match bound[0] {
        b'-' => std::cmp::Ordering::Greater,
        b'+' => std::cmp::Ordering::Less,
        _ => member.cmp(&bound[1..]),
    }
}

impl Model {
    fn get_sorted(&mut self, key: &[u8]) -> Result<Sorted, Reply> {
        self.get(key, |v| if let Value::Sorted(s) = v { Some(s) } else { None })
    }

    fn set_sorted(&mut self, key: &[u8], set: Sorted) {
        self.set_value(key, Value::Sorted(set));
    }

    /// A sorted set, or a set whose members have the score 1.
    fn operand(&mut self, key: &[u8]) -> Result<Sorted, Reply> {
        self.get(key, |v| match v {
            Value::Sorted(s) => Some(s),
            Value::Set(s) => Some(s.into_iter().map(|m| (m, 1.0)).collect()),
            _ => None,
        })
    }

    /// The entries of a range: `a` begins with its two ends.
    fn range_of(set: &Sorted, a: Words<'_>, by: &str, reverse: bool) -> Vec<(Vec<u8>, f64)> {
        let mut all = in_order(set);
        if reverse {
            all.reverse();
        }
        let (min, max) = if reverse { (&a[1], &a[0]) } else { (&a[0], &a[1]) };
        match by {
            "score" => all.retain(|(_, s)| is_above(*s, min) && is_below(*s, max)),
            "lex" => all.retain(|(m, _)| {
                let (low, high) = (lies(m, min), lies(m, max));
                (low.is_gt() || low.is_eq() && min[0] == b'[') && (high.is_lt() || high.is_eq() && max[0] == b'[')
            }),
            _ => {
                let place = |w: &[u8]| number(w).map(|n| if n < 0 { n + set.len() as i64 } else { n }).unwrap();
                let (from, to) = (place(&a[0]), place(&a[1]));
                let kept = all.into_iter().enumerate().filter(|(i, _)| (from..=to).contains(&(*i as i64)));
                all = kept.map(|(_, e)| e).collect();
            }
        }
        if let Some(at) = a.iter().position(|w| w == b"LIMIT") {
            let (offset, limit) = (number(&a[at + 1]).unwrap(), number(&a[at + 2]).unwrap());
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            all = all.into_iter().skip(offset).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
        }
        all
    }

    fn zadd(&mut self, a: Words<'_>) -> Result<Reply, Reply> {
        let mut set = self.get_sorted(&a[0])?;
        let options: Vec<&[u8]> = a[1..].iter().map(Vec::as_slice).take_while(|w| w[0].is_ascii_uppercase()).collect();
        let has = |o: &[u8]| options.contains(&o);
        let (mut added, mut changed, mut result) = (0, 0, Reply::Null);
        for pair in a[1 + options.len()..].chunks(2) {
            let old = set.get(&pair[1]).copied();
            let score = float(&pair[0]) + if has(b"INCR") { old.unwrap_or(0.0) } else { 0.0 };
            if score.is_nan() {
                return Err(Reply::error("ERR resulting score is not a number (NaN)"));
            }
            let wanted = match old {
                None => !has(b"XX"),
                Some(old) => !has(b"NX") && (!has(b"GT") || score > old) && (!has(b"LT") || score < old),
            };
            if wanted {
                set.insert(pair[1].clone(), score);
                added += usize::from(old.is_none());
                changed += usize::from(old != Some(score));
                result = Reply::Double(score);
            }
        }
        self.set_sorted(&a[0], set);
        Ok(match () {
            () if has(b"INCR") => result,
            () if has(b"CH") => int(changed),
            () => int(added),
        })
    }

    fn combine_sorted(&mut self, how: &str, a: Words<'_>) -> Result<Vec<(Vec<u8>, f64)>, Reply> {
        let count = number(&a[0]).unwrap() as usize;
        let sets: Vec<Sorted> = a[1..=count].iter().map(|k| self.operand(k)).collect::<Result<_, _>>()?;
        let rest = &a[count + 1..];
        let after = |w: &[u8]| rest.iter().position(|r| r == w).map(|at| &rest[at + 1..]);
        let weight = |i: usize| after(b"WEIGHTS").map_or(1.0, |w| float(&w[i]));
        let aggregate = after(b"AGGREGATE").map_or(&b"SUM"[..], |w| &w[0]);
        let mut out = Sorted::new();
        for member in sets.iter().flat_map(|s| s.keys()) {
            let scores: Vec<f64> =
                sets.iter().enumerate().filter_map(|(i, s)| Some(s.get(member)? * weight(i))).collect();
            let kept = match how {
                "zinter" => scores.len() == sets.len(),
                "zdiff" => sets[0].contains_key(member) && scores.len() == 1,
                _ => true,
            };
            let score = scores.into_iter().reduce(|x, y| match aggregate {
                b"MIN" => x.min(y),
                b"MAX" => x.max(y),
                _ if (x + y).is_nan() => 0.0,
                _ => x + y,
            });
            if kept {
                out.insert(member.clone(), score.unwrap());
            }
        }
        Ok(in_order(&out))
    }

    pub(super) fn sorted(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        let last_is = |w: &[u8]| a.last().is_some_and(|l| l == w);
        match name {
            "zadd" => return self.zadd(a),
            "zincrby" => {
                return self.zadd(&[a[0].clone(), b"INCR".to_vec(), a[1].clone(), a[2].clone()]);
            }
            "zunion" | "zinter" | "zdiff" => {
                return Ok(shown(&self.combine_sorted(name, a)?, last_is(b"WITHSCORES")));
            }
            "zintercard" => return Ok(int(self.combine_sorted("zinter", a)?.len())),
            "zunionstore" | "zinterstore" | "zdiffstore" => {
                let result = self.combine_sorted(name.strip_suffix("store").unwrap(), &a[1..])?;
                self.delete(&a[0]);
                self.set_sorted(&a[0], result.iter().cloned().collect());
                return Ok(int(result.len()));
            }
            "zrangestore" => {
                let result = Self::range_of(&self.get_sorted(&a[1])?, &a[2..], "score", false);
                self.delete(&a[0]);
                self.set_sorted(&a[0], result.iter().cloned().collect());
                return Ok(int(result.len()));
            }
            _ => {}
        }
        let mut set = self.get_sorted(&a[0])?;
        let rank = |reverse| {
            let mut all = in_order(&set);
            if reverse {
                all.reverse();
            }
            all.iter().position(|(m, _)| *m == a[1]).map_or(Reply::Null, int)
        };
        let score = |m: &[u8]| set.get(m).map_or(Reply::Null, |s| Reply::Double(*s));
        Ok(match name {
            "zcard" => int(set.len()),
            "zscore" => score(&a[1]),
            "zmscore" => Reply::Array(a[1..].iter().map(|m| score(m)).collect()),
            "zrank" => rank(false),
            "zrevrank" => rank(true),
            "zcount" => int(Self::range_of(&set, &a[1..], "score", false).len()),
            "zrange" => {
                let has = |w: &[u8]| a.iter().any(|o| o == w);
                let by = if has(b"BYSCORE") { "score" } else { "rank" };
                shown(&Self::range_of(&set, &a[1..], by, has(b"REV")), has(b"WITHSCORES"))
            }
            "zrem" => {
                let before = set.len();
                set.retain(|m, _| !a[1..].contains(m));
                let removed = before - set.len();
                self.set_sorted(&a[0], set);
                int(removed)
            }
            "zremrangebyrank" | "zremrangebyscore" => {
                let by = if name.ends_with("score") { "score" } else { "rank" };
                let gone = Self::range_of(&set, &a[1..], by, false);
                gone.iter().for_each(|(m, _)| {
                    set.remove(m);
                });
                self.set_sorted(&a[0], set);
                int(gone.len())
            }
            "zpopmin" | "zpopmax" => {
                let most = a.get(1).map_or(1, |n| number(n).unwrap() as usize);
                let mut taken = in_order(&set);
                if name == "zpopmax" {
                    taken.reverse();
                }
                taken.truncate(most);
                taken.iter().for_each(|(m, _)| {
                    set.remove(m);
                });
                self.set_sorted(&a[0], set);
                shown(&taken, true)
            }
            other => panic!("the model has no {other}"),
        })
    }
}

//! Commands on sets, as ordered sets.

use super::{Answer, Model, SYNTAX, Value, Words, count, integer};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeSet;

/// Members.
pub(super) type Set = BTreeSet<Bytes>;

fn all(members: &Set) -> Reply {
    Reply::Set(members.iter().cloned().map(Reply::Bulk).collect())
}

impl Model {
    pub(super) fn on_sets(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("sadd" | "srem", [key, members @ ..]) => {
                let mut set = self.set_at(key)?;
                let before = set.len();
                if name == "sadd" {
                    set.extend(members.iter().cloned());
                } else {
                    set.retain(|m| !members.contains(m));
                }
                let changed = set.len().abs_diff(before);
                self.change(key, Value::Set(set));
                Ok(count(changed))
            }
            ("smove", [from, to, member]) => {
                let mut source = self.set_at(from)?;
                if source.is_empty() {
                    return Ok(count(0));
                }
                // A target of another type is an error even where there is nothing to move.
                self.set_at(to)?;
                let found = source.remove(member);
                if found {
                    self.change(from, Value::Set(source));
                    let mut target = self.set_at(to)?;
                    target.insert(member.clone());
                    self.change(to, Value::Set(target));
                }
                Ok(count(usize::from(found)))
            }
            ("scard", [key]) => Ok(count(self.set_at(key)?.len())),
            ("sismember", [key, member]) => Ok(count(usize::from(self.set_at(key)?.contains(member)))),
            ("smismember", [key, members @ ..]) => {
                let set = self.set_at(key)?;
                Ok(Reply::Array(members.iter().map(|m| count(usize::from(set.contains(m)))).collect()))
            }
            ("smembers", [key]) => Ok(all(&self.set_at(key)?)),
            ("sinter" | "sunion" | "sdiff", keys) => Ok(all(&self.combine(name, keys)?)),
            ("sinterstore" | "sunionstore" | "sdiffstore", [to, keys @ ..]) => {
                let set = self.combine(name.trim_end_matches("store"), keys)?;
                let len = set.len();
                self.delete(to);
                self.change(to, Value::Set(set));
                Ok(count(len))
            }
            ("sintercard", [keys, rest @ ..]) => {
                let keys = rest.get(..integer(keys)? as usize).ok_or(Some(SYNTAX))?;
                let len = self.combine("sinter", keys)?.len();
                let limit = rest.get(keys.len() + 1).map_or(Ok(0), |n| integer(n))? as usize;
                Ok(count(if limit == 0 { len } else { len.min(limit) }))
            }
            _ => Err(None),
        }
    }

    fn combine(&mut self, how: &str, keys: Words<'_>) -> Result<Set, Option<Reply>> {
        let sets: Vec<Set> = keys.iter().map(|k| self.set_at(k)).collect::<Result<_, _>>()?;
        let Some((first, others)) = sets.split_first() else { return Err(Some(SYNTAX)) };
        Ok(match how {
            "sinter" => first.iter().filter(|m| others.iter().all(|s| s.contains(*m))).cloned().collect(),
            "sdiff" => first.iter().filter(|m| !others.iter().any(|s| s.contains(*m))).cloned().collect(),
            _ => sets.iter().flatten().cloned().collect(),
        })
    }
}

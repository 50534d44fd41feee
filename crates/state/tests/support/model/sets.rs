//! Sets, as ordered sets.

use super::{Model, Value, Words, int, number, text};
use command::Reply;
use std::collections::BTreeSet;

pub const COMMANDS: &str = " sadd srem smove scard sismember smismember smembers sinter sintercard sunion sdiff \
                            sinterstore sunionstore sdiffstore ";

type Set = BTreeSet<Vec<u8>>;

impl Model {
    fn get_set(&mut self, key: &[u8]) -> Result<Set, Reply> {
        self.get(key, |v| if let Value::Set(s) = v { Some(s) } else { None })
    }

    fn combine(&mut self, how: &str, keys: Words<'_>) -> Result<Set, Reply> {
        let sets: Vec<Set> = keys.iter().map(|k| self.get_set(k)).collect::<Result<_, _>>()?;
        let in_all = |m: &&Vec<u8>| sets.iter().all(|s| s.contains(*m));
        let in_others = |m: &&Vec<u8>| sets[1..].iter().any(|s| s.contains(*m));
        Ok(match how {
            "sinter" => sets[0].iter().filter(in_all).cloned().collect(),
            "sdiff" => sets[0].iter().filter(|m| !in_others(m)).cloned().collect(),
            _ => sets.iter().flatten().cloned().collect(),
        })
    }

    pub(super) fn set_command(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        let all = |s: &Set| Reply::Set(s.iter().map(|m| text(m)).collect());
        if let Some(how) = name.strip_suffix("store") {
            let set = self.combine(how, &a[1..])?;
            let len = set.len();
            self.delete(&a[0]);
            self.set_value(&a[0], Value::Set(set));
            return Ok(int(len));
        }
        if name == "sintercard" {
            let keys = number(&a[0]).unwrap() as usize;
            let limit = a.get(keys + 2).map_or(0, |l| number(l).unwrap() as usize);
            let len = self.combine("sinter", &a[1..=keys])?.len();
            return Ok(int(if limit == 0 { len } else { len.min(limit) }));
        }
        if matches!(name, "sinter" | "sunion" | "sdiff") {
            return Ok(all(&self.combine(name, a)?));
        }
        let mut set = self.get_set(&a[0])?;
        let before = set.len();
        Ok(match name {
            "sadd" => {
                set.extend(a[1..].iter().cloned());
                let added = set.len() - before;
                self.set_value(&a[0], Value::Set(set));
                int(added)
            }
            "srem" => {
                set.retain(|m| !a[1..].contains(m));
                let removed = before - set.len();
                self.set_value(&a[0], Value::Set(set));
                int(removed)
            }
            "smove" if before == 0 => int(0),
            "smove" => {
                self.get_set(&a[1])?;
                let found = set.remove(&a[2]);
                if found {
                    self.set_value(&a[0], Value::Set(set));
                    let mut to = self.get_set(&a[1])?;
                    to.insert(a[2].clone());
                    self.set_value(&a[1], Value::Set(to));
                }
                int(usize::from(found))
            }
            "scard" => int(before),
            "sismember" => int(usize::from(set.contains(&a[1]))),
            "smismember" => Reply::Array(a[1..].iter().map(|m| int(usize::from(set.contains(m)))).collect()),
            "smembers" => all(&set),
            other => panic!("the model has no {other}"),
        })
    }
}

//! Commands on keys of any type.

use super::{Answer, Model, SAME_OBJECT, Words, count, integer, is, number};
use bytes::Bytes;
use command::Reply;

const NO_SUCH_KEY: Reply = Reply::error("ERR no such key");

impl Model {
    pub(super) fn on_keys(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("del" | "unlink", keys) => Ok(count(keys.iter().filter(|k| self.delete(k).is_some()).count())),
            ("exists" | "touch", keys) => Ok(count(keys.iter().filter(|k| self.exists(k)).count())),
            ("type", [key]) => Ok(Reply::Simple(self.entry(key).map_or("none", |e| e.value.kind()).into())),
            ("rename", [from, to]) => {
                let entry = self.delete(from).ok_or(Some(NO_SUCH_KEY))?;
                self.put(to, entry.value, entry.dies_at);
                Ok(Reply::OK)
            }
            ("renamenx", [from, to]) => {
                if !self.exists(from) {
                    return Err(Some(NO_SUCH_KEY));
                }
                let free = !self.exists(to);
                if free {
                    self.on_keys("rename", a)?;
                }
                Ok(count(usize::from(free)))
            }
            ("copy", [from, to, options @ ..]) => self.copy(from, to, options),
            ("move", [key, db]) => {
                if integer(db)? as usize == self.db {
                    return Err(Some(SAME_OBJECT));
                }
                let copied = self.copy(key, key, &[Bytes::from("db"), db.clone()])?;
                if copied == count(1) {
                    self.delete(key);
                }
                Ok(copied)
            }
            ("dbsize", []) => Ok(count(self.keys().len())),
            ("flushdb", _) => {
                self.databases.remove(&self.db);
                Ok(Reply::OK)
            }
            ("flushall", _) => {
                self.databases.clear();
                Ok(Reply::OK)
            }
            ("select", [db]) => {
                self.db = integer(db)? as usize;
                Ok(Reply::OK)
            }
            _ => self.on_deadlines(name, a),
        }
    }

    fn on_deadlines(&mut self, name: &str, a: Words<'_>) -> Answer {
        let now = self.now;
        match (name, a) {
            ("pttl", [key]) => Ok(self.left(key, |at| at - now)),
            ("ttl", [key]) => Ok(self.left(key, |at| (at - now + 500) / 1000)),
            ("pexpiretime", [key]) => Ok(self.left(key, |at| at)),
            ("expiretime", [key]) => Ok(self.left(key, |at| (at + 500) / 1000)),
            ("persist", [key]) => {
                let had = self.entry(key).is_some_and(|e| e.dies_at.take().is_some());
                Ok(count(usize::from(had)))
            }
            ("pexpire", [key, n, when @ ..]) => self.expire(key, now.saturating_add(integer(n)?), when),
            ("expire", [key, n, when @ ..]) => {
                self.expire(key, now.saturating_add(integer(n)?.saturating_mul(1000)), when)
            }
            ("pexpireat", [key, n, when @ ..]) => self.expire(key, integer(n)?, when),
            ("expireat", [key, n, when @ ..]) => self.expire(key, integer(n)?.saturating_mul(1000), when),
            _ => Err(None),
        }
    }

    fn left(&mut self, key: &[u8], shown: impl Fn(i64) -> i64) -> Reply {
        Reply::Integer(self.entry(key).map_or(-2, |e| e.dies_at.map_or(-1, shown)))
    }

    fn expire(&mut self, key: &[u8], at: i64, when: Words<'_>) -> Answer {
        let now = self.now;
        let Some(entry) = self.entry(key) else { return Ok(count(0)) };
        // No deadline counts as one infinitely far away.
        let later = entry.dies_at.is_some_and(|old| at > old);
        let sooner = entry.dies_at.is_none_or(|old| at < old);
        let allowed = when.iter().all(|w| match () {
            () if is(w, "nx") => entry.dies_at.is_none(),
            () if is(w, "xx") => entry.dies_at.is_some(),
            () if is(w, "gt") => later,
            () if is(w, "lt") => sooner,
            () => false,
        });
        if allowed && at > now {
            entry.dies_at = Some(at);
        } else if allowed {
            self.delete(key);
        }
        Ok(count(usize::from(allowed)))
    }

    fn copy(&mut self, from: &Bytes, to: &Bytes, options: Words<'_>) -> Answer {
        let home = self.db;
        let db = options.iter().position(|w| is(w, "db")).and_then(|at| number(options.get(at + 1)?));
        let away = db.map_or(home, |n| n as usize);
        if home == away && from == to {
            return Err(Some(SAME_OBJECT));
        }
        let Some(entry) = self.entry(from).cloned() else { return Ok(count(0)) };
        self.db = away;
        let done = options.iter().any(|w| is(w, "replace")) || !self.exists(to);
        if done {
            self.put(to, entry.value, entry.dies_at);
        }
        self.db = home;
        Ok(count(usize::from(done)))
    }
}

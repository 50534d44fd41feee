//! Commands on strings.

use super::{
    Answer, Model, NOT_A_FLOAT, OVERFLOW, SYNTAX, Value, Words, count, hundredths, integer, is, number,
    print_hundredths,
};
use bytes::Bytes;
use command::Reply;

/// Longest string that SETRANGE may make, in bytes; far beyond what a workload asks for.
const MAX_PADDED_BYTES: i64 = 1024 * 1024;

impl Model {
    pub(super) fn on_strings(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("get", [key]) => Ok(self.text(key)?.into()),
            ("strlen", [key]) => Ok(count(self.text(key)?.unwrap_or_default().len())),
            ("set", [key, value, options @ ..]) => self.set(key, value, options),
            ("setnx", [key, value]) => {
                let free = !self.exists(key);
                if free {
                    self.put(key, Value::Text(value.clone()), None);
                }
                Ok(count(usize::from(free)))
            }
            ("setex", [key, seconds, value]) => self.set(key, value, &[Bytes::from("ex"), seconds.clone()]),
            ("psetex", [key, ms, value]) => self.set(key, value, &[Bytes::from("px"), ms.clone()]),
            ("getset", [key, value]) => {
                let old = self.text(key)?;
                self.put(key, Value::Text(value.clone()), None);
                Ok(old.into())
            }
            ("getdel", [key]) => {
                let old = self.text(key)?;
                self.delete(key);
                Ok(old.into())
            }
            ("getex", [key, options @ ..]) => self.getex(key, options),
            ("mget", keys) => {
                let texts = keys.iter().map(|k| self.text(k).ok().flatten().into());
                Ok(Reply::Array(texts.collect()))
            }
            ("mset", pairs) if pairs.len() % 2 == 0 => {
                for pair in pairs.chunks(2) {
                    self.put(&pair[0], Value::Text(pair[1].clone()), None);
                }
                Ok(Reply::OK)
            }
            ("msetnx", pairs) if pairs.len() % 2 == 0 => {
                let free = pairs.chunks(2).all(|pair| !self.exists(&pair[0]));
                if free {
                    self.on_strings("mset", pairs)?;
                }
                Ok(count(usize::from(free)))
            }
            ("incr", [key]) => self.add(key, 1),
            ("decr", [key]) => self.add(key, -1),
            ("incrby", [key, by]) => self.add(key, integer(by)?),
            ("decrby", [key, by]) => {
                let by = integer(by)?.checked_neg();
                self.add(key, by.ok_or(Some(Reply::error("ERR decrement would overflow")))?)
            }
            ("incrbyfloat", [key, by]) => {
                let old = self.text(key)?.unwrap_or_else(|| Bytes::from("0"));
                let (Some(old), Some(by)) = (hundredths(&old), hundredths(by)) else { return Err(Some(NOT_A_FLOAT)) };
                let new = print_hundredths(old + by);
                self.change(key, Value::Text(new.clone()));
                Ok(Reply::Bulk(new))
            }
            _ => self.on_parts(name, a),
        }
    }

    /// Commands on parts of strings.
    fn on_parts(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("append", [key, tail]) => {
                let mut text = self.text(key)?.unwrap_or_default().to_vec();
                text.extend_from_slice(tail);
                let len = text.len();
                self.change(key, Value::Text(text.into()));
                Ok(count(len))
            }
            ("setrange", [key, from, patch]) => {
                let from = integer(from)?;
                if !(0..=MAX_PADDED_BYTES).contains(&from) {
                    return Err(Some(Reply::error("ERR offset is out of range")));
                }
                let mut text = self.text(key)?.unwrap_or_default().to_vec();
                if !patch.is_empty() {
                    let (from, to) = (from as usize, from as usize + patch.len());
                    text.resize(text.len().max(to), 0);
                    text[from..to].copy_from_slice(patch);
                    self.change(key, Value::Text(text.clone().into()));
                }
                Ok(count(text.len()))
            }
            ("getrange" | "substr", [key, from, to]) => {
                let (from, to) = (integer(from)?, integer(to)?);
                let text = self.text(key)?.unwrap_or_default();
                let place = |n: i64| if n < 0 { n + text.len() as i64 } else { n }.max(0);
                // Two negative ends in the wrong order are empty even where both are clamped to the first byte.
                let inverted = from < 0 && to < 0 && from > to;
                let wanted = place(from)..=place(to);
                let part = text.iter().enumerate().filter(|(i, _)| !inverted && wanted.contains(&(*i as i64)));
                Ok(Reply::Bulk(part.map(|(_, b)| *b).collect()))
            }
            ("lcs", [one, other, len]) if is(len, "len") => {
                let strings = Reply::error("ERR The specified keys must contain string values");
                let (Ok(one), Ok(other)) = (self.text(one), self.text(other)) else { return Err(Some(strings)) };
                Ok(count(common_length(&one.unwrap_or_default(), &other.unwrap_or_default())))
            }
            _ => Err(None),
        }
    }

    fn add(&mut self, key: &Bytes, by: i64) -> Answer {
        let old = self.text(key)?.map_or(Ok(0), |text| integer(&text))?;
        let new = old.checked_add(by).ok_or(Some(OVERFLOW))?;
        self.change(key, Value::Text(new.to_string().into()));
        Ok(Reply::Integer(new))
    }

    fn set(&mut self, key: &Bytes, value: &Bytes, options: Words<'_>) -> Answer {
        let has = |name: &str| options.iter().any(|w| is(w, name));
        if has("nx") && has("xx") {
            return Err(Some(SYNTAX));
        }
        let before = if has("get") { Some(Reply::from(self.text(key)?)) } else { None };
        let dies_at = match self.deadline(options)? {
            None if has("keepttl") => self.entry(key).and_then(|e| e.dies_at),
            deadline => deadline,
        };
        let exists = self.exists(key);
        if (has("nx") && exists) || (has("xx") && !exists) {
            return Ok(before.unwrap_or(Reply::Null));
        }
        self.put(key, Value::Text(value.clone()), dies_at);
        Ok(before.unwrap_or(Reply::OK))
    }

    fn getex(&mut self, key: &Bytes, options: Words<'_>) -> Answer {
        let deadline = self.deadline(options)?;
        let persist = options.iter().any(|w| is(w, "persist"));
        let text = self.text(key)?;
        if let Some(entry) = self.entry(key)
            && (persist || deadline.is_some())
        {
            entry.dies_at = deadline;
        }
        Ok(text.into())
    }

    /// When EX or PX say that a key dies.
    fn deadline(&self, options: Words<'_>) -> Result<Option<i64>, Option<Reply>> {
        for (unit, ms) in [("ex", 1000), ("px", 1)] {
            if let Some(at) = options.iter().position(|w| is(w, unit)) {
                let span = options.get(at + 1).and_then(|w| number(w)).ok_or(Some(SYNTAX))?;
                return Ok(Some(self.now.saturating_add(span.saturating_mul(ms))));
            }
        }
        Ok(None)
    }
}

/// Length of the longest common subsequence.
fn common_length(one: &[u8], other: &[u8]) -> usize {
    let mut row = vec![0; other.len() + 1];
    for a in one {
        let mut diagonal = 0;
        for (j, b) in other.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if a == b { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[other.len()]
}

//! Commands on hashes.

use super::{
    Answer, Hash, Model, NOT_A_FLOAT, OVERFLOW, Value, Words, count, hundredths, integer, number, print_hundredths,
};
use bytes::Bytes;
use command::Reply;

impl Model {
    pub(super) fn on_hashes(&mut self, name: &str, a: Words<'_>) -> Answer {
        let [key, rest @ ..] = a else { return Err(None) };
        if !name.starts_with('h') {
            return Err(None);
        }
        match self.change_hash(name, key, rest) {
            Err(None) => read_hash(&self.hash(key)?, name, rest),
            answer => answer,
        }
    }

    fn change_hash(&mut self, name: &str, key: &Bytes, a: Words<'_>) -> Answer {
        // A wrong increment is noticed before a key of another type.
        match (name, a) {
            ("hincrby", [_, by]) => {
                integer(by)?;
            }
            ("hincrbyfloat", [_, by]) if hundredths(by).is_none() => return Err(Some(NOT_A_FLOAT)),
            _ => {}
        }
        let mut hash = self.hash(key)?;
        let before = hash.len();
        let answer = match (name, a) {
            ("hset" | "hmset", pairs) if pairs.len() % 2 == 0 => {
                hash.extend(pairs.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())));
                if name == "hset" { count(hash.len() - before) } else { Reply::OK }
            }
            ("hsetnx", [field, value]) => {
                let free = !hash.contains_key(field);
                if free {
                    hash.insert(field.clone(), value.clone());
                }
                count(usize::from(free))
            }
            ("hdel", fields) => {
                fields.iter().for_each(|f| drop(hash.remove(f)));
                count(before - hash.len())
            }
            ("hincrby", [field, by]) => {
                let by = integer(by)?;
                let old = hash.get(field).map_or(Some(0), |v| number(v));
                let old = old.ok_or(Some(Reply::error("ERR hash value is not an integer")))?;
                let new = old.checked_add(by).ok_or(Some(OVERFLOW))?;
                hash.insert(field.clone(), new.to_string().into());
                Reply::Integer(new)
            }
            ("hincrbyfloat", [field, by]) => {
                let by = hundredths(by).ok_or(Some(NOT_A_FLOAT))?;
                let old = hash.get(field).map_or(Some(0), |v| hundredths(v));
                let old = old.ok_or(Some(Reply::error("ERR hash value is not a float")))?;
                let new = print_hundredths(old + by);
                hash.insert(field.clone(), new.clone());
                Reply::Bulk(new)
            }
            _ => return Err(None),
        };
        self.change(key, Value::Hash(hash));
        Ok(answer)
    }
}

fn read_hash(hash: &Hash, name: &str, a: Words<'_>) -> Answer {
    let bulks = |all: Vec<&Bytes>| Reply::Array(all.into_iter().map(|b| Reply::Bulk(b.clone())).collect());
    Ok(match (name, a) {
        ("hget", [field]) => hash.get(field).cloned().into(),
        ("hmget", fields) => Reply::Array(fields.iter().map(|f| hash.get(f).cloned().into()).collect()),
        ("hlen", []) => count(hash.len()),
        ("hexists", [field]) => count(usize::from(hash.contains_key(field))),
        ("hstrlen", [field]) => count(hash.get(field).map_or(0, Bytes::len)),
        ("hgetall", []) => {
            Reply::Map(hash.iter().map(|(f, v)| (Reply::Bulk(f.clone()), Reply::Bulk(v.clone()))).collect())
        }
        ("hkeys", []) => bulks(hash.keys().collect()),
        ("hvals", []) => {
            let mut values: Vec<&Bytes> = hash.values().collect();
            values.sort_unstable();
            bulks(values)
        }
        _ => return Err(None),
    })
}

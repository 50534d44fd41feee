//! Commands on lists, as vectors. Nobody waits here: a blocking command that finds nothing says so at once.

use super::{Answer, Model, SYNTAX, Value, Words, count, integer, is, number};
use bytes::Bytes;
use command::Reply;

const NO_SUCH_KEY: Reply = Reply::error("ERR no such key");
const OUT_OF_RANGE: Reply = Reply::error("ERR index out of range");

/// One of the two ends of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Head,
    Tail,
}

impl End {
    fn named(word: &[u8]) -> Result<End, Option<Reply>> {
        match () {
            () if is(word, "left") => Ok(End::Head),
            () if is(word, "right") => Ok(End::Tail),
            () => Err(Some(SYNTAX)),
        }
    }

    /// The end at which a command works whose name begins with L or R.
    fn of_command(name: &str) -> End {
        if name.starts_with('l') { End::Head } else { End::Tail }
    }
}

/// The positions from `from` up to and including `to`, either counted from the tail when negative.
fn span(len: usize, from: i64, to: i64) -> std::ops::Range<usize> {
    let len = len as i64;
    let place = |n: i64| if n < 0 { n + len } else { n };
    let (from, to) = (place(from).max(0), place(to).min(len - 1));
    if from > to { 0..0 } else { from as usize..to as usize + 1 }
}

fn all(elements: &[Bytes]) -> Reply {
    Reply::Array(elements.iter().cloned().map(Reply::Bulk).collect())
}

impl Model {
    pub(super) fn on_lists(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("lpush" | "rpush", [key, elements @ ..]) => self.push(key, elements, End::of_command(name)),
            ("lpushx" | "rpushx", [key, elements @ ..]) => {
                if self.list(key)?.is_empty() {
                    return Ok(count(0));
                }
                self.push(key, elements, End::of_command(name))
            }
            ("lpop" | "rpop", [key]) => {
                Ok(self.pop(key, End::of_command(name), 1)?.pop().map_or(Reply::Null, Reply::Bulk))
            }
            ("lpop" | "rpop", [key, most]) => {
                let empty = self.list(key)?.is_empty();
                let taken = self.pop(key, End::of_command(name), integer(most)? as usize)?;
                Ok(if empty { Reply::NullArray } else { all(&taken) })
            }
            ("blpop" | "brpop", [keys @ .., _]) => {
                for key in keys {
                    if let Some(element) = self.pop(key, End::of_command(&name[1..]), 1)?.pop() {
                        return Ok(Reply::Array(vec![Reply::Bulk(key.clone()), Reply::Bulk(element)]));
                    }
                }
                Ok(Reply::NullArray)
            }
            ("lmove", [from, to, out, into]) => self.shift(from, to, End::named(out)?, End::named(into)?),
            ("rpoplpush", [from, to]) => self.shift(from, to, End::Tail, End::Head),
            ("blmove", [from, to, out, into, _]) => match self.shift(from, to, End::named(out)?, End::named(into)?)? {
                Reply::Null => Ok(Reply::NullArray),
                moved => Ok(moved),
            },
            ("lmpop", [keys, rest @ ..]) => self.lmpop(integer(keys)? as usize, rest),
            ("llen", [key]) => Ok(count(self.list(key)?.len())),
            ("lindex", [key, at]) => {
                let list = self.list(key)?;
                let at = integer(at)?;
                Ok(list[span(list.len(), at, at)].first().cloned().map_or(Reply::Null, Reply::Bulk))
            }
            ("lrange", [key, from, to]) => {
                let list = self.list(key)?;
                Ok(all(&list[span(list.len(), integer(from)?, integer(to)?)]))
            }
            ("lpos", [key, element, options @ ..]) => self.lpos(key, element, options),
            _ => self.inside_lists(name, a),
        }
    }

    /// Commands that change lists elsewhere than at their ends.
    fn inside_lists(&mut self, name: &str, a: Words<'_>) -> Answer {
        let [key, rest @ ..] = a else { return Err(None) };
        if !["lset", "linsert", "lrem", "ltrim"].contains(&name) {
            return Err(None);
        }
        let mut list = self.list(key)?;
        let len = list.len();
        let answer = match (name, rest) {
            ("lset", [at, element]) => {
                if len == 0 {
                    return Err(Some(NO_SUCH_KEY));
                }
                let at = integer(at)?;
                let at = if at < 0 { at + len as i64 } else { at };
                let place = usize::try_from(at).ok().and_then(|at| list.get_mut(at)).ok_or(Some(OUT_OF_RANGE))?;
                place.clone_from(element);
                Reply::OK
            }
            ("linsert", [side, pivot, element]) => match list.iter().position(|e| e == pivot) {
                _ if len == 0 => count(0),
                None => Reply::Integer(-1),
                Some(at) => {
                    list.insert(at + usize::from(is(side, "after")), element.clone());
                    count(len + 1)
                }
            },
            ("lrem", [limit, element]) => {
                let limit = integer(limit)?;
                let mut at: Vec<usize> = (0..len).filter(|i| list[*i] == *element).collect();
                if limit < 0 {
                    at.reverse();
                }
                if limit != 0 {
                    at.truncate(limit.unsigned_abs() as usize);
                }
                list = (0..len).filter(|i| !at.contains(i)).map(|i| list[i].clone()).collect();
                count(at.len())
            }
            ("ltrim", [from, to]) => {
                list = list[span(len, integer(from)?, integer(to)?)].to_vec();
                Reply::OK
            }
            _ => return Err(None),
        };
        self.change(key, Value::List(list));
        Ok(answer)
    }

    fn push(&mut self, key: &Bytes, elements: Words<'_>, end: End) -> Answer {
        let mut list = self.list(key)?;
        for element in elements {
            list.insert(if end == End::Head { 0 } else { list.len() }, element.clone());
        }
        let len = list.len();
        self.change(key, Value::List(list));
        Ok(count(len))
    }

    /// Takes up to so many elements from one end, the outermost first.
    fn pop(&mut self, key: &Bytes, end: End, most: usize) -> Result<Vec<Bytes>, Option<Reply>> {
        let mut list = self.list(key)?;
        let mut taken = Vec::new();
        while taken.len() < most && !list.is_empty() {
            taken.push(list.remove(if end == End::Head { 0 } else { list.len() - 1 }));
        }
        if !taken.is_empty() {
            self.change(key, Value::List(list));
        }
        Ok(taken)
    }

    fn shift(&mut self, from: &Bytes, to: &Bytes, out: End, into: End) -> Answer {
        if self.list(from)?.is_empty() {
            return Ok(Reply::Null);
        }
        // The target's type counts only when there is something to move.
        self.list(to)?;
        let taken = self.pop(from, out, 1)?;
        self.push(to, &taken, into)?;
        Ok(taken.into_iter().next().into())
    }

    fn lmpop(&mut self, keys: usize, rest: Words<'_>) -> Answer {
        let (Some(keys), Some(end)) = (rest.get(..keys), rest.get(keys)) else { return Err(Some(SYNTAX)) };
        let most = rest.get(keys.len() + 2).map_or(Ok(1), |n| integer(n))?;
        for key in keys {
            let taken = self.pop(key, End::named(end)?, most as usize)?;
            if !taken.is_empty() {
                return Ok(Reply::Array(vec![Reply::Bulk(key.clone()), all(&taken)]));
            }
        }
        Ok(Reply::NullArray)
    }

    fn lpos(&mut self, key: &Bytes, element: &Bytes, options: Words<'_>) -> Answer {
        let list = self.list(key)?;
        let option = |name: &str| options.chunks(2).find(|p| is(&p[0], name)).and_then(|p| number(p.get(1)?));
        let (rank, wanted, most) = (option("rank").unwrap_or(1), option("count"), option("maxlen").unwrap_or(0));
        let mut order: Vec<usize> = (0..list.len()).collect();
        if rank < 0 {
            order.reverse();
        }
        if most > 0 {
            order.truncate(most as usize);
        }
        let first = (rank.unsigned_abs() as usize).saturating_sub(1);
        let mut found = order.into_iter().filter(|i| list[*i] == *element).skip(first);
        Ok(match wanted {
            None => found.next().map_or(Reply::Null, count),
            Some(0) => Reply::Array(found.map(count).collect()),
            Some(n) => Reply::Array(found.take(n as usize).map(count).collect()),
        })
    }
}

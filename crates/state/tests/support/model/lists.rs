//! Lists, as vectors.

use super::{Model, Value, Words, int, number, text};
use command::Reply;

pub const COMMANDS: &str = " lpush rpush lpushx rpushx lpop rpop llen lindex lrange lset linsert lrem ltrim lpos lmove \
                            rpoplpush lmpop ";

type List = Vec<Vec<u8>>;

impl Model {
    fn get_list(&mut self, key: &[u8]) -> Result<List, Reply> {
        self.get(key, |v| if let Value::List(l) = v { Some(l) } else { None })
    }

    fn set_list(&mut self, key: &[u8], list: List) {
        self.set_value(key, Value::List(list));
    }

    /// The positions that a range of LRANGE covers.
    fn span(len: usize, from: &[u8], to: &[u8]) -> std::ops::Range<usize> {
        let place = |w: &[u8]| number(w).map(|n| if n < 0 { n + len as i64 } else { n }).unwrap();
        let (from, to) = (place(from).max(0), place(to).min(len as i64 - 1));
        if from > to { 0..0 } else { from as usize..to as usize + 1 }
    }

    fn take(&mut self, key: &[u8], end: &[u8], count: usize) -> Result<Vec<Vec<u8>>, Reply> {
        let mut list = self.get_list(key)?;
        let mut taken = Vec::new();
        while taken.len() < count && !list.is_empty() {
            taken.push(if end == b"LEFT" { list.remove(0) } else { list.remove(list.len() - 1) });
        }
        self.set_list(key, list);
        Ok(taken)
    }

    fn give(&mut self, key: &[u8], end: &[u8], element: Vec<u8>) -> Result<usize, Reply> {
        let mut list = self.get_list(key)?;
        let at = if end == b"LEFT" { 0 } else { list.len() };
        list.insert(at, element);
        let len = list.len();
        self.set_list(key, list);
        Ok(len)
    }

    pub(super) fn list(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        let all = |l: &[Vec<u8>]| Reply::Array(l.iter().map(|e| text(e)).collect());
        if name == "lmpop" {
            let keys = number(&a[0]).unwrap() as usize;
            for key in &a[1..=keys] {
                let taken = self.take(key, &a[keys + 1], number(&a[keys + 3]).unwrap() as usize)?;
                if !taken.is_empty() {
                    return Ok(Reply::Array(vec![text(key), all(&taken)]));
                }
            }
            return Ok(Reply::NullArray);
        }
        let mut list = self.get_list(&a[0])?;
        let len = list.len();
        let end: &[u8] = if name.starts_with('l') { b"LEFT" } else { b"RIGHT" };
        Ok(match name {
            "lpushx" | "rpushx" if len == 0 => int(0),
            "lpush" | "rpush" | "lpushx" | "rpushx" => {
                let mut len = 0;
                for element in &a[1..] {
                    len = self.give(&a[0], end, element.clone())?;
                }
                int(len)
            }
            "lpop" | "rpop" if a.len() == 1 => self.take(&a[0], end, 1)?.pop().map_or(Reply::Null, |e| text(&e)),
            "lpop" | "rpop" if len == 0 => Reply::NullArray,
            "lpop" | "rpop" => all(&self.take(&a[0], end, number(&a[1]).unwrap() as usize)?),
            "llen" => int(len),
            "lindex" => {
                list.get(Self::span(len, &a[1], &a[1])).and_then(|l| l.first()).map_or(Reply::Null, |e| text(e))
            }
            "lrange" => all(&list[Self::span(len, &a[1], &a[2])]),
            "ltrim" => {
                self.set_list(&a[0], list[Self::span(len, &a[1], &a[2])].to_vec());
                Reply::OK
            }
            "lset" if len == 0 => Reply::error("ERR no such key"),
            "lset" => match list.get_mut(Self::span(len, &a[1], &a[1])).and_then(|l| l.first_mut()) {
                Some(e) => {
                    e.clone_from(&a[2]);
                    self.set_list(&a[0], list);
                    Reply::OK
                }
                None => Reply::error("ERR index out of range"),
            },
            "linsert" if len == 0 => int(0),
            "linsert" => match list.iter().position(|e| *e == a[2]) {
                Some(at) => {
                    list.insert(at + usize::from(a[1] == b"AFTER"), a[3].clone());
                    self.set_list(&a[0], list);
                    int(len + 1)
                }
                None => Reply::Integer(-1),
            },
            "lrem" => {
                let count = number(&a[1]).unwrap();
                let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
                let mut at: Vec<usize> = (0..len).filter(|i| list[*i] == a[2]).collect();
                if count < 0 {
                    at.reverse();
                }
                at.truncate(most);
                let rest = list.iter().enumerate().filter(|(i, _)| !at.contains(i)).map(|(_, e)| e.clone()).collect();
                self.set_list(&a[0], rest);
                int(at.len())
            }
            "lpos" => {
                let option = |w: &[u8], default| {
                    a[2..].chunks(2).find(|p| p[0] == w).map_or(default, |p| number(&p[1]).unwrap())
                };
                let (rank, count, most) = (option(b"RANK", 1), option(b"COUNT", -1), option(b"MAXLEN", 0) as usize);
                let mut order: Vec<usize> = (0..len).collect();
                if rank < 0 {
                    order.reverse();
                }
                order.truncate(if most == 0 { len } else { most });
                let mut found = order.into_iter().filter(|i| list[*i] == a[1]).skip(rank.unsigned_abs() as usize - 1);
                match count {
                    -1 => found.next().map_or(Reply::Null, int),
                    0 => Reply::Array(found.map(int).collect()),
                    n => Reply::Array(found.take(n as usize).map(int).collect()),
                }
            }
            "lmove" | "rpoplpush" => {
                if len == 0 {
                    return Ok(Reply::Null);
                }
                self.get_list(&a[1])?;
                let (out, into): (&[u8], &[u8]) = if a.len() > 2 { (&a[2], &a[3]) } else { (b"RIGHT", b"LEFT") };
                let element = self.take(&a[0], out, 1)?.remove(0);
                self.give(&a[1], into, element.clone())?;
                text(&element)
            }
            other => panic!("the model has no {other}"),
        })
    }
}

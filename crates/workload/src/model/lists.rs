//! Commands on lists, as many as the workload `queue` sends. Nobody waits here: what finds nothing says so at once.

use super::{Answer, Model, Value, Words, count, integer};
use bytes::Bytes;
use command::Reply;

impl Model {
    pub(super) fn on_lists(&mut self, name: &str, a: Words<'_>) -> Answer {
        match (name, a) {
            ("rpush", [key, elements @ ..]) => {
                let mut list = self.list(key)?;
                list.extend(elements.iter().cloned());
                let len = list.len();
                self.change(key, Value::List(list));
                Ok(count(len))
            }
            ("lpop", [key]) => Ok(self.pop(key)?.map_or(Reply::Null, Reply::Bulk)),
            ("blpop", [keys @ .., _]) => {
                for key in keys {
                    if let Some(element) = self.pop(key)? {
                        return Ok(Reply::Array(vec![Reply::Bulk(key.clone()), Reply::Bulk(element)]));
                    }
                }
                Ok(Reply::NullArray)
            }
            ("blmove", [from, to, _, _, _]) => {
                let mut target = self.list(to)?;
                let Some(element) = self.pop(from)? else { return Ok(Reply::NullArray) };
                target.push(element.clone());
                self.change(to, Value::List(target));
                Ok(Reply::Bulk(element))
            }
            ("lrange", [key, from, to]) if (integer(from)?, integer(to)?) == (0, -1) => {
                Ok(Reply::Array(self.list(key)?.into_iter().map(Reply::Bulk).collect()))
            }
            _ => Err(None),
        }
    }

    fn pop(&mut self, key: &Bytes) -> Result<Option<Bytes>, Option<Reply>> {
        let mut list = self.list(key)?;
        if list.is_empty() {
            return Ok(None);
        }
        let element = list.remove(0);
        self.change(key, Value::List(list));
        Ok(Some(element))
    }
}

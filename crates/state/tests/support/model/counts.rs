//! Approximate counts, as sets: so few elements that an estimate is exact unless two of them share a register.

use super::{Model, Value, Words, int};
use command::Reply;
use std::collections::BTreeSet;

impl Model {
    fn counted(&mut self, key: &[u8]) -> Result<BTreeSet<Vec<u8>>, Reply> {
        self.get(key, |v| if let Value::Counted(c) = v { Some(c) } else { None })
    }

    pub(super) fn counts(&mut self, name: &str, a: Words<'_>) -> Result<Reply, Reply> {
        let mut union = BTreeSet::new();
        let read = if name == "pfadd" { &a[..1] } else { a };
        for key in read {
            union.extend(self.counted(key)?);
        }
        Ok(match name {
            "pfadd" => {
                let absent = self.entry(&a[0]).is_none();
                let before = union.len();
                union.extend(a[1..].iter().cloned());
                let added = absent || union.len() > before;
                self.set_value(&a[0], Value::Counted(union));
                int(usize::from(added))
            }
            "pfmerge" => {
                self.set_value(&a[0], Value::Counted(union));
                Reply::OK
            }
            "pfcount" => int(union.len()),
            other => panic!("the model has no {other}"),
        })
    }
}

//! At most one leader of a shard in a term.

use super::Broken;
use std::collections::BTreeMap;
use stdx::{NodeId, ShardId};

/// Who led when.
#[derive(Default)]
pub struct Leaders(BTreeMap<(ShardId, u64), NodeId>);

impl Leaders {
    /// A node leads.
    pub fn leads(&mut self, node: NodeId, shard: ShardId, term: u64) -> Result<(), Broken> {
        let first = *self.0.entry((shard, term)).or_insert(node);
        if first == node {
            return Ok(());
        }
        Err(format!("two leaders of {shard} in term {term}: {first} and {node}"))
    }
}

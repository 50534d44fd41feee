//! The system shard's record of the cluster: written by its leader, read by every replica as it is applied.

use super::shard::Shard;
use crate::io::StateOutput;
use bytes::Bytes;
use cluster::{ClusterMap, NodeRecord, bootstrap};
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::WallMs;
use storage::{Batch, EngineError, Op, View};

/// Where the cluster map stands in the system shard.
const MAP_KEY: &[u8] = b"/polder/map";

/// What this node knows of the system shard's record.
pub struct SystemShard {
    /// Nodes as configured here: with static membership, the initial map and later addresses come from there.
    nodes: BTreeMap<u64, NodeRecord>,
    /// Shards of the sharded namespace of a new cluster.
    shards: u16,
    known: Option<ClusterMap>,
}

impl SystemShard {
    /// Nothing known yet.
    pub fn new(nodes: BTreeMap<u64, NodeRecord>, shards: u16) -> SystemShard {
        SystemShard { nodes, shards, known: None }
    }

    /// Looks whether the map changed with what was applied.
    ///
    /// # Errors
    /// When the record cannot be read or does not decode.
    pub fn observe<R: Clone>(&mut self, shard: &Shard<R>, out: &mut Vec<StateOutput<R>>) -> Result<(), EngineError> {
        let Some(json) = shard.replica.read().get(MAP_KEY)? else { return Ok(()) };
        let map: ClusterMap = serde_json::from_slice(&json)
            .map_err(|e| EngineError::Damaged(format!("the cluster map does not decode: {e}")))?;
        if self.known.as_ref().is_none_or(|k| k.version < map.version) {
            self.known = Some(map.clone());
            out.push(StateOutput::MapChanged(Arc::new(map)));
        }
        Ok(())
    }

    /// The leader writes the initial map, and the addresses of nodes when the configuration changed them.
    ///
    /// # Errors
    /// As `observe`.
    pub fn lead<R: Clone>(
        &mut self,
        shard: &mut Shard<R>,
        wall: WallMs,
        out: &mut Vec<StateOutput<R>>,
    ) -> Result<(), EngineError> {
        if self.known.is_none() {
            self.observe(shard, out)?;
        }
        let wanted = match &self.known {
            None => bootstrap(self.nodes.clone(), self.shards),
            Some(known) if known.nodes != self.nodes && known.nodes.keys().eq(self.nodes.keys()) => {
                ClusterMap { version: known.version + 1, nodes: self.nodes.clone(), ..known.clone() }
            }
            Some(_) => return Ok(()),
        };
        // While a proposal is open its fate decides; one that is lost is made again.
        if !shard.pending.is_empty() {
            return Ok(());
        }
        let Ok(json) = serde_json::to_vec(&wanted) else { return Ok(()) };
        let batch = Batch { ops: vec![Op::Put(Bytes::from_static(MAP_KEY), json.into())] };
        shard.propose_own(batch, wall, out);
        Ok(())
    }
}

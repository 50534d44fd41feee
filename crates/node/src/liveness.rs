//! One exchange of liveness per pair of nodes, whatever the number of shards: who is heard, who leads what, and whose
//! cluster map is newer.

use crate::shared::Shared;
use cluster::{ClusterMap, Fitness, PeerMessage};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, ShardId};

/// Every so many exchanges the complete list of led shards is sent, in case a change was lost.
const FULL_EVERY: u64 = 10;

/// What liveness found out.
#[derive(Debug)]
pub enum LivenessOutput {
    /// Send to a peer.
    Send(NodeId, PeerMessage),
    /// Nothing was heard from a node for the whole timeout: groups it led must start ticking again.
    Silent(NodeId),
    /// A node is heard again.
    Heard(NodeId),
    /// A peer has a newer map.
    NewMap(Arc<ClusterMap>),
    /// Some shard's leader changed as seen from here.
    LeadersChanged,
    /// A node became fit to lead, or unfit.
    Fitness(NodeId, Fitness),
}

#[derive(Debug)]
struct Peer {
    heard_at: Option<Mono>,
    silent: bool,
    link: bool,
    their_sent_at: u64,
    told: Vec<(ShardId, u64)>,
    round_trip: Option<Duration>,
    fitness: Fitness,
}

/// The liveness of every other node, as seen from this one.
#[derive(Debug)]
pub struct Liveness {
    shared: Arc<Shared>,
    timeout: Duration,
    peers: BTreeMap<NodeId, Peer>,
    round: u64,
    fitness: Fitness,
}

impl Liveness {
    /// Watches `peers`; a node is silent when nothing was heard from it for `timeout`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, peers: impl IntoIterator<Item = NodeId>, timeout: Duration) -> Liveness {
        let peers = peers
            .into_iter()
            .map(|id| {
                let peer = Peer {
                    heard_at: None,
                    silent: true,
                    link: false,
                    their_sent_at: 0,
                    told: Vec::new(),
                    round_trip: None,
                    fitness: Fitness::Fit,
                };
                (id, peer)
            })
            .collect();
        Liveness { shared, timeout, peers, round: 0, fitness: Fitness::Fit }
    }

    /// Time has passed; to be called once per heartbeat interval.
    pub fn tick(&mut self, now: Mono, out: &mut Vec<LivenessOutput>) {
        self.round += 1;
        let leading = self.leading();
        let map_version = self.shared.table().map.version;
        for (id, peer) in &mut self.peers {
            let full = self.round % FULL_EVERY == 1 || peer.told != leading;
            let message = PeerMessage::Liveness {
                sent_at: now.0,
                echo: peer.their_sent_at,
                leading: if full { leading.clone() } else { Vec::new() },
                full,
                map_version,
                fitness: self.fitness,
            };
            peer.told.clone_from(&leading);
            out.push(LivenessOutput::Send(*id, message));
            if !peer.silent && peer.heard_at.is_none_or(|at| now.since(at) > self.timeout) {
                peer.silent = true;
                forget(&self.shared, *id, now);
                out.push(LivenessOutput::Silent(*id));
            }
        }
    }

    /// A message of a peer: `Liveness`, `MapWanted` or `Map`; others only count as a sign of life.
    pub fn heard(&mut self, from: NodeId, message: &PeerMessage, now: Mono, out: &mut Vec<LivenessOutput>) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.heard_at = Some(now);
        if std::mem::take(&mut peer.silent) {
            out.push(LivenessOutput::Heard(from));
        }
        match message {
            PeerMessage::Liveness { sent_at, echo, leading, full, map_version, fitness } => {
                peer.their_sent_at = *sent_at;
                if peer.fitness != *fitness {
                    peer.fitness = *fitness;
                    out.push(LivenessOutput::Fitness(from, *fitness));
                }
                if *echo != 0 {
                    peer.round_trip = Some(now.since(Mono(*echo)));
                }
                if *full {
                    self.learn_leaders(from, leading, now, out);
                }
                if *map_version > self.shared.table().map.version {
                    out.push(LivenessOutput::Send(from, PeerMessage::MapWanted));
                }
            }
            PeerMessage::MapWanted => {
                if let Ok(json) = serde_json::to_vec(&*self.shared.table().map) {
                    out.push(LivenessOutput::Send(from, PeerMessage::Map { json: json.into() }));
                }
            }
            PeerMessage::Map { json } => {
                // A map that does not decode comes from a newer version: keep ours.
                if let Ok(map) = serde_json::from_slice::<ClusterMap>(json)
                    && map.version > self.shared.table().map.version
                {
                    out.push(LivenessOutput::NewMap(Arc::new(map)));
                }
            }
            _ => {}
        }
    }

    /// Whether this node can lead; told with every message from here on.
    pub fn set_fitness(&mut self, fitness: Fitness) {
        self.fitness = fitness;
    }

    /// A link to a node stands.
    pub fn link_up(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.link = true;
            peer.told.clear();
        }
    }

    /// A link to a node broke.
    pub fn link_down(&mut self, node: NodeId, now: Mono) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.link = false;
        }
        forget(&self.shared, node, now);
    }

    /// Whether a node is heard and linked; true for this node.
    #[must_use]
    pub fn alive(&self, node: NodeId) -> bool {
        node == self.shared.node || self.peers.get(&node).is_some_and(|p| p.link && !p.silent)
    }

    /// The last measured round trip to a node.
    #[must_use]
    pub fn round_trip(&self, node: NodeId) -> Option<Duration> {
        self.peers.get(&node)?.round_trip
    }

    fn leading(&self) -> Vec<(ShardId, u64)> {
        let table = self.shared.table();
        let mine = table.shards.values().filter(|s| s.leader() == Some(self.shared.node));
        mine.map(|s| (s.id, s.term())).collect()
    }

    /// Shards with a local replica learn their leader from Raft; the others from here.
    fn learn_leaders(&self, from: NodeId, leading: &[(ShardId, u64)], now: Mono, out: &mut Vec<LivenessOutput>) {
        let table = self.shared.table();
        let mut changed = false;
        for handle in table.shards.values().filter(|h| h.local.is_none()) {
            match leading.iter().find(|(shard, _)| *shard == handle.id) {
                Some((_, term)) if handle.leader() != Some(from) && *term >= handle.term() => {
                    handle.set_leader(Some(from), *term, now);
                    changed = true;
                }
                Some((_, term)) => handle.set_leader(handle.leader(), (*term).max(handle.term()), now),
                None => handle.forget_leader(from, now),
            }
        }
        if changed {
            out.push(LivenessOutput::LeadersChanged);
        }
    }
}

/// Shards without a local replica lose the leader that is not heard any more.
fn forget(shared: &Shared, node: NodeId, now: Mono) {
    for handle in shared.table().shards.values().filter(|h| h.local.is_none()) {
        handle.forget_leader(node, now);
    }
}

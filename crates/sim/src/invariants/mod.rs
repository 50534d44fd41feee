//! What must hold at every moment, whatever clients see. The world tells what its nodes do; each rule is a module.
//!
//! ```text
//!   Durable, Recovery ──▶ logs      what each replica's log holds durably; log matching; a damaged one is fenced
//!   Committed ──────────▶ ledger    one history for all; committed only on a quorum; handed out one by one
//!   Role ───────────────▶ leaders   one leader in a term
//!   first commit ───────▶ leases    no older leader may still read
//!   checksums ──────────▶ replicas  equal at an equal index, whether replayed or installed
//!   amounts ────────────▶ bounds
//! ```

mod bounds;
mod leaders;
mod leases;
mod ledger;
mod logs;
mod replicas;

pub use logs::Recovery;

use bounds::Bounds;
use consensus::{Entry, Role};
use leaders::Leaders;
use ledger::Ledger;
use logs::Logs;
use node::StateEvent;
use replicas::Replicas;
use std::collections::BTreeMap;
use stdx::{Mono, NodeId, ShardId};
use storage::log::WriteSet;

/// Something a node did that the rules are about.
#[derive(Debug)]
pub enum Seen {
    /// These changes of its log are durable.
    Durable(WriteSet),
    /// Entries were handed to its state side as committed.
    Committed(ShardId, Vec<Entry>),
    /// It leads a shard in a term.
    Leads(ShardId, u64),
    /// Its replica continues from a snapshot at this index.
    Installed(ShardId, u64),
    /// Its replica starts from nothing.
    Forgot(ShardId),
}

impl Seen {
    /// What an event of the consensus side tells.
    pub fn of(event: &StateEvent) -> Option<Seen> {
        match event {
            StateEvent::Committed(shard, entries) => Some(Seen::Committed(*shard, entries.clone())),
            StateEvent::Role { shard, role: Role::Leader, term, .. } => Some(Seen::Leads(*shard, *term)),
            StateEvent::SnapshotAccepted(shard, meta) => Some(Seen::Installed(*shard, meta.index)),
            StateEvent::Damaged(shard, _) => Some(Seen::Forgot(*shard)),
            _ => None,
        }
    }
}

/// A rule that was broken, in one line.
pub type Broken = String;

/// All rules.
#[derive(Default)]
pub struct Invariants {
    logs: Logs,
    ledger: Ledger,
    leaders: Leaders,
    replicas: Replicas,
    bounds: Bounds,
    members: BTreeMap<ShardId, Vec<NodeId>>,
}

/// A lease as a node publishes it: whose, of which term, and whether it is valid at this moment on its own clock.
pub struct LeaseView {
    /// The node.
    pub node: NodeId,
    /// The term it believes in.
    pub term: u64,
    /// Whether a read would be served under it.
    pub valid: bool,
}

impl Invariants {
    /// Rules for a cluster with these members of each shard.
    pub fn new(members: BTreeMap<ShardId, Vec<NodeId>>, flush_bytes: u64) -> Invariants {
        Invariants { members, bounds: Bounds::new(flush_bytes), ..Invariants::default() }
    }

    /// A process started with these logs.
    ///
    /// # Errors
    /// One of its replicas goes on though its log is damaged.
    pub fn started(&mut self, node: NodeId, recovered: &[Recovery]) -> Result<(), Broken> {
        recovered.iter().try_for_each(|recovery| {
            self.ledger.starts(node, recovery.shard, recovery.applied);
            self.logs.recovered(node, recovery)
        })
    }

    /// A node did something. `leases` tells who could read a shard at this moment.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn saw(&mut self, node: NodeId, seen: Seen, leases: impl Fn(ShardId) -> Vec<LeaseView>) -> Result<(), Broken> {
        match seen {
            Seen::Durable(set) => {
                self.logs.durable(node, &set);
                Ok(())
            }
            Seen::Committed(shard, entries) => {
                let members = self.members.get(&shard).map_or(&[][..], Vec::as_slice);
                for entry in &entries {
                    if self.ledger.committed(node, shard, entry)? {
                        self.logs.on_a_quorum(shard, entry, members)?;
                        leases::none_older(shard, entry.term, &leases(shard))?;
                    }
                }
                Ok(())
            }
            Seen::Leads(shard, term) => self.leaders.leads(node, shard, term),
            Seen::Installed(shard, index) => {
                self.ledger.installed(node, shard, index);
                Ok(())
            }
            Seen::Forgot(shard) => {
                self.ledger.forgot(node, shard);
                Ok(())
            }
        }
    }

    /// Compares the logs of all nodes, and the state of replicas at the same index.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn checkpoint(
        &mut self,
        checksums: impl IntoIterator<Item = (NodeId, Vec<(ShardId, u64, u64)>)>,
    ) -> Result<(), Broken> {
        self.logs.match_each_other()?;
        checksums.into_iter().try_for_each(|(node, sums)| self.replicas.compare(node, &sums))
    }

    /// Checks the amounts of a node.
    ///
    /// # Errors
    /// What grew beyond its bound.
    pub fn amounts(&mut self, node: NodeId, amounts: &[(&'static str, usize)], now: Mono) -> Result<(), Broken> {
        self.bounds.check(node, amounts, now)
    }

    /// The last index of a shard that is known to be committed.
    pub fn committed(&self, shard: ShardId) -> u64 {
        self.ledger.last(shard)
    }

    /// The last index a node's log of a shard holds durably, as far as is known.
    pub fn last(&self, node: NodeId, shard: ShardId) -> u64 {
        self.logs.last(node, shard)
    }
}

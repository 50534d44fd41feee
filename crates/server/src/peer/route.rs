//! Where the messages of a peer go. A batch of them costs each worker one send.

use crate::clock;
use crate::inbox::Hurry;
use crate::mailbox::{Waiter, Wakes};
use crate::node::Node;
use cluster::{ForwardedReply, PeerMessage, Request};
use command::{Fault, Work};
use node::{ConsensusInput, RouteTable, StateInput, Task, worker_of};
use std::sync::Arc;
use stdx::{NodeId, ShardId};

/// Collects a batch of one peer's messages.
pub struct Router {
    node: Arc<Node>,
    from: NodeId,
    workers: Vec<Batch>,
    replies: Vec<(u64, ForwardedReply)>,
    wakes: Wakes,
    table: Arc<RouteTable>,
    table_version: u64,
}

/// What one worker gets from a batch.
#[derive(Default)]
struct Batch {
    consensus: Vec<ConsensusInput>,
    raft: usize,
    tasks: Vec<Task<Waiter>>,
    /// Behind the tasks, whose waits they end.
    unblocks: Vec<StateInput<Waiter>>,
}

impl Router {
    /// A router for what `from` says.
    pub fn new(node: Arc<Node>, from: NodeId) -> Router {
        let workers = node.workers.iter().map(|_| Batch::default()).collect();
        let (table_version, table) = (node.shared.version(), node.shared.table());
        Router { node, from, workers, replies: Vec::new(), wakes: Wakes::default(), table, table_version }
    }

    /// Takes one message.
    pub fn take(&mut self, message: PeerMessage) {
        match message {
            PeerMessage::Raft { shard, message } => {
                let batch = self.batch(shard);
                batch.raft += 1;
                batch.consensus.push(ConsensusInput::Raft(shard, message));
            }
            PeerMessage::Hibernate { shards } => self.hibernate(shards),
            PeerMessage::Forward { id, request } => self.forward(id, request),
            PeerMessage::ForwardReply { id, outcome } => self.replies.push((id, outcome)),
            PeerMessage::Unblock { shard, session, number, how } => {
                self.batch(shard).unblocks.push(StateInput::Unblock { shard, session, number, how });
            }
            PeerMessage::SessionClosed { session } => {
                for worker in &self.node.workers {
                    worker.state.send(StateInput::SessionClosed(session));
                }
            }
            PeerMessage::Publish(publication) => {
                self.node.gateway.publish(&publication, clock::now());
            }
            PeerMessage::Liveness { .. } | PeerMessage::MapWanted | PeerMessage::Map { .. } => self.liveness(&message),
            PeerMessage::SnapshotOffer { shard, .. }
            | PeerMessage::SnapshotFetch { shard, .. }
            | PeerMessage::SnapshotData { shard, .. }
            | PeerMessage::SnapshotGone { shard, .. }
            | PeerMessage::SnapshotDone { shard, .. } => {
                self.node.worker(shard).state.send(StateInput::Snapshot(self.from, message));
            }
        }
    }

    fn batch(&mut self, shard: ShardId) -> &mut Batch {
        let count = self.workers.len();
        &mut self.workers[worker_of(shard, count)]
    }

    fn hibernate(&mut self, shards: Vec<(ShardId, u64, u64)>) {
        let mut split: Vec<Vec<_>> = self.workers.iter().map(|_| Vec::new()).collect();
        let count = split.len();
        for entry in shards {
            split[worker_of(entry.0, count)].push(entry);
        }
        for (batch, shards) in self.workers.iter_mut().zip(split).filter(|(_, s)| !s.is_empty()) {
            batch.consensus.push(ConsensusInput::Hibernate(self.from, shards));
        }
    }

    /// A read under a valid lease is answered here, unless the same connection's earlier requests are under way.
    fn forward(&mut self, id: u64, request: Request) {
        if self.node.is_refusing() {
            let outcome = ForwardedReply::Failed(Fault::ShuttingDown);
            self.wakes.send(self.from, PeerMessage::ForwardReply { id, outcome });
            return;
        }
        if let Work::Single(command) = &request.work
            && command.spec.is_readonly()
            && !self.node.forwards_under_way(self.from, request.session.client)
        {
            if self.table_version != self.node.shared.version() {
                self.table_version = self.node.shared.version();
                self.table = self.node.shared.table();
            }
            let (now, wall) = (clock::now(), clock::wall());
            let reply = self.table.shards.get(&request.shard).and_then(|handle| {
                node::gateway::read(handle, command, request.db, request.resp, request.stale_ok, now, wall)
            });
            if let Some(reply) = reply {
                let outcome = ForwardedReply::Done(reply);
                self.wakes.send(self.from, PeerMessage::ForwardReply { id, outcome });
                return;
            }
        }
        let shard = request.shard;
        let task = self.node.forward_began(self.from, id, request);
        self.batch(shard).tasks.push(task);
    }

    fn liveness(&mut self, message: &PeerMessage) {
        let (from, now) = (self.from, clock::now());
        self.node.clone().liveness(&mut self.wakes, |liveness, out| liveness.heard(from, message, now, out));
    }

    /// Hands the batch over.
    pub fn finish(&mut self) {
        for (at, batch) in self.workers.iter_mut().enumerate() {
            let inbox = &self.node.workers[at];
            if batch.raft > 0 && !inbox.raft.admit(batch.raft) {
                batch.consensus.retain(|input| !matches!(input, ConsensusInput::Raft(..)));
            }
            batch.raft = 0;
            if !batch.tasks.is_empty() {
                self.node.submit_local(at, std::mem::take(&mut batch.tasks), &mut self.wakes);
            }
            inbox.state.send_all(&mut batch.unblocks, Hurry::Soon);
        }
        self.node.replied(&mut self.replies, &mut self.wakes);
        self.wakes.finish(&self.node.peers);
        for (batch, inbox) in self.workers.iter_mut().zip(&self.node.workers) {
            inbox.bring_consensus(&mut batch.consensus, Hurry::Soon);
        }
    }
}

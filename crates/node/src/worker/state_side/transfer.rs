//! Snapshot transfer. The receiver pulls chunks, so flow control is its own pace, and a broken link resumes from the last
//! key received. The data is installed beside the old one and switched at the end; only then does Raft hear of it.

use crate::io::{ConsensusInput, StateOutput};
use bytes::Bytes;
use cluster::{PeerMessage, SnapshotChunk, SnapshotId};
use consensus::{Message, SnapshotMeta};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stdx::crc::crc32c_append;
use stdx::{Mono, NodeId, ShardId};
use storage::{Applied, EngineError, Install, Replica, ReplicaSnapshot};

/// How snapshots travel.
#[derive(Clone, Copy, Debug)]
pub struct TransferConfig {
    /// Bytes one chunk should not exceed.
    pub chunk_bytes: u32,
    /// Bytes per second that one worker receives at most; a foreground load must not drown.
    pub bytes_per_second: u64,
    /// A chunk that did not come within this time is asked for again.
    pub retry: Duration,
    /// An offer that nobody took up within this time got lost, and is made again.
    pub offer: Duration,
    /// A snapshot that nobody asked for within this time is given up, at either end.
    pub idle: Duration,
}

impl Default for TransferConfig {
    fn default() -> Self {
        TransferConfig {
            chunk_bytes: 512 << 10,
            bytes_per_second: 128 << 20,
            retry: Duration::from_secs(1),
            offer: Duration::from_secs(3),
            idle: Duration::from_secs(30),
        }
    }
}

/// So far ahead of its rate a worker may receive: otherwise every chunk would wait for a tick, however small it is.
const AHEAD: Duration = Duration::from_millis(100);

struct Outgoing {
    shard: ShardId,
    to: NodeId,
    snapshot: ReplicaSnapshot,
    meta: SnapshotMeta,
    used_at: Mono,
    taken_up: bool,
}

struct Incoming {
    id: SnapshotId,
    from: NodeId,
    install: Install,
    message: Message,
    after: Option<Bytes>,
    asked_at: Option<Mono>,
    heard_at: Mono,
}

/// All transfers of one worker, in both directions.
pub struct Transfers {
    node: NodeId,
    config: TransferConfig,
    next_id: u64,
    outgoing: BTreeMap<SnapshotId, Outgoing>,
    incoming: BTreeMap<ShardId, Incoming>,
    /// When the bytes received so far are paid for at the permitted rate.
    paid_until: Mono,
}

impl Transfers {
    /// No transfers. `first_id` must differ between two lives of the process, so that an old fetch finds nothing.
    pub fn new(node: NodeId, config: TransferConfig, first_id: u64) -> Transfers {
        Transfers {
            node,
            config,
            next_id: first_id,
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            paid_until: Mono(0),
        }
    }

    /// Keeps a snapshot for `to`; it replaces an earlier one for the same peer.
    pub fn offer(&mut self, shard: ShardId, to: NodeId, snapshot: ReplicaSnapshot, meta: SnapshotMeta, now: Mono) {
        self.outgoing.retain(|_, o| (o.shard, o.to) != (shard, to));
        let id = SnapshotId(self.next_id);
        self.next_id += 1;
        self.outgoing.insert(id, Outgoing { shard, to, snapshot, meta, used_at: now, taken_up: false });
    }

    /// Raft made the message that announces the snapshot.
    pub fn announce<R>(&mut self, shard: ShardId, message: Message, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let to = message.to;
        let Some((id, offer)) = self.outgoing.iter_mut().find(|(_, o)| (o.shard, o.to) == (shard, to)) else {
            let installed = false;
            out.push(StateOutput::Consensus(ConsensusInput::SnapshotReported { shard, to, installed }));
            return;
        };
        offer.used_at = now;
        let stamp_ms = offer.snapshot.applied().stamp_ms;
        let meta = offer.meta.clone();
        out.push(StateOutput::Send(to, PeerMessage::SnapshotOffer { shard, id: *id, meta, stamp_ms, message }));
    }

    /// A peer offers a snapshot of the shard of `replica`, which stands at `held`; 0 when what it holds is damaged.
    ///
    /// # Errors
    /// When the engine cannot take it.
    pub fn offered<R>(
        &mut self,
        from: NodeId,
        id: SnapshotId,
        applied: Applied,
        message: Message,
        replica: &Arc<Replica>,
        held: u64,
        now: Mono,
        out: &mut Vec<StateOutput<R>>,
    ) -> Result<(), EngineError> {
        let shard = replica.shard();
        if applied.index <= held {
            // The log brought us there meanwhile: let Raft tell the leader so.
            out.push(StateOutput::Consensus(ConsensusInput::SnapshotInstalled { shard, message }));
            return Ok(());
        }
        match self.incoming.get_mut(&shard) {
            Some(current) if (current.id, current.from) == (id, from) => current.asked_at = None,
            _ => {
                let install = replica.begin_install(applied)?;
                let transfer = Incoming { id, from, install, message, after: None, asked_at: None, heard_at: now };
                self.incoming.insert(shard, transfer);
            }
        }
        self.ask(shard, now, out);
        Ok(())
    }

    /// A peer asks for the pairs after a key.
    ///
    /// # Errors
    /// When the state here cannot be read.
    pub fn fetch<R>(
        &mut self,
        from: NodeId,
        shard: ShardId,
        id: SnapshotId,
        after: Option<Bytes>,
        max_bytes: u32,
        now: Mono,
        out: &mut Vec<StateOutput<R>>,
    ) -> Result<(), EngineError> {
        let gone = StateOutput::Send(from, PeerMessage::SnapshotGone { shard, id });
        let Some(offer) = self.outgoing.get_mut(&id).filter(|o| o.shard == shard && o.to == from) else {
            out.push(gone);
            return Ok(());
        };
        (offer.used_at, offer.taken_up) = (now, true);
        match offer.snapshot.chunk(after.as_deref(), (max_bytes as usize).min(self.config.chunk_bytes as usize)) {
            Ok(chunk) => {
                let chunk = SnapshotChunk { checksum: checksum(&chunk.pairs), pairs: chunk.pairs, last: chunk.last };
                out.push(StateOutput::Send(from, PeerMessage::SnapshotData { shard, id, after, chunk }));
                Ok(())
            }
            Err(error) => {
                out.push(gone);
                Err(error)
            }
        }
    }

    /// Pairs arrived. Returns whether they were the last ones, so that the replica was replaced.
    ///
    /// # Errors
    /// When the engine cannot take them: the transfer is over, and the sender is told.
    pub fn received<R>(
        &mut self,
        from: NodeId,
        shard: ShardId,
        id: SnapshotId,
        after: Option<Bytes>,
        chunk: SnapshotChunk,
        now: Mono,
        out: &mut Vec<StateOutput<R>>,
    ) -> Result<bool, EngineError> {
        let Some(transfer) = self.incoming.get_mut(&shard) else { return Ok(false) };
        // A repeated answer to a repeated question, or one of another transfer.
        if (transfer.id, transfer.from) != (id, from) || transfer.after != after {
            return Ok(false);
        }
        transfer.heard_at = now;
        if checksum(&chunk.pairs) != chunk.checksum {
            transfer.asked_at = None;
            self.ask(shard, now, out);
            return Ok(false);
        }
        let bytes: usize = chunk.pairs.iter().map(|(k, v)| k.len() + v.len()).sum();
        if let Some((key, _)) = chunk.pairs.last() {
            transfer.after = Some(key.clone());
        }
        if let Err(error) = transfer.install.write_chunk(chunk.pairs) {
            self.refuse(shard, out);
            return Err(error);
        }
        let cost =
            Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.config.bytes_per_second.max(1));
        self.paid_until = self.paid_until.max(now) + cost;
        if !chunk.last {
            transfer.asked_at = None;
            self.ask(shard, now, out);
            return Ok(false);
        }
        self.finish(shard, out)
    }

    fn finish<R>(&mut self, shard: ShardId, out: &mut Vec<StateOutput<R>>) -> Result<bool, EngineError> {
        let Some(done) = self.incoming.remove(&shard) else { return Ok(false) };
        let result = done.install.finish();
        let installed = result.is_ok();
        let report = PeerMessage::SnapshotDone { shard, id: done.id, node: self.node, installed };
        if installed {
            out.push(StateOutput::Consensus(ConsensusInput::SnapshotInstalled { shard, message: done.message }));
        }
        out.push(StateOutput::Send(done.from, report));
        result.map(|()| true)
    }

    /// The transfer failed here: the sender may try another.
    fn refuse<R>(&mut self, shard: ShardId, out: &mut Vec<StateOutput<R>>) {
        if let Some(transfer) = self.incoming.remove(&shard) {
            let done = PeerMessage::SnapshotDone { shard, id: transfer.id, node: self.node, installed: false };
            out.push(StateOutput::Send(transfer.from, done));
        }
    }

    /// The replica of a shard stands at `held`, brought there by the log of another leader perhaps: a snapshot that is no
    /// newer is not installed any more, because the state must not go back.
    pub fn overtaken<R>(&mut self, shard: ShardId, held: u64, out: &mut Vec<StateOutput<R>>) {
        if self.incoming.get(&shard).is_some_and(|t| t.install.applied().index <= held)
            && let Some(Incoming { id, from, message, .. }) = self.incoming.remove(&shard)
        {
            let report = PeerMessage::SnapshotDone { shard, id, node: self.node, installed: true };
            out.push(StateOutput::Consensus(ConsensusInput::SnapshotInstalled { shard, message }));
            out.push(StateOutput::Send(from, report));
        }
    }

    /// What is being received for a shard counts no more.
    pub fn cancel(&mut self, shard: ShardId) {
        self.incoming.remove(&shard);
    }

    /// The sender holds the snapshot no more: a fresh offer will come.
    pub fn gone(&mut self, from: NodeId, shard: ShardId, id: SnapshotId) {
        if self.incoming.get(&shard).is_some_and(|t| (t.id, t.from) == (id, from)) {
            self.incoming.remove(&shard);
        }
    }

    /// The receiver reports the end.
    pub fn done<R>(
        &mut self,
        shard: ShardId,
        id: SnapshotId,
        to: NodeId,
        installed: bool,
        out: &mut Vec<StateOutput<R>>,
    ) {
        if self.outgoing.get(&id).is_some_and(|o| o.shard == shard && o.to == to) {
            self.outgoing.remove(&id);
            out.push(StateOutput::Consensus(ConsensusInput::SnapshotReported { shard, to, installed }));
        }
    }

    /// Time has passed: asks again, asks at last what the rate limit held back, and gives up on the idle.
    pub fn tick<R>(&mut self, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let idle = self.config.idle;
        let shards: Vec<ShardId> = self.incoming.keys().copied().collect();
        for shard in shards {
            let Some(transfer) = self.incoming.get_mut(&shard) else { continue };
            if now.since(transfer.heard_at) > idle {
                self.incoming.remove(&shard);
                continue;
            }
            if transfer.asked_at.is_some_and(|at| now.since(at) > self.config.retry) {
                transfer.asked_at = None;
            }
            self.ask(shard, now, out);
        }
        let patience = |o: &Outgoing| if o.taken_up { idle } else { self.config.offer };
        let expired: Vec<SnapshotId> =
            self.outgoing.iter().filter(|(_, o)| now.since(o.used_at) > patience(o)).map(|(id, _)| *id).collect();
        for id in expired {
            if let Some(Outgoing { shard, to, .. }) = self.outgoing.remove(&id) {
                let installed = false;
                out.push(StateOutput::Consensus(ConsensusInput::SnapshotReported { shard, to, installed }));
            }
        }
    }

    fn ask<R>(&mut self, shard: ShardId, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let Some(transfer) = self.incoming.get_mut(&shard) else { return };
        if transfer.asked_at.is_some() || now + AHEAD < self.paid_until {
            return;
        }
        transfer.asked_at = Some(now);
        let (id, after, max_bytes) = (transfer.id, transfer.after.clone(), self.config.chunk_bytes);
        out.push(StateOutput::Send(transfer.from, PeerMessage::SnapshotFetch { shard, id, after, max_bytes }));
    }
}

fn checksum(pairs: &[(Bytes, Bytes)]) -> u32 {
    pairs.iter().fold(0, |crc, (k, v)| {
        let crc = crc32c_append(crc, &(k.len() as u64).to_le_bytes());
        let crc = crc32c_append(crc, k);
        let crc = crc32c_append(crc, &(v.len() as u64).to_le_bytes());
        crc32c_append(crc, v)
    })
}

//! A worker's consensus side.

use crate::clock;
use crate::inbox::{Hurry, Inbox};
use crate::mailbox::Wakes;
use crate::node::Node;
use crate::worker::stage::{Machine, Stage};
use node::{ConsensusInput, ConsensusOutput, ConsensusSide, StateEvent, StateInput};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use stdx::Mono;
use storage::Disk;
use storage::log::WriteSet;

/// A write or sync of the log that takes longer means a disk that stalls: leaderships are better held by others. Longer than
/// an ordinary disk ever takes, shorter than a request's time-out.
const STALL_LIMIT: Duration = Duration::from_secs(2);
/// A disk that did not stall for so long is trusted again.
const STALL_RECOVERY: Duration = Duration::from_secs(5);

/// How long messages and proposals are collected while a write is on its way to the disk: about as long as a fast disk
/// takes. What they lead to would have to wait for the disk, too, and so shares one write and one sync afterwards.
const SYNC_WAIT: Duration = Duration::from_micros(200);

/// The consensus side with its queue, stepped by its thread and by those who bring it something.
pub type ConsensusStage<D> = Stage<ConsensusInput, ConsensusMachine<D>>;

/// The consensus side and what its steps need.
pub struct ConsensusMachine<D: Disk + Clone> {
    node: Arc<Node>,
    worker: usize,
    side: ConsensusSide<D>,
    /// The log writer's queue, which ends with this.
    log: Inbox<(u64, WriteSet)>,
    /// Time between two ticks.
    tick: Duration,
    tick_at: Mono,
    /// When the disk last stalled; nothing while it is trusted.
    stall: Option<Mono>,
    out: Vec<ConsensusOutput>,
    effects: Effects,
}

impl<D: Disk + Clone> ConsensusMachine<D> {
    /// The machine of a worker, which ticks at once.
    pub fn new(
        node: Arc<Node>,
        worker: usize,
        side: ConsensusSide<D>,
        log: Inbox<(u64, WriteSet)>,
        tick: Duration,
    ) -> ConsensusMachine<D> {
        let (out, effects) = (Vec::new(), Effects::default());
        ConsensusMachine { node, worker, side, log, tick, tick_at: clock::now(), stall: None, out, effects }
    }
}

impl<D: Disk + Clone> Machine<ConsensusInput> for ConsensusMachine<D> {
    fn patience(&self) -> Duration {
        self.tick_at.since(clock::now())
    }

    fn end(&mut self) {
        self.log.stop();
    }

    fn step(&mut self, inputs: &mut Vec<ConsensusInput>) -> Duration {
        let (node, side, out) = (&self.node, &mut self.side, &mut self.out);
        let mut raft = 0;
        for input in inputs.drain(..) {
            // Read after the input arrived, each time: an earlier reading, before a pause of the process, would shorten
            // the time for which this replica protects the sender's lease.
            let now = clock::now();
            raft += usize::from(matches!(input, ConsensusInput::Raft(..)));
            side.handle(input, now, out);
        }
        node.workers[self.worker].raft.release(raft);
        let now = clock::now();
        if now >= self.tick_at {
            self.tick_at = now + self.tick;
            watch_disk(node, self.worker, side, &mut self.stall, now, out);
            side.handle(ConsensusInput::Tick, now, out);
        }
        side.advance(now, out);
        let wrote = self.effects.carry_out(out, node, self.worker, &self.log);
        if wrote { SYNC_WAIT } else { Duration::ZERO }
    }
}

/// Hands leaderships over when the disk stalls, and may take them again when it answers. `stall` is when it last did.
fn watch_disk<D: Disk + Clone>(
    node: &Node,
    worker: usize,
    side: &mut ConsensusSide<D>,
    stall: &mut Option<Mono>,
    now: Mono,
    out: &mut Vec<ConsensusOutput>,
) {
    let inbox = &node.workers[worker];
    let since = inbox.writing_since.load(Relaxed);
    if since != 0 && now.since(Mono(since)) > STALL_LIMIT {
        if stall.replace(now).is_none() {
            tracing::warn!(worker, "the disk stalls: handing leaderships over");
            inbox.stalled.store(true, Relaxed);
            side.handle(ConsensusInput::StepDown, now, out);
        }
    } else if stall.is_some_and(|last| now.since(last) > STALL_RECOVERY) {
        *stall = None;
        tracing::info!(worker, "the disk answers again");
        inbox.stalled.store(false, Relaxed);
        if !node.draining() {
            side.handle(ConsensusInput::Resume, now, out);
        }
    }
}

/// Buffers of one round.
#[derive(Default)]
struct Effects {
    state: Vec<StateInput<crate::mailbox::Waiter>>,
    hurry: bool,
    persist: Vec<(u64, WriteSet)>,
    wakes: Wakes,
}

impl Effects {
    /// Returns whether something is on its way to the disk.
    fn carry_out(
        &mut self,
        out: &mut Vec<ConsensusOutput>,
        node: &Node,
        worker: usize,
        log: &Inbox<(u64, WriteSet)>,
    ) -> bool {
        let mut leaders = false;
        for output in out.drain(..) {
            match output {
                ConsensusOutput::Send(to, message) => self.wakes.send(to, message),
                ConsensusOutput::Persist(ticket, set) => self.persist.push((ticket, set)),
                ConsensusOutput::State(event) => {
                    if let StateEvent::Role { shard, role, term, leader } = &event {
                        tracing::debug!(%shard, ?role, term, ?leader, "role");
                        leaders = true;
                    }
                    self.hurry |= !matches!(event, StateEvent::Proposed { .. });
                    self.state.push(StateInput::Event(event));
                }
            }
        }
        let wrote = !self.persist.is_empty();
        log.send_all(&mut self.persist, Hurry::Now);
        self.wakes.finish(&node.peers);
        // Where a proposal stands matters only once something became of it.
        let hurry = if std::mem::take(&mut self.hurry) { Hurry::Now } else { Hurry::Later };
        node.workers[worker].state.send_all(&mut self.state, hurry);
        if leaders {
            node.leaders_changed(&mut self.wakes);
            self.wakes.finish(&node.peers);
        }
        wrote
    }
}

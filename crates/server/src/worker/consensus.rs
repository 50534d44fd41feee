//! The thread of a worker's consensus side.

use crate::clock;
use crate::inbox::{Inbox, Outlet, Round};
use crate::mailbox::Wakes;
use crate::node::Node;
use node::{ConsensusInput, ConsensusOutput, ConsensusSide, StateEvent, StateInput};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use stdx::Mono;
use storage::Disk;
use storage::log::WriteSet;

/// A sync that takes longer means a disk that stalls: leaderships are better held by others.
const STALL_LIMIT: Duration = Duration::from_secs(2);

/// What the thread owns.
pub struct ConsensusThread<D: Disk + Clone> {
    /// The process.
    pub node: Arc<Node>,
    /// Its worker's number.
    pub worker: usize,
    /// The machine.
    pub side: ConsensusSide<D>,
    /// Its queue.
    pub queue: Outlet<ConsensusInput>,
    /// The log writer's queue.
    pub log: Inbox<(u64, WriteSet)>,
    /// Time between two ticks.
    pub tick: Duration,
}

impl<D: Disk + Clone> ConsensusThread<D> {
    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut inputs = Vec::new();
        let mut out = Vec::new();
        let mut effects = Effects::default();
        let mut tick_at = clock::now();
        let mut stalled = false;
        loop {
            let (node, side) = (&self.node, &mut self.side);
            let inbox = &node.workers[self.worker];
            let round = self.queue.receive(tick_at.since(clock::now()), &mut inputs);
            let mut raft = 0;
            for input in inputs.drain(..) {
                // Read after the input arrived, each time: an earlier reading, before a pause of the process, would shorten
                // the time for which this replica protects the sender's lease.
                let now = clock::now();
                raft += usize::from(matches!(input, ConsensusInput::Raft(..)));
                side.handle(input, now, &mut out);
            }
            inbox.raft.release(raft);
            let now = clock::now();
            if now >= tick_at {
                tick_at = now + self.tick;
                let since = inbox.sync_since.load(Relaxed);
                let stalls = since != 0 && now.since(Mono(since)) > STALL_LIMIT;
                if stalls && !stalled {
                    tracing::warn!(worker = self.worker, "the disk stalls: handing leaderships over");
                    side.handle(ConsensusInput::StepDown, now, &mut out);
                }
                if stalled && !stalls && !node.draining() {
                    tracing::info!(worker = self.worker, "the disk answers again");
                    side.handle(ConsensusInput::Resume, now, &mut out);
                }
                stalled = stalls;
                side.handle(ConsensusInput::Tick, now, &mut out);
            }
            side.advance(now, &mut out);
            effects.carry_out(&mut out, node, self.worker, &self.log);
            if round == Round::Stop {
                self.log.stop();
                return;
            }
        }
    }
}

/// Buffers of one round.
#[derive(Default)]
struct Effects {
    state: Vec<StateInput<crate::mailbox::Waiter>>,
    persist: Vec<(u64, WriteSet)>,
    wakes: Wakes,
}

impl Effects {
    fn carry_out(&mut self, out: &mut Vec<ConsensusOutput>, node: &Node, worker: usize, log: &Inbox<(u64, WriteSet)>) {
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
                    self.state.push(StateInput::Event(event));
                }
            }
        }
        log.send_all(&mut self.persist);
        self.wakes.finish(&node.peers);
        node.workers[worker].state.send_all(&mut self.state);
        if leaders {
            node.leaders_changed(&mut self.wakes);
            self.wakes.finish(&node.peers);
        }
    }
}

//! The thread of a worker's state side.

use crate::clock;
use crate::inbox::{Hurry, Outlet, Round};
use crate::mailbox::{Waiter, Wakes};
use crate::node::Node;
use crate::worker::pace::Pace;
use node::{ConsensusInput, StateInput, StateOutput, StateSide, Task};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use stdx::NodeId;

/// How often the state side looks at deadlines and expiry.
const TICK: Duration = Duration::from_millis(20);

/// What the thread owns.
pub struct StateThread {
    /// The process.
    pub node: Arc<Node>,
    /// Its worker's number.
    pub worker: usize,
    /// The machine.
    pub side: StateSide<Waiter>,
    /// Its queue.
    pub queue: Outlet<StateInput<Waiter>>,
}

impl StateThread {
    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut inputs = Vec::new();
        let mut out = Vec::new();
        let mut effects = Effects::default();
        let mut tick_at = clock::now() + TICK;
        let mut pace = Pace::new(clock::now());
        loop {
            let (node, side) = (&self.node, &mut self.side);
            let inbox = &node.workers[self.worker];
            let pause = pace.pause(clock::now()).min(tick_at.since(clock::now()));
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            let round = self.queue.receive(tick_at.since(clock::now()), &mut inputs);
            let mut tasks = 0;
            for input in inputs.drain(..) {
                // Read after the input arrived, each time: the process may have been paused since the one before, and a
                // lease that held then does not cover this request.
                let (now, wall) = (clock::now(), clock::wall());
                if let StateInput::Tasks(batch) = &input {
                    inbox.tasks.release(batch.len());
                    tasks += batch.len();
                }
                side.handle(input, now, wall, &mut out);
            }
            let (now, wall) = (clock::now(), clock::wall());
            pace.begins(tasks, now);
            if now >= tick_at {
                tick_at = now + TICK;
                side.handle(StateInput::Tick, now, wall, &mut out);
            }
            side.advance(now, wall, &mut out);
            inbox.unanswered.store(side.unanswered(), Relaxed);
            if effects.carry_out(&mut out, node, self.worker) {
                pace.proposed(now);
            }
            if round == Round::Stop {
                return;
            }
        }
    }
}

/// Buffers of one round.
#[derive(Default)]
struct Effects {
    consensus: Vec<ConsensusInput>,
    hurry: bool,
    bounced: Vec<(Task<Waiter>, Option<NodeId>)>,
    wakes: Wakes,
}

impl Effects {
    /// Returns whether something was proposed.
    fn carry_out(&mut self, out: &mut Vec<StateOutput<Waiter>>, node: &Node, worker: usize) -> bool {
        let mut proposed = false;
        for output in out.drain(..) {
            match output {
                StateOutput::Reply(to, answer) => node.answer(to, answer, &mut self.wakes),
                StateOutput::Waits(to, again) => node.waits(to, again, &mut self.wakes),
                StateOutput::Bounce(task, leader) => self.bounced.push((task, leader)),
                StateOutput::Consensus(input) => {
                    proposed |= matches!(input, ConsensusInput::Propose { .. });
                    self.hurry |= !matches!(input, ConsensusInput::Applied { .. });
                    self.consensus.push(input);
                }
                StateOutput::Send(to, message) => self.wakes.send(to, message),
                StateOutput::MapChanged(map) => node.adopt_map(&map),
                StateOutput::Fenced(shard, why) => node.fence(shard, why),
                StateOutput::Restored(shard) => node.restored(shard),
            }
        }
        if !self.bounced.is_empty() {
            node.bounced(std::mem::take(&mut self.bounced), &mut self.wakes);
        }
        self.wakes.finish(&node.peers);
        // That something was applied matters only for what comes next.
        let hurry = if std::mem::take(&mut self.hurry) { Hurry::Soon } else { Hurry::Later };
        node.workers[worker].bring_consensus(&mut self.consensus, hurry);
        proposed
    }
}

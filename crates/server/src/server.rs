//! Starting a node, running it until it is told to stop, and draining it.

mod assembly;

use crate::clock;
use crate::config::Config;
use crate::datadir::write_whole;
use crate::error::StartError;
use crate::founding;
use crate::mailbox::Wakes;
use crate::node::{End, Node};
use crate::telemetry;
use crate::worker::FlushThread;
use ::cluster::Fitness;
use ::node::{ConsensusInput, StateInput};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use storage::Store;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often waiting conditions of the drain are looked at.
const DRAIN_POLL: Duration = Duration::from_millis(10);
/// How long connections have to notice that they are closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How often memory and processor time are measured.
const USAGE_INTERVAL: Duration = Duration::from_secs(1);

/// Runs one node until it is told to stop by SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// When it cannot start, or cannot go on.
pub fn run(config: Config) -> Result<(), StartError> {
    telemetry::init(&config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    loop {
        let server = match assembly::start(config.clone(), true) {
            Err(StartError::Stopped) => {
                tracing::info!("{}", StartError::Stopped);
                return Ok(());
            }
            started => started?,
        };
        let end = server.runtime.block_on(async {
            let mut term = signal(SignalKind::terminate())?;
            let mut int = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = term.recv() => Ok(None),
                _ = int.recv() => Ok(None),
                end = server.node.ended() => Ok(Some(end)),
            }
        });
        match end.map_err(StartError::System)? {
            None => {
                tracing::info!("draining");
                server.stop();
                tracing::info!("stopped");
                return Ok(());
            }
            // Nothing that is in memory may be trusted to be durable: no drain, no flush; the peers take over.
            Some(End::Failed(why)) => return Err(StartError::Failed(why)),
            Some(End::EngineDamaged) => {
                tracing::warn!("draining, to begin again without the damaged engine");
                server.stop();
            }
        }
    }
}

/// How often it is looked whether a damaged engine may be set aside.
const ENGINE_INTERVAL: Duration = Duration::from_millis(500);

/// Ends the node for a new beginning when its engine is damaged and enough others are whole.
async fn watch_engine(node: Arc<Node>, mark: PathBuf) {
    loop {
        tokio::time::sleep(ENGINE_INTERVAL).await;
        let Some(why) = node.engine_damage() else { continue };
        if !founding::enough_are_whole(&node.config, &node.standing()).await {
            continue;
        }
        match write_whole(&mark, why.as_bytes()) {
            Ok(()) => return node.end(End::EngineDamaged),
            Err(error) => tracing::error!(%error, "it could not be noted that the engine is damaged"),
        }
    }
}

/// A running node.
pub struct Server {
    node: Arc<Node>,
    runtime: Runtime,
    store: Store,
    workers: Vec<Threads>,
    flush: Flusher,
    /// Ends the listeners for clients.
    stop_clients: watch::Sender<bool>,
    /// Ends the listener for peers.
    stop_peers: watch::Sender<bool>,
    _data: crate::datadir::DataDir,
}

/// The threads of one worker.
struct Threads {
    state: JoinHandle<()>,
    consensus: JoinHandle<()>,
    log: JoinHandle<()>,
}

/// The flush thread; it ends when the sender is dropped.
struct Flusher {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts a node: opens its data, starts its threads and listens.
    ///
    /// # Errors
    /// When anything of that fails; nothing is left running then.
    pub fn start(config: Config) -> Result<Server, StartError> {
        assembly::start(config, false)
    }

    /// Whether this node leads every shard it prefers to, and all shards here have leaders: for tests.
    #[must_use]
    pub fn has_leaders(&self) -> bool {
        self.node.shared.table().shards.values().all(|s| s.leader().is_some())
    }

    /// Hands leaderships over, finishes what is under way, writes everything down and ends. Takes at most the
    /// configured time for the drain, and that of a flush.
    ///
    /// While leaderships move, clients are served as ever. Then each connection is answered what it asked and refused what
    /// it asks after that, before it is closed: a request without an answer was not carried out.
    pub fn stop(self) {
        let deadline = Instant::now() + self.node.config.timeouts.drain;
        self.node.begin_drain();
        self.stop_clients.send_replace(true);
        if self.node.config.peers.len() > 1 {
            self.node.tell_consensus(|| ConsensusInput::StepDown);
            wait(deadline, || self.node.leading() == 0);
        }
        self.node.workers.iter().for_each(|w| w.state.send(StateInput::Drain));
        self.node.begin_refusing();
        wait(deadline, || self.node.is_finished());
        self.node.gateway.clients.close_all();
        wait(Instant::now() + CLOSE_LIMIT, || self.node.gateway.clients.is_empty());
        self.node.begin_stop();
        for (worker, threads) in self.node.workers.iter().zip(self.workers) {
            worker.state.stop();
            // A thread that panicked has ended the process.
            let _ = threads.state.join();
            worker.consensus.stop();
            let _ = threads.consensus.join();
            let _ = threads.log.join();
        }
        drop(self.flush.stop);
        let _ = self.flush.thread.join();
        self.stop_peers.send_replace(true);
        self.runtime.shutdown_timeout(CLOSE_LIMIT);
        if let Err(error) = self.store.engine().close() {
            tracing::warn!(%error, "the engine's background work had failed");
        }
    }
}

/// Waits until `done` or the deadline.
fn wait(deadline: Instant, done: impl Fn() -> bool) {
    while !done() && Instant::now() < deadline {
        std::thread::sleep(DRAIN_POLL);
    }
}

/// Lets time pass for what has no thread of its own: requests that wait, and liveness.
async fn keep_time(node: Arc<Node>) {
    let mut tick = tokio::time::interval(node.config.raft.tick);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut heartbeat_at = clock::now();
    let mut usage_at = clock::now();
    let mut fitness = Fitness::Fit;
    loop {
        tick.tick().await;
        let now = clock::now();
        let mut wakes = Wakes::default();
        node.tick_dispatcher(&mut wakes);
        if fitness != node.fitness() {
            fitness = node.fitness();
            // Peers hear of it at once.
            heartbeat_at = now;
            node.liveness(&mut wakes, |liveness, _| liveness.set_fitness(fitness));
            node.tell_consensus(|| ConsensusInput::Fitness(node.id, fitness));
        }
        if now >= heartbeat_at {
            heartbeat_at = now + node.config.raft.heartbeat;
            node.liveness(&mut wakes, |liveness, out| liveness.tick(now, out));
        }
        wakes.finish(&node.peers);
        if now >= usage_at {
            usage_at = now + USAGE_INTERVAL;
            node.gateway.set_usage(telemetry::usage());
        }
    }
}

/// Starts the flush thread.
fn start_flusher<D: storage::Disk + Send + Sync + 'static>(
    node: &Arc<Node>,
    store: &Store,
    preparers: Vec<storage::log::Preparer<D>>,
) -> std::io::Result<Flusher>
where
    storage::log::Preparer<D>: Send,
{
    let (stop, stopped) = mpsc::channel();
    let thread = FlushThread { node: node.clone(), store: store.clone(), preparers, stop: stopped };
    let thread = crate::worker::spawn("flush".into(), move || thread.run())?;
    Ok(Flusher { stop, thread })
}

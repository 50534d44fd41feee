//! Bringing the parts of a node together.

use super::{Server, Threads, keep_time, start_flusher, watch_engine};
use crate::client;
use crate::clock;
use crate::config::Config;
use crate::datadir::{DataDir, Stage, load_map, log_identity};
use crate::disk::SharedDisk;
use crate::error::StartError;
use crate::founding::{Reason, decide, others_whole, unless_stopped};
use crate::http;
use crate::inbox::{Inbox, Outlet};
use crate::mailbox::Waiter;
use crate::node::{Node, WorkerInbox};
use crate::peer::{self, Peers};
use crate::telemetry;
use crate::worker::{ConsensusMachine, ConsensusStage, LogThread, StateThread, Step, spawn};
use ::node::gateway::{Facts, Gateway, Port, Settings};
use ::node::{
    Boot, ConsensusConfig, ConsensusInput, ConsensusSide, Origin, SWEEP_INTERVAL, ScriptLimits, Shared, StateConfig,
    StateInput, StateSide, TransferConfig, WorkerBoot, boot,
};
use protocol::peer::{Hello, Standing};
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use stdx::{NodeId, Rng};
use storage::log::{Log, LogOptions, LogReader, LogWriter, Preparer, Recovered};
use storage::{EngineError, FjallEngine, FjallOptions, Store, StoreOptions};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A group without traffic for so long stops ticking.
const HIBERNATE_AFTER: Duration = Duration::from_secs(10);
/// How often a leadership that the map prefers elsewhere is offered to that node.
const BALANCE_INTERVAL: Duration = Duration::from_secs(5);

/// Sockets that are listened on.
struct Listeners {
    peer: TcpListener,
    redis: TcpListener,
    redis_cluster: TcpListener,
    http: TcpListener,
}

/// The log of one worker.
struct WorkerLog {
    writer: LogWriter<SharedDisk>,
    reader: LogReader<SharedDisk>,
    preparer: Preparer<SharedDisk>,
}

/// The receiving ends of a worker's queues.
struct Queues {
    consensus: Outlet<ConsensusInput>,
    state: Outlet<StateInput<Waiter>>,
}

/// Starts a node. With `signals`, SIGTERM and SIGINT end it while it waits for others.
pub(super) fn start(mut config: Config, signals: bool) -> Result<Server, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.io_threads)
        .thread_name("io")
        .enable_all()
        .build()?;
    let entrance = Entrance::open(&runtime, &config, signals)?;
    let mut data = DataDir::open(&config, entropy() >> 1)?;
    config.workers = data.workers;
    if data.stage() == Stage::Empty {
        let directory = data.directory();
        let reason = Reason::default();
        let decision = entrance.wait(&reason, decide(&config, directory, &entrance.peer, &reason))?;
        tracing::info!(?decision, "the data directory is empty");
        data.decided(decision)?;
    }
    let (mut logs, recovered) = open_logs(&config, &data)?;
    let (store, booted) = open_state(&config, &data, &recovered, &entrance)?;
    let Boot { table, workers: boots, rebuilt } = booted;
    for (worker, (boot, log)) in boots.iter().zip(&mut logs).enumerate() {
        if !boot.first.records.is_empty() {
            let first = log.writer.append(&boot.first).and_then(|()| log.writer.sync());
            first.map_err(|error| StartError::Log { worker, error })?;
        }
    }
    data.begin_membership()?;
    let listeners = runtime.block_on(listen(&config, entrance))?;
    let shared = Arc::new(Shared::new(config.node, table));
    let gateway = Arc::new(gateway(&config));
    let others: Vec<NodeId> = config.peers.keys().map(|id| NodeId(*id)).filter(|id| *id != config.node).collect();
    let peers = Peers::new(others.iter().copied(), config.limits.peer_queue_bytes);
    let (inboxes, queues): (Vec<_>, Vec<_>) = (0..config.workers).map(|_| queues(config.limits.worker_queue)).unzip();
    let standing = standing(&data);
    let node = Arc::new(Node::new(config, shared, gateway, inboxes, peers, store.clone(), standing, entropy() >> 1));
    rebuilt.into_iter().for_each(|(shard, why)| node.fence(shard, why));
    let mut preparers = Vec::new();
    let mut workers = Vec::new();
    for (worker, ((boot, queues), log)) in boots.into_iter().zip(queues).zip(logs).enumerate() {
        preparers.push(log.preparer);
        workers.push(start_worker(&node, worker, boot, queues, log.writer, log.reader)?);
    }
    let flush = start_flusher(&node, &store, preparers)?;
    let (stop_clients, clients_stopped) = watch::channel(false);
    let (stop_peers, peers_stopped) = watch::channel(false);
    start_tasks(&runtime, &node, listeners, &others, clients_stopped, peers_stopped);
    runtime.spawn(watch_engine(node.clone(), data.engine_mark()));
    tracing::info!(
        node = node.id.0,
        redis = %node.config.listen.redis,
        redis_cluster = %node.config.listen.redis_cluster,
        http = %node.config.listen.http,
        peer = %node.config.listen.peer,
        "listening"
    );
    Ok(Server { node, runtime, store, workers, flush, stop_clients, stop_peers, _data: data })
}

/// Connections that may wait to be accepted: a storm of clients after a failover must not run into the kernel's retries.
const BACKLOG: u32 = 4096;

/// The listeners that are there before a node takes part: others ask how it stands, and operators for what it waits.
struct Entrance<'a> {
    runtime: &'a Runtime,
    peer: TcpListener,
    http: TcpListener,
    signals: bool,
}

impl<'a> Entrance<'a> {
    fn open(runtime: &'a Runtime, config: &Config, signals: bool) -> Result<Entrance<'a>, StartError> {
        let (peer, http) = runtime.block_on(async {
            let peer = listen_on(config.listen.peer, "peers")?;
            Ok::<_, StartError>((peer, listen_on(config.listen.http, "HTTP")?))
        })?;
        Ok(Entrance { runtime, peer, http, signals })
    }

    /// Runs a wait, which puts into `reason` for what it waits.
    fn wait<T>(&self, reason: &Reason, work: impl Future<Output = T>) -> Result<T, StartError> {
        self.runtime.block_on(async {
            let listener = std::net::TcpListener::from(rustix::io::dup(&self.http).map_err(io::Error::from)?);
            let serving = tokio::spawn(http::serve_waiting(reason.clone(), TcpListener::from_std(listener)?));
            let done = unless_stopped(work, self.signals).await;
            serving.abort();
            // It ends by that.
            let _ = serving.await;
            done
        })
    }
}

async fn listen(config: &Config, entrance: Entrance<'_>) -> Result<Listeners, StartError> {
    Ok(Listeners {
        peer: entrance.peer,
        redis: listen_on(config.listen.redis, "the Redis protocol")?,
        redis_cluster: listen_on(config.listen.redis_cluster, "the Redis Cluster protocol")?,
        http: entrance.http,
    })
}

fn listen_on(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, StartError> {
    bind(address).map_err(|error| StartError::Listen { address, purpose, error })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A node that restarts must not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A log as `boot` wants it: to be read, and what opening it found.
type Found = (LogReader<SharedDisk>, Recovered);

fn open_logs(config: &Config, data: &DataDir) -> Result<(Vec<WorkerLog>, Vec<Found>), StartError> {
    let mut logs = Vec::new();
    let mut all = Vec::new();
    for worker in 0..data.workers {
        let path = data.log(worker);
        let disk = SharedDisk::open(&path).map_err(|error| StartError::Directory { path, error })?;
        let options = LogOptions {
            identity: log_identity(config, worker),
            segment_bytes: u32::try_from(config.limits.log.segment_bytes).unwrap_or(storage::log::SEGMENT_BYTES_MAX),
            reserve_bytes: config.limits.log.reserve_bytes,
            ..LogOptions::default()
        };
        let (writer, reader, recovered) =
            Log::open(disk, options).map_err(|error| StartError::Log { worker, error })?;
        for note in &recovered.notes {
            tracing::info!(worker, "{note}");
        }
        all.push((reader.clone(), recovered));
        logs.push(WorkerLog { preparer: writer.preparer(), writer, reader });
    }
    Ok((logs, all))
}

/// How this node stands for others, as far as its data directory says.
fn standing(data: &DataDir) -> Standing {
    let founded = data.stage() != Stage::Empty;
    Standing { directory: data.directory(), founded, whole: false, founders: data.founders().clone() }
}

/// Opens the state and brings it together with the logs. A damaged engine is set aside for an empty one when enough others
/// are whole: what it held is rebuilt from them.
fn open_state(
    config: &Config,
    data: &DataDir,
    recovered: &[(LogReader<SharedDisk>, Recovered)],
    entrance: &Entrance<'_>,
) -> Result<(Store, Boot), StartError> {
    let why = match data.marked_engine() {
        Some(why) => why,
        None => match try_open_state(config, data, recovered) {
            Err(StartError::Engine(EngineError::Damaged(why))) if config.peers.len() > 1 => {
                tracing::error!(why, "the engine is damaged");
                let reason = Reason::default();
                entrance.wait(&reason, others_whole(config, standing(data), &entrance.peer, &reason))?;
                why
            }
            opened => return opened,
        },
    };
    data.set_aside_engine(&why)?;
    try_open_state(config, data, recovered)
}

fn try_open_state(
    config: &Config,
    data: &DataDir,
    recovered: &[(LogReader<SharedDisk>, Recovered)],
) -> Result<(Store, Boot), StartError> {
    let store = open_store(config, data)?;
    let map = load_map(&store, config)?;
    let origin = match data.stage() {
        Stage::Founding => Origin::Founding,
        Stage::Empty | Stage::Member => Origin::Existing,
    };
    let boot = boot(config.node, map, &store, recovered, origin, clock::now())?;
    Ok((store, boot))
}

fn open_store(config: &Config, data: &DataDir) -> Result<Store, StartError> {
    let memory = config.limits.memory;
    let reserve = config.limits.log.reserve_bytes;
    let options = FjallOptions {
        block_cache_bytes: memory.block_cache_bytes as u64,
        reserve_bytes: reserve / 2,
        compaction_reserve_bytes: reserve,
        ..FjallOptions::default()
    };
    let engine = FjallEngine::open(&data.engine(), &options)?;
    let options = StoreOptions {
        cache_bytes: memory.cache_bytes as u64,
        flush_bytes: memory.active_table_bytes as u64,
        hash_seed: entropy(),
    };
    Ok(Store::open(Arc::new(engine), options)?)
}

fn gateway(config: &Config) -> Gateway {
    let facts = Facts {
        version: http::VERSION,
        os: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_or_else(|_| String::new(), |r| format!("Linux {}", r.trim())),
        pid: std::process::id(),
        run_id: format!("{:016x}{:016x}{:08x}", entropy(), entropy(), entropy() as u32),
        port: config.listen.redis.port(),
        cluster_port: config.listen.redis_cluster.port(),
        config_file: String::new(),
        memory_total: telemetry::memory_total(),
    };
    let limits = &config.limits;
    let bind = config.listen.redis.ip().to_string();
    let settings = Settings::new(limits.max_clients, limits.client_output_buffer_bytes as u64, &bind, facts.port);
    let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    Gateway::new(
        config.node,
        facts,
        settings,
        clock::now(),
        ms(config.timeouts.request),
        ms(config.timeouts.leader_wait),
    )
}

/// Bits that differ from process to process: for seeds, not for secrets.
fn entropy() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn queues(worker_queue: usize) -> (WorkerInbox, Queues) {
    let (consensus, consensus_queue) = Inbox::new();
    let (state, state_queue) = Inbox::new();
    (WorkerInbox::new(consensus, state, worker_queue), Queues { consensus: consensus_queue, state: state_queue })
}

fn start_worker(
    node: &Arc<Node>,
    worker: usize,
    boot: WorkerBoot,
    queues: Queues,
    writer: LogWriter<SharedDisk>,
    reader: LogReader<SharedDisk>,
) -> Result<Threads, StartError> {
    let mut rng = Rng::new(entropy());
    let consensus = consensus_config(&node.config, boot.replicas.len());
    let side = ConsensusSide::new(node.id, consensus, reader, boot.replicas, &mut rng, clock::now())
        .map_err(StartError::Consensus)?;
    let (log, log_queue) = Inbox::new();
    let tick = node.config.raft.tick;
    let machine = ConsensusMachine::new(node.clone(), worker, side, log, tick);
    let consensus = Arc::new(ConsensusStage::new(queues.consensus, machine));
    // Weak: the machine holds the node.
    let stage: Weak<dyn Step> = Arc::downgrade(&consensus) as Weak<dyn Step>;
    node.workers[worker].set_consensus_stage(stage);
    let config = StateConfig {
        transfer: TransferConfig::default(),
        sweep_interval: SWEEP_INTERVAL,
        nodes: node.config.peers.clone(),
        shards: node.config.shards,
        scripts: ScriptLimits {
            memory_bytes: node.config.limits.script.memory_bytes,
            time: Some((node.config.limits.script.time, clock::now)),
            ..ScriptLimits::DEFAULT
        },
    };
    let side = StateSide::new(node.id, config, boot.states, rng);
    let state = StateThread { node: node.clone(), worker, side, queue: queues.state };
    let log = LogThread { node: node.clone(), worker, writer, queue: log_queue };
    Ok(Threads {
        state: spawn(format!("state-{worker}"), move || state.run())?,
        consensus: spawn(format!("consensus-{worker}"), move || consensus.run())?,
        log: spawn(format!("log-{worker}"), move || log.run())?,
    })
}

fn consensus_config(config: &Config, replicas: usize) -> ConsensusConfig {
    let raft = consensus::Config {
        tick: config.raft.tick,
        heartbeat: config.raft.heartbeat,
        election_timeout: config.raft.election_timeout,
        vote_guard: config.raft.vote_guard,
        lease: config.raft.lease,
        ..consensus::Config::new(config.node)
    };
    // What is kept for replicas that lag is half of the log at most, however many shards there are.
    let log_bytes_kept = config.limits.log.max_log_bytes / 2 / replicas.max(1) as u64;
    ConsensusConfig { raft, hibernate_after: HIBERNATE_AFTER, log_bytes_kept, balance_interval: BALANCE_INTERVAL }
}

fn start_tasks(
    runtime: &Runtime,
    node: &Arc<Node>,
    listeners: Listeners,
    others: &[NodeId],
    clients_stopped: watch::Receiver<bool>,
    peers_stopped: watch::Receiver<bool>,
) {
    let hello = Hello::new(node.config.cluster.clone(), node.id, entropy());
    for peer in others {
        runtime.spawn(peer::dial(node.clone(), *peer, hello.clone(), Rng::new(entropy())));
    }
    runtime.spawn(peer::listen(node.clone(), listeners.peer, hello, peers_stopped));
    runtime.spawn(client::listen(node.clone(), listeners.redis, Port::Plain, clients_stopped.clone()));
    runtime.spawn(client::listen(node.clone(), listeners.redis_cluster, Port::Cluster, clients_stopped));
    runtime.spawn(client::sweep(node.clone()));
    runtime.spawn(http::serve(node.clone(), listeners.http));
    runtime.spawn(keep_time(node.clone()));
}

//! Configuration: what a file, the environment and the command line say becomes one checked value, in one place.
//!
//! ```text
//!   defaults ◀─ polder.toml ◀─ POLDER_… ◀─ --set key=value      each overrides the one before
//!       └───────────┴───────┬──────┴───────────┘
//!                     source: text by key, with its origin (file and line, variable, flag)
//!                     settings: one table row per key: kind, range, default, meaning
//!                     check: typed values, then the relations between them
//!                           ▼
//!                   Config, or every error at once
//! ```
//!
//! Invariants: a [`Config`] that exists is consistent, so nobody checks it again; the table in `settings` is the only list of
//! keys, and the parser, the environment's names, `polder config print-default` and docs/configuration.md all come from it.
//!
//! Not here: reading it again while the node runs (`CONFIG SET` is a command and lives with the commands).

mod check;
mod error;
mod reference;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod typed;

/// How many shards a namespace may have, and has unless told otherwise.
pub use cluster::{SHARDS_DEFAULT, SHARDS_MAX};
pub use error::{ConfigError, ConfigErrors, Origin};
pub use reference::{annotated_default, markdown};
pub use source::Sources;

use cluster::NodeRecord;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use stdx::NodeId;

/// Everything a node is told from outside, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// Name of the cluster: nodes and data directories of another one are refused.
    pub cluster: String,
    /// Where the log and the engine live. Writable, or it can be created.
    pub data_dir: PathBuf,
    /// Addresses this node listens on; all different.
    pub listen: Listen,
    /// How others reach this node: its own record in `peers`.
    pub advertise: NodeRecord,
    /// Every initial node of the cluster by number, this one included. One entry: a cluster of one node.
    pub peers: BTreeMap<u64, NodeRecord>,
    /// Failure domain of this node; empty when unknown.
    pub zone: String,
    /// Shards of namespace `cluster` of a new cluster; one that exists keeps its own.
    pub shards: u16,
    /// Timing of consensus.
    pub raft: Raft,
    /// Workers: each owns some replicas and one log. At least one.
    pub workers: usize,
    /// Threads for connections, peer links and HTTP. At least one.
    pub io_threads: usize,
    /// What bounds memory, queues, connections and disk.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What is logged, and how.
    pub log: Logging,
    /// Things that are allowed but that the operator should know; to be logged at start.
    pub warnings: Vec<String>,
}

/// Addresses a node listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Other nodes.
    pub peer: SocketAddr,
    /// Redis protocol, namespace `default`.
    pub redis: SocketAddr,
    /// Redis Cluster protocol, namespace `cluster`.
    pub redis_cluster: SocketAddr,
    /// Health, status and metrics.
    pub http: SocketAddr,
}

/// Timing of consensus: `tick ≤ heartbeat < lease / 2`, `lease < 0.9 × vote_guard`, `vote_guard < election_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raft {
    /// How often the groups look at the clock.
    pub tick: Duration,
    /// How often a leader is heard when it has nothing to say.
    pub heartbeat: Duration,
    /// How long after *sending* a heartbeat round that a majority answered a leader may serve reads alone.
    pub lease: Duration,
    /// How long after hearing from a leader a follower helps nobody to replace it, even when the connection to it broke.
    pub vote_guard: Duration,
    /// How long a follower bears silence before it stands for election (the shortest of the randomized timeouts).
    pub election_timeout: Duration,
}

/// Bounds. Each says what happens when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections, both ports together; one more is answered with an error and closed.
    pub max_clients: usize,
    /// Bytes of replies a client may leave unread; then it is disconnected.
    pub client_output_buffer_bytes: usize,
    /// Commands of one connection in progress; then it is not read until one finishes.
    pub connection_queue: usize,
    /// Requests waiting for one worker; then commands are answered with an error that says to back off.
    pub worker_queue: usize,
    /// Bytes waiting to be sent to one peer; then messages are dropped, and consensus sends them again.
    pub peer_queue_bytes: usize,
    /// What one script may use.
    pub script: ScriptLimits,
    /// Memory of the storage.
    pub memory: Memory,
    /// Disk of the log.
    pub log: LogLimits,
}

/// What one script may use; beyond it it is ended and undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptLimits {
    /// How long it may run.
    pub time: Duration,
    /// Memory besides the interpreter's own, bytes.
    pub memory_bytes: usize,
}

/// Memory of the storage, of the whole node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Applied and not yet flushed; when it is reached, a flush begins.
    pub active_table_bytes: usize,
    /// Hot values in front of the engine.
    pub cache_bytes: usize,
    /// Blocks cached by the engine.
    pub block_cache_bytes: usize,
}

/// Disk of the log, of each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Size of a segment file.
    pub segment_bytes: u64,
    /// The log's size at which replicas that are behind get a snapshot instead of holding it back.
    pub max_log_bytes: u64,
    /// Free disk space kept back: below it writes are refused, so that the log can still be written while space is made.
    pub reserve_bytes: u64,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A command, from its arrival; then an error says whether its outcome is known.
    pub request: Duration,
    /// How long a command waits for a leader to be elected before an error says that there is none.
    pub leader_wait: Duration,
    /// At shutdown, handing leaderships over and finishing requests.
    pub drain: Duration,
}

/// What is logged on standard error, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The form of a line.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: tracing::Level,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// For reading.
    Human,
    /// One JSON object a line.
    Json,
}

/// Reads and checks the configuration. All errors are found in one pass; an error never causes a second one.
pub fn load(sources: &Sources) -> Result<Config, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let values = source::gather(sources, &mut errors);
    let config = check::check(&values, &mut errors);
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => Err(errors.sorted()),
    }
}

//! Why a node does not start, or had to stop. Each says what the operator can do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use storage::EngineError;
use storage::log::LogError;

/// Why a node does not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} for {purpose}: {error}\n    stop what uses the address, or choose another in the configuration"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// The system's reason.
        error: io::Error,
    },
    /// Another process has the data directory open.
    #[error("{} is in use by another process\n    stop that process, or choose another data_dir", .0.display())]
    InUse(PathBuf),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {error}", .path.display())]
    Directory {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The data directory belongs to another cluster.
    #[error("{} holds data of cluster {found:?}, this node belongs to {expected:?}\n    choose another data_dir, or correct `cluster`", .path.display())]
    OtherCluster {
        /// The path.
        path: PathBuf,
        /// The cluster that wrote it.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// The data directory belongs to another node.
    #[error("{} holds data of node {found}, this is node {expected}\n    every node needs a data_dir of its own", .path.display())]
    OtherNode {
        /// The path.
        path: PathBuf,
        /// The node that wrote it.
        found: u64,
        /// The configured one.
        expected: u64,
    },
    /// A later version wrote the data directory.
    #[error("{} has format {found}, this version reads up to {known}\n    start the version that wrote it, or a later one", .path.display())]
    NewerFormat {
        /// The path.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The latest format known here.
        known: u64,
    },
    /// The identity file is not what was written.
    #[error("{} is damaged: {why}\n    restore it from where it was written; or empty the data directory, and the node is rebuilt from its peers", .path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The configured nodes are not those the cluster was created with.
    #[error(
        "the cluster was created with nodes {found:?} and the configuration lists {configured:?}\n    this version cannot change which nodes a cluster has: list the original ones"
    )]
    OtherMembers {
        /// Those in the data directory.
        found: Vec<u64>,
        /// Those configured.
        configured: Vec<u64>,
    },
    /// The log cannot be opened.
    #[error("cannot open the log of worker {worker}: {error}")]
    Log {
        /// The worker.
        worker: usize,
        /// Why.
        error: LogError,
    },
    /// The engine cannot be opened or read.
    #[error("cannot open the engine: {0}")]
    Engine(#[from] EngineError),
    /// A signal ended the process before it took part.
    #[error("stopped before the node took part in the cluster")]
    Stopped,
    /// The configuration of consensus contradicts itself.
    #[error("{0}")]
    Consensus(String),
    /// The system refused threads or the like.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The node was running and cannot go on.
    #[error("{0}")]
    Failed(String),
}

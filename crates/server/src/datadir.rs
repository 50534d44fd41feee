//! The data directory: whose it is, in which format, and what lies where.
//!
//! ```text
//!   data_dir/
//!     LOCK            locked while a process uses the directory
//!     identity.json   format, cluster, node, number of workers; written once, when the directory is created
//!     log-0/ …        a worker's log
//!     engine/         applied state
//! ```

use crate::config::Config;
use crate::error::StartError;
use cluster::{ClusterMap, bootstrap};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{EngineError, RealDisk, Store};

/// The format written today.
const FORMAT: u64 = 1;
/// Name of the identity file.
const IDENTITY: &str = "identity.json";
/// Under which name the engine keeps the cluster map.
const MAP_RECORD: &str = "cluster-map";

#[derive(Serialize, Deserialize)]
struct Identity {
    format: u64,
    cluster: String,
    node: u64,
    workers: usize,
}

/// A data directory that belongs to this node and to this process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// How many workers, and so logs, there are. Fixed when the directory is created.
    pub workers: usize,
    _lock: RealDisk,
}

impl DataDir {
    /// Opens the configured directory, creating it when there is none.
    ///
    /// # Errors
    /// When it is in use, of another cluster, node or newer format, damaged, or not usable at all.
    pub fn open(config: &Config) -> Result<DataDir, StartError> {
        let path = config.data_dir.clone();
        let lock = RealDisk::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => StartError::InUse(path.clone()),
            _ => StartError::Directory { path: path.clone(), error },
        })?;
        let file = path.join(IDENTITY);
        let workers = match std::fs::read(&file) {
            Ok(bytes) => check(&path, &file, &bytes, config)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(&path, config).map_err(|error| StartError::Directory { path: path.clone(), error })?;
                config.workers
            }
            Err(error) => return Err(StartError::Directory { path, error }),
        };
        if workers != config.workers {
            tracing::warn!(
                workers,
                configured = config.workers,
                "the number of workers was fixed when the data directory was created"
            );
        }
        Ok(DataDir { path, workers, _lock: lock })
    }

    /// Where a worker's log is.
    #[must_use]
    pub fn log(&self, worker: usize) -> PathBuf {
        self.path.join(format!("log-{worker}"))
    }

    /// Where the engine is.
    #[must_use]
    pub fn engine(&self) -> PathBuf {
        self.path.join("engine")
    }
}

fn check(path: &Path, file: &Path, bytes: &[u8], config: &Config) -> Result<usize, StartError> {
    /// Read first: what else a later format holds is not known here.
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let damaged = |why: String| StartError::Identity { path: file.to_path_buf(), why };
    let Format { format } = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
    if format > FORMAT {
        return Err(StartError::NewerFormat { path: path.to_path_buf(), found: format, known: FORMAT });
    }
    let found: Identity = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
    if found.cluster != config.cluster {
        let expected = config.cluster.clone();
        return Err(StartError::OtherCluster { path: path.to_path_buf(), found: found.cluster, expected });
    }
    if found.node != config.node.0 {
        return Err(StartError::OtherNode { path: path.to_path_buf(), found: found.node, expected: config.node.0 });
    }
    if found.workers == 0 {
        return Err(damaged("it names no workers".into()));
    }
    Ok(found.workers)
}

/// Writes the identity so that it is there whole or not at all.
fn create(path: &Path, config: &Config) -> io::Result<()> {
    let identity =
        Identity { format: FORMAT, cluster: config.cluster.clone(), node: config.node.0, workers: config.workers };
    let json = serde_json::to_vec_pretty(&identity)?;
    let unfinished = path.join(format!("{IDENTITY}.new"));
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(&json)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path.join(IDENTITY))?;
    std::fs::File::open(path)?.sync_all()
}

/// A number for the log of one worker, so that a log copied from elsewhere is refused (FNV-1a).
#[must_use]
pub fn log_identity(config: &Config, worker: usize) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let name = format!("{}/{}/{worker}", config.cluster, config.node.0);
    name.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// The cluster map to start from: the one last adopted, with the addresses of the configuration, or that of a new cluster.
///
/// # Errors
/// When the configuration lists other nodes than the map, or the map cannot be read.
pub fn load_map(store: &Store, config: &Config) -> Result<Arc<ClusterMap>, StartError> {
    let Some(json) = store.get_local(MAP_RECORD)? else {
        let map = Arc::new(bootstrap(config.peers.clone()));
        save_map(store, &map)?;
        return Ok(map);
    };
    let mut map: ClusterMap = serde_json::from_slice(&json)
        .map_err(|e| EngineError::Damaged(format!("the cluster map does not decode: {e}")))?;
    if !map.nodes.keys().eq(config.peers.keys()) {
        let (found, configured) = (map.nodes.into_keys().collect(), config.peers.keys().copied().collect());
        return Err(StartError::OtherMembers { found, configured });
    }
    map.nodes.clone_from(&config.peers);
    Ok(Arc::new(map))
}

/// Keeps a map for the next start.
///
/// # Errors
/// Of the engine.
pub fn save_map(store: &Store, map: &ClusterMap) -> Result<(), EngineError> {
    let json = serde_json::to_vec(map).map_err(|e| EngineError::Io(e.to_string()))?;
    store.put_local(MAP_RECORD, json.into())
}

//! The data directory: whose it is, in which format, and what lies where.
//!
//! ```text
//!   data_dir/
//!     LOCK            locked while a process uses the directory
//!     identity.json   format, cluster, node, number of workers, and how far this directory has come (`Stage`)
//!     log-0/ …        a worker's log
//!     engine/         applied state
//!     engine.rebuild  why the engine is to be set aside at the next start, if it is
//!     engine.damaged-1  the last engine that was set aside
//! ```

use crate::config::Config;
use crate::error::StartError;
use crate::founding::{Decision, Directories};
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
/// Name of the engine's directory, and the beginning of those of damaged ones.
const ENGINE: &str = "engine";
const ENGINE_DAMAGED: &str = "engine.damaged-";
/// Name of the note that the engine is to be set aside.
const ENGINE_MARK: &str = "engine.rebuild";
/// Under which name the engine keeps the cluster map.
const MAP_RECORD: &str = "cluster-map";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Identity {
    format: u64,
    cluster: String,
    node: u64,
    workers: usize,
    #[serde(default)]
    stage: Stage,
    /// Drawn when the directory was created; 0 in those that are older than this number.
    #[serde(default)]
    directory: u64,
    /// The directories that the cluster was founded with, by node.
    #[serde(default)]
    founders: Directories,
}

/// How far a data directory has come. It decides what a replica is that the directory does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing is known yet, neither of this node nor of the cluster.
    Empty,
    /// The cluster is founded, but this node has promised nothing yet.
    Founding,
    /// The node has taken part in the cluster: what is missing was lost.
    #[default]
    Member,
}

/// A data directory that belongs to this node and to this process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// How many workers, and so logs, there are. Fixed when the directory is created.
    pub workers: usize,
    identity: Identity,
    _lock: RealDisk,
}

impl DataDir {
    /// Opens the configured directory, creating it under the number `directory` when there is none.
    ///
    /// # Errors
    /// When it is in use, of another cluster, node or newer format, damaged, or not usable at all.
    pub fn open(config: &Config, directory: u64) -> Result<DataDir, StartError> {
        let path = config.data_dir.clone();
        let lock = RealDisk::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => StartError::InUse(path.clone()),
            _ => StartError::Directory { path: path.clone(), error },
        })?;
        let file = path.join(IDENTITY);
        let identity = match std::fs::read(&file) {
            Ok(bytes) => check(&path, &file, &bytes, config)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Identity {
                    format: FORMAT,
                    cluster: config.cluster.clone(),
                    node: config.node.0,
                    workers: config.workers,
                    stage: Stage::Empty,
                    directory,
                    founders: Directories::new(),
                };
                write(&path, &identity).map_err(|error| StartError::Directory { path: path.clone(), error })?;
                identity
            }
            Err(error) => return Err(StartError::Directory { path, error }),
        };
        let workers = identity.workers;
        if workers != config.workers {
            tracing::warn!(
                workers,
                configured = config.workers,
                "the number of workers was fixed when the data directory was created"
            );
        }
        Ok(DataDir { path, workers, identity, _lock: lock })
    }

    /// How far the directory has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.identity.stage
    }

    /// The number of this directory.
    #[must_use]
    pub fn directory(&self) -> u64 {
        self.identity.directory
    }

    /// The directories that the cluster was founded with, by node.
    #[must_use]
    pub fn founders(&self) -> &Directories {
        &self.identity.founders
    }

    /// Keeps what was decided about an empty directory: whoever asks from here on is told.
    ///
    /// # Errors
    /// When the identity cannot be written.
    pub fn decided(&mut self, decision: Decision) -> Result<(), StartError> {
        (self.identity.stage, self.identity.founders) = match decision {
            Decision::Found(founders) => (Stage::Founding, founders),
            Decision::Join(founders) => (Stage::Member, founders),
        };
        self.write_identity()
    }

    fn write_identity(&self) -> Result<(), StartError> {
        write(&self.path, &self.identity).map_err(|error| StartError::Directory { path: self.path.clone(), error })
    }

    /// Every replica of this node has its beginning durably in a log: from here on the node votes and confirms.
    ///
    /// # Errors
    /// When the identity cannot be written.
    pub fn begin_membership(&mut self) -> Result<(), StartError> {
        if self.identity.stage != Stage::Member {
            self.identity.stage = Stage::Member;
            self.write_identity()?;
        }
        Ok(())
    }

    /// Where a worker's log is.
    #[must_use]
    pub fn log(&self, worker: usize) -> PathBuf {
        self.path.join(format!("log-{worker}"))
    }

    /// Where the engine is.
    #[must_use]
    pub fn engine(&self) -> PathBuf {
        self.path.join(ENGINE)
    }

    /// Where it is noted that the engine is to be set aside.
    #[must_use]
    pub fn engine_mark(&self) -> PathBuf {
        self.path.join(ENGINE_MARK)
    }

    /// Why the engine is to be set aside, if that was noted.
    #[must_use]
    pub fn marked_engine(&self) -> Option<String> {
        // A mark that cannot be read is one, too.
        let mark = self.engine_mark();
        mark.exists().then(|| std::fs::read_to_string(mark).unwrap_or_default())
    }

    /// Puts a damaged engine out of the way, so that an empty one takes its place. The last one is kept for whoever wants to
    /// look into it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn set_aside_engine(&self, why: &str) -> Result<(), StartError> {
        self.try_set_aside(why).map_err(|error| StartError::Directory { path: self.path.clone(), error })
    }

    fn try_set_aside(&self, why: &str) -> io::Result<()> {
        let mut kept: Vec<u64> = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|n| n.strip_prefix(ENGINE_DAMAGED)).and_then(|n| n.parse::<u64>().ok());
            kept.extend(number);
        }
        let to = self.path.join(format!("{ENGINE_DAMAGED}{}", kept.iter().max().copied().unwrap_or(0) + 1));
        if self.engine().exists() {
            tracing::error!(
                why,
                kept = %to.display(),
                "the engine is damaged and set aside; this node's replicas are rebuilt from its peers"
            );
            std::fs::rename(self.engine(), &to)?;
        }
        for number in kept {
            std::fs::remove_dir_all(self.path.join(format!("{ENGINE_DAMAGED}{number}")))?;
        }
        match std::fs::remove_file(self.engine_mark()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::File::open(&self.path)?.sync_all()
    }
}

fn check(path: &Path, file: &Path, bytes: &[u8], config: &Config) -> Result<Identity, StartError> {
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
    Ok(found)
}

fn write(path: &Path, identity: &Identity) -> io::Result<()> {
    write_whole(&path.join(IDENTITY), &serde_json::to_vec_pretty(identity)?)
}

/// Writes a file durably, so that it is there whole or not at all.
///
/// # Errors
/// Of the file system.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
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
        let map = Arc::new(bootstrap(config.peers.clone(), config.shards));
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

//! The directory of a development cluster: what is in it, whose it is, and the nodes' configuration.
//!
//! ```text
//!   polder-data/
//!     .polder-dev     marker: this directory is ours, and how the cluster in it was created
//!     dev.lock        held while a `polder dev` runs here
//!     dev.json        endpoints and process numbers, while it runs; for tests and tools
//!     n1/polder.toml  written at every start
//!     n1/log.txt      standard error of the node; n1/log.1.txt holds what came before
//!     n1/data/        the node's own
//! ```

use super::DevError;
use crate::cli::DevArgs;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};

const MARKER: &str = ".polder-dev";
const LOCK: &str = "dev.lock";
const ENDPOINTS: &str = "dev.json";

/// Version of the marker's format.
const MARKER_FORMAT: u32 = 1;
const NODES_DEFAULT: u8 = 3;
const BASE_PORT_DEFAULT: u16 = 6379;
/// Distance between the ranges of ports: redis, redis cluster, peers, HTTP.
const PORT_RANGE: u16 = 1000;

/// How the cluster in a directory was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    format: u32,
    cluster: String,
    nodes: u8,
    base_port: u16,
    #[serde(default = "shards_default")]
    shards: u16,
}

/// What a directory that does not say it was created with.
fn shards_default() -> u16 {
    server::config::SHARDS_DEFAULT
}

/// A directory that is ours, locked, and the plan of the cluster in it.
#[derive(Debug)]
pub struct Layout {
    /// Absolute path.
    pub dir: PathBuf,
    /// As the user wrote it.
    pub shown: String,
    /// The nodes in order.
    pub nodes: Vec<NodePlan>,
    /// Whether the data of an earlier run is there and stays.
    pub has_data: bool,
    marker: Marker,
    fresh: bool,
    /// Held until the process ends, however it ends.
    _lock: File,
}

/// One node: its ports on loopback and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlan {
    pub id: u64,
    pub redis: u16,
    pub redis_cluster: u16,
    pub peer: u16,
    pub http: u16,
    pub dir: PathBuf,
}

impl NodePlan {
    fn new(dir: &Path, base_port: u16, index: u8) -> NodePlan {
        let port = |range: u16| base_port + range * PORT_RANGE + u16::from(index);
        let id = u64::from(index) + 1;
        NodePlan {
            id,
            redis: port(0),
            redis_cluster: port(1),
            peer: port(2),
            http: port(3),
            dir: dir.join(format!("n{id}")),
        }
    }

    /// Each port with what it is for.
    pub fn ports(&self) -> [(&'static str, u16); 4] {
        [("redis", self.redis), ("redis cluster", self.redis_cluster), ("peers", self.peer), ("http", self.http)]
    }

    /// The node's configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.join("polder.toml")
    }

    /// What the node wrote to standard error.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log.txt")
    }
}

/// An address on loopback.
pub fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

impl Layout {
    /// Takes hold of the directory: locks it, and recognises the cluster in it or plans one. Deletes and writes nothing else yet.
    pub fn open(args: &DevArgs) -> Result<Layout, DevError> {
        let shown = args.data.display().to_string();
        let failed = |what: &str, error: &dyn std::fmt::Display| DevError::failed(format!("{shown}: {what}: {error}"));
        refuse_what_is_not_ours(&args.data, &shown)?;
        fs::create_dir_all(&args.data).map_err(|e| failed("cannot be created", &e))?;
        let dir = args.data.canonicalize().map_err(|e| failed("cannot be opened", &e))?;
        let lock = lock(&dir, &shown)?;
        // Somebody else may have filled it before the lock was ours.
        refuse_what_is_not_ours(&dir, &shown)?;
        let found = if args.fresh { None } else { read_marker(&dir, &shown)? };
        let has_data = found.is_some();
        let marker = match found {
            Some(found) => found.agree(args, &shown)?,
            None => Marker::create(args),
        };
        let nodes = (0..marker.nodes).map(|i| NodePlan::new(&dir, marker.base_port, i)).collect();
        Ok(Layout { dir, shown, nodes, has_data, marker, fresh: args.fresh, _lock: lock })
    }

    /// Name of the cluster.
    pub fn cluster(&self) -> &str {
        &self.marker.cluster
    }

    /// Redis port of the first node.
    pub fn base_port(&self) -> u16 {
        self.marker.base_port
    }

    /// With `--fresh` empties the directory; then writes the marker and every node's directory and configuration.
    pub fn prepare(&self) -> Result<(), DevError> {
        let failed = |path: &Path, error| DevError::failed(format!("{}: cannot be written: {error}", path.display()));
        if self.fresh {
            empty(&self.dir).map_err(|e| DevError::failed(format!("{}: cannot be emptied: {e}", self.shown)))?;
        }
        write_json(&self.dir.join(MARKER), &self.marker).map_err(|e| failed(&self.dir, e))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for node in &self.nodes {
            let written =
                fs::create_dir_all(&node.dir).and_then(|()| fs::write(node.config(), self.config_of(node, cores)));
            written.map_err(|e| failed(&node.dir, e))?;
        }
        Ok(())
    }

    fn config_of(&self, node: &NodePlan, cores: usize) -> String {
        // The nodes share this machine, so each takes its part of the cores.
        let workers = (cores / (2 * self.nodes.len())).max(1);
        let io_threads = (cores / self.nodes.len()).max(2);
        let mut text = format!(
            "# Written by `polder dev` at every start; changes are lost.\nnode = {}\ncluster = {:?}\ndata_dir = {:?}\n\
             workers = {workers}\nio_threads = {io_threads}\n\n[log]\nformat = \"human\"\n\n[namespaces.cluster]\nshards = {}\n\n[listen]\n",
            node.id,
            self.cluster(),
            node.dir.join("data"),
            self.marker.shards,
        );
        text.push_str(&endpoints(node));
        for peer in &self.nodes {
            text.push_str(&format!("\n[peers.{}]\n{}", peer.id, endpoints(peer)));
        }
        text
    }

    /// Writes `dev.json`: who this is, and each node's endpoints and process, as far as it runs.
    pub fn write_endpoints(&self, pids: &[Option<u32>]) -> std::io::Result<()> {
        let nodes = self.nodes.iter().zip(pids).map(|(node, pid)| {
            serde_json::json!({
                "id": node.id, "pid": pid, "redis": local(node.redis), "redis_cluster": local(node.redis_cluster),
                "peer": local(node.peer), "http": local(node.http), "dir": node.dir, "config": node.config(), "log": node.log(),
            })
        });
        let nodes: Vec<_> = nodes.collect();
        let all = serde_json::json!({ "format": 1, "pid": std::process::id(), "cluster": self.cluster(), "dir": self.dir, "nodes": nodes });
        write_json(&self.dir.join(ENDPOINTS), &all)
    }

    /// Removes `dev.json`: nothing runs here any more.
    pub fn remove_endpoints(&self) {
        // What is left over names a process that is gone, so a failure misleads nobody.
        let _ = fs::remove_file(self.dir.join(ENDPOINTS));
    }
}

fn endpoints(node: &NodePlan) -> String {
    let (redis, cluster, peer, http) =
        (local(node.redis), local(node.redis_cluster), local(node.peer), local(node.http));
    format!("redis = {redis:?}\nredis_cluster = {cluster:?}\npeer = {peer:?}\nhttp = {http:?}\n")
}

impl Marker {
    fn create(args: &DevArgs) -> Marker {
        // Not a secret, only different from other clusters on this machine.
        let number = RandomState::new().build_hasher().finish() as u32;
        Marker {
            format: MARKER_FORMAT,
            cluster: format!("dev-{number:08x}"),
            nodes: args.nodes.unwrap_or(NODES_DEFAULT),
            base_port: args.base_port.unwrap_or(BASE_PORT_DEFAULT),
            shards: args.shards.unwrap_or_else(shards_default),
        }
    }

    /// What was created stays; flags may repeat it, not change it.
    fn agree(self, args: &DevArgs, shown: &str) -> Result<Marker, DevError> {
        let begin_anew =
            format!("begin anew with --fresh (deletes the data in {shown}), or choose another directory with --data");
        if let Some(nodes) = args.nodes.filter(|n| *n != self.nodes) {
            let created = self.nodes;
            let what = format!(
                "{shown} holds a cluster of {created} nodes, not {nodes}; adding and removing nodes comes later"
            );
            return Err(DevError::usage(format!("{what}\n    leave --nodes out, or {begin_anew}")));
        }
        if let Some(base_port) = args.base_port.filter(|p| *p != self.base_port) {
            let created = self.base_port;
            let what = format!(
                "{shown} holds a cluster whose first port is {created}, not {base_port}; its nodes know each other by it"
            );
            return Err(DevError::usage(format!("{what}\n    leave --base-port out, or {begin_anew}")));
        }
        if let Some(shards) = args.shards.filter(|n| *n != self.shards) {
            let created = self.shards;
            let what =
                format!("{shown} holds a cluster of {created} shards, not {shards}; splitting shards comes later");
            return Err(DevError::usage(format!("{what}\n    leave --shards out, or {begin_anew}")));
        }
        Ok(self)
    }
}

/// Ours are: what does not exist, what is empty, and what has the marker.
fn refuse_what_is_not_ours(dir: &Path, shown: &str) -> Result<(), DevError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(DevError::usage(format!("{shown}: {error}\n    choose another directory with --data")));
        }
    };
    let foreign = entries.flatten().any(|entry| entry.file_name() != LOCK);
    if foreign && !dir.join(MARKER).is_file() {
        let what = format!("{shown} is not empty and was not made by polder dev, so nothing in it is touched");
        return Err(DevError::usage(format!("{what}\n    choose another directory with --data")));
    }
    Ok(())
}

fn lock(dir: &Path, shown: &str) -> Result<File, DevError> {
    let path = dir.join(LOCK);
    let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let file = open.map_err(|e| DevError::failed(format!("{}: {e}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let what = format!("a polder dev runs in {shown} already");
            Err(DevError::usage(format!("{what}\n    stop it, or start another one with --data and --base-port")))
        }
        Err(TryLockError::Error(e)) => Err(DevError::failed(format!("{}: cannot be locked: {e}", path.display()))),
    }
}

/// Deletes what a development cluster made and nothing else; the marker last, so that an interrupted deletion can be repeated.
fn empty(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let digits = name.to_str().and_then(|n| n.strip_prefix('n')).unwrap_or_default();
        let is_node = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if is_node && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if name == ENDPOINTS {
            fs::remove_file(entry.path())?;
        }
    }
    match fs::remove_file(dir.join(MARKER)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_marker(dir: &Path, shown: &str) -> Result<Option<Marker>, DevError> {
    let text = match fs::read_to_string(dir.join(MARKER)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DevError::failed(format!("{shown}: {MARKER} cannot be read: {error}"))),
    };
    match serde_json::from_str::<Marker>(&text) {
        Ok(marker) if marker.format == MARKER_FORMAT => Ok(Some(marker)),
        _ => {
            let what = format!("{shown}: {MARKER} is damaged, or of another version of Polder");
            Err(DevError::usage(format!(
                "{what}\n    use --fresh to delete the data, or choose another directory with --data"
            )))
        }
    }
}

/// Replaces a file as a whole: who reads it sees the old or the new one.
fn write_json(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let aside = path.with_extension("tmp");
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(&aside, text)?;
    fs::rename(aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = std::env::temp_dir().join(format!("polder-dev-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            Dir(dir)
        }

        fn open(&self, nodes: Option<u8>, fresh: bool, base_port: Option<u16>) -> Result<Layout, String> {
            Layout::open(&DevArgs { nodes, fresh, data: self.0.clone(), base_port, shards: None })
                .map_err(|e| e.to_string())
        }
    }

    impl Dir {
        fn make(&self, nodes: Option<u8>, fresh: bool, base_port: Option<u16>) -> Layout {
            let layout = self.open(nodes, fresh, base_port).unwrap();
            layout.prepare().unwrap();
            layout
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn ranges_of_ports_do_not_touch() {
        let dir = Dir::new("ports");
        let layout = dir.open(Some(9), false, None).unwrap();
        let ports: std::collections::BTreeSet<_> =
            layout.nodes.iter().flat_map(|n| n.ports()).map(|(_, p)| p).collect();
        assert_eq!(ports.len(), 36);
        assert_eq!(layout.nodes[2].ports().map(|(_, p)| p), [6381, 7381, 8381, 9381]);
    }

    #[test]
    fn a_second_start_finds_the_first_cluster() {
        let dir = Dir::new("again");
        let first = dir.make(Some(5), false, Some(16379)).cluster().to_owned();
        let again = dir.make(None, false, None);
        assert_eq!((again.cluster(), again.nodes.len(), again.base_port()), (first.as_str(), 5, 16379));
        assert!(again.has_data);
        drop(again);
        assert!(dir.open(Some(3), false, None).unwrap_err().contains("holds a cluster of 5 nodes, not 3"));
        assert!(dir.open(None, false, Some(6379)).unwrap_err().contains("whose first port is 16379, not 6379"));
        let anew = dir.make(None, true, None);
        assert_eq!((anew.nodes.len(), anew.base_port()), (3, 6379));
        assert_ne!(anew.cluster(), first);
    }

    #[test]
    fn fresh_deletes_only_what_is_ours() {
        let dir = Dir::new("fresh");
        let layout = dir.make(None, false, None);
        fs::write(dir.0.join("notes.txt"), "mine").unwrap();
        fs::write(dir.0.join("n1/old"), "data").unwrap();
        drop(layout);
        // What is only planned deletes nothing.
        drop(dir.open(None, true, None).unwrap());
        assert!(dir.0.join("n1/old").exists());
        dir.make(None, true, None);
        assert!(dir.0.join("notes.txt").exists());
        assert!(!dir.0.join("n1/old").exists());
    }

    #[test]
    fn a_foreign_directory_is_refused() {
        let dir = Dir::new("foreign");
        fs::create_dir_all(dir.0.join("n1")).unwrap();
        for fresh in [false, true] {
            assert!(dir.open(None, fresh, None).unwrap_err().contains("was not made by polder dev"));
        }
        assert!(dir.0.join("n1").exists());
    }

    #[test]
    fn one_at_a_time() {
        let dir = Dir::new("lock");
        let _held = dir.open(None, false, None).unwrap();
        assert!(dir.open(None, false, None).unwrap_err().contains("runs in"));
        assert!(dir.open(None, true, None).unwrap_err().contains("runs in"));
    }

    #[test]
    fn written_configurations_are_valid() {
        let dir = Dir::new("config");
        let layout = dir.make(None, false, None);
        for node in &layout.nodes {
            let sources = server::config::Sources { file: Some(node.config()), ..Default::default() };
            let config = server::config::load(&sources).unwrap();
            assert_eq!(config.node.0, node.id);
            assert_eq!(config.peers.len(), 3);
            assert_eq!(config.advertise.redis, local(node.redis));
        }
    }
}

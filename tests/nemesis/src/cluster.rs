//! The nodes: one process each, in a namespace of its own, with its data on a small disk of its own (a tmpfs).

use crate::http;
use crate::net::{Net, address, namespace_file};
use crate::node::{Node, State};
use crate::preload::Preload;
use crate::tools::{Outcome, run};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Ports that every node listens on, at its own address.
pub const REDIS: u16 = 6379;
/// The sharded Redis port.
pub const REDIS_CLUSTER: u16 = 7379;
const PEER: u16 = 8379;
const HTTP: u16 = 9379;

/// Size of a node's disk, in MiB: room for the log, the engine and its merges, and little enough to be filled at once.
const DISK_MIB: u32 = 192;

/// How long the cluster may take to be whole once everything has healed: elections, replay, and snapshots of all shards.
pub const WHOLE_LIMIT: Duration = Duration::from_secs(60);

/// What a node needs to know beyond its number.
pub struct Plan<'a> {
    /// The program.
    pub binary: &'a Path,
    /// Where disks, configuration and logs go.
    pub directory: &'a Path,
    /// Workers of each node.
    pub workers: u32,
    /// Libraries that are loaded into each node.
    pub preload: Preload,
    /// Farthest that any wall clock may be off.
    pub clock_error: Duration,
}

/// The cluster; ended and unmounted when dropped, before its network is.
pub struct Cluster {
    /// The nodes, in order of their numbers.
    pub nodes: Vec<Node>,
    /// What joins them.
    pub net: Net,
    /// Farthest that any wall clock may be off.
    pub clock_error: Duration,
    directory: PathBuf,
}

impl Cluster {
    /// Makes disks and configuration, and starts all nodes.
    ///
    /// # Errors
    /// The machine refused, or the cluster did not become whole.
    pub fn start(net: Net, plan: &Plan<'_>) -> Outcome<Cluster> {
        let size = net.nodes();
        let mut cluster =
            Cluster { nodes: Vec::new(), net, clock_error: plan.clock_error, directory: plan.directory.to_path_buf() };
        unmount_below(plan.directory);
        for index in 0..size {
            let directory = plan.directory.join(format!("node-{}", index + 1));
            let disk = directory.join("disk");
            fs::create_dir_all(&disk).map_err(|e| format!("{}: {e}", disk.display()))?;
            let shown = disk.display().to_string();
            run("mount", &["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "polder-nem", &shown])?;
            let config = directory.join("polder.toml");
            let text = configuration(index, size, &disk, plan.workers);
            fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
            let preload = plan.preload.in_directory(&directory)?;
            cluster.nodes.push(Node::new(index, plan.binary, directory, preload));
        }
        for node in &mut cluster.nodes {
            node.start()?;
        }
        cluster.wait_until_whole(&mut || false)?;
        Ok(cluster)
    }

    /// Places of the nodes in order of their numbers that run and were not touched by a fault.
    pub fn untouched(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|i| !self.nodes[*i].touched && self.nodes[*i].state() == State::Running).collect()
    }

    /// Starts what ended because a fault may end it, as a supervisor of services does.
    ///
    /// # Errors
    /// A node ended for which no fault is an excuse, or could not be started.
    pub fn tend(&mut self) -> Outcome {
        self.nodes.iter_mut().try_for_each(Node::tend)
    }

    /// Waits until every node says that it is ready, sees all others alive, and holds everything that is committed.
    ///
    /// # Errors
    /// It is not whole within [`WHOLE_LIMIT`]: why, in the words of the nodes.
    pub fn wait_until_whole(&mut self, give_up: &mut dyn FnMut() -> bool) -> Outcome<Duration> {
        let began = Instant::now();
        loop {
            self.tend()?;
            let missing = self.missing();
            if missing.is_empty() {
                return Ok(began.elapsed());
            }
            if give_up() {
                return Err("interrupted".to_owned());
            }
            if began.elapsed() > WHOLE_LIMIT {
                return Err(format!("not whole after {} s: {}", WHOLE_LIMIT.as_secs(), missing.join("; ")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What keeps the cluster from being whole.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut applied: Vec<Vec<(u64, u64)>> = Vec::new();
        for node in &self.nodes {
            let at = node.http();
            match http::get(at, "/readyz") {
                Ok((200, _)) => {}
                Ok((_, why)) => missing.push(format!("node {}: {}", node.number(), why.trim().replace('\n', ", "))),
                Err(error) => missing.push(format!("node {}: {error}", node.number())),
            }
            let Ok(status) = http::status(at) else { continue };
            let others = status["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
            let dead = others.iter().filter(|n| n["alive"].as_bool() != Some(true)).filter_map(|n| n["id"].as_u64());
            missing.extend(dead.map(|n| format!("node {} sees node {n} as dead", node.number())));
            applied.push(hosted(&status));
        }
        // With clients gone, replicas that are whole stand at the same entry.
        for (place, shards) in applied.iter().enumerate().skip(1) {
            let lagging =
                shards.iter().find(|(id, at)| applied[0].iter().any(|(other, there)| other == id && there != at));
            if let Some((shard, at)) = lagging {
                missing
                    .push(format!("shard {shard} is applied up to {at} on one node of place {place}, elsewhere not"));
            }
        }
        missing
    }

    /// The node that leads a shard of the plain namespace or, with `pick`, of another one; as some node says.
    pub fn leader(&self, pick: u64) -> Option<usize> {
        let status = self.nodes.iter().find_map(|node| http::status(node.http()).ok())?;
        let shards = status["shards"].as_array()?;
        let place = usize::try_from(pick).ok()? % shards.len().max(1);
        usize::try_from(shards.get(place)?["leader"].as_u64()?).ok()?.checked_sub(1)
    }

    /// The last lines that each node logged.
    pub fn logs(&self) -> String {
        self.nodes.iter().map(|node| format!("── node {}\n{}\n", node.number(), node.log_end())).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
        unmount_below(&self.directory);
    }
}

/// Shards that a node holds a replica of, with the entry up to which it has applied.
fn hosted(status: &serde_json::Value) -> Vec<(u64, u64)> {
    let shards = status["shards"].as_array().map(Vec::as_slice).unwrap_or_default();
    let hosted = shards.iter().filter(|s| s["hosted"].as_bool() == Some(true));
    hosted.filter_map(|s| Some((s["id"].as_u64()?, s["applied"].as_u64()?))).collect()
}

/// Unmounts the disks of this or an earlier run; the kernel keeps a disk that is still in use until its last file is closed.
fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(directory)) {
        if let Err(error) = run("umount", &["-l", point]) {
            eprintln!("nemesis: {error}");
        }
    }
}

/// A node's file. Logs are small, so that within a run they are truncated and replicas that were away get snapshots.
fn configuration(index: usize, size: usize, disk: &Path, workers: u32) -> String {
    let host = address(index);
    let data = disk.join("data");
    let mut text = format!(
        "node = {}\ncluster = \"nemesis\"\ndata_dir = \"{}\"\nprotected_mode = false\nworkers = {workers}\nio_threads = 2\n\n\
         [listen]\nredis = \"{host}:{REDIS}\"\nredis_cluster = \"{host}:{REDIS_CLUSTER}\"\n\
         peer = \"{host}:{PEER}\"\nhttp = \"{host}:{HTTP}\"\n\n\
         [limits.log]\nsegment = \"1MiB\"\nmax = \"8MiB\"\nreserve = \"8MiB\"\n\n[limits.memory]\nactive_table = \"2MiB\"\n\n",
        index + 1,
        data.display(),
    );
    for peer in 0..size {
        text.push_str(&format!("[peers.{}]\nhost = \"{}\"\n", peer + 1, address(peer)));
    }
    text
}

/// Where a node answers over HTTP.
pub fn http_address(index: usize) -> SocketAddr {
    SocketAddr::from((address(index), HTTP))
}

/// The words that start a program inside a node's namespace and end it with this process.
pub fn launcher(index: usize) -> Vec<String> {
    let net = format!("--net={}", namespace_file(index));
    ["setpriv", "--pdeathsig", "KILL", "nsenter", &net, "env"].map(str::to_owned).to_vec()
}

//! Disks without room, and disks that fail.

use super::{Fault, shown, shuffled, target};
use crate::cluster::Cluster;
use crate::node::Node;
use crate::tools::Outcome;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use stdx::Rng;

/// The file that takes the room.
const BALLAST: &str = "ballast";

/// Bytes written at once when a disk is filled.
const CHUNK_BYTES: usize = 256 * 1024;

/// How long a node may take to write to its log again, and to end because that failed.
const END_LIMIT: Duration = Duration::from_secs(5);

/// No byte is left on the disks of one node, of a majority, or of all.
#[derive(Default)]
pub struct Full {
    nodes: Vec<usize>,
    filled: bool,
}

impl Fault for Full {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        let nodes = cluster.nodes.len();
        let count = match rng.below(4) {
            0 => nodes,
            1 => nodes / 2 + 1,
            _ => 1,
        };
        self.nodes = shuffled(nodes, rng).into_iter().take(count).collect();
        self.filled = true;
        for &node in &self.nodes {
            self.filled &= fill(&cluster.nodes[node].disk())?;
        }
        Ok(Some(format!("no room on node {}", shown(&self.nodes))))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        for node in self.nodes.drain(..) {
            let ballast = cluster.nodes[node].disk().join(BALLAST);
            fs::remove_file(&ballast).map_err(|e| format!("{}: {e}", ballast.display()))?;
        }
        Ok(self.filled)
    }
}

/// Takes all room; the answer is whether the disk said that there is none left.
fn fill(disk: &Path) -> Outcome<bool> {
    let ballast = disk.join(BALLAST);
    let mut file = File::create(&ballast).map_err(|e| format!("{}: {e}", ballast.display()))?;
    let mut chunk = vec![0u8; CHUNK_BYTES];
    loop {
        match file.write(&chunk) {
            Ok(_) => {}
            // Down to the last byte: what a page holds may still fit where a chunk does not.
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull && chunk.len() > 1 => chunk.truncate(chunk.len() / 2),
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return Ok(true),
            Err(e) => return Err(format!("{}: {e}", ballast.display())),
        }
    }
}

/// How often a node is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Calls of libc that fail with EIO: those of the log, of the engine, and of both.
const POINTS: [&str; 4] = ["posix/io/rw/pwrite", "posix/io/sync/fdatasync", "posix/io/sync/fsync", "posix/io/rw/write"];

/// The one that the log makes for every round.
const LOG_POINT: &str = "posix/io/sync/fdatasync";

/// One node's calls fail; if it lives through that, the log's calls fail until it does not. A log that failed is written no
/// further: the node ends, and its supervisor starts it again.
#[derive(Default)]
pub struct Failing {
    victim: Option<(usize, u32, u64)>,
    points: Vec<&'static str>,
}

impl Fault for Failing {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        let Some((victim, pid)) = target(cluster, rng).and_then(|v| Some((v, cluster.nodes[v].pid()?))) else {
            return Ok(None);
        };
        let node = &mut cluster.nodes[victim];
        let first = usize::try_from(rng.below(POINTS.len() as u64)).unwrap_or_default();
        self.points = if rng.one_in(3) { POINTS.to_vec() } else { vec![POINTS[first]] };
        let percent = rng.range(5, 101);
        (node.touched, node.excused) = (true, true);
        self.victim = Some((victim, pid, node.ends));
        for point in &self.points {
            enable(node, pid, point, percent)?;
        }
        let points = self.points.join(" and ");
        Ok(Some(format!("EIO for {percent} % of {points} of node {}", victim + 1)))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        let Some((victim, pid, ends)) = self.victim.take() else { return Ok(false) };
        let node = &mut cluster.nodes[victim];
        let deadline = Instant::now() + END_LIMIT;
        enable(node, pid, LOG_POINT, 100)?;
        while node.ends == ends && Instant::now() < deadline {
            std::thread::sleep(LOOK);
            node.tend()?;
        }
        (node.touched, node.excused) = (false, false);
        Ok(node.ends > ends)
    }
}

/// Lets calls of the process `pid` fail, if it is still there. One that dies of what failed before answers no more, and is
/// seen to have ended only a little later.
fn enable(node: &mut Node, pid: u32, point: &str, percent: u64) -> Outcome {
    let line = format!("enable_random name={point},probability={},failinfo=5", percent as f64 / 100.0);
    let deadline = Instant::now() + END_LIMIT;
    loop {
        node.tend()?;
        if node.pid() != Some(pid) {
            return Ok(());
        }
        match node.preload.control(pid, &line) {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(LOOK),
            Ok(()) => return Ok(()),
        }
    }
}

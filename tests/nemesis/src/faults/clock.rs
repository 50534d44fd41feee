//! Wall clocks that jump. The monotonic clock is left alone: leases are measured with it.

use super::{Fault, shuffled};
use crate::cluster::{Cluster, REDIS};
use crate::net::address;
use crate::tools::Outcome;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stdx::Rng;

/// How far clocks jump: this part of what the run allows.
const PARTS: [i64; 3] = [1, 2, 10];

/// How long a node may take to say what time it is.
const ASK_LIMIT: Duration = Duration::from_millis(500);

/// Steps of some nodes' clocks; at the end about half of them go back at once, the others keep their offset.
#[derive(Default)]
pub struct Step {
    stepped: Vec<(usize, i64, bool)>,
}

impl Fault for Step {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        let count = usize::try_from(rng.range(1, cluster.nodes.len() as u64 + 1)).unwrap_or(1);
        let mut what = Vec::new();
        for node in shuffled(cluster.nodes.len(), rng).into_iter().take(count) {
            let most = i64::try_from(cluster.clock_error.as_millis()).unwrap_or(i64::MAX);
            let step = most / PARTS[usize::try_from(rng.below(PARTS.len() as u64)).unwrap_or_default()];
            let offset = if rng.one_in(2) { step } else { -step };
            cluster.nodes[node].preload.set_clock(offset)?;
            self.stepped.push((node, offset, rng.one_in(2)));
            what.push(format!("node {} by {:+.1} s", node + 1, offset as f64 / 1000.0));
        }
        Ok(Some(what.join(", ")))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        let mut seen = false;
        for (node, offset, back) in self.stepped.drain(..) {
            // A node that is down or paused does not say; one that does is enough.
            seen |= ahead_ms(node).is_some_and(|ahead| (ahead - offset).abs() <= offset.abs() / 2);
            if back {
                cluster.nodes[node].preload.set_clock(0)?;
            }
        }
        Ok(seen)
    }
}

/// How far a node's wall clock is ahead of this machine's, in milliseconds, as the node says (`TIME`).
fn ahead_ms(node: usize) -> Option<i64> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address(node), REDIS)), ASK_LIMIT).ok()?;
    stream.set_read_timeout(Some(ASK_LIMIT)).ok()?;
    stream.write_all(b"TIME\r\n").ok()?;
    let mut answer = [0; 128];
    let n = stream.read(&mut answer).ok()?;
    let text = std::str::from_utf8(&answer[..n]).ok()?;
    // Two strings: seconds, and microseconds within the second.
    let mut lines = text.split("\r\n");
    let (seconds, micros): (i64, i64) = (lines.nth(2)?.parse().ok()?, lines.nth(1)?.parse().ok()?);
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis();
    Some(seconds * 1000 + micros / 1000 - i64::try_from(ours).ok()?)
}

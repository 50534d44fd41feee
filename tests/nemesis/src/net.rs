//! A network of the run's own: a namespace for each node, and a hub with the bridge that joins them, where this process and
//! its clients live.
//!
//! ```text
//!   polder-nem-1 eth0 ══ v1 ─┐                           ┌─ br0 10.83.0.254: clients
//!   polder-nem-2 eth0 ══ v2 ─┼─ bridge br0 ─ (nft rules) ─┤
//!   polder-nem-3 eth0 ══ v3 ─┘   ▲ t1 t2 t3: TAP ports    └─
//!                                └─ frames of a delayed node take the way through `delay.py`
//! ```
//!
//! Rules stand in the bridge's forward hook, so they meet what nodes say to each other, never what a client says to a node.

use crate::tools::{Outcome, feed, run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the names of all namespaces begin with: a leftover of an earlier run is known by it.
const PREFIX: &str = "polder-nem-";

/// The device behind TAP ports.
const TUN: &str = "/dev/net/tun";

/// How long processes of an earlier run may take to end.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(5);

/// The network; taken down when dropped.
pub struct Net {
    nodes: usize,
    rules: BTreeMap<u64, Vec<String>>,
    next_rule: u64,
}

/// Rules that stand until they are lifted.
pub struct Imposed(u64);

/// The address of a node, counted from 0.
pub fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 83, 0, u8::try_from(node + 1).unwrap_or(u8::MAX))
}

/// The namespace of a node, as `nsenter --net=` wants it.
pub fn namespace_file(node: usize) -> String {
    format!("/run/netns/{}", namespace(node))
}

fn namespace(node: usize) -> String {
    format!("{PREFIX}{}", node + 1)
}

fn hub() -> String {
    format!("{PREFIX}hub")
}

impl Net {
    /// Sets the network up for `nodes` nodes and moves the calling thread, with the threads and processes that it will
    /// start, into the hub.
    ///
    /// # Errors
    /// The machine refused; nothing is left behind.
    pub fn set_up(nodes: usize) -> Outcome<Net> {
        remove_leftovers()?;
        let net = Net { nodes, rules: BTreeMap::new(), next_rule: 0 };
        net.build()?;
        let hub = format!("/run/netns/{}", hub());
        let file = File::open(&hub).map_err(|e| format!("{hub}: {e}"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|e| format!("{hub}: {e}"))?;
        Ok(net)
    }

    fn build(&self) -> Outcome {
        let hub = hub();
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link set lo up"))?;
        ip(&format!("-n {hub} link add br0 type bridge forward_delay 0 mcast_snooping 0"))?;
        ip(&format!("-n {hub} addr add 10.83.0.254/24 dev br0"))?;
        ip(&format!("-n {hub} link set br0 up"))?;
        for node in 0..self.nodes {
            let (inside, n) = (namespace(node), node + 1);
            ip(&format!("netns add {inside}"))?;
            ip(&format!("-n {inside} link set lo up"))?;
            ip(&format!("-n {hub} link add v{n} type veth peer name eth0 netns {inside}"))?;
            ip(&format!("-n {hub} link set v{n} master br0 up"))?;
            ip(&format!("-n {inside} addr add {}/24 dev eth0", address(node)))?;
            ip(&format!("-n {inside} link set eth0 up"))?;
        }
        Ok(())
    }

    /// How many nodes it joins.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Whether the bridge takes rules.
    ///
    /// # Errors
    /// The reason why not.
    pub fn try_rules(&mut self) -> Outcome {
        let imposed = self.impose(vec!["ip saddr 10.83.0.253 counter drop".to_owned()])?;
        self.lift(&imposed).map(drop)
    }

    /// Adds rules to what the bridge forwards; each should count what it meets.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn impose(&mut self, rules: Vec<String>) -> Outcome<Imposed> {
        let name = self.next_rule;
        self.next_rule += 1;
        self.rules.insert(name, rules);
        self.apply()?;
        Ok(Imposed(name))
    }

    /// Removes rules; the answer is how many frames all rules have met since any were last changed.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn lift(&mut self, imposed: &Imposed) -> Outcome<u64> {
        let met = met(&run("nft", &["list", "table", "bridge", "polder"])?);
        self.rules.remove(&imposed.0);
        self.apply()?;
        Ok(met)
    }

    fn apply(&self) -> Outcome {
        let rules: String =
            self.rules.values().flatten().map(|r| format!("add rule bridge polder forward {r}\n")).collect();
        let table = "table bridge polder { chain forward { type filter hook forward priority 0; policy accept; }; }\n";
        feed("nft", &["-f", "-"], &format!("{table}flush chain bridge polder forward\n{rules}")).map(drop)
    }

    /// Rules that drop what `from` sends to `to`.
    pub fn drop_between(from: usize, to: usize) -> String {
        format!("ip saddr {} ip daddr {} counter drop", address(from), address(to))
    }

    /// From here on the node answers every TCP segment with a reset.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn begin_resets(&self, node: usize) -> Outcome {
        let table = "table inet polder { chain input { type filter hook input priority 0; policy accept; \
                     iifname \"eth0\" meta l4proto tcp counter reject with tcp reset; }; }\n";
        feed("nsenter", &[&format!("--net={}", namespace_file(node)), "nft", "-f", "-"], table).map(drop)
    }

    /// Ends the resets; the answer is how many segments were answered with one.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn end_resets(&self, node: usize) -> Outcome<u64> {
        let inside = format!("--net={}", namespace_file(node));
        let listed = run("nsenter", &[&inside, "nft", "list", "table", "inet", "polder"])?;
        run("nsenter", &[&inside, "nft", "delete", "table", "inet", "polder"])?;
        Ok(met(&listed))
    }

    /// Sends the frames that leave `node` through its TAP port, where `delay.py` waits for them.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn begin_detour(&self, node: usize) -> Outcome {
        let n = node + 1;
        run("tc", &words(&format!("qdisc add dev v{n} ingress")))?;
        let filter = format!(
            "filter add dev v{n} parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev t{n}"
        );
        run("tc", &words(&filter)).map(drop)
    }

    /// Ends the detour.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn end_detour(&self, node: usize) -> Outcome {
        run("tc", &words(&format!("qdisc del dev v{} ingress", node + 1))).map(drop)
    }

    /// Adds the TAP ports of the detour, which take no part in learning or flooding, so that only redirected frames come by;
    /// and tries the detour.
    ///
    /// # Errors
    /// The reason why the machine does not allow it.
    pub fn try_detour(&self) -> Outcome {
        if !Path::new(TUN).exists() {
            return Err(format!("there is no {TUN}"));
        }
        for n in 1..=self.nodes {
            ip(&format!("tuntap add dev t{n} mode tap"))?;
            ip(&format!("link set t{n} master br0 up"))?;
            ip(&format!("link set t{n} type bridge_slave learning off flood off mcast_flood off bcast_flood off"))?;
        }
        self.begin_detour(0)?;
        self.end_detour(0)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Err(error) = remove_leftovers() {
            eprintln!("nemesis: the network could not be removed: {error}");
        }
    }
}

/// How many frames the counters of a listing show.
fn met(listing: &str) -> u64 {
    let counts = listing.split("counter packets ").skip(1);
    counts.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn ip(line: &str) -> Outcome {
    run("ip", &words(line)).map(drop)
}

/// Ends the processes in namespaces with our prefix, and the namespaces.
fn remove_leftovers() -> Outcome {
    for name in leftovers() {
        let deadline = Instant::now() + LEFTOVER_LIMIT;
        loop {
            let pids = run("ip", &["netns", "pids", &name])?;
            // This process lives in the hub, and is no leftover.
            let own = std::process::id().to_string();
            let pids: Vec<&str> = pids.split_whitespace().filter(|pid| *pid != own).collect();
            if pids.is_empty() || Instant::now() >= deadline {
                break;
            }
            let _ = run("kill", &[&["-KILL"], &pids[..]].concat());
            std::thread::sleep(Duration::from_millis(20));
        }
        run("ip", &["netns", "delete", &name])?;
    }
    Ok(())
}

fn leftovers() -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new("/run/netns")) else {
        // No namespace was ever made on this machine.
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(PREFIX)).collect()
}

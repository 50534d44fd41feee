//! The text of the development cluster's status.

use super::child::Node;
use super::layout::{Layout, local};
use super::probe::{Health, Seen};
use crate::status::Status;
use crate::table::{align, row, span};
use std::time::Duration;

/// The first line: what is being started, and where.
pub fn greeting(layout: &Layout) -> String {
    let found = if layout.has_data { "with the data of" } else { "with new data in" };
    let count = layout.nodes.len();
    let nodes = if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    format!("Polder {}: starting {nodes} {found} {}", env!("CARGO_PKG_VERSION"), layout.shown)
}

/// The live block: nodes, leaders, commands to paste.
pub fn block(layout: &Layout, nodes: &[Node], seen: &[Seen], up: Duration) -> Vec<String> {
    let status = cluster(seen);
    let status = status.as_ref();
    let mut rows = vec![row([&"node", &"state", &"pid", &"up", &"memory", &"redis", &"cluster", &"http", &"leads"])];
    for (node, seen) in nodes.iter().zip(seen) {
        let dash = || "-".to_owned();
        let plan = &node.plan;
        let pid = node.pid().map_or_else(dash, |pid| pid.to_string());
        let up = node.uptime().map_or_else(dash, span);
        let memory = node.resident_bytes().map_or_else(dash, |bytes| format!("{} MiB", bytes >> 20));
        let leads = status.map_or_else(dash, |s| s.led_by(plan.id));
        let name = format!("n{}", plan.id);
        let (redis, cluster, http) = (local(plan.redis), local(plan.redis_cluster), local(plan.http));
        rows.push(row([&name, &state(node, seen.health), &pid, &up, &memory, &redis, &cluster, &http, &leads]));
    }
    let mut lines = vec![String::new()];
    lines.extend(align(&rows));
    lines.push(String::new());
    lines.push(leaders(status));
    for (node, seen) in nodes.iter().zip(seen).filter(|(_, seen)| !seen.reason.is_empty()) {
        lines.push(format!("n{} is not ready: {}", node.plan.id, seen.reason));
    }
    lines.push(String::new());
    lines.extend(commands(layout));
    lines.push(String::new());
    lines.push(format!(
        "cluster {}, up {}; logs in {}/n*/log.txt; Ctrl-C stops it, the data stays",
        layout.cluster(),
        span(up),
        layout.shown
    ));
    lines
}

/// What the nodes that answer say of the cluster, put together.
pub fn cluster(seen: &[Seen]) -> Option<Status> {
    let answering = seen.iter().filter(|s| matches!(s.health, Health::Ready | Health::NotReady));
    Status::merge(answering.filter_map(|s| s.status.clone()))
}

fn state(node: &Node, health: Health) -> String {
    let restarted = match node.restarts {
        0 => String::new(),
        n => format!(", restarted {n}×"),
    };
    let now = match (node.pid(), health) {
        (None, _) => "down",
        (_, Health::Starting) => "starting",
        (_, Health::Ready) => "ready",
        (_, Health::NotReady) => "not ready",
        (_, Health::Silent) => "silent",
    };
    format!("{now}{restarted}")
}

fn leaders(status: Option<&Status>) -> String {
    match status {
        None => "no node tells yet who leads".to_owned(),
        Some(s) if s.leaderless() > 0 => format!("{} of {} shards without a leader", s.leaderless(), s.shards.len()),
        Some(s) => format!("all {} shards have a leader", s.shards.len()),
    }
}

fn commands(layout: &Layout) -> Vec<String> {
    let Some(first) = layout.nodes.first() else { return Vec::new() };
    // As it was called here, so that the line can be pasted where `polder` is not on the path.
    let polder = std::env::args().next().unwrap_or_else(|| "polder".to_owned());
    align(&[
        row([&format!("redis-cli -p {}", first.redis), &"any keys together, on any node"]),
        row([&format!("redis-cli -c -p {}", first.redis_cluster), &"sharded, Redis Cluster protocol"]),
        row([&format!("{polder} status --http {}", local(first.http)), &"every shard and its leader"]),
    ])
}

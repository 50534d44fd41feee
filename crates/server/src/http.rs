//! Health and status over HTTP.
//!
//! ```text
//!   GET /livez    200 while the process runs
//!   GET /readyz   200 when this node can serve, else 503 with one reason a line
//!   GET /status   the cluster as this node sees it, JSON
//!   GET /metrics  counters, in the text format of Prometheus
//! ```

use crate::founding::Reason;
use crate::node::Node;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::NodeId;
use tokio::net::TcpListener;

/// Polder's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Serves until the task is dropped.
pub async fn serve(node: Arc<Node>, listener: TcpListener) {
    let app = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(node);
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "HTTP ended");
    }
}

/// Serves while a node waits for others before it takes part.
pub async fn serve_waiting(reason: Reason, listener: TcpListener) {
    let ready =
        |State(reason): State<Reason>| async move { (StatusCode::SERVICE_UNAVAILABLE, reason.lock().clone() + "\n") };
    let app =
        Router::new().route("/livez", get(|| async { "alive\n" })).route("/readyz", get(ready)).with_state(reason);
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "HTTP ended");
    }
}

/// Why this node cannot serve; empty when it can.
fn reasons(node: &Node) -> Vec<String> {
    let mut reasons = Vec::new();
    if node.draining() {
        reasons.push("the node is shutting down".to_owned());
    }
    reasons.extend(node.fenced().into_iter().map(|(shard, why)| format!("the replica of {shard} is fenced: {why}")));
    reasons.extend(node.engine_damage().map(|why| format!("the engine is damaged and to be rebuilt: {why}")));
    let table = node.shared.table();
    let leaderless = table.shards.values().filter(|s| s.local.is_some() && s.leader().is_none());
    reasons.extend(leaderless.map(|s| format!("{} has no known leader", s.id)));
    reasons
}

async fn ready(State(node): State<Arc<Node>>) -> Response {
    let reasons = reasons(&node);
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

#[derive(Serialize)]
struct StatusBody {
    node: u64,
    cluster: String,
    version: &'static str,
    ready: bool,
    nodes: Vec<NodeBody>,
    shards: Vec<ShardBody>,
}

#[derive(Serialize)]
struct NodeBody {
    id: u64,
    redis: String,
    redis_cluster: String,
    http: String,
    peer: String,
    zone: String,
    alive: bool,
}

#[derive(Serialize)]
struct ShardBody {
    id: u32,
    namespace: String,
    slots: [u16; 2],
    replicas: Vec<u64>,
    leader: Option<u64>,
    term: u64,
    applied: u64,
    commit: u64,
    hosted: bool,
}

async fn status(State(node): State<Arc<Node>>) -> Json<StatusBody> {
    let table = node.shared.table();
    let map = &table.map;
    let nodes = map.nodes.iter().map(|(id, n)| NodeBody {
        id: *id,
        redis: n.redis.clone(),
        redis_cluster: n.redis_cluster.clone(),
        http: n.http.clone(),
        peer: n.peer.clone(),
        zone: n.zone.clone(),
        alive: node.alive(NodeId(*id)),
    });
    let shards = table.shards.values().filter_map(|s| {
        let record = map.shards.get(&s.id.0)?;
        Some(ShardBody {
            id: s.id.0,
            namespace: map.namespaces.get(&s.namespace).map_or_else(String::new, |n| n.name.clone()),
            slots: [record.slots.start, record.slots.end],
            replicas: record.replicas.clone(),
            leader: s.leader().map(|n| n.0),
            term: s.term(),
            applied: s.applied(),
            commit: s.committed(),
            hosted: s.local.is_some(),
        })
    });
    Json(StatusBody {
        node: node.id.0,
        cluster: node.config.cluster.clone(),
        version: VERSION,
        ready: reasons(&node).is_empty(),
        nodes: nodes.collect(),
        shards: shards.collect(),
    })
}

async fn metrics(State(node): State<Arc<Node>>) -> Response {
    let stats = &node.gateway.stats;
    let usage = node.gateway.usage();
    let mut out = String::new();
    let mut line = |name: &str, kind: &str, help: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP polder_{name} {help}\n# TYPE polder_{name} {kind}\npolder_{name} {value}");
    };
    line("connected_clients", "gauge", "Client connections.", node.gateway.clients.len() as u64);
    line("connections_total", "counter", "Connections accepted.", stats.connections.load(Relaxed));
    line("commands_total", "counter", "Commands processed.", stats.commands.load(Relaxed));
    line("local_reads_total", "counter", "Reads served under a lease.", stats.local_reads.load(Relaxed));
    line("errors_total", "counter", "Error replies.", stats.errors.load(Relaxed));
    line("received_bytes_total", "counter", "Bytes read from clients.", stats.bytes_in.load(Relaxed));
    line("sent_bytes_total", "counter", "Bytes written to clients.", stats.bytes_out.load(Relaxed));
    line("resident_bytes", "gauge", "Resident memory.", usage.resident);
    line("shards_led", "gauge", "Shards this node leads.", node.leading() as u64);
    line("requests_pending", "gauge", "Requests under way.", node.pending() as u64);
    line("peer_messages_dropped_total", "counter", "Messages to peers thrown away.", node.peers.dropped());
    line("ready", "gauge", "Whether the node can serve.", u64::from(reasons(&node).is_empty()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response()
}

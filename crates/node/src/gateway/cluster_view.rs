//! The cluster as clients of the Redis Cluster protocol see it.
//!
//! A node of Polder leads any number of shards, so one "master" here may own several disjoint ranges of slots, which the
//! protocol allows. A shard without a known leader is shown with the node that prefers to lead it: a request sent there
//! waits for the election or is redirected.

use super::context::Context;
use crate::shared::ShardHandle;
use ::cluster::{NamespaceId, NodeRecord, SLOT_COUNT, SlotRange};
use command::Reply;
use std::fmt::Write as _;
use stdx::{NodeId, Rng};

/// The number a port of the cluster bus is above the client port; shown because the format has a field for it.
const BUS_OFFSET: u32 = 10_000;
/// Bytes of the name of a node.
const NAME_BYTES: usize = 20;

/// The name of a node in the protocol: 40 hexadecimal digits, always the same for the same number.
#[must_use]
pub(super) fn node_name(node: NodeId) -> String {
    let mut rng = Rng::new(node.0);
    let mut name = String::with_capacity(NAME_BYTES * 2);
    while name.len() < NAME_BYTES * 2 {
        // Writing to a String cannot fail.
        let _ = write!(name, "{:016x}", rng.next_u64());
    }
    name.truncate(NAME_BYTES * 2);
    name
}

/// One range of slots with those who serve it.
struct Range<'a> {
    slots: SlotRange,
    master: NodeId,
    replicas: Vec<NodeId>,
    handle: &'a ShardHandle,
}

fn ranges<'a>(namespace: NamespaceId, cx: Context<'a>) -> Vec<Range<'a>> {
    let mut out: Vec<Range<'a>> = cx
        .table
        .shards_of(namespace)
        .filter_map(|handle| {
            let record = cx.table.map.shards.get(&handle.id.0)?;
            let preferred = record.replicas.iter().map(|n| NodeId(*n)).find(|n| cx.gateway.alive(*n));
            let master = handle.leader().or(preferred).or_else(|| record.replicas.first().map(|n| NodeId(*n)))?;
            let replicas = record.replicas.iter().map(|n| NodeId(*n)).filter(|n| *n != master).collect();
            Some(Range { slots: record.slots, master, replicas, handle: handle.as_ref() })
        })
        .collect();
    // Clients take a node for either a master or a replica: one that leads anything is a master.
    let masters: Vec<NodeId> = out.iter().map(|r| r.master).collect();
    out.iter_mut().for_each(|r| r.replicas.retain(|n| !masters.contains(n)));
    out.sort_by_key(|r| r.slots.start);
    out
}

/// `host:port` as the two words of the protocol. An address that cannot be split is shown as it is, with port 0.
fn endpoint(node: &NodeRecord) -> (&str, u16) {
    let split = node.redis_cluster.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = split.unwrap_or((node.redis_cluster.as_str(), 0));
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

fn bulk(s: impl Into<String>) -> Reply {
    Reply::Bulk(s.into().into())
}

/// CLUSTER SLOTS.
pub(super) fn slots(namespace: NamespaceId, cx: Context<'_>) -> Reply {
    let node = |id: NodeId| {
        let (host, port) = cx.table.map.nodes.get(&id.0).map(endpoint)?;
        Some(Reply::Array(vec![bulk(host), Reply::Integer(port.into()), bulk(node_name(id)), Reply::Array(Vec::new())]))
    };
    let entry = |range: Range<'_>| {
        let mut items = vec![Reply::Integer(range.slots.start.into()), Reply::Integer(range.slots.end.into())];
        items.extend(node(range.master));
        items.extend(range.replicas.into_iter().filter(|n| cx.gateway.alive(*n)).filter_map(node));
        Reply::Array(items)
    };
    Reply::Array(ranges(namespace, cx).into_iter().map(entry).collect())
}

/// CLUSTER SHARDS.
pub(super) fn shards(namespace: NamespaceId, cx: Context<'_>) -> Reply {
    let node = |id: NodeId, role: &'static str, applied: u64| {
        let (host, port) = cx.table.map.nodes.get(&id.0).map(endpoint)?;
        let health = if cx.gateway.alive(id) { "online" } else { "failed" };
        Some(Reply::Map(vec![
            (bulk("id"), bulk(node_name(id))),
            (bulk("port"), Reply::Integer(port.into())),
            (bulk("ip"), bulk(host)),
            (bulk("endpoint"), bulk(host)),
            (bulk("role"), bulk(role)),
            (bulk("replication-offset"), Reply::Integer(i64::try_from(applied).unwrap_or(i64::MAX))),
            (bulk("health"), bulk(health)),
        ]))
    };
    let entry = |range: Range<'_>| {
        let applied = range.handle.applied();
        let mut nodes = Vec::from_iter(node(range.master, "master", applied));
        nodes.extend(range.replicas.into_iter().filter_map(|n| node(n, "replica", applied)));
        let slots = vec![Reply::Integer(range.slots.start.into()), Reply::Integer(range.slots.end.into())];
        Reply::Map(vec![(bulk("slots"), Reply::Array(slots)), (bulk("nodes"), Reply::Array(nodes))])
    };
    Reply::Array(ranges(namespace, cx).into_iter().map(entry).collect())
}

/// CLUSTER NODES: every node is a master, with the slots of the shards it leads.
pub(super) fn nodes(namespace: NamespaceId, cx: Context<'_>) -> Reply {
    let ranges = ranges(namespace, cx);
    let mut out = String::new();
    for (id, node) in &cx.table.map.nodes {
        let id = NodeId(*id);
        let (host, port) = endpoint(node);
        let alive = cx.gateway.alive(id);
        let flags = match (id == cx.gateway.node, alive) {
            (true, _) => "myself,master",
            (false, true) => "master",
            (false, false) => "master,fail?",
        };
        let link = if alive { "connected" } else { "disconnected" };
        let bus = u32::from(port) + BUS_OFFSET;
        let epoch = cx.table.map.version;
        let _ = write!(out, "{} {host}:{port}@{bus} {flags} - 0 0 {epoch} {link}", node_name(id));
        for range in ranges.iter().filter(|r| r.master == id) {
            let _ = match (range.slots.start, range.slots.end) {
                (a, b) if a == b => write!(out, " {a}"),
                (a, b) => write!(out, " {a}-{b}"),
            };
        }
        out.push('\n');
    }
    Reply::Verbatim(*b"txt", out.into())
}

/// CLUSTER INFO.
pub(super) fn info(namespace: NamespaceId, cx: Context<'_>) -> Reply {
    let width = |r: &Range<'_>| u32::from(r.slots.end - r.slots.start) + 1;
    let ranges = ranges(namespace, cx);
    let led: u32 = ranges.iter().filter(|r| r.handle.leader().is_some()).map(width).sum();
    let masters = cx.table.map.nodes.keys().filter(|n| ranges.iter().any(|r| r.master.0 == **n)).count();
    let all = u32::from(SLOT_COUNT);
    let state = if led == all { "ok" } else { "fail" };
    let epoch = cx.table.map.version;
    let nodes = cx.table.map.nodes.len();
    let lines = format!(
        "cluster_enabled:1\r\ncluster_state:{state}\r\ncluster_slots_assigned:{all}\r\ncluster_slots_ok:{led}\r\n\
         cluster_slots_pfail:{}\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{nodes}\r\ncluster_size:{masters}\r\n\
         cluster_current_epoch:{epoch}\r\ncluster_my_epoch:{epoch}\r\ncluster_stats_messages_sent:0\r\n\
         cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n",
        all - led,
    );
    Reply::Verbatim(*b"txt", lines.into())
}

/// CLUSTER LINKS: one connection to each other node and one from it.
pub(super) fn links(cx: Context<'_>) -> Reply {
    let mut out = Vec::new();
    for id in cx.table.map.nodes.keys().map(|n| NodeId(*n)).filter(|n| *n != cx.gateway.node && cx.gateway.alive(*n)) {
        for (direction, events) in [("to", "w"), ("from", "r")] {
            out.push(Reply::Map(vec![
                (bulk("direction"), bulk(direction)),
                (bulk("node"), bulk(node_name(id))),
                (bulk("create-time"), Reply::Integer(0)),
                (bulk("events"), bulk(events)),
                (bulk("send-buffer-allocated"), Reply::Integer(0)),
                (bulk("send-buffer-used"), Reply::Integer(0)),
            ]));
        }
    }
    Reply::Array(out)
}

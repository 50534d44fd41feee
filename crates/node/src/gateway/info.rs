//! INFO: the sections of Redis that mean something here, and one of Polder's own.

use super::commands::evaluate;
use super::context::Context;
use super::session::Port;
use crate::pubsub::Kind;
use bytes::Bytes;
use cluster::{Layout, Slot};
use command::{Command, Reply, specs};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The sections, in the order of Redis; the flag says whether INFO without words shows them.
const SECTIONS: [(&str, bool); 12] = [
    ("server", true),
    ("clients", true),
    ("memory", true),
    ("persistence", true),
    ("stats", true),
    ("replication", true),
    ("cpu", true),
    ("commandstats", false),
    ("errorstats", true),
    ("latencystats", false),
    ("cluster", true),
    ("keyspace", true),
];

/// The text of INFO with these words.
pub(super) fn render(words: &[Bytes], port: Port, cx: Context<'_>) -> String {
    let wanted = |name: &str, default: bool| {
        if words.is_empty() {
            return default;
        }
        words.iter().any(|w| {
            w.eq_ignore_ascii_case(name.as_bytes())
                || w.eq_ignore_ascii_case(b"all")
                || w.eq_ignore_ascii_case(b"everything")
                || (default && w.eq_ignore_ascii_case(b"default"))
        })
    };
    let mut out = String::new();
    for (name, default) in SECTIONS {
        if !wanted(name, default) {
            continue;
        }
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        section(name, port, cx, &mut out);
    }
    out
}

fn section(name: &str, port: Port, cx: Context<'_>, out: &mut String) {
    match name {
        "server" => server(port, cx, out),
        "clients" => clients(cx, out),
        "memory" => memory(cx, out),
        "persistence" => persistence(out),
        "stats" => stats(cx, out),
        "replication" => replication(out),
        "cpu" => cpu(cx, out),
        "commandstats" => command_stats(cx, out),
        "errorstats" => error_stats(cx, out),
        "latencystats" => latency_stats(cx, out),
        "cluster" => title("Cluster", &[("cluster_enabled", &u8::from(port == Port::Cluster))], out),
        _ => keyspace(port, cx, out),
    }
}

type Field<'a> = (&'a str, &'a dyn std::fmt::Display);

fn title(name: &str, fields: &[Field<'_>], out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "# {name}\r\n");
    for (field, value) in fields {
        let _ = write!(out, "{field}:{value}\r\n");
    }
}

fn server(port: Port, cx: Context<'_>, out: &mut String) {
    let facts = &cx.gateway.facts;
    let up = cx.now.since(cx.gateway.started).as_secs();
    let (mode, tcp) = match port {
        Port::Plain => ("standalone", facts.port),
        Port::Cluster => ("cluster", facts.cluster_port),
    };
    title(
        "Server",
        &[
            ("redis_version", &super::commands::REDIS_VERSION),
            ("redis_mode", &mode),
            ("polder_version", &facts.version),
            ("polder_node", &cx.gateway.node.0),
            ("polder_map_version", &cx.table.map.version),
            ("os", &facts.os),
            ("arch_bits", &usize::BITS),
            ("process_id", &facts.pid),
            ("run_id", &facts.run_id),
            ("tcp_port", &tcp),
            ("server_time_usec", &(cx.wall.0 * 1000)),
            ("uptime_in_seconds", &up),
            ("uptime_in_days", &(up / 86_400)),
            ("hz", &cx.gateway.settings.value("hz")),
            ("config_file", &facts.config_file),
        ],
        out,
    );
}

fn clients(cx: Context<'_>, out: &mut String) {
    let connected = cx.gateway.clients.len();
    let blocked = cx.gateway.clients.blocked();
    let max = cx.gateway.settings.max_clients();
    title(
        "Clients",
        &[
            ("connected_clients", &connected),
            ("cluster_connections", &0),
            ("maxclients", &max),
            ("blocked_clients", &blocked),
            ("tracking_clients", &0),
        ],
        out,
    );
}

fn memory(cx: Context<'_>, out: &mut String) {
    let usage = cx.gateway.usage();
    title(
        "Memory",
        &[
            ("used_memory", &usage.resident),
            ("used_memory_human", &human(usage.resident)),
            ("used_memory_rss", &usage.resident),
            ("used_memory_rss_human", &human(usage.resident)),
            ("used_memory_peak", &usage.resident_peak),
            ("used_memory_peak_human", &human(usage.resident_peak)),
            ("total_system_memory", &cx.gateway.facts.memory_total),
            ("maxmemory", &cx.gateway.settings.value("maxmemory")),
            ("maxmemory_policy", &cx.gateway.settings.value("maxmemory-policy")),
        ],
        out,
    );
}

fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "K", "M", "G"] {
        if value < 1024.0 {
            return format!("{value:.2}{unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.2}T")
}

fn persistence(out: &mut String) {
    title(
        "Persistence",
        &[
            ("loading", &0),
            ("rdb_bgsave_in_progress", &0),
            ("aof_enabled", &1),
            ("aof_rewrite_in_progress", &0),
            ("aof_last_write_status", &"ok"),
        ],
        out,
    );
}

fn stats(cx: Context<'_>, out: &mut String) {
    let s = &cx.gateway.stats;
    let get = |c: &AtomicU64| c.load(Relaxed);
    let namespaces = || cx.table.map.namespaces.keys();
    let count = |kind| namespaces().map(|namespace| cx.gateway.hub.count(kind, *namespace)).sum::<usize>();
    title(
        "Stats",
        &[
            ("total_connections_received", &get(&s.connections)),
            ("total_commands_processed", &get(&s.commands)),
            ("total_net_input_bytes", &get(&s.bytes_in)),
            ("total_net_output_bytes", &get(&s.bytes_out)),
            ("rejected_connections", &get(&s.rejected_connections)),
            ("total_error_replies", &get(&s.errors)),
            ("polder_local_reads", &get(&s.local_reads)),
            ("evicted_keys", &0),
            ("pubsub_channels", &count(Kind::Channel)),
            ("pubsub_patterns", &count(Kind::Pattern)),
            ("pubsubshard_channels", &count(Kind::Shard)),
        ],
        out,
    );
}

/// To clients every node is a master: replication happens below the protocol.
fn replication(out: &mut String) {
    title("Replication", &[("role", &"master"), ("connected_slaves", &0), ("master_repl_offset", &0)], out);
}

fn cpu(cx: Context<'_>, out: &mut String) {
    let usage = cx.gateway.usage();
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    title(
        "CPU",
        &[("used_cpu_sys", &seconds(usage.cpu_system_us)), ("used_cpu_user", &seconds(usage.cpu_user_us))],
        out,
    );
}

/// How long a command took is the time until its reply was there: with the way to the shard's leader and, for a write, the
/// fsync on a majority.
fn command_stats(cx: Context<'_>, out: &mut String) {
    title("Commandstats", &[], out);
    for (name, c) in cx.gateway.stats.by_command() {
        let _ = write!(
            out,
            "cmdstat_{name}:calls={},usec={},usec_per_call={:.2},rejected_calls={},failed_calls={}\r\n",
            c.calls,
            c.nanos / 1000,
            c.nanos as f64 / 1000.0 / c.calls.max(1) as f64,
            c.rejected,
            c.failed
        );
    }
}

fn latency_stats(cx: Context<'_>, out: &mut String) {
    title("Latencystats", &[], out);
    let percentiles = cx.gateway.settings.percentiles();
    for spec in specs() {
        let Some(times) = cx.gateway.stats.times(spec) else { continue };
        let one = |p: &f64| times.percentile(*p).map(|nanos| format!("p{p}={:.3}", nanos as f64 / 1000.0));
        let all: Vec<String> = percentiles.iter().filter_map(one).collect();
        let _ = write!(out, "latency_percentiles_usec_{}:{}\r\n", spec.name, all.join(","));
    }
}

fn error_stats(cx: Context<'_>, out: &mut String) {
    title("Errorstats", &[], out);
    for (code, count) in cx.gateway.stats.by_error() {
        let _ = write!(out, "errorstat_{code}:count={count}\r\n");
    }
}

/// Counts keys in the replicas held here, as applied: exact, though a moment old where another node leads. A shard
/// without a replica here is left out. How many keys expire is not counted by the shards and shown as 0.
fn keyspace(port: Port, cx: Context<'_>, out: &mut String) {
    title("Keyspace", &[], out);
    let Ok(count) = Command::parse([Bytes::from_static(b"DBSIZE")].into_iter().collect()) else { return };
    let keys = |handle: &crate::shared::ShardHandle, db: u16| match evaluate(handle, &count, db, 2, cx.wall, 0) {
        Some(Reply::Integer(n)) => Some(n),
        _ => None,
    };
    let mut line = |db: u16, keys: i64| {
        if keys > 0 {
            let _ = write!(out, "db{db}:keys={keys},expires=0,avg_ttl=0\r\n");
        }
    };
    let layout = if port == Port::Cluster { Layout::Sharded } else { Layout::Colocated };
    let shards = || cx.table.shards.values().filter(|s| s.layout == layout);
    if port == Port::Cluster {
        let led = shards().filter(|s| s.leader() == Some(cx.gateway.node));
        line(0, led.filter_map(|s| keys(s, 0)).sum());
    } else if let Some(shard) =
        shards().find(|s| cx.table.shard(s.namespace, Slot(0)).is_some_and(|only| only.id == s.id))
    {
        for db in 0..state::DATABASES {
            line(db, keys(shard, db).unwrap_or(0));
        }
    }
}

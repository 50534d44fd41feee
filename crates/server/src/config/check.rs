//! Turns what was written into typed values and checks the relations between them.

use super::error::{ConfigErrors, Origin};
use super::settings::{self, show_duration, show_size};
use super::source::{Values, Written};
use super::typed::{Typed, record_of};
use super::{Config, Listen};
use cluster::NodeRecord;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// More initial nodes than this are a mistake: each talks to every other.
const PEERS_MAX: usize = 99;

/// Checks everything. `None` only if errors were pushed.
pub(super) fn check(written: &Values, errors: &mut ConfigErrors) -> Option<Config> {
    let typed = Typed::new(written, errors)?;
    let mut warnings = written.warnings.clone();
    let listen = Listen {
        peer: typed.address("listen.peer"),
        redis: typed.address("listen.redis"),
        redis_cluster: typed.address("listen.redis_cluster"),
        http: typed.address("listen.http"),
    };
    let peers = read_peers(written, &listen, errors);
    let config = typed.assemble(listen, peers);
    if !written.incomplete {
        check_addresses(&typed, &config, &mut warnings, errors);
        check_peers(&typed, &config, &mut warnings, errors);
        check_times(&typed, &config, errors);
        check_sizes(&typed, &config, errors);
        check_data_dir(&typed, &config.data_dir, errors);
    }
    let own = config.peers.get(&config.node.0).cloned();
    Some(Config { advertise: own.unwrap_or_else(|| record_of(&listen, &config.zone)), warnings, ..config })
}

fn read_peers(written: &Values, listen: &Listen, errors: &mut ConfigErrors) -> BTreeMap<u64, NodeRecord> {
    let mut peers = BTreeMap::new();
    for (id, fields) in &written.peers {
        let at = written.peer_origins.get(id).cloned().unwrap_or(Origin::Default);
        let mut missing = Vec::new();
        let mut endpoint = |name: &'static str, port: u16| match (fields.get(name), fields.get("host")) {
            (Some(Written { text, origin }), _) => {
                if !text.is_empty() && !is_endpoint(text) {
                    let what = format!("`peers.{id}.{name}`: {text:?} is not an address others can connect to");
                    errors.push(origin, what, "write host:port, such as \"10.0.0.2:8379\" or \"node2.example:8379\"");
                }
                text.clone()
            }
            (None, Some(host)) if host.text.contains(':') => {
                format!("[{}]:{port}", host.text.trim_matches(['[', ']']))
            }
            (None, Some(host)) => format!("{}:{port}", host.text),
            (None, None) => {
                missing.push(name);
                String::new()
            }
        };
        let record = NodeRecord {
            redis: endpoint("redis", listen.redis.port()),
            redis_cluster: endpoint("redis_cluster", listen.redis_cluster.port()),
            peer: endpoint("peer", listen.peer.port()),
            http: endpoint("http", listen.http.port()),
            zone: fields.get("zone").map(|w| w.text.clone()).unwrap_or_default(),
        };
        if !missing.is_empty() && !written.incomplete {
            let what = format!("[peers.{id}] does not say {}", missing.join(", "));
            errors.push(&at, what, "give host = \"10.0.0.2\" for the usual ports, or each of them as host:port");
        }
        if let Some(zone) = fields.get("zone").filter(|w| !settings::is_name(&w.text)) {
            let remedy = format!("write {}", settings::Kind::NameOrEmpty.describe());
            errors.push(&zone.origin, format!("`peers.{id}.zone`: {:?} is not a name", zone.text), remedy);
        }
        peers.insert(*id, record);
    }
    peers
}

/// Whether `text` is `host:port` with a host that means something on another machine.
fn is_endpoint(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() != 0 && !address.ip().is_unspecified();
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host_ok =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    host_ok && port.parse::<u16>().is_ok_and(|p| p != 0)
}

fn check_addresses(typed: &Typed<'_>, config: &Config, warnings: &mut Vec<String>, errors: &mut ConfigErrors) {
    let keys = ["listen.redis", "listen.redis_cluster", "listen.peer", "listen.http"];
    for (i, a) in keys.iter().enumerate() {
        for b in &keys[i + 1..] {
            let (x, y) = (typed.address(a), typed.address(b));
            let overlap = x.ip() == y.ip() || x.ip().is_unspecified() || y.ip().is_unspecified();
            if typed.usable(&[a, b]) && x.port() == y.port() && overlap {
                errors.push(
                    &typed.culprit(&[b, a]),
                    format!("`{b}` ({y}) and `{a}` ({x}) share a port"),
                    "give each its own port",
                );
            }
        }
    }
    let open: Vec<_> = keys.iter().filter(|k| typed.usable(&[k]) && !typed.address(k).ip().is_loopback()).collect();
    if typed.flag("protected_mode") && typed.usable(&["protected_mode"]) {
        for key in open {
            let what = format!(
                "`{key}` = {} can be reached from other machines, and nobody must authenticate",
                typed.address(key)
            );
            let remedy = "listen on 127.0.0.1, or set protected_mode = false if every machine that reaches it may read and write everything";
            errors.push(&typed.origin(key), what, remedy);
        }
    } else if !open.is_empty() {
        let open: Vec<_> = open.iter().map(|k| typed.address(k).to_string()).collect();
        let open = open.join(", ");
        warnings.push(format!(
            "protected mode is off: whoever reaches {open} can read, change and delete everything without a password"
        ));
    }
    let wildcard = keys.iter().find(|k| typed.address(k).ip().is_unspecified());
    if let Some(key) = wildcard.filter(|_| !typed.written.peers.contains_key(&config.node.0)) {
        let what = format!("`{key}` = {} is no address that clients and peers can be sent to", typed.address(key));
        errors.push(
            &typed.origin(key),
            what,
            format!("say how others reach this node: [peers.{}] host = \"10.0.0.1\"", config.node.0),
        );
    }
}

fn check_peers(typed: &Typed<'_>, config: &Config, warnings: &mut Vec<String>, errors: &mut ConfigErrors) {
    let node = config.node.0;
    if !config.peers.contains_key(&node) && typed.usable(&["node"]) {
        let listed: Vec<_> = config.peers.keys().map(u64::to_string).collect();
        let what = format!("node {node} is not one of the peers ({})", listed.join(", "));
        let remedy =
            if typed.is_written("node") { "add" } else { "say which peer this node is with `node = …`, or add" };
        errors.push(
            &typed.origin("node"),
            what,
            format!("{remedy} [peers.{node}]: the list names every initial node, this one included"),
        );
    }
    if config.peers.len() > PEERS_MAX {
        let what = format!("{} peers are more than {PEERS_MAX}", config.peers.len());
        errors.push(&typed.origin("node"), what, "begin with fewer nodes");
    }
    let mut users: BTreeMap<&str, String> = BTreeMap::new();
    for (id, record) in &config.peers {
        let fields = [
            ("redis", &record.redis),
            ("redis_cluster", &record.redis_cluster),
            ("peer", &record.peer),
            ("http", &record.http),
        ];
        for (name, address) in fields {
            let Some(other) = users.insert(address, format!("peers.{id}.{name}")) else {
                continue;
            };
            if !address.is_empty() {
                let origin = typed.written.peer_origins.get(id).cloned().unwrap_or(Origin::Default);
                errors.push(
                    &origin,
                    format!("`peers.{id}.{name}` = {address} is also `{other}`"),
                    "give every endpoint its own address",
                );
            }
        }
    }
    if config.peers.len() == 2 {
        warnings.push("a cluster of two nodes stops when either of them stops: use one, or three and more".into());
    }
}

/// A duration must be shorter than a part of another one.
struct Shorter {
    short: &'static str,
    long: &'static str,
    /// The part, in percent and in words.
    percent: u32,
    part: &'static str,
    why: &'static str,
}

const RELATIONS: [Shorter; 5] = [
    Shorter {
        short: "raft.heartbeat",
        long: "raft.lease",
        percent: 50,
        part: "half of ",
        why: "one lost heartbeat must not cost the lease",
    },
    Shorter {
        short: "raft.lease",
        long: "raft.vote_guard",
        percent: 90,
        part: "nine tenths of ",
        why: "a lease must have ended before another leader can exist, even where clocks run at different speeds",
    },
    Shorter {
        short: "raft.vote_guard",
        long: "raft.election_timeout",
        percent: 100,
        part: "",
        why: "silence must end the guard before it starts an election",
    },
    Shorter {
        short: "timeouts.leader_wait",
        long: "timeouts.request",
        percent: 100,
        part: "",
        why: "the wait is a part of the request's time",
    },
    Shorter {
        short: "limits.script.time",
        long: "timeouts.request",
        percent: 100,
        part: "",
        why: "a script runs within its request's time",
    },
];

fn check_shorter(typed: &Typed<'_>, relation: &Shorter, errors: &mut ConfigErrors) {
    let Shorter { short, long, percent, part, why } = *relation;
    let (x, y) = (typed.duration(short), typed.duration(long));
    if !typed.usable(&[short, long]) || x * 100 < y * percent {
        return;
    }
    let (x, y) = (show_duration(x), show_duration(y));
    let what = format!("`{short}` ({x}) must be shorter than {part}`{long}` ({y}): {why}");
    let remedy = format!("lower `{short}` or raise `{long}`; the defaults suit most networks");
    errors.push(&typed.culprit(&[short, long]), what, remedy);
}

fn check_times(typed: &Typed<'_>, config: &Config, errors: &mut ConfigErrors) {
    if config.raft.tick > config.raft.heartbeat && typed.usable(&["raft.tick", "raft.heartbeat"]) {
        let (tick, heartbeat) = (show_duration(config.raft.tick), show_duration(config.raft.heartbeat));
        let what =
            format!("`raft.tick` ({tick}) is longer than `raft.heartbeat` ({heartbeat}), which could not be kept");
        errors.push(
            &typed.culprit(&["raft.tick", "raft.heartbeat"]),
            what,
            "lower `raft.tick` or raise `raft.heartbeat`",
        );
    }
    for relation in &RELATIONS {
        check_shorter(typed, relation, errors);
    }
}

fn check_sizes(typed: &Typed<'_>, config: &Config, errors: &mut ConfigErrors) {
    let log = &config.limits.log;
    let mut segments = |key: &'static str, bytes: u64, least: u64, why: &str| {
        if bytes < least * log.segment_bytes && typed.usable(&[key, "limits.log.segment"]) {
            let (bytes, segment) = (show_size(bytes), show_size(log.segment_bytes));
            let what = format!("`{key}` ({bytes}) is less than {least} segments of {segment}: {why}");
            let least = show_size(least * log.segment_bytes);
            errors.push(
                &typed.culprit(&[key, "limits.log.segment"]),
                what,
                format!("raise it to \"{least}\" or lower `limits.log.segment`"),
            );
        }
    };
    segments("limits.log.max", log.max_log_bytes, 4, "the log could not free one while writing another");
    segments("limits.log.reserve", log.reserve_bytes, 2, "the log could not go on while space is made");
}

/// The directory, or the nearest one above it that exists, can be written by this process. Nothing is created.
fn check_data_dir(typed: &Typed<'_>, path: &Path, errors: &mut ConfigErrors) {
    if !typed.usable(&["data_dir"]) {
        return;
    }
    let here = Path::new(".");
    let existing = path.ancestors().map(|p| if p.as_os_str().is_empty() { here } else { p }).find(|p| p.exists());
    let existing = existing.unwrap_or(here);
    let origin = typed.origin("data_dir");
    if !existing.is_dir() {
        let what = format!("`data_dir`: {} is not a directory", existing.display());
        return errors.push(&origin, what, "give the path of a directory, or one that can be created");
    }
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if let Err(error) = rustix::fs::access(existing, access) {
        let what = format!("`data_dir`: {} cannot be written: {error}", existing.display());
        errors.push(&origin, what, "give its owner to the user Polder runs as, or choose another directory");
    }
}

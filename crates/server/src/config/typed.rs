//! Typed values: each setting parsed on its own, and put together.

use super::error::{ConfigErrors, Origin};
use super::settings::{self, SETTINGS, Value};
use super::source::{Values, Written};
use super::{Config, Limits, Listen, LogLimits, Logging, Memory, Raft, ScriptLimits, Timeouts};
use cluster::NodeRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use stdx::NodeId;

/// Typed values by key. A setting that was rejected carries its default, and is marked so that no relation complains about it.
pub(super) struct Typed<'a> {
    pub written: &'a Values,
    values: BTreeMap<&'static str, Value>,
    rejected: BTreeSet<&'static str>,
}

impl<'a> Typed<'a> {
    pub fn new(written: &'a Values, errors: &mut ConfigErrors) -> Option<Typed<'a>> {
        let mut typed = Typed { written, values: BTreeMap::new(), rejected: written.rejected.clone() };
        for setting in SETTINGS {
            let default = setting.kind.parse(setting.default).ok()?;
            let value = match written.settings.get(setting.key) {
                None => default,
                Some(Written { text, origin }) => setting.kind.parse(text).unwrap_or_else(|(what, remedy)| {
                    errors.push(origin, format!("`{}`: {what}", setting.key), remedy);
                    typed.rejected.insert(setting.key);
                    default
                }),
            };
            typed.values.insert(setting.key, value);
        }
        Some(typed)
    }

    /// Where to point when `key` breaks a relation.
    pub fn origin(&self, key: &str) -> Origin {
        self.written.settings.get(key).map_or(Origin::Default, |w| w.origin.clone())
    }

    /// Of keys in a broken relation, the one that somebody wrote, the first by preference.
    pub fn culprit(&self, keys: &[&str]) -> Origin {
        let written = keys.iter().map(|k| self.origin(k)).find(|o| *o != Origin::Default);
        written.unwrap_or(Origin::Default)
    }

    pub fn usable(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|k| self.rejected.contains(k))
    }

    pub fn is_written(&self, key: &str) -> bool {
        self.written.settings.contains_key(key)
    }

    fn value(&self, key: &str) -> &Value {
        // The table has a row for every key asked for here: a test builds the default configuration.
        self.values.get(key).unwrap_or(&Value::Auto)
    }

    fn number(&self, key: &str) -> u64 {
        if let Value::Number(n) = self.value(key) { *n } else { 0 }
    }

    fn count(&self, key: &str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    fn count_or(&self, key: &str, auto: usize) -> usize {
        if *self.value(key) == Value::Auto { auto } else { self.count(key) }
    }

    pub fn flag(&self, key: &str) -> bool {
        matches!(self.value(key), Value::Bool(true))
    }

    pub fn duration(&self, key: &str) -> Duration {
        if let Value::Duration(d) = self.value(key) { *d } else { Duration::ZERO }
    }

    pub fn address(&self, key: &str) -> SocketAddr {
        if let Value::Address(a) = self.value(key) { *a } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
    }

    fn text(&self, key: &str) -> String {
        if let Value::Text(t) = self.value(key) { t.clone() } else { String::new() }
    }

    pub fn assemble(&self, listen: Listen, mut peers: BTreeMap<u64, NodeRecord>) -> Config {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let node = self.number("node");
        let zone = self.text("zone");
        let advertise = record_of(&listen, &zone);
        if peers.is_empty() {
            peers.insert(node, advertise.clone());
        }
        if let Some(own) = peers.get_mut(&node).filter(|own| own.zone.is_empty()) {
            own.zone.clone_from(&zone);
        }
        Config {
            node: NodeId(node),
            cluster: self.text("cluster"),
            data_dir: PathBuf::from(self.text("data_dir")),
            listen,
            advertise,
            peers,
            zone,
            shards: u16::try_from(self.number("namespaces.cluster.shards")).unwrap_or(cluster::SHARDS_MAX),
            raft: Raft {
                tick: self.duration("raft.tick"),
                heartbeat: self.duration("raft.heartbeat"),
                lease: self.duration("raft.lease"),
                vote_guard: self.duration("raft.vote_guard"),
                election_timeout: self.duration("raft.election_timeout"),
            },
            workers: self.count_or("workers", (cores / 2).max(1)),
            io_threads: self.count_or("io_threads", cores),
            limits: self.limits(),
            timeouts: Timeouts {
                request: self.duration("timeouts.request"),
                leader_wait: self.duration("timeouts.leader_wait"),
                drain: self.duration("timeouts.drain"),
            },
            log: Logging {
                format: settings::log_format(&self.text("log.format")),
                level: self.text("log.level").parse().unwrap_or(tracing::Level::INFO),
            },
            warnings: Vec::new(),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            max_clients: self.count("limits.max_clients"),
            client_output_buffer_bytes: self.count("limits.client_output_buffer"),
            connection_queue: self.count("limits.connection_queue"),
            worker_queue: self.count("limits.worker_queue"),
            peer_queue_bytes: self.count("limits.peer_queue"),
            script: ScriptLimits {
                time: self.duration("limits.script.time"),
                memory_bytes: self.count("limits.script.memory"),
            },
            memory: Memory {
                active_table_bytes: self.count("limits.memory.active_table"),
                cache_bytes: self.count("limits.memory.cache"),
                block_cache_bytes: self.count("limits.memory.block_cache"),
            },
            log: LogLimits {
                segment_bytes: self.number("limits.log.segment"),
                max_log_bytes: self.number("limits.log.max"),
                reserve_bytes: self.number("limits.log.reserve"),
            },
        }
    }
}

/// How others reach a node that listens there.
pub(super) fn record_of(listen: &Listen, zone: &str) -> NodeRecord {
    NodeRecord {
        peer: listen.peer.to_string(),
        redis: listen.redis.to_string(),
        redis_cluster: listen.redis_cluster.to_string(),
        http: listen.http.to_string(),
        zone: zone.to_owned(),
    }
}

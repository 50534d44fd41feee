//! CONFIG: the parameters that exist here, with the checks and the error texts of Redis 7.2.
//!
//! Few of them change what Polder does (`maxclients`, `timeout`, `proto-max-bulk-len`, `client-output-buffer-limit`, and what is
//! recorded about slow commands).
//! The others are known so that clients and test suites that set them find what they expect; fixed ones state a promise
//! (`appendfsync always`) and cannot be changed.

mod kind;
mod table;

use crate::pubsub::PushLimits;
use command::{Reply, glob};
use kind::Kind;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use table::PARAMETERS;

/// One parameter.
#[derive(Debug)]
struct Parameter {
    name: &'static str,
    /// Its name before Redis 7.
    alias: Option<&'static str>,
    kind: Kind,
    default: &'static str,
}

/// The defaults of `slowlog-log-slower-than`, in microseconds, and `slowlog-max-len`.
const SLOWER_THAN_US: i64 = 10_000;
const SLOW_LOG_LEN: u64 = 128;

/// The values of all parameters on this node.
#[derive(Debug)]
pub struct Settings {
    values: RwLock<BTreeMap<&'static str, String>>,
    max_clients: AtomicU64,
    timeout_s: AtomicU64,
    output_limit: AtomicU64,
    bulk_limit: AtomicU64,
    push_limits: RwLock<PushLimits>,
    slower_than_us: AtomicI64,
    slow_log_len: AtomicU64,
    latency_threshold_ms: AtomicU64,
    tracks_latency: AtomicBool,
}

/// What CONFIG SET changed that the shell must act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Changed {
    /// `maxclients`.
    pub max_clients: Option<usize>,
}

impl Settings {
    /// Defaults, except what the configuration decides: the most connections, the bytes of unread replies after which a
    /// client is closed, and the address listened on.
    #[must_use]
    pub fn new(max_clients: usize, output_limit: u64, bind: &str, port: u16) -> Settings {
        let mut values: BTreeMap<_, _> = PARAMETERS.iter().map(|p| (p.name, p.default.to_owned())).collect();
        values.insert("maxclients", max_clients.to_string());
        values.insert("bind", bind.to_owned());
        values.insert("port", port.to_string());
        values.insert("client-output-buffer-limit", kind::buffer_limits(output_limit));
        Settings {
            values: RwLock::new(values),
            max_clients: AtomicU64::new(max_clients as u64),
            timeout_s: AtomicU64::new(0),
            output_limit: AtomicU64::new(output_limit),
            bulk_limit: AtomicU64::new(command::MAX_VALUE_BYTES as u64),
            push_limits: RwLock::new(PushLimits::DEFAULT),
            slower_than_us: AtomicI64::new(SLOWER_THAN_US),
            slow_log_len: AtomicU64::new(SLOW_LOG_LEN),
            latency_threshold_ms: AtomicU64::new(0),
            tracks_latency: AtomicBool::new(true),
        }
    }

    /// Most connections at a time.
    #[must_use]
    pub fn max_clients(&self) -> usize {
        usize::try_from(self.max_clients.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// After how long without a command a connection is closed; `None` for never.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        match self.timeout_s.load(Relaxed) {
            0 => None,
            s => Some(Duration::from_secs(s)),
        }
    }

    /// Bytes of replies a client may leave unread before it is closed.
    #[must_use]
    pub fn output_limit(&self) -> usize {
        usize::try_from(self.output_limit.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// What a subscriber may leave unread before it is closed.
    #[must_use]
    pub fn push_limits(&self) -> PushLimits {
        *self.push_limits.read()
    }

    /// Longest argument, in bytes.
    #[must_use]
    pub fn bulk_limit(&self) -> usize {
        usize::try_from(self.bulk_limit.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// From how many microseconds on SLOWLOG keeps a command; `None` when it keeps none.
    #[must_use]
    pub fn slower_than_us(&self) -> Option<u64> {
        u64::try_from(self.slower_than_us.load(Relaxed)).ok()
    }

    /// Commands that SLOWLOG keeps.
    #[must_use]
    pub fn slow_log_len(&self) -> usize {
        usize::try_from(self.slow_log_len.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// From how many milliseconds on LATENCY notes an event; `None` when it notes none.
    #[must_use]
    pub fn latency_threshold_ms(&self) -> Option<u64> {
        Some(self.latency_threshold_ms.load(Relaxed)).filter(|ms| *ms > 0)
    }

    /// Whether the times of each command are counted.
    #[must_use]
    pub fn tracks_latency(&self) -> bool {
        self.tracks_latency.load(Relaxed)
    }

    /// Which percentiles of those times INFO shows.
    #[must_use]
    pub fn percentiles(&self) -> Vec<f64> {
        self.value("latency-tracking-info-percentiles").split(' ').filter_map(|p| p.parse().ok()).collect()
    }

    /// CONFIG GET: name and value of all parameters that match one of the patterns, each once.
    #[must_use]
    pub fn get<'p>(&self, patterns: impl Iterator<Item = &'p [u8]> + Clone) -> Reply {
        let values = self.values.read();
        let mut found = BTreeMap::new();
        for p in PARAMETERS {
            for name in std::iter::once(p.name).chain(p.alias) {
                if patterns.clone().any(|pattern| glob::matches_ignoring_case(pattern, name.as_bytes())) {
                    found.insert(name, values[p.name].clone());
                }
            }
        }
        Reply::Map(
            found.into_iter().map(|(name, value)| (Reply::bulk(name.as_bytes()), Reply::Bulk(value.into()))).collect(),
        )
    }

    /// One value, for INFO.
    #[must_use]
    pub fn value(&self, name: &str) -> String {
        self.values.read().get(name).cloned().unwrap_or_default()
    }

    /// CONFIG SET: all of the pairs or none.
    ///
    /// # Errors
    /// The reply of Redis for the first pair that is wrong.
    pub fn set(&self, pairs: &[bytes::Bytes]) -> Result<Changed, Reply> {
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return Err(Reply::error("ERR wrong number of arguments for 'config|set' command"));
        }
        let mut chosen: BTreeMap<&'static str, String> = BTreeMap::new();
        let current = self.values.read().clone();
        for pair in pairs.chunks_exact(2) {
            let (name, value) = (String::from_utf8_lossy(&pair[0]).to_lowercase(), String::from_utf8_lossy(&pair[1]));
            let known = PARAMETERS.iter().find(|p| p.name == name || p.alias == Some(name.as_str()));
            let Some(parameter) = known else {
                return Err(error(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")));
            };
            let failed =
                |why: &str| error(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"));
            if chosen.contains_key(parameter.name) {
                return Err(failed("duplicate parameter"));
            }
            let value = parameter.kind.check(&value, &current[parameter.name]).map_err(|why| failed(&why))?;
            chosen.insert(parameter.name, value);
        }
        Ok(self.apply(chosen))
    }

    fn apply(&self, chosen: BTreeMap<&'static str, String>) -> Changed {
        let mut changed = Changed::default();
        let mut values = self.values.write();
        for (name, value) in chosen {
            let number = || value.parse().unwrap_or(0);
            match name {
                "maxclients" => {
                    self.max_clients.store(number(), Relaxed);
                    changed.max_clients = Some(self.max_clients());
                }
                "slowlog-log-slower-than" => self.slower_than_us.store(value.parse().unwrap_or(-1), Relaxed),
                "slowlog-max-len" => self.slow_log_len.store(number(), Relaxed),
                "latency-monitor-threshold" => self.latency_threshold_ms.store(number(), Relaxed),
                "latency-tracking" => self.tracks_latency.store(value == "yes", Relaxed),
                "timeout" => self.timeout_s.store(number(), Relaxed),
                "proto-max-bulk-len" => self.bulk_limit.store(number().min(command::MAX_VALUE_BYTES as u64), Relaxed),
                "client-output-buffer-limit" => {
                    if let Some([hard, ..]) = kind::limits_of("normal", &value) {
                        self.output_limit.store(if hard == 0 { u64::MAX } else { hard }, Relaxed);
                    }
                    if let Some([hard, soft, seconds]) = kind::limits_of("pubsub", &value) {
                        let bytes = |n| usize::try_from(n).unwrap_or(usize::MAX);
                        let soft_for = Duration::from_secs(seconds);
                        *self.push_limits.write() = PushLimits { hard: bytes(hard), soft: bytes(soft), soft_for };
                    }
                }
                _ => {}
            }
            values.insert(name, value);
        }
        changed
    }
}

fn error(line: String) -> Reply {
    Reply::Error(line.replace(['\r', '\n'], " ").into())
}

#[cfg(test)]
mod tests;

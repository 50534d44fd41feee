//! The table of settings, and what each kind of value looks like.

use super::LogFormat;
use std::net::SocketAddr;
use std::time::Duration;

/// One setting.
pub(super) struct Setting {
    /// Dotted key, as in the TOML file.
    pub key: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The default, written as in the environment or after `--set`.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// The shape of a value, with its inclusive range.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Count { min: u64, max: u64 },
    /// A whole number, or `auto`.
    CountOrAuto { min: u64, max: u64 },
    /// A number with a unit: ms, s, m.
    Duration { min: Duration, max: Duration },
    /// A number with a unit: B, KiB, MiB, GiB.
    Size { min: u64, max: u64 },
    /// An IP address and a port.
    Address,
    /// A path that is not empty.
    Path,
    /// Lower-case letters, digits, `-`, `_` and `.`; at most 64.
    Name,
    /// As `Name`, or empty.
    NameOrEmpty,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// A value of the right shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    /// A count, or a size in bytes.
    Number(u64),
    /// `auto`.
    Auto,
    Duration(Duration),
    Address(SocketAddr),
    Text(String),
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Longest name of a cluster or zone, in bytes: it is in every handshake between nodes.
const NAME_LEN_MAX: usize = 64;
/// More threads than this are a typing error.
const THREADS_MAX: u64 = 1024;
/// The shortest election timeout that survives the pauses of an ordinary machine.
const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(300);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn duration(min: Duration, max: Duration) -> Kind {
    Kind::Duration { min, max }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const fn row(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { key, kind, default, doc }
}

/// Every setting, in the order of the annotated default file: top-level keys first, then table by table.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    row("node", Kind::Count { min: 1, max: u32::MAX as u64 }, "1",
        "Number of this node; unique in the cluster, never reused for another data directory."),
    row("cluster", Kind::Name, "polder",
        "Name of the cluster. A node refuses peers and data directories of a cluster with another name."),
    row("data_dir", Kind::Path, "polder-data/node",
        "Where the log and the data live. Created if it is missing."),
    row("zone", Kind::NameOrEmpty, "",
        "Failure domain of this node (rack, availability zone); replicas are spread over zones."),
    row("protected_mode", Kind::Bool, "true",
        "While nobody must authenticate, refuse to listen on anything but loopback. Set to false only in a network where every machine may read and write everything."),
    row("workers", Kind::CountOrAuto { min: 1, max: THREADS_MAX }, "auto",
        "Workers; each owns some shards and one log. auto: one for two cores."),
    row("io_threads", Kind::CountOrAuto { min: 1, max: THREADS_MAX }, "auto",
        "Threads for connections, peer links and HTTP. auto: one for each core."),
    row("listen.redis", Kind::Address, "127.0.0.1:6379",
        "Redis protocol: namespace `default`, any keys together, SELECT 0 to 15."),
    row("listen.redis_cluster", Kind::Address, "127.0.0.1:7379",
        "Redis Cluster protocol: namespace `cluster`, 16,384 slots over many shards."),
    row("listen.peer", Kind::Address, "127.0.0.1:8379",
        "Other nodes of the cluster."),
    row("listen.http", Kind::Address, "127.0.0.1:9379",
        "HTTP: /livez, /readyz, /status, /metrics."),
    row("namespaces.cluster.shards", Kind::Count { min: 1, max: cluster::SHARDS_MAX as u64 }, "16",
        "Shards of namespace `cluster`, each with a leader of its own. Counts when the cluster is founded, and is the same on every node; later it changes nothing."),
    row("raft.tick", duration(ms(5), ms(1_000)), "50ms",
        "How often the groups look at the clock. At most the heartbeat."),
    row("raft.heartbeat", duration(ms(20), ms(10_000)), "100ms",
        "How often a leader is heard when it has nothing to say. Twice this is shorter than the lease."),
    row("raft.lease", duration(ms(50), ms(30_000)), "250ms",
        "How long after sending a heartbeat round that a majority answered a leader may serve reads alone. Shorter than vote_guard: the difference covers clocks that run at different speeds."),
    row("raft.vote_guard", duration(ms(60), ms(45_000)), "350ms",
        "How long after hearing from its leader a follower helps nobody to replace it, even when the connection to it broke. A crash costs about this long. Shorter than election_timeout."),
    row("raft.election_timeout", duration(ELECTION_TIMEOUT_MIN, ms(60_000)), "1s",
        "How long a follower bears silence before it stands for election. At least 300ms."),
    row("limits.max_clients", Kind::Count { min: 1, max: 1_000_000 }, "10000",
        "Client connections, both Redis ports together. One more is answered with an error and closed."),
    row("limits.client_output_buffer", size(MIB, 16 * GIB), "128MiB",
        "Replies a client may leave unread; then it is disconnected. Room for the largest value, twice."),
    row("limits.connection_queue", Kind::Count { min: 1, max: 1_000_000 }, "1024",
        "Commands of one connection in progress; then it is not read until one finishes."),
    row("limits.worker_queue", Kind::Count { min: 16, max: 10_000_000 }, "65536",
        "Requests waiting for one worker; then commands are answered with an error that says to back off."),
    row("limits.peer_queue", size(MIB, 16 * GIB), "160MiB",
        "Bytes waiting to be sent to one peer, for each kind of message: beyond it consensus drops the oldest and sends them again, and requests are refused."),
    row("limits.script.time", duration(ms(10), ms(60_000)), "1s",
        "How long a script may run: its worker evaluates nothing else meanwhile. Then it is ended, and nothing of it was written. Shorter than timeouts.request."),
    row("limits.script.memory", size(MIB, 16 * GIB), "64MiB",
        "Memory of one script besides the interpreter's own. Then it is ended, and nothing of it was written."),
    row("limits.memory.active_table", size(MIB, 64 * GIB), "16MiB",
        "Changes applied and not yet flushed to the engine; when this is reached, a flush begins. Also bounds what is replayed after a crash."),
    row("limits.memory.cache", size(0, 1024 * GIB), "32MiB",
        "Hot values in front of the engine."),
    row("limits.memory.block_cache", size(MIB, 1024 * GIB), "32MiB",
        "Blocks cached by the engine."),
    row("limits.log.segment", size(MIB, GIB), "16MiB",
        "Size of a segment file of the log. Segments are preallocated and recycled."),
    row("limits.log.max", size(8 * MIB, 1024 * GIB), "512MiB",
        "Size of one worker's log at which replicas that are behind get a snapshot instead of holding the log back. At least four segments."),
    row("limits.log.reserve", size(0, 1024 * GIB), "64MiB",
        "Free disk space kept back. Below it writes are refused with an error, and reads go on, until there is space again. At least two segments."),
    row("timeouts.request", duration(ms(10), ms(600_000)), "5s",
        "A command, from its arrival; then an error says whether its outcome is known."),
    row("timeouts.leader_wait", duration(ms(0), ms(600_000)), "2s",
        "How long a command waits for a leader to be elected before an error says that there is none. Shorter than timeouts.request."),
    row("timeouts.drain", duration(ms(0), ms(600_000)), "10s",
        "At shutdown: handing leaderships over and finishing requests. Then the rest is cut."),
    row("log.format", Kind::OneOf(&["auto", "human", "json"]), "auto",
        "Form of the log lines on standard error. auto: human on a terminal, json otherwise."),
    row("log.level", Kind::OneOf(&["error", "warn", "info", "debug", "trace"]), "info",
        "Least severe level that is logged."),
];

/// The fields of a `[peers.N]` table, with their meaning.
pub(super) const PEER_FIELDS: &[(&str, &str)] = &[
    ("host", "shorthand: this host with the ports of the [listen] table, for each of the four below that is not given"),
    ("redis", "host:port of the Redis protocol"),
    ("redis_cluster", "host:port of the Redis Cluster protocol"),
    ("peer", "host:port for other nodes"),
    ("http", "host:port of HTTP"),
    ("zone", "failure domain"),
];

/// The row of a key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key)
}

impl Setting {
    /// The environment variable of this setting.
    pub fn variable(&self) -> String {
        variable(self.key)
    }
}

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("POLDER_{}", key.replace('.', "_").to_uppercase())
}

impl Kind {
    /// Reads a value; the error is what is wrong with it and the remedy.
    pub fn parse(self, text: &str) -> Result<Value, (String, String)> {
        let wrong = |what: &str| Err((format!("{text:?} is {what}"), format!("write {}", self.describe())));
        let ranged = |n: Option<u64>, min: u64, max: u64| match n {
            Some(n) if n < min => wrong("below the least that is allowed"),
            Some(n) if n > max => wrong("above the most that is allowed"),
            Some(n) => Ok(Value::Number(n)),
            None => wrong("not understood"),
        };
        match self {
            Kind::Bool => match text {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => wrong("neither true nor false"),
            },
            Kind::CountOrAuto { .. } if text == "auto" => Ok(Value::Auto),
            Kind::Count { min, max } | Kind::CountOrAuto { min, max } => {
                ranged(text.replace('_', "").parse().ok(), min, max)
            }
            Kind::Size { min, max } => ranged(parse_size(text), min, max),
            Kind::Duration { min, max } => match parse_duration(text) {
                Some(d) if d < min => wrong("below the least that is allowed"),
                Some(d) if d > max => wrong("above the most that is allowed"),
                Some(d) => Ok(Value::Duration(d)),
                None => wrong("not understood"),
            },
            Kind::Address => match text.parse::<SocketAddr>() {
                Ok(address) if address.port() == 0 => wrong("without a port others could know"),
                Ok(address) => Ok(Value::Address(address)),
                Err(_) => wrong("not an IP address with a port"),
            },
            Kind::Path if text.is_empty() => wrong("empty"),
            Kind::Name if text.is_empty() => wrong("empty"),
            Kind::Name | Kind::NameOrEmpty if !is_name(text) => wrong("not a name"),
            Kind::OneOf(words) if !words.contains(&text) => wrong("none of the choices"),
            Kind::Path | Kind::Name | Kind::NameOrEmpty | Kind::OneOf(_) => Ok(Value::Text(text.to_owned())),
        }
    }

    /// What to write, for people.
    pub fn describe(self) -> String {
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Count { min, max } => format!("a number from {min} to {max}"),
            Kind::CountOrAuto { min, max } => format!("\"auto\" or a number from {min} to {max}"),
            Kind::Duration { min, max } => {
                format!(
                    "a duration with its unit (ms, s, m) from \"{}\" to \"{}\"",
                    show_duration(min),
                    show_duration(max)
                )
            }
            Kind::Size { min, max } => {
                format!("a size with its unit (B, KiB, MiB, GiB) from \"{}\" to \"{}\"", show_size(min), show_size(max))
            }
            Kind::Address => "an IP address and a port, such as \"127.0.0.1:6379\" or \"[::1]:6379\"".into(),
            Kind::Path => "a path".into(),
            Kind::Name => {
                format!("1 to {NAME_LEN_MAX} lower-case letters, digits, '-', '_' or '.'")
            }
            Kind::NameOrEmpty => {
                format!("at most {NAME_LEN_MAX} lower-case letters, digits, '-', '_' or '.'")
            }
            Kind::OneOf(words) => format!("one of \"{}\"", words.join("\", \"")),
        }
    }

    /// Whether the value stands in quotes in TOML.
    pub fn is_quoted(self, text: &str) -> bool {
        match self {
            Kind::Bool | Kind::Count { .. } => false,
            Kind::CountOrAuto { .. } => text == "auto",
            _ => true,
        }
    }
}

/// Whether `text` can name a cluster or a zone.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_LEN_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

/// Splits `64MiB` into 64 and `MiB`; a space may stand between them.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (n, unit) = number_and_unit(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ if n == 0 && unit.is_empty() => 1,
        _ => return None,
    };
    n.checked_mul(unit_ms).map(Duration::from_millis)
}

fn parse_size(text: &str) -> Option<u64> {
    let (n, unit) = number_and_unit(text)?;
    let unit_bytes = match unit {
        "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        _ if n == 0 && unit.is_empty() => 1,
        _ => return None,
    };
    n.checked_mul(unit_bytes)
}

/// A duration as one writes it in the file.
pub(super) fn show_duration(d: Duration) -> String {
    match d.as_millis() {
        n if n > 0 && n % 60_000 == 0 => format!("{}m", n / 60_000),
        n if n > 0 && n % 1_000 == 0 => format!("{}s", n / 1_000),
        n => format!("{n}ms"),
    }
}

/// A size as one writes it in the file.
pub(super) fn show_size(bytes: u64) -> String {
    match bytes {
        n if n > 0 && n % GIB == 0 => format!("{}GiB", n / GIB),
        n if n > 0 && n % MIB == 0 => format!("{}MiB", n / MIB),
        n if n > 0 && n % KIB == 0 => format!("{}KiB", n / KIB),
        n => format!("{n}B"),
    }
}

/// Reads a `log.format` that the table has let through.
pub(super) fn log_format(word: &str) -> LogFormat {
    match word {
        "human" => LogFormat::Human,
        "json" => LogFormat::Json,
        _ => LogFormat::Auto,
    }
}

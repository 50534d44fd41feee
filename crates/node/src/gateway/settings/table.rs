//! The parameters of Redis that are known here.

use super::Parameter;
use super::kind::Kind::{self, Bool, BufferLimits, Choice, Fixed, Immutable, Integer, Memory, Percentiles, Text};

const fn p(name: &'static str, kind: Kind, default: &'static str) -> Parameter {
    Parameter { name, alias: None, kind, default }
}

const fn renamed(name: &'static str, alias: &'static str, kind: Kind, default: &'static str) -> Parameter {
    Parameter { name, alias: Some(alias), kind, default }
}

const LONG: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;

#[rustfmt::skip] // One parameter a line reads as a table.
pub(super) const PARAMETERS: &[Parameter] = &[
    // These take effect.
    p("client-output-buffer-limit", BufferLimits, ""),
    p("maxclients", Integer(1, INT), ""),
    p("latency-monitor-threshold", Integer(0, LONG), "0"),
    p("latency-tracking", Bool, "yes"),
    p("latency-tracking-info-percentiles", Percentiles, "50 99 99.9"),
    p("proto-max-bulk-len", Memory(1024 * 1024, LONG), "67108864"),
    p("slowlog-log-slower-than", Integer(-1, LONG), "10000"),
    // Each may take four kilobytes.
    p("slowlog-max-len", Integer(0, 65_536), "128"),
    p("timeout", Integer(0, INT), "0"),
    // These state what is so.
    p("appendfsync", Fixed, "always"),
    p("appendonly", Fixed, "yes"),
    p("bind", Immutable, ""),
    p("cluster-enabled", Immutable, "yes"),
    p("databases", Immutable, "16"),
    p("daemonize", Immutable, "no"),
    p("dir", Fixed, "./"),
    p("io-threads", Immutable, "1"),
    p("maxmemory", Memory(0, LONG), "0"),
    p("maxmemory-policy", Choice(&["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"]), "noeviction"),
    p("maxmemory-samples", Integer(1, 64), "5"),
    p("port", Immutable, ""),
    p("protected-mode", Bool, "yes"),
    p("rdbcompression", Bool, "yes"),
    p("replicaof", Immutable, ""),
    p("save", Text, ""),
    p("requirepass", Fixed, ""),
    p("masterauth", Fixed, ""),
    p("tls-port", Immutable, "0"),
    p("unixsocket", Immutable, ""),
    // These are accepted; nothing here depends on them.
    p("active-expire-effort", Integer(1, 10), "1"),
    p("activedefrag", Bool, "no"),
    p("activerehashing", Bool, "yes"),
    p("aof-load-truncated", Bool, "yes"),
    p("aof-use-rdb-preamble", Bool, "yes"),
    p("auto-aof-rewrite-min-size", Memory(0, LONG), "67108864"),
    p("auto-aof-rewrite-percentage", Integer(0, INT), "100"),
    p("busy-reply-threshold", Integer(0, LONG), "5000"),
    p("client-query-buffer-limit", Memory(1024 * 1024, LONG), "1073741824"),
    p("cluster-allow-reads-when-down", Bool, "no"),
    p("cluster-node-timeout", Integer(0, LONG), "15000"),
    p("cluster-require-full-coverage", Bool, "yes"),
    p("dynamic-hz", Bool, "yes"),
    renamed("hash-max-listpack-entries", "hash-max-ziplist-entries", Integer(0, LONG), "512"),
    renamed("hash-max-listpack-value", "hash-max-ziplist-value", Integer(0, LONG), "64"),
    p("hll-sparse-max-bytes", Integer(0, LONG), "3000"),
    p("hz", Integer(0, INT), "10"),
    p("key-load-delay", Integer(-INT, INT), "0"),
    p("lazyfree-lazy-eviction", Bool, "no"),
    p("lazyfree-lazy-expire", Bool, "no"),
    p("lazyfree-lazy-server-del", Bool, "no"),
    p("lazyfree-lazy-user-del", Bool, "no"),
    p("lazyfree-lazy-user-flush", Bool, "no"),
    p("lfu-decay-time", Integer(0, INT), "1"),
    p("lfu-log-factor", Integer(0, INT), "10"),
    p("list-compress-depth", Integer(0, INT), "0"),
    renamed("list-max-listpack-size", "list-max-ziplist-size", Integer(-INT, INT), "-2"),
    p("loglevel", Choice(&["debug", "verbose", "notice", "warning", "nothing"]), "notice"),
    p("lua-time-limit", Integer(0, LONG), "5000"),
    p("maxmemory-eviction-tenacity", Integer(0, 100), "10"),
    renamed("min-replicas-max-lag", "min-slaves-max-lag", Integer(0, INT), "10"),
    renamed("min-replicas-to-write", "min-slaves-to-write", Integer(0, INT), "0"),
    p("notify-keyspace-events", Text, ""),
    p("rdb-key-save-delay", Integer(-INT, INT), "0"),
    p("repl-backlog-size", Memory(1, LONG), "1048576"),
    p("repl-diskless-sync", Bool, "yes"),
    p("repl-diskless-sync-delay", Integer(0, INT), "5"),
    p("sanitize-dump-payload", Choice(&["no", "yes", "clients"]), "no"),
    p("set-max-intset-entries", Integer(0, LONG), "512"),
    p("set-max-listpack-entries", Integer(0, LONG), "128"),
    p("set-max-listpack-value", Integer(0, LONG), "64"),
    p("stop-writes-on-bgsave-error", Bool, "yes"),
    p("stream-node-max-bytes", Memory(0, LONG), "4096"),
    p("stream-node-max-entries", Integer(0, LONG), "100"),
    p("tcp-keepalive", Integer(0, INT), "300"),
    p("tracking-table-max-keys", Integer(0, LONG), "1000000"),
    renamed("zset-max-listpack-entries", "zset-max-ziplist-entries", Integer(0, LONG), "128"),
    renamed("zset-max-listpack-value", "zset-max-ziplist-value", Integer(0, LONG), "64"),
];

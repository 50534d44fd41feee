//! Configurations as files, and what is said about them.

use super::{Config, Sources, annotated_default, load, markdown};
use std::path::PathBuf;
use std::time::Duration;

/// Loads `toml` as a file called `polder.toml`; errors name it without its directory.
fn load_text(toml: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Config, String> {
    let dir = std::env::temp_dir().join(format!("polder-config-{}-{:p}", std::process::id(), toml));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("polder.toml");
    std::fs::write(&path, toml).unwrap();
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let sources = Sources { file: Some(path), environment: owned(environment), overrides: owned(overrides) };
    let result = load(&sources).map_err(|e| e.to_string().replace(&format!("{}/", dir.display()), ""));
    std::fs::remove_dir_all(&dir).unwrap();
    result
}

/// The file must be refused with exactly this text.
fn check(toml: &str, expected: &str) {
    let errors = load_text(toml, &[], &[]).expect_err("this configuration is wrong");
    assert_eq!(errors.trim(), expected.trim(), "got:\n{errors}\n");
}

fn accept(toml: &str) -> Config {
    load_text(toml, &[], &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn defaults_are_valid() {
    let config = load(&Sources::default()).unwrap();
    assert_eq!(config.node.0, 1);
    assert_eq!(config.peers.len(), 1);
    assert_eq!(config.peers[&1], config.advertise);
    assert_eq!(config.advertise.redis, "127.0.0.1:6379");
    assert_eq!(config.raft.election_timeout, Duration::from_secs(1));
    assert_eq!(config.limits.memory.active_table_bytes, 16 << 20);
    assert!(config.workers >= 1 && config.io_threads >= 1);
    assert!(config.warnings.is_empty());
}

#[test]
fn annotated_default_says_the_defaults() {
    let text = annotated_default();
    assert_eq!(accept(&text), load(&Sources::default()).unwrap());
    // Uncommenting every setting changes nothing either.
    let settings = text.split("# The initial nodes").next().unwrap();
    let is_setting =
        |l: &str| l.strip_prefix("# ").is_some_and(|l| l.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')));
    let uncommented: Vec<_> = settings.lines().map(|l| if is_setting(l) { &l[2..] } else { l }).collect();
    assert_eq!(accept(&uncommented.join("\n")), load(&Sources::default()).unwrap());
}

/// `POLDER_UPDATE_DOCS=1 cargo nextest run -p server` writes the table anew.
#[test]
fn documentation_has_the_table() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- settings: generated -->\n", "<!-- /settings -->");
    let from = text.find(begin).unwrap() + begin.len();
    let to = text.find(end).unwrap();
    if std::env::var_os("POLDER_UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{}{}{}", &text[..from], markdown(), &text[to..])).unwrap();
    } else {
        assert!(text[from..to] == markdown(), "run: POLDER_UPDATE_DOCS=1 cargo nextest run -p server documentation");
    }
}

#[test]
fn five_mistakes_five_messages() {
    check(
        r#"
nodee = 1
data_dir = "/proc/version/polder"

[listen]
redis = "127.0.0.1"

[raft]
election_timeout = "100ms"

[limits]
client_output_buffer = 64
"#,
        r#"
polder.toml:2: there is no setting `nodee`
    did you mean `node`?
polder.toml:3: `data_dir`: /proc/version is not a directory
    give the path of a directory, or one that can be created
polder.toml:6: `listen.redis`: "127.0.0.1" is not an IP address with a port
    write an IP address and a port, such as "127.0.0.1:6379" or "[::1]:6379"
polder.toml:9: `raft.election_timeout`: "100ms" is below the least that is allowed
    write a duration with its unit (ms, s, m) from "300ms" to "1m"
polder.toml:12: `limits.client_output_buffer`: "64" is not understood
    write a size with its unit (B, KiB, MiB, GiB) from "1MiB" to "16GiB"
5 configuration errors
"#,
    );
}

#[test]
fn relations_are_checked_once_each() {
    check(
        r#"
[raft]
heartbeat = "150ms"
tick = "200ms"
[timeouts]
leader_wait = "10s"
[limits.log]
segment = "256MiB"
"#,
        r#"
polder.toml:3: `raft.heartbeat` (150ms) must be shorter than half of `raft.lease` (250ms): one lost heartbeat must not cost the lease
    lower `raft.heartbeat` or raise `raft.lease`; the defaults suit most networks
polder.toml:4: `raft.tick` (200ms) is longer than `raft.heartbeat` (150ms), which could not be kept
    lower `raft.tick` or raise `raft.heartbeat`
polder.toml:6: `timeouts.leader_wait` (10s) must be shorter than `timeouts.request` (5s): the wait is a part of the request's time
    lower `timeouts.leader_wait` or raise `timeouts.request`; the defaults suit most networks
polder.toml:8: `limits.log.max` (512MiB) is less than 4 segments of 256MiB: the log could not free one while writing another
    raise it to "1GiB" or lower `limits.log.segment`
polder.toml:8: `limits.log.reserve` (64MiB) is less than 2 segments of 256MiB: the log could not go on while space is made
    raise it to "512MiB" or lower `limits.log.segment`
5 configuration errors
"#,
    );
}

#[test]
fn protected_mode_refuses_the_network() {
    check(
        "[listen]\nredis = \"10.1.2.3:6379\"",
        r#"
polder.toml:2: `listen.redis` = 10.1.2.3:6379 can be reached from other machines, and nobody must authenticate
    listen on 127.0.0.1, or set protected_mode = false if every machine that reaches it may read and write everything
1 configuration error
"#,
    );
    let open = accept("protected_mode = false\n[listen]\nredis = \"10.1.2.3:6379\"");
    assert_eq!(open.warnings.len(), 1, "{:?}", open.warnings);
    assert!(open.warnings[0].contains("without a password"));
}

#[test]
fn a_wildcard_needs_an_address_for_others() {
    check(
        "protected_mode = false\n[listen]\npeer = \"0.0.0.0:8379\"",
        r#"
polder.toml:3: `listen.peer` = 0.0.0.0:8379 is no address that clients and peers can be sent to
    say how others reach this node: [peers.1] host = "10.0.0.1"
1 configuration error
"#,
    );
    let config = accept("protected_mode = false\n[listen]\npeer = \"0.0.0.0:8379\"\n[peers.1]\nhost = \"a.example\"");
    assert_eq!(config.advertise.peer, "a.example:8379");
    assert_eq!(config.advertise.redis_cluster, "a.example:7379");
}

#[test]
fn peers_are_complete_and_distinct() {
    check(
        r#"
node = 4
[peers.1]
host = "10.0.0.1"
[peers.2]
peer = "10.0.0.2:8379"
[peers.3]
host = "10.0.0.3"
redis = "10.0.0.1:6379"
http = ["x"]
hots = "10.0.0.3"
[peers.zero]
host = "10.0.0.9"
"#,
        r#"
polder.toml:2: node 4 is not one of the peers (1, 2, 3)
    add [peers.4]: the list names every initial node, this one included
polder.toml:5: [peers.2] does not say redis, redis_cluster, http
    give host = "10.0.0.2" for the usual ports, or each of them as host:port
polder.toml:7: `peers.3.redis` = 10.0.0.1:6379 is also `peers.1.redis`
    give every endpoint its own address
polder.toml:10: `peers.3.http` cannot be a TOML array
    write text in quotes
polder.toml:11: there is no setting `peers.3.hots`
    did you mean `host`?
polder.toml:12: there is no table [peers.zero]
    name a peer's table by its node number, from 1: [peers.1]
6 configuration errors
"#,
    );
}

#[test]
fn damaged_toml_is_reported_with_the_rest() {
    check(
        "node = 1\ncluster = my cluster\nworkers = \"many\"\nlisten.redis = \"127.0.0.1:7379\"",
        r#"
polder.toml:2: not TOML: string values must be quoted
    write text, durations, sizes and addresses in quotes: cluster = "my cluster"
polder.toml:3: `workers`: "many" is not understood
    write "auto" or a number from 1 to 1024
2 configuration errors
"#,
    );
}

#[test]
fn unknown_tables_and_misplaced_keys() {
    check(
        "tick = \"50ms\"\n[rafts]\nheartbeat = \"1s\"\n[tls]\ncert = \"x\"",
        r#"
polder.toml:1: there is no setting `tick`
    did you mean `raft.tick`?
polder.toml:2: there is no table [rafts]
    did you mean [raft]?
polder.toml:4: there is no table [tls]
    remove it; `polder config print-default` lists every setting
3 configuration errors
"#,
    );
}

#[test]
fn later_sources_override_earlier_ones() {
    let file = "node = 2\n[raft]\ntick = \"20ms\"\n[peers.2]\nhost = \"h2\"";
    let environment = [
        ("POLDER_RAFT_TICK", "30ms"),
        ("POLDER_NODE", "3"),
        ("POLDER_PEERS_3_REDIS_CLUSTER", "h3:1"),
        ("POLDER_PEERS_3_HOST", "h3"),
    ];
    let config = load_text(file, &environment, &[("raft.tick", "40ms")]).unwrap();
    assert_eq!(config.raft.tick, Duration::from_millis(40));
    assert_eq!(config.node.0, 3);
    assert_eq!(config.advertise.redis_cluster, "h3:1");
    assert_eq!(config.advertise.redis, "h3:6379");
}

#[test]
fn environment_and_flags_are_named_in_errors() {
    let errors = load_text("", &[("POLDER_RAFT_TICK", "5")], &[("raft.tik", "1"), ("workers", "0")]).unwrap_err();
    assert!(errors.contains("environment POLDER_RAFT_TICK: `raft.tick`: \"5\" is not understood"), "{errors}");
    assert!(
        errors.contains("--set raft.tik: there is no setting `raft.tik`\n    did you mean `raft.tick`?"),
        "{errors}"
    );
    assert!(errors.contains("--set workers: `workers`: \"0\" is below the least"), "{errors}");
}

#[test]
fn an_orchestrators_variables_are_not_ours() {
    let config = load_text("", &[("POLDER_SERVICE_HOST", "10.0.0.1"), ("POLDER_RAFT_TIC", "1s")], &[]).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("did you mean POLDER_RAFT_TICK?"), "{:?}", config.warnings);
}

#[test]
fn a_missing_file_is_one_error() {
    let sources = Sources { file: Some("/nonexistent/polder.toml".into()), ..Sources::default() };
    let errors = load(&sources).unwrap_err();
    assert_eq!(errors.as_slice().len(), 1);
    assert!(errors.as_slice()[0].remedy.contains("print-default"));
}

//! One node, real sockets: the path of a command, the order of replies, bad input, limits, restarts.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.

mod harness;

use harness::{Client, Cluster, eventually, http, show};
use std::io::{Read as _, Write as _};
use std::time::Duration;

/// Commands and replies, a pair a line.
fn check(client: &mut Client, story: &[(&str, &str)]) {
    for (line, expected) in story {
        assert_eq!(client.say(line), *expected, "{line}");
    }
}

#[test]
fn commands_are_answered() {
    let cluster = Cluster::start(1, &[]);
    let mut c = cluster.client(0);
    check(
        &mut c,
        &[
            ("PING", "+PONG"),
            ("SET a 1", "+OK"),
            ("GET a", "1"),
            ("INCR a", ":2"),
            ("GET b", "null"),
            ("HSET h f v", ":1"),
            ("DBSIZE", ":2"),
            ("SELECT 3", "+OK"),
            ("GET a", "null"),
            ("SELECT 0", "+OK"),
            ("MULTI", "+OK"),
            ("INCR a", "+QUEUED"),
            ("PING", "+QUEUED"),
            ("GET a", "+QUEUED"),
            ("EXEC", "[:3 +PONG 3]"),
            ("WATCH a", "+OK"),
            ("WAIT 1 10", ":0"),
        ],
    );
    assert_eq!(cluster.client(0).say("SET a 9"), "+OK");
    check(&mut c, &[("MULTI", "+OK"), ("GET a", "+QUEUED"), ("EXEC", "null-array"), ("GET a", "9")]);
    assert!(c.say("HELLO 3 SETNAME me").starts_with("{server redis, version 7.2.4, proto :3, "));
    check(&mut c, &[("CLIENT GETNAME", "me"), ("GET nothing", "null")]);
    assert!(c.say("INFO keyspace").contains("db0:keys=2"));
    let (code, body) = http(cluster.ports[0].http, "/status");
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, status["shards"].as_array().unwrap().len()), (200, 18));
    assert_eq!(http(cluster.ports[0].http, "/livez").0, 200);
    assert!(http(cluster.ports[0].http, "/metrics").1.contains("polder_commands_total"));
}

#[test]
fn replies_keep_the_order_of_pipelined_commands() {
    let cluster = Cluster::start(1, &[]);
    let mut c = cluster.client(0);
    let mut lines = String::new();
    for i in 0..500 {
        lines.push_str(&format!("SET k{i} v{i}\nGET k{i}\nPING p{i}\nINCR n\n"));
    }
    c.send(&lines);
    for i in 0..500 {
        let got: Vec<String> = (0..4).map(|_| show(&c.next().unwrap())).collect();
        assert_eq!(got, ["+OK".to_owned(), format!("v{i}"), format!("p{i}"), format!(":{}", i + 1)]);
    }
}

#[test]
fn the_cluster_port_speaks_redis_cluster() {
    let cluster = Cluster::start(1, &[]);
    let mut c = cluster.cluster_client(0);
    check(
        &mut c,
        &[
            ("SET foo bar", "+OK"),
            ("SET {foo}2 bar", "+OK"),
            ("MGET foo {foo}2", "[bar bar]"),
            ("MGET foo hello", "-CROSSSLOT Keys in request don't hash to the same slot"),
            ("SET hello x", "+OK"),
            ("DBSIZE", ":3"),
            ("CLUSTER COUNTKEYSINSLOT 12182", ":2"),
            ("SELECT 1", "-ERR SELECT is not allowed in cluster mode"),
        ],
    );
    let mut cursor = "0".to_owned();
    let mut keys = Vec::new();
    loop {
        c.send(&format!("SCAN {cursor} COUNT 1"));
        let Some(command::Reply::Array(page)) = c.next() else { panic!("SCAN answers an array") };
        cursor = show(&page[0]);
        let command::Reply::Array(found) = &page[1] else { panic!("SCAN answers keys") };
        keys.extend(found.iter().map(show));
        if cursor == "0" {
            break;
        }
    }
    keys.sort();
    assert_eq!(keys, ["foo", "hello", "{foo}2"]);
    check(&mut c, &[("FLUSHALL", "+OK"), ("DBSIZE", ":0")]);
}

#[test]
fn garbage_ends_a_connection_and_nothing_else() {
    let cluster = Cluster::start(1, &[]);
    let ports = cluster.ports[0];
    let inputs: [(&[u8], &str); 6] = [
        (b"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n!3\r\nabc\r\n", "-ERR Protocol error: expected '$', got '!'\r\n"),
        (b"SET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        (b"PING\r\n*1\r\n$999999999999\r\n", "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "-ERR wrong number of arguments for 'get' command\r\n"),
    ];
    for (input, expected) in inputs {
        let mut c = cluster.client(0);
        c.stream.write_all(input).unwrap();
        let mut answer = String::new();
        let _ = c.stream.read_to_string(&mut answer);
        assert_eq!(answer, expected, "{:?}", String::from_utf8_lossy(input));
    }
    // Half a command, then silence: nothing happens to anybody.
    let mut half = cluster.client(0);
    half.stream.write_all(b"*2\r\n$3\r\nGET\r\n$5\r\nab").unwrap();
    // A peer port is no client port, and the other way round.
    let mut lost = Client::connect(ports.peer);
    lost.stream.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = lost.stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
    assert_eq!(cluster.client(0).say("PING"), "+PONG");
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let cluster = Cluster::start(1, &[("limits.max_clients", "8")]);
    let mut clients: Vec<_> = (0..8).map(|_| cluster.client(0)).collect();
    clients.iter_mut().for_each(|c| assert_eq!(c.say("PING"), "+PONG"));
    let mut refused = cluster.client(0);
    assert_eq!(refused.next().map(|r| show(&r)), Some("-ERR max number of clients reached".into()));
    assert_eq!(refused.next(), None);
    clients.truncate(4);
    eventually("places are free again", || cluster.client(0).say("PING") == "+PONG");
}

#[test]
fn clients_can_be_killed_and_can_quit() {
    let cluster = Cluster::start(1, &[]);
    let (mut a, mut b) = (cluster.client(0), cluster.client(0));
    let id = a.say("CLIENT ID").trim_start_matches(':').to_owned();
    assert_eq!(b.say(&format!("CLIENT KILL ID {id}")), ":1");
    assert_eq!(a.next(), None);
    b.send("QUIT\nPING");
    assert_eq!((b.next().map(|r| show(&r)), b.next()), (Some("+OK".into()), None));
}

#[test]
fn a_client_that_does_not_read_holds_little_and_harms_nobody() {
    let cluster = Cluster::start(1, &[]);
    let mut writer = cluster.client(0);
    let value = "x".repeat(100_000);
    assert_eq!(writer.say(&format!("SET big {value}")), "+OK");
    let mut deaf = cluster.client(0);
    deaf.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // 3 GB of replies are asked for; the node stops reading long before.
    let mut sent = 0;
    let lines = "*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n".repeat(1000);
    while sent < 30_000 && deaf.stream.write_all(lines.as_bytes()).is_ok() {
        sent += 1000;
    }
    for i in 0..200 {
        assert_eq!(writer.say(&format!("SET k {i}")), "+OK");
    }
    let info = writer.say("INFO memory");
    let rss: u64 = info.lines().find_map(|l| l.strip_prefix("used_memory_rss:")).unwrap().trim().parse().unwrap();
    assert!(rss < 1 << 30, "{rss} bytes resident");
}

#[test]
fn a_hundred_thousand_pipelined_commands_are_all_answered() {
    let cluster = Cluster::start(1, &[]);
    let c = cluster.client(0);
    let mut sender = c.stream.try_clone().unwrap();
    let thread = std::thread::spawn(move || {
        let one = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n".repeat(1000);
        for _ in 0..100 {
            sender.write_all(one.as_bytes()).unwrap();
        }
    });
    let mut c = c;
    for i in 1..=100_000 {
        assert_eq!(c.next().map(|r| show(&r)), Some(format!(":{i}")));
    }
    thread.join().unwrap();
}

#[test]
fn data_is_there_after_a_restart() {
    let mut cluster = Cluster::start(1, &[]);
    let mut c = cluster.client(0);
    for i in 0..300 {
        assert_eq!(c.say(&format!("SET k{i} {i}")), "+OK");
    }
    for _ in 0..2 {
        cluster.stop_node(0);
        assert_eq!(c.next(), None, "a drained node closes its clients");
        cluster.start_node(0).unwrap_or_else(|e| panic!("{e}"));
        cluster.wait_ready();
        c = cluster.client(0);
        assert_eq!(c.say("DBSIZE"), ":300");
        assert_eq!(c.say("GET k299"), "299");
    }
}

#[test]
fn a_foreign_data_directory_is_refused() {
    let mut cluster = Cluster::start(1, &[]);
    let again = server::Server::start(cluster.config(0));
    assert!(again.is_err_and(|e| e.to_string().contains("cannot listen")));
    cluster.stop_node(0);
    let identity = cluster.dir.path().join("n1/identity.json");
    let good = std::fs::read_to_string(&identity).unwrap();
    let cases = [
        (good.replace("\"test\"", "\"other\""), "holds data of cluster \"other\""),
        (good.replace("\"node\": 1", "\"node\": 7"), "holds data of node 7"),
        (good.replace("\"format\": 1", "\"format\": 9"), "has format 9, this version reads up to 1"),
        ("{".to_owned(), "is damaged"),
    ];
    for (text, expected) in cases {
        std::fs::write(&identity, text).unwrap();
        let error = server::Server::start(cluster.config(0)).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    }
    std::fs::write(&identity, good).unwrap();
    cluster.start_node(0).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn many_idle_connections_cost_little() {
    let cluster = Cluster::start(1, &[]);
    // Each connection has two ends in this process; ten thousand of them are for the end-to-end tests.
    let idle: Vec<_> = (0..400).map(|_| cluster.client(0)).collect();
    let mut c = cluster.client(0);
    eventually("all are connected", || c.say("INFO clients").contains("connected_clients:401"));
    for i in 0..50 {
        assert_eq!(c.say(&format!("SET k {i}")), "+OK");
    }
    drop(idle);
    eventually("all are gone", || c.say("INFO clients").contains("connected_clients:1\r"));
}

#[test]
fn limits_that_config_set_changes_are_enforced() {
    let cluster = Cluster::start(1, &[]);
    let mut admin = cluster.client(0);
    check(&mut admin, &[("SETRANGE large 16000000 x", ":16000001"), ("CONFIG SET proto-max-bulk-len 1mb", "+OK")]);
    let mut c = cluster.client(0);
    c.stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n").unwrap();
    assert_eq!(c.next().map(|r| show(&r)).as_deref(), Some("-ERR Protocol error: invalid bulk length"));
    assert!(c.next().is_none());
    let mut words = Vec::new();
    protocol::resp::encode_request(&["CONFIG", "SET", "client-output-buffer-limit", "normal 1048576 0 0"], &mut words);
    admin.stream.write_all(&words).unwrap();
    assert_eq!(admin.next().map(|r| show(&r)).as_deref(), Some("+OK"));
    assert_eq!(cluster.client(0).say("GET large"), "closed", "as Redis does");
    assert_eq!(cluster.client(0).say("STRLEN large"), ":16000001");
}

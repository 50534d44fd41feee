//! Three nodes in one process: any node answers, leaders go and come, links break.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.

mod harness;

use harness::{Cluster, eventually, http, show};
use std::time::{Duration, Instant};

#[test]
fn any_node_takes_any_key() {
    let cluster = Cluster::start(3, &[]);
    for i in 0..3 {
        let mut c = cluster.client(i);
        assert_eq!(c.say(&format!("SET k{i} v{i}")), "+OK");
        assert_eq!(c.say("INCR n"), format!(":{}", i + 1));
    }
    for i in 0..3 {
        let mut c = cluster.client(i);
        assert_eq!(c.say("MGET k0 k1 k2 n"), "[v0 v1 v2 3]");
        assert_eq!(c.say("WAIT 2 100"), ":1");
        // Pipelined through another node, a connection still reads its own writes.
        c.send("SET own 1\nGET own\nSET own 2\nGET own\nMULTI\nINCR own\nEXEC\nGET own");
        let got: Vec<String> = (0..8).map(|_| show(&c.next().unwrap())).collect();
        assert_eq!(got, ["+OK", "1", "+OK", "2", "+OK", "+QUEUED", "[:3]", "3"]);
    }
}

#[test]
fn watches_work_through_any_node() {
    let cluster = Cluster::start(3, &[]);
    for i in 0..3 {
        let mut c = cluster.client(i);
        assert_eq!(c.say("WATCH w"), "+OK");
        assert_eq!(cluster.client((i + 1) % 3).say("INCR w"), format!(":{}", i + 1));
        assert_eq!(c.say("MULTI"), "+OK");
        assert_eq!(c.say("SET w x"), "+QUEUED");
        assert_eq!(c.say("EXEC"), "null-array");
    }
}

#[test]
fn cluster_clients_are_sent_to_the_leader() {
    let cluster = Cluster::start(3, &[]);
    let mut redirected = 0;
    for i in 0..3 {
        let mut c = cluster.cluster_client(i);
        let reply = c.say("SET foo bar");
        if reply != "+OK" {
            redirected += 1;
            let port: u16 = reply.strip_prefix("-MOVED 12182 127.0.0.1:").unwrap().parse().unwrap();
            let leader = cluster.ports.iter().position(|p| p.cluster == port).unwrap();
            assert_eq!(cluster.cluster_client(leader).say("SET foo bar"), "+OK");
            assert!(c.say("GET foo").starts_with("-MOVED"));
            assert_eq!(c.say("READONLY"), "+OK");
            eventually("the replica has it", || c.say("GET foo") == "bar");
        }
    }
    assert_eq!(redirected, 2);
    let slots = cluster.cluster_client(0).say("CLUSTER SLOTS");
    assert_eq!(slots.matches("[:").count(), 16);
}

#[test]
fn writes_go_on_when_a_node_leaves_and_it_catches_up() {
    let mut cluster = Cluster::start(3, &[]);
    for round in 0..3 {
        let gone = round % 3;
        let stays = (gone + 1) % 3;
        let mut c = cluster.client(stays);
        assert_eq!(c.insist(&format!("SET before{round} x")), "+OK");
        let begun = Instant::now();
        cluster.stop_node(gone);
        let drained = begun.elapsed();
        assert!(drained < Duration::from_secs(8), "the drain took {drained:?}");
        for i in 0..100 {
            assert_eq!(c.insist(&format!("SET r{round}k{i} {i}")), "+OK");
        }
        cluster.start_node(gone).unwrap_or_else(|e| panic!("{e}"));
        cluster.wait_ready();
        let mut back = cluster.client(gone);
        assert_eq!(back.insist(&format!("GET r{round}k99")), "99");
    }
    assert_eq!(cluster.client(0).say("DBSIZE"), ":303");
}

#[test]
fn a_drain_loses_no_acknowledged_write() {
    let mut cluster = Cluster::start(3, &[]);
    let port = cluster.ports[2].redis;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stop.clone();
    let writer = std::thread::spawn(move || {
        let mut c = harness::Client::connect(port);
        let mut acknowledged = 0;
        while !flag.load(std::sync::atomic::Ordering::Relaxed) {
            // A retry may count twice, an acknowledged increment never less than once.
            if c.say("INCR n").starts_with(':') {
                acknowledged += 1;
            }
        }
        acknowledged
    });
    for gone in [0, 1] {
        std::thread::sleep(Duration::from_millis(300));
        cluster.stop_node(gone);
        cluster.start_node(gone).unwrap_or_else(|e| panic!("{e}"));
        cluster.wait_ready();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let acknowledged: i64 = writer.join().unwrap();
    let counted: i64 = cluster.client(2).insist("GET n").parse().unwrap();
    assert!(acknowledged > 0 && counted >= acknowledged, "{counted} of {acknowledged}");
}

#[test]
fn without_a_majority_there_is_a_quick_and_clear_error() {
    let mut cluster = Cluster::start(3, &[("timeouts.leader_wait", "500ms"), ("timeouts.request", "2s")]);
    let mut c = cluster.client(0);
    assert_eq!(c.say("SET a 1"), "+OK");
    let (one, two) = (cluster.nodes[1].take(), cluster.nodes[2].take());
    let stopping = [one, two].map(|s| std::thread::spawn(move || s.into_iter().for_each(server::Server::stop)));
    stopping.into_iter().for_each(|t| t.join().unwrap());
    eventually("an error says that there is no leader", || {
        let begun = Instant::now();
        let reply = c.say("SET a 2");
        assert!(begun.elapsed() < Duration::from_secs(4), "{reply} after {:?}", begun.elapsed());
        reply.starts_with("-CLUSTERDOWN")
    });
    assert!(c.say("GET a").starts_with("-CLUSTERDOWN"));
    eventually("the node says that it is not ready", || http(cluster.ports[0].http, "/readyz").0 == 503);
    for i in [1, 2] {
        cluster.start_node(i).unwrap_or_else(|e| panic!("{e}"));
    }
    cluster.wait_ready();
    assert!(["1", "2"].contains(&c.insist("GET a").as_str()));
}

#[test]
fn a_node_that_comes_back_empty_is_rebuilt_and_loses_nothing() {
    let mut cluster = Cluster::start(3, &[("timeouts.leader_wait", "500ms")]);
    cluster.stop_node(2);
    let mut c = cluster.client(0);
    for i in 0..50 {
        assert_eq!(c.insist(&format!("SET k{i} v{i}")), "+OK");
    }
    // One of the two that have the writes loses its disk, the other one is away: the third and the emptied one could elect
    // each other, and must not.
    cluster.stop_node(0);
    cluster.stop_node(1);
    std::fs::remove_dir_all(cluster.dir.path().join("n2")).unwrap();
    // The emptied one waits until another one answers.
    for i in [2, 1] {
        cluster.start_node(i).unwrap_or_else(|e| panic!("{e}"));
    }
    std::thread::sleep(Duration::from_secs(3));
    assert!(cluster.client(2).say("GET k1").starts_with("-CLUSTERDOWN"));
    let (code, why) = http(cluster.ports[1].http, "/readyz");
    assert!(code == 503 && why.contains("holds nothing"), "{why}");
    cluster.start_node(0).unwrap_or_else(|e| panic!("{e}"));
    cluster.wait_ready();
    for node in 0..3 {
        let mut c = cluster.client(node);
        (0..50).for_each(|i| assert_eq!(c.insist(&format!("GET k{i}")), format!("v{i}")));
    }
}

#[test]
fn a_damaged_engine_is_set_aside_and_rebuilt() {
    let mut cluster = Cluster::start(3, &[]);
    let mut c = cluster.client(0);
    for i in 0..50 {
        assert_eq!(c.insist(&format!("SET k{i} v{i}")), "+OK");
    }
    // The drain writes the state to the engine; every table ends with where its parts are.
    cluster.stop_node(1);
    let data = cluster.dir.path().join("n2");
    let keyspaces = std::fs::read_dir(data.join("engine/keyspaces")).unwrap();
    let tables = keyspaces.filter_map(|k| std::fs::read_dir(k.unwrap().path().join("tables")).ok()).flatten();
    let mut changed = 0;
    for table in tables {
        let path = table.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() - 40;
        bytes[at] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
        changed += 1;
    }
    assert!(changed > 0);
    cluster.start_node(1).unwrap_or_else(|e| panic!("{e}"));
    // Nobody writes meanwhile.
    cluster.wait_ready();
    assert!(data.join("engine.damaged-1").is_dir());
    cluster.stop_node(2);
    let mut c = cluster.client(1);
    (0..50).for_each(|i| assert_eq!(c.insist(&format!("GET k{i}")), format!("v{i}")));
}

#[test]
fn a_peer_of_another_version_is_turned_away() {
    use protocol::peer::{Hello, encode_into};
    use std::io::{Read as _, Write as _};
    let cluster = Cluster::start(3, &[]);
    let closes = |bytes: &[u8]| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", cluster.ports[0].peer)).unwrap();
        stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut said = Vec::new();
        // Its own introduction, then the end, in whichever way the kernel tells of it.
        match stream.read_to_end(&mut said) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    let hello = Hello::new("test".to_owned(), stdx::NodeId(2), 7);
    let mut newer = Vec::new();
    Hello { min_version: 9, max_version: 9, ..hello.clone() }.encode_into(&mut newer).unwrap();
    assert!(closes(&newer), "it speaks no version that this one does");
    let mut frame = Vec::new();
    hello.encode_into(&mut frame).unwrap();
    let at = frame.len();
    encode_into(&mut frame, &::cluster::PeerMessage::MapWanted).unwrap();
    // The third byte of a frame is its version.
    frame[at + 2] = 9;
    assert!(closes(&frame), "it introduced itself well and then sent a frame of another version");
    for i in 0..3 {
        assert!(cluster.client(i).insist("INCR n").starts_with(':'));
    }
}

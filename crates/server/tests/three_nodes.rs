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

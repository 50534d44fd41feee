//! What the peer port says to those who are no peers.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.

mod harness;

use bytes::BytesMut;
use harness::{Cluster, PATIENCE, eventually};
use protocol::peer::Hello;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use stdx::NodeId;

/// Sends `input` to a node's peer port and returns what it says before it closes the connection.
fn said(port: u16, input: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(input).unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as any; a timeout is none.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection is closed");
    }
    answer
}

fn hello(cluster: &str, node: u64) -> Hello {
    Hello::new(cluster.into(), NodeId(node), 1)
}

fn frame(hello: &Hello) -> Vec<u8> {
    let mut out = Vec::new();
    hello.encode_into(&mut out).unwrap();
    out
}

#[test]
fn strangers_are_disconnected_and_harm_nobody() {
    let cluster = Cluster::start(3, &[]);
    let port = cluster.ports[0].peer;
    let later = Hello { min_version: 200, max_version: 201, ..hello("test", 2) };
    let mut broken = frame(&hello("test", 2));
    broken[20] ^= 1;
    let mut garbage_after_hello = frame(&hello("test", 2));
    garbage_after_hello.extend_from_slice(&[0x9e, 0x50, 1, 1, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
    let silent: [&[u8]; 3] = [b"GET / HTTP/1.1\r\n\r\n", &[0; 4096], &broken];
    for input in silent {
        assert!(said(port, input).is_empty(), "garbage gets no answer");
    }
    for input in [
        frame(&hello("other", 2)),
        frame(&later),
        frame(&hello("test", 77)),
        frame(&hello("test", 1)),
        garbage_after_hello,
    ] {
        let mut answer = BytesMut::from(said(port, &input).as_slice());
        let ours = Hello::decode(&mut answer).unwrap().expect("the node introduces itself before it refuses");
        assert_eq!((ours.cluster.as_str(), ours.node), ("test", NodeId(1)));
        assert!(answer.is_empty(), "and says nothing else");
    }
    // The false end of a link of n2 may have cost an election: the cluster goes on all the same.
    let mut c = cluster.client(1);
    assert_eq!(c.insist("SET a 1"), "+OK");
    eventually("all nodes are ready", || cluster.ports.iter().all(|p| harness::http(p.http, "/readyz").0 == 200));
}

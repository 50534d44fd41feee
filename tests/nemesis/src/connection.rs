//! One connection to one node, and the client that owns some: it finds the node of a slot as Redis Cluster's clients do.

use crate::cluster::{REDIS, REDIS_CLUSTER};
use crate::net::address;
use bytes::{Bytes, BytesMut};
use command::{Args, Command, Reply, Slot, slot_of};
use protocol::resp::{ReplyDecoder, encode_request};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use workload::{Fate, Namespace, Outcome, Request, fate};

/// How long a connection may take to come about: a node that is paused or cut off does not answer.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);

/// How often one request follows `MOVED` before its client takes that for the answer: leaders may change meanwhile.
const REDIRECTS_MAX: usize = 6;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Numbers of connections, unique in this process.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// A connection to a node.
struct Connection {
    stream: TcpStream,
    decoder: ReplyDecoder,
    buffer: BytesMut,
    number: u64,
    node: usize,
}

impl Connection {
    fn open(node: usize, port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((address(node), port)), CONNECT_LIMIT)?;
        stream.set_nodelay(true)?;
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Connection { stream, decoder: ReplyDecoder::new(), buffer: BytesMut::new(), number, node })
    }

    /// Sends all commands in one go and waits for all replies.
    fn exchange(&mut self, request: &Request, deadline: Instant) -> io::Result<Vec<Reply>> {
        let mut out = Vec::new();
        request.commands.iter().for_each(|words| encode_request(words, &mut out));
        self.stream.set_write_timeout(Some(remaining(deadline)?))?;
        self.stream.write_all(&out)?;
        let mut replies = Vec::with_capacity(request.commands.len());
        let mut chunk = [0; READ_BYTES];
        loop {
            let decoded = self.decoder.decode(&mut self.buffer);
            match decoded.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))? {
                Some(reply) => replies.push(reply),
                None => {
                    self.stream.set_read_timeout(Some(remaining(deadline)?))?;
                    let n = self.stream.read(&mut chunk)?;
                    if n == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.buffer.extend_from_slice(&chunk[..n]);
                }
            }
            if replies.len() == request.commands.len() {
                return Ok(replies);
            }
        }
    }
}

/// What is left until the deadline; none is an error, because a socket takes no limit of zero.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// How a request ended, and where.
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// The number of the node that was asked last.
    pub node: u64,
    /// The connection it was asked on.
    pub connection: u64,
}

/// One client's connections: one to any node for the plain namespace, one to each node it needs for the sharded one.
pub struct Client {
    nodes: usize,
    /// The node that is asked when none is known to be right.
    preferred: usize,
    plain: Option<Connection>,
    sharded: BTreeMap<usize, Connection>,
    /// The node of a slot, as `MOVED` said.
    slots: BTreeMap<Slot, usize>,
    /// The namespace of the last request: the next is likely to go there too.
    last: Namespace,
    /// The node on whose connection a `WATCH` stands: requests go there and nowhere else until it has ended.
    watching: Option<usize>,
}

impl Client {
    /// A client without connections that asks `preferred` first, of `nodes` nodes.
    pub fn new(nodes: usize, preferred: usize) -> Client {
        let preferred = preferred % nodes;
        let (sharded, slots) = (BTreeMap::new(), BTreeMap::new());
        Client { nodes, preferred, plain: None, sharded, slots, last: Namespace::Plain, watching: None }
    }

    /// Closes all connections; the next goes to the next node.
    pub fn reconnect(&mut self) {
        self.plain = None;
        self.sharded.clear();
        self.watching = None;
        self.preferred = (self.preferred + 1) % self.nodes;
    }

    /// Connects if it has no connection, so that a request that is drawn can be sent; whether it has one.
    pub fn connect(&mut self) -> bool {
        let node = self.preferred;
        self.open(self.last, node).is_some() || {
            self.preferred = (node + 1) % self.nodes;
            false
        }
    }

    /// The connection to use for `node`: the plain namespace keeps the one it has.
    fn open(&mut self, namespace: Namespace, node: usize) -> Option<&mut Connection> {
        match namespace {
            Namespace::Plain => {
                if self.plain.is_none() {
                    self.plain = Some(Connection::open(node, REDIS).ok()?);
                }
                self.plain.as_mut()
            }
            Namespace::Cluster => match self.sharded.entry(node) {
                std::collections::btree_map::Entry::Occupied(open) => Some(open.into_mut()),
                std::collections::btree_map::Entry::Vacant(free) => {
                    Some(free.insert(Connection::open(node, REDIS_CLUSTER).ok()?))
                }
            },
        }
    }

    /// Sends a request and waits for its answer until `deadline`. After an unknown outcome all connections are new; a node
    /// that refuses is left for another one, unless a watch stands there.
    pub fn send(&mut self, request: &Request, deadline: Instant) -> Ended {
        self.last = request.namespace;
        let slot = match request.namespace {
            Namespace::Cluster => slot_of_request(request),
            Namespace::Plain => None,
        };
        let (mut node, mut connection) = (0, 0);
        for _ in 0..REDIRECTS_MAX {
            let to = self.watching.or_else(|| self.slots.get(&slot?).copied()).unwrap_or(self.preferred);
            let Some(open) = self.open(request.namespace, to) else {
                // Nothing was sent: another node may know who leads.
                self.leave(slot);
                continue;
            };
            (node, connection) = (open.node as u64 + 1, open.number);
            let Ok(replies) = open.exchange(request, deadline) else { break };
            let on = open.node;
            let moved = moved(&replies).filter(|(_, node)| *node < self.nodes);
            if let Some((slot, node)) = moved {
                self.slots.insert(slot, node);
            }
            if moved.is_some() && self.watching.is_none() && is_undone(request, &replies) {
                continue;
            }
            self.watching = request.leaves_watch(&replies, self.watching.is_some()).then_some(on);
            if self.watching.is_none() && moved.is_none() && replies.iter().any(|r| fate(r) == Fate::Refused) {
                self.plain = None;
                self.leave(slot);
            }
            return Ended { outcome: Outcome::Answered(replies), node, connection };
        }
        self.reconnect();
        Ended { outcome: Outcome::Lost, node, connection }
    }

    /// Looks for the leader of a slot elsewhere.
    fn leave(&mut self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.slots.remove(&slot);
        }
        self.preferred = (self.preferred + 1) % self.nodes;
    }
}

/// Slot and node of the first `MOVED` among the replies.
fn moved(replies: &[Reply]) -> Option<(Slot, usize)> {
    replies.iter().find_map(|reply| {
        let Reply::Error(line) = reply else { return None };
        let mut words = line.strip_prefix("MOVED ")?.split(' ');
        let slot = Slot(words.next()?.parse().ok()?);
        let to: SocketAddr = words.next()?.parse().ok()?;
        // The last byte of an address is the node's number.
        let SocketAddr::V4(to) = to else { return None };
        Some((slot, usize::from(to.ip().octets()[3]).checked_sub(1)?))
    })
}

/// Whether nothing of the request was done: every command was sent elsewhere, or is part of a transaction that was.
fn is_undone(request: &Request, replies: &[Reply]) -> bool {
    let in_transaction = request.commands.first().is_some_and(|words| is_named(words, b"MULTI"));
    let harmless = |reply: &Reply| match reply {
        Reply::Error(line) => line.starts_with("MOVED ") || line.starts_with("EXECABORT "),
        Reply::Simple(line) => in_transaction && (line == "OK" || line == "QUEUED"),
        _ => false,
    };
    replies.iter().all(harmless) && replies.last().is_some_and(Reply::is_error)
}

fn is_named(words: &[Bytes], name: &[u8]) -> bool {
    words.first().is_some_and(|word| word.eq_ignore_ascii_case(name))
}

/// The command that words make, if the product's table knows it.
pub fn parse(words: &[Bytes]) -> Option<Command> {
    Command::parse(words.iter().cloned().collect::<Args>()).ok()
}

/// The slot of the first key of a request.
fn slot_of_request(request: &Request) -> Option<Slot> {
    request.commands.iter().find_map(|words| Some(slot_of(parse(words)?.first_key()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[&str]) -> Request {
        let words = |line: &&str| line.split(' ').map(|w| Bytes::copy_from_slice(w.as_bytes())).collect();
        Request { namespace: Namespace::Cluster, commands: lines.iter().map(words).collect() }
    }

    fn error(line: &'static str) -> Reply {
        Reply::error(line)
    }

    #[test]
    fn the_slot_of_a_request_is_that_of_its_first_key() {
        let of = |lines: &[&str]| slot_of_request(&request(lines));
        assert_eq!(of(&["GET foo"]), Some(Slot(12182)));
        assert_eq!(of(&["MULTI", "SET {foo}.1 v", "EXEC"]), Some(Slot(12182)));
        assert_eq!(of(&["PING"]), None);
    }

    #[test]
    fn a_moved_request_is_sent_again_only_when_nothing_of_it_was_done() {
        let moved_to = error("MOVED 12182 10.83.0.2:7379");
        assert_eq!(moved(std::slice::from_ref(&moved_to)), Some((Slot(12182), 1)));
        let transaction = request(&["MULTI", "SET foo 1", "EXEC"]);
        let aborted = [Reply::OK, moved_to.clone(), error("EXECABORT discarded")];
        assert!(is_undone(&transaction, &aborted));
        assert!(!is_undone(&request(&["SET foo 1", "GET foo"]), &[Reply::OK, moved_to.clone()]));
        let unknown = error("UNKNOWNOUTCOME the write may or may not have been committed");
        assert!(!is_undone(&request(&["SET foo 1", "GET foo"]), &[unknown, moved_to.clone()]));
        assert!(is_undone(&request(&["SET foo 1", "GET foo"]), &[moved_to.clone(), moved_to]));
    }
}

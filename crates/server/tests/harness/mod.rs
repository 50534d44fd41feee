//! Nodes in this process, on ports of their own, and a blocking client that shows replies as text.

// Each test file uses a part of it.
#![allow(dead_code)]

use bytes::BytesMut;
use command::Reply;
use protocol::resp::{ReplyDecoder, encode_request};
use server::config::{Config, Sources, load};
use server::{Server, StartError};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that is removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("polder-server-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The four ports of a node.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub redis: u16,
    pub cluster: u16,
    pub peer: u16,
    pub http: u16,
}

impl Ports {
    /// Ports for `n` nodes that were free a moment ago. All are held until the last is chosen: none comes twice.
    fn free(n: usize) -> Vec<Ports> {
        let sockets: Vec<_> = (0..4 * n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        ports.chunks(4).map(|p| Ports { redis: p[0], cluster: p[1], peer: p[2], http: p[3] }).collect()
    }
}

/// The nodes of one cluster, running or not.
pub struct Cluster {
    pub dir: Scratch,
    pub ports: Vec<Ports>,
    pub nodes: Vec<Option<Server>>,
    name: String,
    extra: Vec<(String, String)>,
}

impl Cluster {
    /// Starts `n` nodes with extra settings and waits until every shard is led.
    pub fn start(n: usize, extra: &[(&str, &str)]) -> Cluster {
        let extra = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let ports = Ports::free(n);
        let nodes = (0..n).map(|_| None).collect();
        let mut cluster = Cluster { dir: Scratch::new(), ports, nodes, name: "test".into(), extra };
        // All at once: a cluster is founded by all of its nodes together.
        let starting: Vec<_> =
            (0..n).map(|i| cluster.config(i)).map(|config| std::thread::spawn(|| Server::start(config))).collect();
        for (node, thread) in cluster.nodes.iter_mut().zip(starting) {
            *node = Some(thread.join().unwrap().unwrap_or_else(|e| panic!("{e}")));
        }
        cluster.wait_ready();
        cluster
    }

    pub fn config(&self, i: usize) -> Config {
        let mut text = format!(
            "node = {}\ncluster = \"{}\"\ndata_dir = \"{}\"\nworkers = 1\nio_threads = 2\n",
            i + 1,
            self.name,
            self.dir.path().join(format!("n{}", i + 1)).display()
        );
        let listen = |p: &Ports| {
            format!(
                "redis = \"127.0.0.1:{}\"\nredis_cluster = \"127.0.0.1:{}\"\npeer = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\n",
                p.redis, p.cluster, p.peer, p.http
            )
        };
        text.push_str(&format!("[listen]\n{}", listen(&self.ports[i])));
        for (id, ports) in self.ports.iter().enumerate() {
            text.push_str(&format!("[peers.{}]\n{}", id + 1, listen(ports)));
        }
        let file = self.dir.path().join(format!("n{}.toml", i + 1));
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), environment: Vec::new(), overrides: self.extra.clone() };
        load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
    }

    pub fn start_node(&mut self, i: usize) -> Result<(), StartError> {
        self.nodes[i] = Some(Server::start(self.config(i))?);
        Ok(())
    }

    pub fn stop_node(&mut self, i: usize) {
        if let Some(server) = self.nodes[i].take() {
            server.stop();
        }
    }

    pub fn wait_ready(&self) {
        eventually("every running node is ready", || {
            let running = self.nodes.iter().zip(&self.ports).filter(|(n, _)| n.is_some());
            running.clone().all(|(_, p)| http(p.http, "/readyz").0 == 200)
        });
    }

    pub fn client(&self, i: usize) -> Client {
        Client::connect(self.ports[i].redis)
    }

    pub fn cluster_client(&self, i: usize) -> Client {
        Client::connect(self.ports[i].cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // One thread each, or every node would wait for the others to take its leaderships.
        let stopping: Vec<_> =
            self.nodes.drain(..).flatten().map(|server| std::thread::spawn(move || server.stop())).collect();
        for thread in stopping {
            let _ = thread.join();
        }
    }
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Status and body of a GET.
pub fn http(port: u16, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return (0, String::new()) };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let code = text.split(' ').nth(1).and_then(|c| c.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned());
    (code, body)
}

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    buffer: BytesMut,
    decoder: ReplyDecoder,
}

impl Client {
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: BytesMut::new(), decoder: ReplyDecoder::new() }
    }

    /// Sends commands, one a line, without waiting.
    pub fn send(&mut self, lines: &str) {
        let mut out = Vec::new();
        for line in lines.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            encode_request(&words, &mut out);
        }
        self.stream.write_all(&out).unwrap();
    }

    /// The next reply; `None` when the connection was closed.
    pub fn next(&mut self) -> Option<Reply> {
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.buffer).unwrap() {
                return Some(reply);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// Sends one command and shows its reply.
    pub fn say(&mut self, line: &str) -> String {
        self.send(line);
        self.next().map_or_else(|| "closed".to_owned(), |reply| show(&reply))
    }

    /// As `say`, until the reply is no error: for times of election.
    pub fn insist(&mut self, line: &str) -> String {
        let begun = Instant::now();
        loop {
            let reply = self.say(line);
            if !reply.starts_with('-') {
                return reply;
            }
            assert!(begun.elapsed() < PATIENCE, "{line}: {reply}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub fn show(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Simple(s) => format!("+{s}"),
        Reply::Error(s) => format!("-{s}"),
        Reply::Integer(n) => format!(":{n}"),
        Reply::Bulk(b) | Reply::Verbatim(_, b) => String::from_utf8_lossy(b).into_owned(),
        Reply::Null => "null".into(),
        Reply::NullArray => "null-array".into(),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => format!("[{}]", list(items)),
        Reply::Map(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{} {}", show(k), show(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => format!("{other:?}"),
    }
}

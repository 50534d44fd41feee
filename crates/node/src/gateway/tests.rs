//! Scripts: a line `> words` is a command of the client, the lines after it are what becomes of it. `@` lines change
//! the world: `@cluster` and `@plain` open a connection, `@as N` goes on with the connection that was opened as the N-th, `@close`
//! ends the present one, `@lead SHARD NODE` tells who leads, `@done SHARD` answers one request under way, `@later MS` passes time.
//! A line `N< ` is what a connection is told without having asked, `all< ` what other nodes are told. `POLDER_BLESS=1` writes what
//! happened into the files.

use super::*;
use crate::pubsub::PushLimits;
use crate::shared::{RouteTable, ShardHandle};
use ::cluster::{Layout, NodeRecord, Request, SHARDS_DEFAULT, bootstrap};
use bytes::Bytes;
use command::{Args, Reply, SessionId, Work};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, ShardId, WallMs};

type Told = Arc<Mutex<Vec<(usize, Arc<Reply>)>>>;

/// Keeps what the connection opened as this one is told.
struct Ear(usize, Told);

impl Closer for Ear {
    fn finish(&self) {}

    fn close(&self) {}

    fn unblock(&self, _number: u64, _how: ::cluster::Unblock) {}

    fn push(&self, message: &Arc<Reply>, _limits: PushLimits, _now: Mono) {
        self.1.lock().push((self.0, message.clone()));
    }
}

struct World {
    gateway: Gateway,
    table: Arc<RouteTable>,
    sessions: Vec<Session>,
    at: usize,
    told: Told,
    now: Mono,
}

impl World {
    fn new() -> World {
        let nodes = (1..=3)
            .map(|i| {
                let at = |base: u64| format!("127.0.0.1:{}", base + i);
                let record = NodeRecord {
                    peer: at(1000),
                    redis: at(6378),
                    redis_cluster: at(7378),
                    http: at(8000),
                    zone: String::new(),
                };
                (i, record)
            })
            .collect();
        let map = Arc::new(bootstrap(nodes, SHARDS_DEFAULT));
        let now = Mono(1_000_000_000);
        let shards: BTreeMap<_, _> = map
            .shards
            .iter()
            .map(|(id, record)| {
                let layout = map.namespaces[&record.namespace].layout;
                let handle = ShardHandle::new(ShardId(*id), record.namespace, layout, 0, None, now);
                handle.set_leader(Some(NodeId(record.replicas[0])), 1, now);
                (ShardId(*id), Arc::new(handle))
            })
            .collect();
        let facts = Facts { version: "0.1.0", port: 6379, cluster_port: 7379, ..Facts::default() };
        let settings = Settings::new(12, 1 << 20, "127.0.0.1", 6379);
        let gateway = Gateway::new(NodeId(1), facts, settings, now, 5000, 1000);
        let mut world = World {
            gateway,
            table: Arc::new(RouteTable::new(map, shards)),
            sessions: Vec::new(),
            at: 0,
            told: Told::default(),
            now,
        };
        world.open(Port::Plain);
        world
    }

    fn open(&mut self, port: Port) {
        self.at = self.sessions.len();
        let ear = Box::new(Ear(self.at + 1, self.told.clone()));
        let connected = self.gateway.clients.connect("10.0.0.1:5".into(), "10.0.0.2:6379".into(), self.now, ear);
        let client = connected.map_or(0, |client| client.id);
        self.sessions.push(Session::new(SessionId { node: NodeId(1), client }, port));
    }

    fn turn(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |i: usize| words[i].parse::<u64>().expect("a number in the script");
        match words[0] {
            "@cluster" => self.open(Port::Cluster),
            "@plain" => self.open(Port::Plain),
            "@lead" => {
                let leader = Some(NodeId(number(2))).filter(|n| n.0 != 0);
                self.table.shards[&ShardId(number(1) as u32)].set_leader(leader, 1, self.now);
                self.gateway.shed_channels(&self.table, self.now);
            }
            "@as" => self.at = number(1) as usize - 1,
            "@close" => self.sessions[self.at].leave(&self.gateway),
            "@done" => self.sessions[self.at].answered(ShardId(number(1) as u32)),
            "@later" => self.now = self.now + Duration::from_millis(number(1)),
            other => panic!("unknown line {other}"),
        }
    }

    fn say(&mut self, line: &str) -> String {
        let args: Args = line
            .split_whitespace()
            .map(|w| Bytes::copy_from_slice(if w == "\"\"" { b"" } else { w.as_bytes() }))
            .collect();
        let cx = Context { gateway: &self.gateway, table: &self.table, now: self.now, wall: WallMs(1_700_000_000_123) };
        let session = &mut self.sessions[self.at];
        let outcome = session.command(args, cx);
        let mut out = match outcome.action {
            Action::Reply(reply) if !outcome.turns.is_empty() => {
                let told = session.take_turns(reply, outcome.turns, cx);
                let others = told.publications.iter().map(|p| format!("all< {p:?}\n"));
                let others: String = others.collect();
                others + &told.replies.iter().map(show).collect::<Vec<_>>().join("\n")
            }
            Action::Reply(reply) => show(&reply),
            Action::Dispatch(request, finish) => {
                session.sent(request.shard);
                format!("-> {} finish {finish:?}", request_line(&request))
            }
            Action::Fan(requests, finish) => {
                let lines: Vec<_> = requests.iter().map(request_line).collect();
                format!("-> {} finish {finish:?}", lines.join(", "))
            }
        };
        if outcome.mute {
            out.push_str(" (muted)");
        }
        if outcome.close {
            out.push_str(" (close)");
        }
        out
    }

    /// What connections were told since.
    fn told(&mut self) -> String {
        let told = std::mem::take(&mut *self.told.lock());
        told.iter().map(|(to, message)| format!("{to}< {}\n", show(message))).collect()
    }
}

fn words(command: &command::Command) -> String {
    command.args.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect::<Vec<_>>().join(" ")
}

fn request_line(r: &Request) -> String {
    let work = match &r.work {
        Work::Single(command) => words(command),
        Work::Blocking { command, number, .. } => format!("wait {number} {}", words(command)),
        Work::Transaction { commands, watched } => {
            format!("transaction watched={watched} {}", commands.iter().map(words).collect::<Vec<_>>().join("; "))
        }
        Work::Watch { keys, .. } => format!("watch {} keys", keys.len()),
        Work::Unwatch => "unwatch".into(),
    };
    format!("{} db{}{} [{work}]", r.shard, r.db, if r.stale_ok { " stale" } else { "" })
}

fn show(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Simple(s) => format!("+{s}"),
        Reply::Error(s) => format!("-{s}"),
        Reply::Integer(n) => format!(":{n}"),
        Reply::Bulk(b) | Reply::Verbatim(_, b) => format!("{:?}", String::from_utf8_lossy(b)),
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

fn run(script: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    for line in script.lines() {
        let line = line.trim_end();
        if let Some(command) = line.strip_prefix("> ") {
            let answer = world.say(command);
            let _ = write!(out, "{line}\n{answer}\n{}", world.told());
        } else if line.starts_with('@') {
            world.turn(line);
            let _ = write!(out, "{line}\n{}", world.told());
        } else if line.starts_with('#') || line.is_empty() {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

fn check(name: &str) {
    let path = format!("{}/src/gateway/tests/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let script = std::fs::read_to_string(&path).expect("the script exists");
    let happened = run(&script);
    if std::env::var_os("POLDER_BLESS").is_some() {
        std::fs::write(&path, happened).expect("the script is writable");
    } else {
        assert_eq!(happened, script, "{name}: run with POLDER_BLESS=1 and read the difference");
    }
}

#[test]
fn connection() {
    check("connection");
}

#[test]
fn clients() {
    check("clients");
}

#[test]
fn transactions() {
    check("transactions");
}

#[test]
fn pubsub() {
    check("pubsub");
}

#[test]
fn redis_cluster() {
    check("redis_cluster");
}

#[test]
fn server() {
    check("server");
}

#[test]
fn every_served_command_has_somebody_who_answers_it() {
    for spec in command::specs().iter().filter(|s| s.served) {
        for port in [Port::Plain, Port::Cluster] {
            let mut world = World::new();
            world.open(port);
            let words = spec.name.replace('|', " ");
            let given = words.split(' ').count();
            let least = spec.arity.number().unsigned_abs() as usize;
            let line = format!("{words}{}", " 1".repeat(least.saturating_sub(given)));
            let answer = world.say(&line);
            assert!(!answer.contains("does not serve") || spec.name == "debug", "{line} on {port:?}: {answer}");
        }
    }
}

#[test]
fn layouts_agree() {
    assert_eq!(Session::new(SessionId::default(), Port::Plain).layout(), Layout::Colocated);
    assert_eq!(Session::new(SessionId::default(), Port::Cluster).layout(), Layout::Sharded);
}

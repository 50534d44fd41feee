//! Stories: `scripts/*.txt`. A line that begins with `> ` is a command, the lines below it are what it must print.
//! `POLDER_UPDATE=1` rewrites what they print; read the difference before you keep it.
//!
//! Nodes are `n1`…, `leader`, `follower` (the first running node that does not lead), `other` (the last one), or a name
//! given with `name NAME NODE`. Checkers run after every millisecond, whatever the script asks for.

use super::cluster::Cluster;
use crate::{ChangeKind, Config, MembershipChange, MessageKind, Transition};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use stdx::NodeId;

struct Story {
    cluster: Cluster,
    names: BTreeMap<String, u64>,
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.trim_end_matches("ms").parse().expect("a time like 500ms"))
}

impl Story {
    fn new(words: &[&str]) -> Story {
        let option = |name: &str, default: u64| {
            let value = words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
            value.map_or(default, |v| v.parse().expect("a number"))
        };
        let mut config = Config::new(NodeId(1));
        config.max_inflight = option("inflight", 256) as usize;
        config.max_message_bytes = option("message", 1 << 20);
        config.max_uncommitted_bytes = option("uncommitted", 64 << 20);
        let cluster = Cluster::new(option("voters", 3), option("spares", 0), config, option("seed", 1));
        Story { cluster, names: BTreeMap::new() }
    }

    fn node(&self, word: &str) -> u64 {
        let leader = self.cluster.leader();
        let mut follows =
            self.cluster.replicas.values().filter(|r| r.group.is_some() && Some(r.id) != leader).map(|r| r.id);
        match word {
            "leader" => leader.expect("somebody leads"),
            "follower" => follows.next().expect("somebody follows"),
            "other" => follows.next_back().expect("somebody follows"),
            name if self.names.contains_key(name) => self.names[name],
            name => name.trim_start_matches('n').parse().expect("a node"),
        }
    }

    /// Runs one command and returns what it prints.
    fn command(&mut self, words: &[&str]) -> String {
        let mut out = String::new();
        let nodes: Vec<u64> = words.iter().skip(1).filter(|w| self.is_node(w)).map(|w| self.node(w)).collect();
        match words {
            ["run", time] => self.cluster.run(millis(time)),
            ["elect", "within", time] => self.elect(millis(time), &mut out),
            ["status"] => out = self.cluster.status(),
            ["name", name, _] => {
                self.names.insert((*name).to_string(), nodes[0]);
            }
            ["propose", _, values @ ..] => self.propose(nodes[0], values, &mut out),
            ["membership", _, changes @ ..] => self.membership(nodes[0], changes, &mut out),
            ["read", _] => self.read(nodes[0], &mut out),
            ["events"] => self.events(&mut out),
            ["lease", _] => self.lease(nodes[0], &mut out),
            ["values", _] => {
                let values = self.cluster.replica(nodes[0]).machine.values.iter();
                let values: Vec<_> = values.map(|(_, v)| String::from_utf8_lossy(v).into_owned()).collect();
                writeln!(out, "n{}: {}", nodes[0], values.join(" ")).unwrap();
            }
            ["members", _] => {
                let members = self.cluster.replica(nodes[0]).group.as_ref().map(|g| g.membership().clone());
                writeln!(out, "n{}: {members:?}", nodes[0]).unwrap();
            }
            ["happened", what] => {
                let happened = self.cluster.checker.counts.contains_key(what);
                writeln!(out, "{what}: {}", if happened { "yes" } else { "no" }).unwrap();
            }
            ["drop", kinds @ ..] => self.cluster.dropped_kinds = kinds.iter().map(|k| kind(k) as u8).collect(),
            _ => self.act(words, &nodes, &mut out),
        }
        out
    }

    fn is_node(&self, word: &str) -> bool {
        let numbered = word.strip_prefix('n').is_some_and(|n| n.parse::<u64>().is_ok());
        numbered || matches!(word, "leader" | "follower" | "other") || self.names.contains_key(word)
    }

    /// Commands that do one thing to one node and print nothing.
    fn act(&mut self, words: &[&str], nodes: &[u64], out: &mut String) {
        let cluster = &mut self.cluster;
        match (words[0], nodes) {
            ("heal", []) => cluster.cut.clear(),
            ("cut", [from, to]) => {
                cluster.cut.insert((*from, *to));
            }
            ("isolate", [id]) => {
                for other in cluster.ids().into_iter().filter(|o| o != id) {
                    cluster.cut.extend([(*id, other), (other, *id)]);
                }
            }
            ("crash", [id]) => cluster.crash(*id),
            ("restart", [id]) => cluster.start(*id),
            ("wipe", [id]) => cluster.wipe(*id),
            ("pause", [id]) => cluster.replica(*id).paused = true,
            ("resume", [id]) => cluster.replica(*id).paused = false,
            ("stall-disk", [id]) => cluster.replica(*id).disk_stalled = true,
            ("free-disk", [id]) => cluster.replica(*id).disk_stalled = false,
            ("break-disk", [id]) => cluster.replica(*id).disk.0.borrow_mut().broken = true,
            ("unfit", [id]) => {
                let unfit = [NodeId(*id)].into();
                cluster.replicas.values_mut().filter_map(|r| r.group.as_mut()).for_each(|g| g.avoid(&unfit));
            }
            ("flush", [id]) => cluster.replica(*id).flush(),
            ("compact", [id]) => cluster.replica(*id).compact(),
            ("fault", [id]) => {
                let fault = cluster.replica(*id).group.as_ref().and_then(|g| g.fault());
                writeln!(out, "n{id}: {}", fault.map_or("sound".to_string(), |f| f.to_string())).unwrap();
            }
            (command, [id, rest @ ..]) => Self::order(cluster, command, *id, rest, out),
            _ => panic!("unknown command: {words:?}"),
        }
        cluster.check();
    }

    fn order(cluster: &mut Cluster, command: &str, id: u64, rest: &[u64], out: &mut String) {
        let now = cluster.time(id);
        let group = cluster.replica(id).group.as_mut().expect("it runs");
        match (command, rest) {
            ("suspect", []) => group.suspect_leader(now),
            ("transfer", [to]) => group.transfer_leader(NodeId(*to), now),
            ("request-leadership", []) => group.request_leadership(now),
            ("step-down", []) => group.step_down(now),
            ("allow-campaign", []) => group.allow_campaign(),
            ("hibernate", []) => {
                let can = group.can_hibernate();
                writeln!(out, "n{id} {}", if can { "sleeps" } else { "must not sleep" }).unwrap();
                if can {
                    group.hibernate();
                }
            }
            ("wake", []) => group.wake(now),
            _ => panic!("unknown command: {command}"),
        }
    }

    fn elect(&mut self, within: Duration, out: &mut String) {
        let began = self.cluster.now;
        while self.cluster.now.since(began) <= within {
            self.cluster.step();
            if let Some((id, term)) = self.cluster.leases().first() {
                writeln!(out, "n{id} leads term {term}").unwrap();
                return;
            }
        }
        writeln!(out, "nobody leads").unwrap();
    }

    fn propose(&mut self, id: u64, values: &[&str], out: &mut String) {
        for value in values {
            let group = self.cluster.replica(id).group.as_mut().expect("it runs");
            match group.propose(Bytes::copy_from_slice(value.as_bytes())) {
                Ok(position) => writeln!(out, "{value} at {} in term {}", position.index, position.term).unwrap(),
                Err(error) => writeln!(out, "{value}: {error:?}").unwrap(),
            }
        }
        self.cluster.collect(id);
    }

    fn membership(&mut self, id: u64, words: &[&str], out: &mut String) {
        let mut change = MembershipChange::default();
        for word in words {
            let (kind, node) = match word.split_once(':') {
                Some(("voter", node)) => (ChangeKind::Voter, node),
                Some(("learner", node)) => (ChangeKind::Learner, node),
                Some(("remove", node)) => (ChangeKind::Remove, node),
                _ if *word == "explicit" => {
                    change.transition = Transition::Explicit;
                    continue;
                }
                _ => continue,
            };
            change.changes.push((kind, NodeId(self.node(node))));
        }
        match self.cluster.replica(id).group.as_mut().expect("it runs").propose_membership(change) {
            Ok(position) => writeln!(out, "at {} in term {}", position.index, position.term).unwrap(),
            Err(error) => writeln!(out, "{error}").unwrap(),
        }
    }

    fn read(&mut self, id: u64, out: &mut String) {
        let (now, decided) = (self.cluster.time(id), self.cluster.checker.decided_index);
        let replica = self.cluster.replica(id);
        match replica.group.as_mut().expect("it runs").read_barrier(now) {
            Ok(barrier) => assert!(replica.barriers.insert(barrier, decided).is_none(), "no barrier is used twice"),
            Err(error) => writeln!(out, "{error:?}").unwrap(),
        }
    }

    fn events(&mut self, out: &mut String) {
        for replica in self.cluster.replicas.values_mut() {
            for event in replica.events.drain(..) {
                writeln!(out, "{event}").unwrap();
            }
        }
    }

    fn lease(&mut self, id: u64, out: &mut String) {
        let has = self.cluster.leases().iter().any(|(node, _)| *node == id);
        writeln!(out, "n{id} {}", if has { "has the lease" } else { "has no lease" }).unwrap();
    }
}

fn kind(name: &str) -> MessageKind {
    match name {
        "append" => MessageKind::Append,
        "append-response" => MessageKind::AppendResponse,
        "heartbeat" => MessageKind::Heartbeat,
        "heartbeat-response" => MessageKind::HeartbeatResponse,
        "vote" => MessageKind::RequestVote,
        "timeout-now" => MessageKind::TimeoutNow,
        other => panic!("unknown kind of message: {other}"),
    }
}

/// Runs a script and returns it with what its commands print.
fn play(script: &str) -> String {
    let mut out = String::new();
    let mut story = None;
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            writeln!(out, "{line}").unwrap();
            let words: Vec<&str> = command.split_whitespace().collect();
            if words[0] == "cluster" {
                story = Some(Story::new(&words));
            } else {
                let story = story.as_mut().expect("a script begins with cluster");
                out.push_str(&story.command(&words));
            }
        } else if line.is_empty() || line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

#[test]
fn scripts() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are scripts");
    let mut different = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        println!("script {name}");
        let expected = std::fs::read_to_string(&path).unwrap();
        let actual = play(&expected);
        if actual != expected {
            if std::env::var("POLDER_UPDATE").is_ok() {
                std::fs::write(&path, actual).unwrap();
            } else {
                different.push(format!("{name} prints:\n{actual}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

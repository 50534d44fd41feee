//! What a node says of its cluster, and `polder status`.

use crate::cli::{EXIT_FAILED, EXIT_NO_LEADER, StatusArgs, print};
use crate::http;
use crate::table::{align, row};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

/// A node that lives answers in milliseconds; the rest is for a slow network.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// The body of `GET /status`. Fields that a node of another version does not send are empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The node that answered.
    pub node: u64,
    /// Its cluster.
    pub cluster: String,
    /// Its version of Polder.
    pub version: String,
    /// The nodes it knows.
    pub nodes: Vec<NodeStatus>,
    /// The shards it knows.
    pub shards: Vec<ShardStatus>,
}

/// A node as the one that answered sees it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    pub id: u64,
    pub redis: String,
    pub redis_cluster: String,
    pub http: String,
    pub zone: String,
    /// Heard from lately; absent if the node that answered does not say.
    pub alive: Option<bool>,
}

/// A shard as the node that answered sees it. Indices are of its own replica.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ShardStatus {
    pub id: u32,
    pub namespace: String,
    /// Number of the leading node; absent or 0 when none is known.
    pub leader: Option<u64>,
    pub term: u64,
    pub applied: u64,
    pub commit: u64,
    pub replicas: Vec<u64>,
    /// Whether the node that answered holds a replica; absent if it does not say. Of others' shards it may know little.
    pub hosted: Option<bool>,
}

impl ShardStatus {
    /// The leading node, if one is known.
    pub fn leader(&self) -> Option<u64> {
        self.leader.filter(|id| *id != 0)
    }
}

impl Status {
    /// Reads the body of an answer.
    pub fn parse(body: &str) -> Result<Status, serde_json::Error> {
        serde_json::from_str(body)
    }

    /// Shards that are known to be without a leader: of a shard held elsewhere, not to know one says nothing.
    pub fn leaderless(&self) -> usize {
        self.shards.iter().filter(|s| s.leader().is_none() && s.hosted != Some(false)).count()
    }

    /// Puts the views of several nodes together: of each shard, what the one that knows of the highest term says.
    pub fn merge(views: impl IntoIterator<Item = Status>) -> Option<Status> {
        let rank = |s: &ShardStatus| (s.term, s.leader().is_some(), s.commit);
        views.into_iter().reduce(|mut merged, view| {
            for shard in view.shards {
                match merged.shards.iter_mut().find(|s| s.id == shard.id) {
                    Some(known) if rank(known) < rank(&shard) => *known = shard,
                    Some(_) => (),
                    None => merged.shards.push(shard),
                }
            }
            merged
        })
    }

    /// What `node` leads: `default, system, 6 of cluster`.
    pub fn led_by(&self, node: u64) -> String {
        let mut led: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for shard in &self.shards {
            let (mine, all) = led.entry(&shard.namespace).or_default();
            *mine += usize::from(shard.leader() == Some(node));
            *all += 1;
        }
        let named: Vec<_> = led
            .iter()
            .filter(|(_, (mine, _))| *mine > 0)
            .map(|(name, (mine, all))| if *all == 1 { (*name).to_owned() } else { format!("{mine} of {name}") })
            .collect();
        if named.is_empty() { "-".to_owned() } else { named.join(", ") }
    }
}

/// Asks one node and prints its view of the cluster.
pub fn run(args: &StatusArgs) -> ExitCode {
    let address = &args.http;
    let response = match http::get(address, "/status", ANSWER_LIMIT) {
        Ok(response) if response.code == 200 => response,
        Ok(response) => {
            let said = response.body.lines().next().unwrap_or_default();
            eprintln!(
                "polder: {address} answers {} to GET /status {said}\n    is it the HTTP address of a Polder node?",
                response.code
            );
            return EXIT_FAILED.into();
        }
        Err(error) => {
            eprintln!(
                "polder: {address} cannot be asked: {error}\n    start a node, or name another one's HTTP address with --http"
            );
            return EXIT_FAILED.into();
        }
    };
    match Status::parse(&response.body) {
        Ok(status) => {
            let text = if args.json { response.body } else { render(&status) };
            print(&format!("{}\n", text.trim_end()));
            if status.leaderless() == 0 { ExitCode::SUCCESS } else { EXIT_NO_LEADER.into() }
        }
        Err(error) => {
            eprintln!("polder: the answer of {address} is not a status: {error}\n    is the node of another version?");
            EXIT_FAILED.into()
        }
    }
}

/// The status for people.
fn render(status: &Status) -> String {
    let mut lines = vec![
        format!("Cluster {}, as n{} sees it (Polder {})", status.cluster, status.node, status.version),
        String::new(),
    ];
    let mut nodes = vec![row([&"node", &"state", &"redis", &"cluster", &"http", &"zone", &"leads"])];
    for n in &status.nodes {
        let state = match n.alive {
            _ if n.id == status.node => "answers",
            Some(true) => "alive",
            Some(false) => "silent",
            None => "-",
        };
        let zone = if n.zone.is_empty() { "-" } else { &n.zone };
        nodes.push(row([
            &format!("n{}", n.id),
            &state,
            &n.redis,
            &n.redis_cluster,
            &n.http,
            &zone,
            &status.led_by(n.id),
        ]));
    }
    lines.extend(align(&nodes));
    lines.push(String::new());
    let mut shards = vec![row([&"shard", &"namespace", &"leader", &"term", &"commit", &"applied", &"replicas"])];
    for s in &status.shards {
        let none = if s.hosted == Some(false) { "unknown" } else { "none" };
        let leader = s.leader().map_or(none.to_owned(), |id| format!("n{id}"));
        let replicas: Vec<_> = s.replicas.iter().map(|id| format!("n{id}")).collect();
        let replicas = replicas.join(" ");
        shards.push(row([&format!("s{}", s.id), &s.namespace, &leader, &s.term, &s.commit, &s.applied, &replicas]));
    }
    lines.extend(align(&shards));
    lines.push(String::new());
    lines.push(summary(status));
    lines.join("\n")
}

fn summary(status: &Status) -> String {
    let namespaces: BTreeSet<_> = status.shards.iter().map(|s| s.namespace.as_str()).collect();
    let silent: Vec<_> = status.nodes.iter().filter(|n| n.alive == Some(false)).map(|n| format!("n{}", n.id)).collect();
    let counted = format!("{} shards in {} namespaces", status.shards.len(), namespaces.len());
    let led = match status.leaderless() {
        0 => "each with a leader".to_owned(),
        n => format!("{n} WITHOUT A LEADER"),
    };
    let heard = if silent.is_empty() { String::new() } else { format!("; not heard from: {}", silent.join(", ")) };
    format!("{counted}, {led}{heard}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{
        "node": 2, "cluster": "dev", "version": "0.1.0", "later": {},
        "nodes": [
            {"id": 1, "redis": "127.0.0.1:6379", "redis_cluster": "127.0.0.1:7379", "http": "127.0.0.1:9379", "alive": false},
            {"id": 2, "redis": "127.0.0.1:6380", "redis_cluster": "127.0.0.1:7380", "http": "127.0.0.1:9380", "zone": "b"}],
        "shards": [
            {"id": 0, "namespace": "system", "leader": 2, "term": 3, "applied": 7, "commit": 8, "replicas": [1, 2]},
            {"id": 2, "namespace": "cluster", "leader": 2, "term": 1, "applied": 1, "commit": 1, "replicas": [1, 2]},
            {"id": 3, "namespace": "cluster", "leader": null, "term": 1, "applied": 1, "commit": 1, "replicas": [1, 2]}]}"#;

    #[test]
    fn renders_what_a_node_says() {
        let expected = "\
Cluster dev, as n2 sees it (Polder 0.1.0)

node  state    redis           cluster         http            zone  leads
n1    silent   127.0.0.1:6379  127.0.0.1:7379  127.0.0.1:9379  -     -
n2    answers  127.0.0.1:6380  127.0.0.1:7380  127.0.0.1:9380  b     1 of cluster, system

shard  namespace  leader  term  commit  applied  replicas
s0     system     n2      3     8       7        n1 n2
s2     cluster    n2      1     1       1        n1 n2
s3     cluster    none    1     1       1        n1 n2

3 shards in 2 namespaces, 1 WITHOUT A LEADER; not heard from: n1";
        assert_eq!(render(&Status::parse(BODY).unwrap()), expected);
    }

    #[test]
    fn the_highest_term_knows_the_leader() {
        let view = |shards: &str| Status::parse(&format!("{{\"shards\": [{shards}]}}")).unwrap();
        let stale = view(r#"{"id": 0, "leader": 1, "term": 3}, {"id": 1, "hosted": false}"#);
        let fresh = view(r#"{"id": 0, "leader": 2, "term": 4}, {"id": 1, "leader": 3, "term": 1}"#);
        assert_eq!((stale.leaderless(), fresh.leaderless()), (0, 0));
        for views in [[stale.clone(), fresh.clone()], [fresh, stale]] {
            let leaders: Vec<_> = Status::merge(views).unwrap().shards.iter().map(ShardStatus::leader).collect();
            assert_eq!(leaders, [Some(2), Some(3)]);
        }
    }

    #[test]
    fn an_empty_answer_is_a_status_and_text_is_not() {
        assert_eq!(Status::parse("{}").unwrap().shards.len(), 0);
        assert!(Status::parse("starting").is_err());
    }
}

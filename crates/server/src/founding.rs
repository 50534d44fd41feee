//! What a node has to know of the others before it takes part: whether the cluster exists, and whether they are whole.
//!
//! A node whose data directory is empty is either one of the founders of a new cluster, or one that lost its disk. The second must
//! not vote as if it had promised nothing. So it asks: every introduction between nodes (`Hello`) says how the sender's data
//! directory stands, under a number that was drawn when the directory was created.
//!
//! | the others say | this node |
//! |---|---|
//! | one belongs to a cluster founded with this very directory | founds it, too |
//! | one belongs to a cluster founded with another directory of this node | joins: what it had is rebuilt |
//! | all are empty, twice in a row, with the same directories | founds the cluster with these directories |
//! | anything else | waits, and says for whom |
//!
//! Why twice: between the two rounds nobody's directory was replaced unnoticed, so whoever founded with an earlier one says so.

use crate::config::Config;
use crate::error::StartError;
use crate::peer::{LinkError, read_hello};
use bytes::BytesMut;
use cluster::{ClusterMap, bootstrap};
use parking_lot::Mutex;
use protocol::peer::{Hello, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stdx::NodeId;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long one question may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// Pause between two rounds of questions, which doubles up to the longest: nodes that start together find each other within a few.
const ROUND_PAUSE: Duration = Duration::from_millis(20);
const ROUND_PAUSE_MAX: Duration = Duration::from_millis(200);
/// How often a node that waits says for what.
const SAY_INTERVAL: Duration = Duration::from_secs(5);

/// Data directories by node.
pub type Directories = BTreeMap<u64, u64>;

/// What a node with an empty data directory does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It founds the cluster, with these directories.
    Found(Directories),
    /// It joins a cluster that was founded with these directories.
    Join(Directories),
}

/// What waiting nodes tell over HTTP: the reason of `/readyz`.
pub type Reason = Arc<Mutex<String>>;

/// Decides for an empty data directory of this number. Answers peers on `listener` meanwhile.
pub async fn decide(config: &Config, directory: u64, listener: &TcpListener, reason: &Reason) -> Decision {
    let standing = Standing { directory, ..Standing::default() };
    let asking = async {
        let mut said = Said::default();
        let mut before = None;
        let mut pause = ROUND_PAUSE;
        loop {
            let answers = ask_all(config, &standing).await;
            match judge(config.node.0, config.peers.keys(), directory, &answers) {
                Verdict::Decided(decision) => return decision,
                Verdict::AllEmpty(directories) if before.as_ref() == Some(&directories) => {
                    return Decision::Found(directories);
                }
                Verdict::AllEmpty(directories) => {
                    before = Some(directories);
                    continue;
                }
                Verdict::Waits(missing) => {
                    before = None;
                    said.say(
                        reason,
                        &format!("nodes {missing:?} are needed to found the cluster, or to learn that it exists"),
                    );
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ROUND_PAUSE_MAX);
        }
    };
    tokio::select! {
        decision = asking => decision,
        never = answer(config, standing.clone(), listener) => match never {},
    }
}

/// Waits until enough others are whole that this node may lose its state. A damaged engine is set aside only then, so that a fault that befalls all nodes alike leaves their data where it is.
pub async fn others_whole(config: &Config, standing: Standing, listener: &TcpListener, reason: &Reason) {
    let asking = async {
        let mut said = Said::default();
        while !enough_are_whole(config, &standing).await {
            said.say(reason, "the engine is damaged; it is rebuilt when enough other nodes are whole");
            tokio::time::sleep(ROUND_PAUSE_MAX).await;
        }
    };
    tokio::select! {
        () = asking => {}
        never = answer(config, standing.clone(), listener) => match never {},
    }
}

/// Whether enough others are whole at this moment; never in a cluster of one.
pub async fn enough_are_whole(config: &Config, standing: &Standing) -> bool {
    let answers = ask_all(config, standing).await;
    let whole: BTreeSet<u64> = answers.into_iter().filter(|(_, s)| s.whole).map(|(id, _)| id).collect();
    can_spare(config.node.0, &bootstrap(config.peers.clone(), config.shards), &whole)
}

/// Whether each replica of node `me` can be rebuilt from nodes that are whole: a majority without it, or all others.
fn can_spare(me: u64, map: &ClusterMap, whole: &BTreeSet<u64>) -> bool {
    map.shards.values().filter(|s| s.replicas.contains(&me)).all(|shard| {
        let others = || shard.replicas.iter().filter(move |id| **id != me);
        let enough = (shard.replicas.len() / 2 + 1).min(others().count());
        enough > 0 && others().filter(|id| whole.contains(*id)).count() >= enough
    })
}

enum Verdict {
    Decided(Decision),
    /// Nobody has taken part in anything yet; the directories of all.
    AllEmpty(Directories),
    /// Nodes that did not answer.
    Waits(Vec<u64>),
}

fn judge<'a>(me: u64, members: impl Iterator<Item = &'a u64>, directory: u64, answers: &Answers) -> Verdict {
    let founded: Vec<&Standing> = answers.values().filter(|s| s.founded).collect();
    if let Some(other) = founded.iter().find(|s| s.founders.get(&me) != Some(&directory)) {
        return Verdict::Decided(Decision::Join(other.founders.clone()));
    }
    if let Some(peer) = founded.first() {
        return Verdict::Decided(Decision::Found(peer.founders.clone()));
    }
    let missing: Vec<u64> = members.filter(|id| **id != me && !answers.contains_key(id)).copied().collect();
    if !missing.is_empty() {
        return Verdict::Waits(missing);
    }
    let mut directories: Directories = answers.iter().map(|(id, s)| (*id, s.directory)).collect();
    directories.insert(me, directory);
    Verdict::AllEmpty(directories)
}

/// How the others stand, by node.
type Answers = BTreeMap<u64, Standing>;

async fn ask_all(config: &Config, standing: &Standing) -> Answers {
    let mut asking = JoinSet::new();
    for (id, record) in config.peers.iter().filter(|(id, _)| **id != config.node.0) {
        let hello = introduction(config, standing.clone());
        let (id, address) = (NodeId(*id), record.peer.clone());
        asking.spawn(async move {
            let asked = tokio::time::timeout(ASK_LIMIT, ask(&address, &hello)).await;
            asked.ok().and_then(Result::ok).filter(|theirs| theirs.node == id && hello.agree(theirs).is_ok())
        });
    }
    let mut answers = Answers::new();
    while let Some(done) = asking.join_next().await {
        if let Ok(Some(hello)) = done {
            answers.insert(hello.node.0, hello.standing);
        }
    }
    answers
}

fn introduction(config: &Config, standing: Standing) -> Hello {
    // No life of a process begins with this: it only asks.
    Hello { standing, asks_only: true, ..Hello::new(config.cluster.clone(), config.node, 0) }
}

async fn ask(address: &str, hello: &Hello) -> Result<Hello, LinkError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut out = Vec::new();
    hello.encode_into(&mut out)?;
    stream.write_all(&out).await?;
    read_hello(&mut stream, &mut BytesMut::new()).await
}

/// Answers whoever connects to the peer port, until the node takes part.
async fn answer(config: &Config, standing: Standing, listener: &TcpListener) -> std::convert::Infallible {
    let hello = introduction(config, standing);
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(ROUND_PAUSE).await;
            continue;
        };
        let hello = hello.clone();
        tokio::spawn(async move {
            let mut out = Vec::new();
            let heard = read_hello(&mut stream, &mut BytesMut::new()).await;
            if heard.is_ok() && hello.encode_into(&mut out).is_ok() {
                // Whoever asked asks again.
                let _ = stream.write_all(&out).await;
            }
        });
    }
}

/// Says for what a node waits: in the log now and then, and over HTTP.
#[derive(Default)]
struct Said(Option<(Instant, String)>);

impl Said {
    fn say(&mut self, reason: &Reason, why: &str) {
        why.clone_into(&mut reason.lock());
        let news = self.0.as_ref().is_none_or(|(at, what)| at.elapsed() >= SAY_INTERVAL || what != why);
        if news {
            // Nodes that start together need a moment; that is not worth a line.
            if self.0.is_some() {
                tracing::warn!("{why}");
            }
            self.0 = Some((Instant::now(), why.to_owned()));
        }
    }
}

/// Runs a wait, unless a signal ends the process before.
pub async fn unless_stopped<T>(wait: impl Future<Output = T>, signals: bool) -> Result<T, StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    if !signals {
        return Ok(wait.await);
    }
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        done = wait => Ok(done),
        _ = term.recv() => Err(StartError::Stopped),
        _ = int.recv() => Err(StartError::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(directory: u64, founders: &[(u64, u64)]) -> Standing {
        let founders: Directories = founders.iter().copied().collect();
        Standing { directory, founded: !founders.is_empty(), whole: true, founders }
    }

    fn check(answers: &[(u64, Standing)], expected: &str) {
        let answers = answers.iter().cloned().collect();
        let said = match judge(3, [1, 2, 3].iter(), 33, &answers) {
            Verdict::Decided(decision) => format!("{decision:?}"),
            Verdict::AllEmpty(directories) => format!("all empty {directories:?}"),
            Verdict::Waits(missing) => format!("waits for {missing:?}"),
        };
        assert_eq!(said, expected, "{answers:?}");
    }

    #[test]
    fn founds_only_with_everybody_or_as_one_of_the_founders() {
        let founders = [(1, 11), (2, 22), (3, 33)];
        check(&[], "waits for [1, 2]");
        check(&[(1, standing(11, &[]))], "waits for [2]");
        check(&[(1, standing(11, &[])), (2, standing(22, &[]))], "all empty {1: 11, 2: 22, 3: 33}");
        check(&[(1, standing(11, &founders))], "Found({1: 11, 2: 22, 3: 33})");
        check(&[(1, standing(11, &founders)), (2, standing(22, &[]))], "Found({1: 11, 2: 22, 3: 33})");
    }

    #[test]
    fn spares_its_state_only_where_it_can_be_rebuilt() {
        let record = cluster::NodeRecord {
            peer: "h:1".into(),
            redis: "h:2".into(),
            redis_cluster: "h:3".into(),
            http: "h:4".into(),
            zone: String::new(),
        };
        let can = |nodes: u64, whole: &[u64]| {
            let map = bootstrap((1..=nodes).map(|i| (i, record.clone())).collect(), cluster::SHARDS_DEFAULT);
            can_spare(1, &map, &whole.iter().copied().collect())
        };
        assert!(!can(1, &[]) && !can(2, &[]) && can(2, &[2]));
        assert!(!can(3, &[2]) && can(3, &[2, 3]));
        // Three replicas on five nodes: each of the others has one in common with node 1.
        assert!(!can(5, &[3, 4, 5]) && can(5, &[2, 3, 4, 5]));
    }

    #[test]
    fn joins_where_the_cluster_was_founded_with_another_directory() {
        let founders = [(1, 11), (2, 22), (3, 32)];
        let join = "Join({1: 11, 2: 22, 3: 32})";
        check(&[(1, standing(11, &founders))], join);
        check(&[(2, standing(22, &[])), (1, standing(11, &founders))], join);
        check(&[(1, standing(11, &[(1, 11), (2, 22), (3, 33)])), (2, standing(22, &founders))], join);
        check(&[(1, standing(11, &[(1, 11)]))], "Join({1: 11})");
    }
}

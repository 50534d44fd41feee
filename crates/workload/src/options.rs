//! What a workload can be asked for, and drawing it.

use crate::{ClientId, Namespace, Request, Step};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;
use stdx::Rng;

/// Most clients that [`draw`](crate::draw) asks for.
const MAX_DRAWN_CLIENTS: u64 = 12;

/// Most keys that [`draw`](crate::draw) asks for.
const MAX_DRAWN_KEYS: u64 = 12;

/// One in this many steps of an idle client is a new connection.
const STEPS_PER_RECONNECT: u64 = 150;

/// How a workload goes about its task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Clients that the shell is to run; workloads work with any number of them.
    pub clients: u32,
    /// Keys, or groups of keys, in use at a time; 0 counts as 1.
    pub keys: u32,
    /// Where the keys live, in turns; none counts as the co-located one.
    pub namespaces: Vec<Namespace>,
    /// How the names of all keys begin. Workloads with prefixes of which none begins another run beside each other in
    /// one cluster, and each checker picks its own out of a common history. May not contain braces.
    pub prefix: String,
    /// Mean pause of a client between two requests; zero for none.
    pub think: Duration,
    /// Farthest that any node's wall clock is ever from true time, for the workload `expiry`.
    pub clock_error: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            clients: 6,
            keys: 4,
            namespaces: vec![Namespace::Plain],
            prefix: "w:".to_owned(),
            think: Duration::ZERO,
            clock_error: Duration::ZERO,
        }
    }
}

impl Options {
    /// Options drawn at random, but for the prefix and the clocks, which are the shell's to say.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Options {
        let namespaces = match rng.below(4) {
            0 => vec![Namespace::Plain],
            1 => vec![Namespace::Cluster],
            _ => vec![Namespace::Plain, Namespace::Cluster],
        };
        Options {
            clients: rng.range(2, MAX_DRAWN_CLIENTS + 1) as u32,
            keys: rng.range(1, MAX_DRAWN_KEYS + 1) as u32,
            namespaces,
            think: Duration::from_millis([0, 1, 10, 50][rng.below(4) as usize]),
            ..Options::default()
        }
    }

    /// Keys in use at a time, at least one.
    pub(crate) fn key_count(&self) -> u64 {
        u64::from(self.keys.max(1))
    }
}

/// The pauses of clients between their requests.
#[derive(Debug)]
pub(crate) struct Pace {
    think: Duration,
    rested: BTreeSet<ClientId>,
}

impl Pace {
    pub(crate) fn new(options: &Options) -> Pace {
        Pace { think: options.think, rested: BTreeSet::new() }
    }

    /// What the client does before its next request, if anything.
    pub(crate) fn idle(&mut self, client: ClientId, rng: &mut Rng) -> Option<Step> {
        if rng.one_in(STEPS_PER_RECONNECT) {
            return Some(Step::Reconnect);
        }
        if self.think.is_zero() || self.rested.remove(&client) {
            return None;
        }
        self.rested.insert(client);
        let twice = u64::try_from(self.think.as_nanos()).unwrap_or(u64::MAX / 2).saturating_mul(2);
        Some(Step::Wait(Duration::from_nanos(rng.below(twice))))
    }
}

/// Words of a command.
pub(crate) fn words<W: AsRef<[u8]>>(all: &[W]) -> Vec<Bytes> {
    all.iter().map(|w| Bytes::copy_from_slice(w.as_ref())).collect()
}

/// Most commands of one request of a conclusion: its answer stays small.
const CONCLUSION_COMMANDS: usize = 64;

/// Requests that run all commands, by namespace.
pub(crate) fn conclude(commands: impl IntoIterator<Item = (Namespace, Vec<Bytes>)>) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut all: Vec<_> = commands.into_iter().collect();
    all.sort_by_key(|(namespace, _)| *namespace);
    for (namespace, command) in all {
        match requests.last_mut() {
            Some(last) if last.namespace == namespace && last.commands.len() < CONCLUSION_COMMANDS => {
                last.commands.push(command);
            }
            _ => requests.push(Request { namespace, commands: vec![command] }),
        }
    }
    requests
}

//! What is done to a cluster: each kind of fault begins, lasts for a drawn while, and ends.

mod clock;
mod disk;
mod link;
mod partition;
mod process;

use crate::cluster::Cluster;
use crate::net::Net;
use crate::preload::Preload;
use crate::tools::{Outcome, is_installed};
use stdx::Rng;

/// A fault.
pub trait Fault {
    /// Does it; the answer says what was done to whom, or is nothing if there is no node to do it to.
    ///
    /// # Errors
    /// The machine refused, or the product broke a promise.
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>>;

    /// Goes on with it; called often until it ends. The answer is whether it has more to do before it may end.
    ///
    /// # Errors
    /// As for `begin`.
    fn tend(&mut self, _: &mut Cluster) -> Outcome<bool> {
        Ok(false)
    }

    /// Takes it back; the answer is whether it was seen to have an effect.
    ///
    /// # Errors
    /// As for `begin`.
    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool>;
}

/// What a kind of fault needs of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Need {
    /// Nothing but signals and files.
    Nothing,
    /// Rules on the bridge.
    Rules,
    /// Resets by rules inside a node's namespace.
    Resets,
    /// TAP devices and the redirection of frames.
    Detour,
    /// libfaketime.
    Clock,
    /// libfiu.
    Failures,
}

/// A kind of fault.
pub struct Kind {
    /// Its name in schedules and reports.
    pub name: &'static str,
    needs: Need,
    /// How long it lasts, in milliseconds, from and to.
    pub lasts_ms: (u64, u64),
    /// Makes one.
    pub make: fn() -> Box<dyn Fault>,
}

const fn kind(name: &'static str, needs: Need, lasts_ms: (u64, u64), make: fn() -> Box<dyn Fault>) -> Kind {
    Kind { name, needs, lasts_ms, make }
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    kind("kill", Need::Nothing, (500, 8000), || Box::new(process::Kill::one())),
    kind("kill-all", Need::Nothing, (200, 2000), || Box::new(process::Kill::all())),
    kind("pause", Need::Nothing, (1000, 6000), || Box::new(process::Pause::default())),
    kind("rolling-restart", Need::Nothing, (0, 1), || Box::new(process::Rolling::default())),
    kind("isolate", Need::Rules, (2000, 7000), || Box::new(partition::Partition::new(partition::Shape::Isolate))),
    kind("split", Need::Rules, (2000, 7000), || Box::new(partition::Partition::new(partition::Shape::Split))),
    kind("one-way", Need::Rules, (2000, 7000), || Box::new(partition::Partition::new(partition::Shape::OneWay))),
    kind("partial", Need::Rules, (2000, 7000), || Box::new(partition::Partition::new(partition::Shape::Partial))),
    kind("loss", Need::Rules, (2000, 6000), || Box::new(link::Loss::default())),
    kind("delay", Need::Detour, (2000, 6000), || Box::new(link::Delay::default())),
    kind("reset", Need::Resets, (300, 1500), || Box::new(link::Reset::default())),
    kind("clock", Need::Clock, (2000, 6000), || Box::new(clock::Step::default())),
    kind("disk-full", Need::Nothing, (2000, 7000), || Box::new(disk::Full::default())),
    kind("disk-error", Need::Failures, (1000, 4000), || Box::new(disk::Failing::default())),
];

impl Kind {
    /// Why this machine does not allow it, if it does not; asked once for a network, before nodes run in it.
    pub fn refused(&self, net: &mut Net, preload: Preload) -> Option<String> {
        let missing = |programs: &[&str]| {
            let missing = programs.iter().find(|program| !is_installed(program));
            missing.map(|program| format!("there is no {program}"))
        };
        match self.needs {
            Need::Nothing => None,
            Need::Rules => missing(&["nft"]).or_else(|| net.try_rules().err()),
            Need::Resets => missing(&["nft"]).or_else(|| net.begin_resets(0).and_then(|()| net.end_resets(0)).err()),
            Need::Detour => missing(&["python3", "tc"]).or_else(|| net.try_detour().err()),
            Need::Clock => (!preload.clock).then(|| "libfaketime is not installed".to_owned()),
            Need::Failures => (!preload.failures).then(|| "libfiu is not installed".to_owned()),
        }
    }
}

/// A node to work on, that no other fault works on: half of the time one that leads a shard.
fn target(cluster: &Cluster, rng: &mut Rng) -> Option<usize> {
    let free = cluster.untouched();
    if rng.one_in(2) {
        let leader = cluster.leader(rng.next_u64());
        if leader.is_some_and(|leader| free.contains(&leader)) {
            return leader;
        }
    }
    pick(&free, rng)
}

fn pick(among: &[usize], rng: &mut Rng) -> Option<usize> {
    among.get(usize::try_from(rng.below(among.len() as u64)).unwrap_or_default()).copied()
}

/// The nodes in an order of chance.
fn shuffled(nodes: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes).collect();
    shuffle(&mut order, rng);
    order
}

/// Puts things into an order of chance (Fisher and Yates).
pub fn shuffle<T>(things: &mut [T], rng: &mut Rng) {
    for last in (1..things.len()).rev() {
        let other = usize::try_from(rng.below(last as u64 + 1)).unwrap_or_default();
        things.swap(last, other);
    }
}

/// Numbers of nodes as people read them.
fn shown(nodes: &[usize]) -> String {
    let numbers: Vec<String> = nodes.iter().map(|node| (node + 1).to_string()).collect();
    numbers.join(" and ")
}

//! What can go wrong, as data: a plan lists it, the world does it, a count proves that it happened.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use stdx::NodeId;

/// Every kind of fault. A batch in which one of them never fired is an error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A message was lost by chance.
    Loss,
    /// A message took much longer than most.
    Delay,
    /// A message was delivered twice.
    Duplication,
    /// A message overtook another one of its link.
    Reordering,
    /// A message was lost to a cut.
    CutOff,
    /// The nodes were divided into two sides.
    Partition,
    /// Two nodes were cut off from each other, both of which reach the others.
    PartialPartition,
    /// One direction of a link was cut.
    OneWayCut,
    /// A link became slow.
    SlowLink,
    /// A message was refused because it exceeded the link's limit.
    SizeLimit,
    /// What was sent to a node queued up longer and longer, and then the node was not heard any more.
    Congestion,
    /// A connection between two nodes was reset.
    Reset,
    /// A client's connection was reset.
    ClientReset,
    /// A process was killed between two steps.
    Kill,
    /// A process was killed between two effects of one step.
    KillAtEffect,
    /// A process was killed between two changes of its disk.
    KillInWrite,
    /// A process was killed while one of its replicas was being rebuilt.
    KillInRebuild,
    /// All nodes were restarted, one after the other.
    RollingRestart,
    /// A process did nothing for a while.
    Pause,
    /// A state side stood still within a step, between taking its inputs and what it made of them.
    StuckState,
    /// A consensus side did.
    StuckConsensus,
    /// A crash took back a sector that was not synced.
    LostSector,
    /// A stored byte changed.
    Rot,
    /// A sector was written to another place.
    Misdirected,
    /// All disks of a node were lost: it came back with empty ones.
    DiskLost,
    /// Reads of the log failed for a while.
    ReadError,
    /// A write to the log failed.
    WriteError,
    /// An fsync failed.
    SyncError,
    /// The disk had no room for a while.
    FullDisk,
    /// Each fsync took long for a while.
    SlowDisk,
    /// No fsync returned for a while.
    HungDisk,
    /// The engine was slow for a while.
    SlowEngine,
    /// The engine could not write for a while.
    EngineError,
    /// A pair in the engine was damaged.
    EngineDamage,
    /// A wall clock was off from the beginning.
    Skew,
    /// A monotonic clock ran too fast or too slow.
    Drift,
    /// A wall clock jumped.
    ClockStep,
}

impl Kind {
    /// All of them, in the order of reports.
    pub const ALL: [Kind; 37] = [
        Kind::Loss,
        Kind::Delay,
        Kind::Duplication,
        Kind::Reordering,
        Kind::CutOff,
        Kind::Partition,
        Kind::PartialPartition,
        Kind::OneWayCut,
        Kind::SlowLink,
        Kind::Congestion,
        Kind::SizeLimit,
        Kind::Reset,
        Kind::ClientReset,
        Kind::Kill,
        Kind::KillAtEffect,
        Kind::KillInWrite,
        Kind::KillInRebuild,
        Kind::RollingRestart,
        Kind::Pause,
        Kind::StuckState,
        Kind::StuckConsensus,
        Kind::LostSector,
        Kind::Rot,
        Kind::Misdirected,
        Kind::DiskLost,
        Kind::ReadError,
        Kind::WriteError,
        Kind::SyncError,
        Kind::FullDisk,
        Kind::SlowDisk,
        Kind::HungDisk,
        Kind::SlowEngine,
        Kind::EngineError,
        Kind::EngineDamage,
        Kind::Skew,
        Kind::Drift,
        Kind::ClockStep,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Loss => "message lost",
            Kind::Delay => "message delayed",
            Kind::Duplication => "message duplicated",
            Kind::Reordering => "message overtaken",
            Kind::CutOff => "message cut off",
            Kind::Partition => "partition",
            Kind::PartialPartition => "partial partition",
            Kind::OneWayCut => "one-way cut",
            Kind::SlowLink => "slow link",
            Kind::Congestion => "congestion, then silence",
            Kind::SizeLimit => "message over size limit",
            Kind::Reset => "connection reset",
            Kind::ClientReset => "client connection reset",
            Kind::Kill => "kill",
            Kind::KillAtEffect => "kill between effects",
            Kind::KillInWrite => "kill between disk writes",
            Kind::KillInRebuild => "kill during a rebuild",
            Kind::RollingRestart => "rolling restart",
            Kind::Pause => "pause",
            Kind::StuckState => "state side stuck in a step",
            Kind::StuckConsensus => "consensus side stuck in a step",
            Kind::LostSector => "unsynced sector lost",
            Kind::Rot => "byte rotten",
            Kind::Misdirected => "sector misdirected",
            Kind::DiskLost => "disk lost",
            Kind::ReadError => "read error",
            Kind::WriteError => "write error",
            Kind::SyncError => "fsync error",
            Kind::FullDisk => "full disk",
            Kind::SlowDisk => "slow disk",
            Kind::HungDisk => "hung disk",
            Kind::SlowEngine => "slow engine",
            Kind::EngineError => "engine write error",
            Kind::EngineDamage => "engine damage",
            Kind::Skew => "wall clock skew",
            Kind::Drift => "monotonic clock drift",
            Kind::ClockStep => "wall clock step",
        }
    }

    /// What a seed may draw as an event of its schedule; the others follow from rates, shape or other faults.
    pub const SCHEDULED: [Kind; 28] = [
        Kind::Partition,
        Kind::PartialPartition,
        Kind::OneWayCut,
        Kind::SlowLink,
        Kind::Congestion,
        Kind::Reset,
        Kind::ClientReset,
        Kind::Kill,
        Kind::KillAtEffect,
        Kind::KillInWrite,
        Kind::KillInRebuild,
        Kind::RollingRestart,
        Kind::Pause,
        Kind::StuckState,
        Kind::StuckConsensus,
        Kind::Rot,
        Kind::Misdirected,
        Kind::DiskLost,
        Kind::ReadError,
        Kind::WriteError,
        Kind::SyncError,
        Kind::FullDisk,
        Kind::SlowDisk,
        Kind::HungDisk,
        Kind::SlowEngine,
        Kind::EngineError,
        Kind::EngineDamage,
        Kind::ClockStep,
    ];

    /// Destroys data on one node: the atlas decides whether it may happen.
    #[must_use]
    pub fn destroys(self) -> bool {
        matches!(self, Kind::Rot | Kind::Misdirected | Kind::DiskLost | Kind::ReadError | Kind::EngineDamage)
    }
}

/// One fault of a plan. What its kind does not need is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// When, after the start.
    pub at: Duration,
    /// What.
    pub kind: Kind,
    /// To whom.
    pub node: NodeId,
    /// The other end of a link.
    pub peer: NodeId,
    /// For how long.
    pub lasts: Duration,
    /// A number that decides the details: which file, which byte, which side, after how many effects.
    pub dice: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of node {}", self.kind.name(), self.node.0)?;
        match self.kind {
            Kind::PartialPartition | Kind::OneWayCut | Kind::SlowLink | Kind::Reset => {
                write!(f, " and node {}", self.peer.0)?;
            }
            _ => {}
        }
        write!(f, " for {:.3} s", self.lasts.as_secs_f64())
    }
}

/// How often each kind happened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts(BTreeMap<Kind, u64>);

impl Counts {
    /// One more.
    pub fn hit(&mut self, kind: Kind) {
        self.add(kind, 1);
    }

    /// Some more.
    pub fn add(&mut self, kind: Kind, n: u64) {
        *self.0.entry(kind).or_default() += n;
    }

    /// How many of a kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Counts) {
        other.0.iter().for_each(|(kind, n)| self.add(*kind, *n));
    }

    /// Kinds that never happened.
    #[must_use]
    pub fn silent(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.of(*kind) == 0).collect()
    }
}

//! What every session of a node shares, and what one call is told.

use super::clients::Clients;
use super::observe::{LatencyEvents, Monitors, SlowLog, Stats};
use super::settings::Settings;
use crate::RouteTable;
use crate::pubsub::Hub;
use cluster::{Layout, Publication, slot_of};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use stdx::{Mono, NodeId, WallMs};

/// What is known about the process; does not change.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Polder's version.
    pub version: &'static str,
    /// The operating system, as `uname` names it.
    pub os: String,
    /// Process number.
    pub pid: u32,
    /// 40 hexadecimal digits that differ between runs.
    pub run_id: String,
    /// Port of the co-located namespace.
    pub port: u16,
    /// Port of the sharded namespace.
    pub cluster_port: u16,
    /// Path of the configuration file; empty when there is none.
    pub config_file: String,
    /// Bytes of main memory of the machine.
    pub memory_total: u64,
}

/// What the shell measures now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident bytes of the process.
    pub resident: u64,
    /// The most it ever was.
    pub resident_peak: u64,
    /// Processor time in user space, in microseconds.
    pub cpu_user_us: u64,
    /// Processor time in the kernel, in microseconds.
    pub cpu_system_us: u64,
}

/// What all sessions of this node share.
#[derive(Debug)]
pub struct Gateway {
    /// This node.
    pub node: NodeId,
    /// About the process.
    pub facts: Facts,
    /// The connections.
    pub clients: Clients,
    /// CONFIG.
    pub settings: Settings,
    /// INFO.
    pub stats: Stats,
    /// Who hears what is published.
    pub hub: Hub,
    /// SLOWLOG.
    pub slow_log: SlowLog,
    /// LATENCY.
    pub latency: LatencyEvents,
    /// MONITOR.
    pub monitors: Monitors,
    /// When the process started.
    pub started: Mono,
    /// Milliseconds a request may take.
    pub request_timeout_ms: u32,
    /// Milliseconds for which a request may wait for a leader to be elected.
    pub leader_wait_ms: u32,
    usage: Mutex<Usage>,
    suspects: Mutex<BTreeSet<NodeId>>,
}

impl Gateway {
    /// A gateway with no connections.
    #[must_use]
    pub fn new(
        node: NodeId,
        facts: Facts,
        settings: Settings,
        started: Mono,
        request_timeout_ms: u32,
        leader_wait_ms: u32,
    ) -> Gateway {
        let clients = Clients::new(settings.max_clients());
        Gateway {
            node,
            facts,
            clients,
            settings,
            stats: Stats::default(),
            hub: Hub::default(),
            slow_log: SlowLog::default(),
            latency: LatencyEvents::default(),
            monitors: Monitors::default(),
            started,
            request_timeout_ms,
            leader_wait_ms,
            usage: Mutex::default(),
            suspects: Mutex::default(),
        }
    }

    /// Tells the subscribers on this node what was published, here or elsewhere; how many those are.
    pub fn publish(&self, what: &Publication, now: Mono) -> usize {
        self.hub.publish(what, self.settings.push_limits(), now)
    }

    /// Ends subscriptions to shard channels whose slots are led elsewhere, as `table` knows.
    pub fn shed_channels(&self, table: &RouteTable, now: Mono) {
        for (namespace, record) in &table.map.namespaces {
            if record.layout == Layout::Sharded {
                let leader = |name: &[u8]| table.shard(*namespace, slot_of(name)).and_then(|shard| shard.leader());
                let elsewhere = |name: &[u8]| leader(name).is_some_and(|leader| leader != self.node);
                self.hub.shed(*namespace, elsewhere, self.settings.push_limits(), now);
            }
        }
    }

    /// Publishes a measurement.
    pub fn set_usage(&self, usage: Usage) {
        *self.usage.lock() = usage;
    }

    /// The latest measurement.
    #[must_use]
    pub fn usage(&self) -> Usage {
        *self.usage.lock()
    }

    /// Publishes which nodes are believed dead.
    pub fn set_suspects(&self, suspects: BTreeSet<NodeId>) {
        *self.suspects.lock() = suspects;
    }

    /// Whether a node is believed alive.
    #[must_use]
    pub fn alive(&self, node: NodeId) -> bool {
        !self.suspects.lock().contains(&node)
    }
}

/// What a session is told with each command.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the node's sessions share.
    pub gateway: &'a Gateway,
    /// Where everything is.
    pub table: &'a Arc<RouteTable>,
    /// The monotonic clock, read after the command arrived.
    pub now: Mono,
    /// The wall clock.
    pub wall: WallMs,
}

//! Which shard a command is for, what a cluster client is told when that shard is led elsewhere, and reading here.

use super::action::{Action, Finish};
use super::context::Context;
use super::session::{Port, Session};
use crate::RouteTable;
use crate::shared::ShardHandle;
use cluster::{Layout, Slot, slot_of};
use command::{Command, Group, Reply, Work};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, WallMs};

/// Where a command goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routed<'a> {
    pub(super) shard: &'a Arc<ShardHandle>,
    /// The slot of its keys; `None` in a namespace without slots.
    pub(super) slot: Option<Slot>,
    /// May be answered by a replica.
    pub(super) stale: bool,
}

/// The reply to keys of different slots.
pub(super) fn cross_slot() -> Reply {
    Reply::error("CROSSSLOT Keys in request don't hash to the same slot")
}

fn not_served() -> Reply {
    Reply::error("CLUSTERDOWN Hash slot not served")
}

impl Session {
    /// The shard of a command's keys.
    ///
    /// # Errors
    /// The reply to send instead: on the cluster port, keys of different slots, or a slot that is led elsewhere or by
    /// nobody.
    pub(super) fn route<'a>(&self, command: &Command, cx: Context<'a>) -> Result<Routed<'a>, Reply> {
        if self.port == Port::Plain {
            let shard = cx.table.shard(self.namespace, Slot(0)).ok_or_else(not_served)?;
            return Ok(Routed { shard, slot: None, stale: false });
        }
        let mut keys = command.keys();
        let slot = match keys.next() {
            Some(key) => slot_of(key),
            // No key to route by: the answer does not depend on data, any shard will do.
            None => Slot(0),
        };
        if keys.any(|key| slot_of(key) != slot) {
            return Err(cross_slot());
        }
        let shard = cx.table.shard(self.namespace, slot).ok_or_else(not_served)?;
        // Scripts run on leaders alone.
        let stale = self.profile.readonly && command.spec.is_readonly() && command.spec.group != Group::Scripting;
        if stale && shard.local.is_some() {
            return Ok(Routed { shard, slot: Some(slot), stale });
        }
        match shard.leader() {
            Some(leader) if leader == cx.gateway.node => {}
            Some(leader) => return Err(moved(cx.table, slot, leader)),
            // An election takes a fraction of a second: the request is parked for a while, then refused at once.
            None if self.waiting_is_over(shard, cx) => return Err(not_served()),
            None => {}
        }
        Ok(Routed { shard, slot: Some(slot), stale: false })
    }

    /// Whether the shard channels that a command names may be used here: on the cluster port they share a slot that this node
    /// leads.
    ///
    /// # Errors
    /// The reply to send instead.
    pub(super) fn route_channels(&self, command: &Command, cx: Context<'_>) -> Result<(), Reply> {
        let names = match command.spec.name {
            "spublish" => &command.args[1..2],
            "ssubscribe" | "sunsubscribe" => &command.args[1..],
            _ => return Ok(()),
        };
        let Some(slot) = names.first().map(|name| slot_of(name)).filter(|_| self.port == Port::Cluster) else {
            return Ok(());
        };
        if names.iter().any(|name| slot_of(name) != slot) {
            return Err(cross_slot());
        }
        match cx.table.shard(self.namespace, slot).and_then(|shard| shard.leader()) {
            Some(leader) if leader == cx.gateway.node => Ok(()),
            Some(leader) => Err(moved(cx.table, slot, leader)),
            None => Err(not_served()),
        }
    }

    fn waiting_is_over(&self, shard: &ShardHandle, cx: Context<'_>) -> bool {
        let patience = Duration::from_millis(u64::from(cx.gateway.leader_wait_ms));
        cx.now.since(shard.leaderless_since()) > patience
    }

    /// A command on all keys of the namespace. In a sharded one, as in Redis Cluster, a node answers for the shards it
    /// leads.
    pub(super) fn everywhere(&mut self, command: Command, cx: Context<'_>) -> Action {
        if self.layout() == Layout::Colocated {
            return self.data_on_only_shard(command, cx);
        }
        // Scripts are the namespace's: every shard is to know them, whoever leads it.
        let is_about_scripts = command.spec.group == Group::Scripting;
        let ours = |s: &&Arc<ShardHandle>| is_about_scripts || s.leader() == Some(cx.gateway.node);
        let mut led: Vec<_> = cx.table.shards_of(self.namespace).filter(ours).collect();
        if is_about_scripts && !command.spec.may_write() && command.spec.name.starts_with("function|") {
            // They all know the same: one of them says what there is.
            led.sort_by_key(|s| s.leader() != Some(cx.gateway.node));
            led.truncate(1);
        }
        let finish = match command.spec.name {
            "scan" => return self.scan(command, &led, cx),
            "keys" => Finish::Concat,
            "randomkey" => Finish::FirstValue,
            "dbsize" => Finish::Sum,
            "script|load" | "function|load" | "function|list" | "function|dump" | "function|stats" => {
                Finish::FirstValue
            }
            "script|exists" => Finish::Everywhere,
            _ => Finish::Succeeded(Reply::OK),
        };
        if led.is_empty() {
            return Action::Reply(finish.apply(Vec::new()));
        }
        let requests = led.iter().map(|s| self.request(s.id, Work::Single(command.clone()), false, cx)).collect();
        Action::Fan(requests, finish)
    }

    fn data_on_only_shard(&mut self, command: Command, cx: Context<'_>) -> Action {
        let Some(shard) = cx.table.shard(self.namespace, Slot(0)) else { return Action::Reply(not_served()) };
        if command.spec.is_readonly()
            && self.under_way(shard.id) == 0
            && let Some(reply) = read(shard, &command, self.profile.db, self.profile.resp, false, cx.now, cx.wall)
        {
            self.tally.local_read();
            return Action::Reply(reply);
        }
        Action::Dispatch(self.request(shard.id, Work::Single(command), false, cx), Finish::Plain)
    }

    /// Cursors are in slot order over the whole namespace, so the cursor says which shard goes on; where that shard is
    /// not led here, the next one that is begins.
    fn scan(&mut self, mut command: Command, led: &[&Arc<ShardHandle>], cx: Context<'_>) -> Action {
        let cursor = std::str::from_utf8(&command.args[1]).ok().and_then(|c| c.parse::<u64>().ok());
        let Some(cursor) = cursor else { return Action::Reply(Reply::error("ERR invalid cursor")) };
        let slot = cursor >> 32;
        let slots = |s: &ShardHandle| {
            cx.table.map.shards.get(&s.id.0).map(|r| (u64::from(r.slots.start), u64::from(r.slots.end)))
        };
        let mut rest = led.iter().filter(|s| slots(s).is_some_and(|(_, end)| end >= slot));
        let Some(shard) = rest.next() else {
            return Action::Reply(Reply::Array(vec![Reply::bulk(b"0"), Reply::Array(Vec::new())]));
        };
        let start = slots(shard).map_or(0, |(start, _)| start);
        if start > slot {
            command.args[1] = (start << 32).to_string().into();
        }
        let next = rest.next().and_then(|s| slots(s)).map(|(start, _)| start << 32);
        Action::Dispatch(self.request(shard.id, Work::Single(command), false, cx), Finish::Scan { next })
    }
}

/// The redirection of Redis Cluster to the node that leads a slot.
fn moved(table: &RouteTable, slot: Slot, leader: NodeId) -> Reply {
    match table.map.nodes.get(&leader.0) {
        Some(node) => Reply::Error(format!("MOVED {} {}", slot.0, node.redis_cluster).into()),
        None => not_served(),
    }
}

/// Answers a read-only command from the local replica's applied state; `None` when that is not allowed here and at
/// `now` (no replica, no valid lease), or the replica cannot be read: then the worker has to decide.
///
/// `now` must have been read from the clock after the request arrived: whatever was acknowledged before is applied
/// here, as long as the lease excludes other leaders at `now`. With `stale` the lease is not asked for.
#[must_use]
pub fn read(
    handle: &ShardHandle,
    command: &Command,
    db: u16,
    resp: u8,
    stale: bool,
    now: Mono,
    wall: WallMs,
) -> Option<Reply> {
    if handle.fenced() || (!stale && !handle.lease_valid(now)) {
        return None;
    }
    super::commands::evaluate(handle, command, db, resp, wall, now.0)
}

//! CLUSTER and its subcommands.

use super::{NOT_AN_INTEGER, error, integer};
use crate::gateway::action::{Action, Finish};
use crate::gateway::cluster_view as view;
use crate::gateway::context::Context;
use crate::gateway::session::Session;
use ::cluster::{SLOT_COUNT, Slot, slot_of};
use command::{Command, Reply, Work};

impl Session {
    pub(super) fn cluster(&mut self, command: &Command, cx: Context<'_>) -> Action {
        Action::Reply(match command.spec.name {
            "cluster|info" => view::info(self.namespace, cx),
            "cluster|myid" => Reply::Bulk(view::node_name(cx.gateway.node).into()),
            "cluster|slots" => view::slots(self.namespace, cx),
            "cluster|shards" => view::shards(self.namespace, cx),
            "cluster|nodes" => view::nodes(self.namespace, cx),
            "cluster|links" => view::links(cx),
            "cluster|keyslot" => Reply::Integer(slot_of(&command.args[2]).0.into()),
            "cluster|countkeysinslot" | "cluster|getkeysinslot" => return self.keys_of_slot(command, cx),
            _ => error(format!("ERR Polder does not serve '{}' yet", command.spec.display_name())),
        })
    }

    /// Answered by the slot's shard when it is led here, else by the local replica; a node without one knows no keys.
    fn keys_of_slot(&mut self, command: &Command, cx: Context<'_>) -> Action {
        let slot = match integer(&command.args[2]) {
            Some(slot) if (0..i64::from(SLOT_COUNT)).contains(&slot) => Slot(slot as u16),
            Some(_) => return Action::Reply(Reply::error("ERR Invalid slot")),
            None => return Action::Reply(NOT_AN_INTEGER),
        };
        if let Some(count) = command.args.get(3) {
            match integer(count) {
                Some(0..) => {}
                Some(_) => return Action::Reply(Reply::error("ERR Invalid number of keys")),
                None => return Action::Reply(NOT_AN_INTEGER),
            }
        }
        let Some(shard) = cx.table.shard(self.namespace, slot).filter(|s| s.local.is_some()) else {
            let none = if command.spec.name.ends_with("countkeysinslot") {
                Reply::Integer(0)
            } else {
                Reply::Array(Vec::new())
            };
            return Action::Reply(none);
        };
        let stale = shard.leader() != Some(cx.gateway.node);
        if self.under_way(shard.id) == 0
            && let Some(reply) = crate::gateway::read(shard, command, 0, self.profile.resp, stale, cx.now, cx.wall)
        {
            return Action::Reply(reply);
        }
        Action::Dispatch(self.request(shard.id, Work::Single(command.clone()), stale, cx), Finish::Plain)
    }
}

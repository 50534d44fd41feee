//! PUBSUB and its subcommands: about the subscribers of this node, as in Redis Cluster.

use super::error;
use crate::gateway::context::Context;
use crate::gateway::session::Session;
use crate::pubsub::Kind;
use command::{Command, Reply, glob};

impl Session {
    pub(super) fn pubsub(&mut self, command: &Command, cx: Context<'_>) -> Reply {
        let (hub, words) = (&cx.gateway.hub, &command.args[2..]);
        let channels = |kind| match words {
            [] | [_] => {
                let names = hub.names(kind, self.namespace);
                let wanted = names.into_iter().filter(|name| words.first().is_none_or(|p| glob::matches(p, name)));
                Reply::Array(wanted.map(Reply::Bulk).collect())
            }
            _ => error(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP.",
                String::from_utf8_lossy(&command.args[1])
            )),
        };
        let counts = |kind| {
            let of = |name| Reply::Integer(hub.subscribers(kind, self.namespace, name) as i64);
            Reply::Array(words.iter().flat_map(|name| [Reply::Bulk(name.clone()), of(name)]).collect())
        };
        match command.spec.name {
            "pubsub|channels" => channels(Kind::Channel),
            "pubsub|numsub" => counts(Kind::Channel),
            "pubsub|numpat" => Reply::Integer(hub.count(Kind::Pattern, self.namespace) as i64),
            "pubsub|shardchannels" => channels(Kind::Shard),
            "pubsub|shardnumsub" => counts(Kind::Shard),
            name => error(format!("ERR Polder does not serve '{name}' yet")),
        }
    }
}

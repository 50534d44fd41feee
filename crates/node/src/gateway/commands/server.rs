//! CONFIG, INFO, ROLE, TIME, WAIT, DEBUG.

use super::{NOT_AN_INTEGER, SYNTAX_ERROR, error, integer, text};
use crate::gateway::context::Context;
use crate::gateway::info;
use crate::gateway::session::Session;
use command::{Command, Reply};

impl Session {
    pub(super) fn server(&mut self, command: &Command, cx: Context<'_>) -> Reply {
        let args = &command.args;
        match command.spec.name {
            "config|get" => cx.gateway.settings.get(args[2..].iter().map(|a| a.as_ref())),
            "config|set" => match cx.gateway.settings.set(&args[2..]) {
                Ok(changed) => {
                    if let Some(max) = changed.max_clients {
                        cx.gateway.clients.set_max(max);
                    }
                    Reply::OK
                }
                Err(reply) => reply,
            },
            "config|resetstat" => {
                self.tally.flush(&cx.gateway.stats, false);
                cx.gateway.stats.reset();
                Reply::OK
            }
            // A file that is written by others than its owner surprises at the next start.
            "config|rewrite" if cx.gateway.facts.config_file.is_empty() => {
                Reply::error("ERR The server is running without a config file")
            }
            "config|rewrite" => Reply::error("ERR Polder does not write its configuration file; edit it and restart"),
            // To clients every node is a master: replication happens below the protocol.
            "role" => Reply::Array(vec![text("master"), Reply::Integer(0), Reply::Array(Vec::new())]),
            "info" => {
                self.tally.flush(&cx.gateway.stats, cx.gateway.settings.tracks_latency());
                Reply::Verbatim(*b"txt", info::render(&args[1..], self.port, cx).into())
            }
            "time" => {
                let ms = cx.wall.0;
                Reply::Array(vec![text((ms / 1000).to_string()), text((ms % 1000 * 1000).to_string())])
            }
            "wait" => self.wait(command, cx),
            "debug" => debug(command),
            _ => error(format!("ERR Polder does not serve '{}' yet", command.spec.display_name())),
        }
    }

    /// WAIT. Every write of this connection that was acknowledged is on a majority of its shard's replicas already, so
    /// there is nothing to wait for: the answer is how many followers that guarantees, however many were asked for.
    fn wait(&self, command: &Command, cx: Context<'_>) -> Reply {
        let (Some(_), Some(timeout)) = (integer(&command.args[1]), integer(&command.args[2])) else {
            return NOT_AN_INTEGER;
        };
        if timeout < 0 {
            return Reply::error("ERR timeout is negative");
        }
        let fewest = cx
            .table
            .shards_of(self.namespace)
            .filter_map(|s| cx.table.map.shards.get(&s.id.0))
            .map(|r| r.replicas.len() / 2)
            .min();
        Reply::Integer(fewest.unwrap_or(0) as i64)
    }
}

/// The few of DEBUG that test suites call between their steps and that mean nothing here.
fn debug(command: &Command) -> Reply {
    let sub = &command.args[1];
    let known: &[&[u8]] =
        &[b"jmap", b"reload", b"loadaof", b"set-active-expire", b"set-disable-deny-scripts", b"replicate"];
    if sub.eq_ignore_ascii_case(b"sleep") {
        return if command.args.len() == 3 {
            error("ERR Polder does not serve 'DEBUG SLEEP': it would stop every client of the node".into())
        } else {
            SYNTAX_ERROR
        };
    }
    if known.iter().any(|k| sub.eq_ignore_ascii_case(k)) {
        return Reply::OK;
    }
    error(format!("ERR Polder does not serve 'DEBUG {}'", String::from_utf8_lossy(sub).to_uppercase()))
}

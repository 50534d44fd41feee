//! The commands that the gateway answers itself, and the reading of local state.

mod client;
mod cluster;
mod connection;
mod latency;
mod memory;
mod pubsub;
mod server;
mod slowlog;

pub(super) use connection::REDIS_VERSION;

use super::action::Action;
use super::context::Context;
use super::session::{Port, Session};
use crate::shared::ShardHandle;
use ::cluster::Layout;
use command::{Command, Reply, introspect};
use stdx::{Rng, WallMs};

impl Session {
    /// Carries out a command of the gateway.
    pub(super) fn local(&mut self, command: &Command, cx: Context<'_>) -> Action {
        if let Some(reply) = introspect::reply(command) {
            return Action::Reply(reply);
        }
        let name = command.spec.name;
        match name.split('|').next().unwrap_or(name) {
            "client" => Action::Reply(self.client(command, cx)),
            "cluster" if self.port == Port::Plain => {
                Action::Reply(Reply::error("ERR This instance has cluster support disabled"))
            }
            "cluster" => self.cluster(command, cx),
            "asking" | "readonly" | "readwrite" => Action::Reply(self.cluster_mode(name)),
            "auth" | "hello" | "ping" | "echo" | "select" | "quit" => Action::Reply(self.connection(command, cx)),
            "reset" => self.reset(command, cx),
            "latency" => Action::Reply(self.latency(command, cx)),
            "memory" => Action::Reply(memory::memory(command, cx)),
            "pubsub" => Action::Reply(self.pubsub(command, cx)),
            "slowlog" => Action::Reply(slowlog::slowlog(command, cx)),
            // A script is over before anything else is evaluated on its shard, at its limits at the latest.
            _ if name == "script|kill" || name == "function|kill" => {
                Action::Reply(Reply::error("NOTBUSY No scripts in execution right now."))
            }
            _ => Action::Reply(self.server(command, cx)),
        }
    }

    fn cluster_mode(&mut self, name: &str) -> Reply {
        if self.port == Port::Plain {
            return Reply::error("ERR This instance has cluster support disabled");
        }
        match name {
            "readonly" => self.profile.readonly = true,
            "readwrite" => self.profile.readonly = false,
            // Slots change hands atomically here, so a redirection with ASK never happens.
            _ => {}
        }
        self.profile_changed = true;
        Reply::OK
    }
}

/// A word as an integer, as Redis reads it: decimal, no blanks, no plus sign, no leading zeros.
fn integer(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let canonical = match digits {
        b"0" => word == b"0",
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// An error with a client's words in it, which must not break the line.
fn error(line: String) -> Reply {
    Reply::Error(line.replace(['\r', '\n'], " ").into())
}

/// A subcommand got more words than it takes.
fn wrong_arguments(command: &Command) -> Reply {
    let (container, own) = command.spec.name.split_once('|').unwrap_or((command.spec.name, ""));
    error(format!(
        "ERR unknown subcommand or wrong number of arguments for '{own}'. Try {} HELP.",
        container.to_uppercase()
    ))
}

fn text(s: impl Into<String>) -> Reply {
    Reply::Bulk(s.into().into())
}

fn word(w: &[u8]) -> String {
    String::from_utf8_lossy(w).into_owned()
}

const NOT_AN_INTEGER: Reply = Reply::error("ERR value is not an integer or out of range");
const SYNTAX_ERROR: Reply = Reply::error("ERR syntax error");

/// Evaluates a read-only command on the local replica. Random replies (RANDOMKEY, HRANDFIELD) follow from `seed`, which
/// should differ from call to call. `None` when the worker must answer: the reply rests on an expiry
/// that the log does not prove yet, or the engine cannot be read (the worker will meet the same failure and fence the replica).
pub(super) fn evaluate(
    handle: &ShardHandle,
    command: &Command,
    db: u16,
    resp: u8,
    wall: WallMs,
    seed: u64,
) -> Option<Reply> {
    let local = handle.local.as_ref()?;
    let view = local.replica.read();
    let proven_ms = view.applied().stamp_ms;
    let env = state::Env {
        db,
        now_ms: handle.time_ms(wall, proven_ms),
        proven_ms,
        layout: match handle.layout {
            Layout::Sharded => state::Layout::Sharded,
            Layout::Colocated | Layout::System => state::Layout::Colocated,
        },
        resp3: resp >= 3,
    };
    let mut rng = Rng::new(seed);
    state::evaluate_read(command, &view, &local.directory, env, &mut rng).ok().flatten()
}

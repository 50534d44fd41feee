//! HELLO, AUTH, PING, ECHO, SELECT, QUIT, RESET.

use super::{NOT_AN_INTEGER, error, integer, text, word};
use crate::gateway::action::Action;
use crate::gateway::context::Context;
use crate::gateway::session::{Port, ReplyMode, Session};
use bytes::Bytes;
use command::{Command, Reply};

/// Databases of the co-located namespace.
const DATABASES: i64 = state::DATABASES as i64;

/// The release of Redis whose behaviour is served, for clients that ask.
pub(in crate::gateway) const REDIS_VERSION: &str = "7.2.4";

const BAD_NAME: Reply = Reply::error("ERR Client names cannot contain spaces, newlines or special characters.");

impl Session {
    pub(super) fn connection(&mut self, command: &Command, cx: Context<'_>) -> Reply {
        let args = &command.args;
        match command.spec.name {
            "ping" => match args.get(1) {
                _ if args.len() > 2 => Reply::error("ERR wrong number of arguments for 'ping' command"),
                message if self.hears_only() => {
                    Reply::Array(vec![text("pong"), Reply::Bulk(message.cloned().unwrap_or_default())])
                }
                Some(message) => Reply::Bulk(message.clone()),
                None => Reply::Simple("PONG".into()),
            },
            "echo" => Reply::Bulk(args[1].clone()),
            "select" => self.select(&args[1]),
            "auth" => authenticate(&args[1..]).err().unwrap_or(Reply::OK),
            "quit" => {
                self.close = true;
                Reply::OK
            }
            _ => self.hello(&args[1..], cx),
        }
    }

    fn select(&mut self, index: &[u8]) -> Reply {
        let Some(db) = integer(index) else { return NOT_AN_INTEGER };
        if self.port == Port::Cluster && db != 0 {
            return Reply::error("ERR SELECT is not allowed in cluster mode");
        }
        if !(0..DATABASES).contains(&db) {
            return Reply::error("ERR DB index is out of range");
        }
        self.profile.db = db as u16;
        self.profile_changed = true;
        Reply::OK
    }

    fn hello(&mut self, args: &[Bytes], cx: Context<'_>) -> Reply {
        let mut resp = self.profile.resp;
        if let Some(version) = args.first() {
            resp = match integer(version) {
                Some(v @ (2 | 3)) => v as u8,
                Some(_) => return Reply::error("NOPROTO unsupported protocol version"),
                None => return Reply::error("ERR Protocol version is not an integer or out of range"),
            };
        }
        let mut name = None;
        let mut rest = args.get(1..).unwrap_or_default();
        while let Some((option, values)) = rest.split_first() {
            if option.eq_ignore_ascii_case(b"auth") && values.len() >= 2 {
                if let Err(reply) = authenticate(&values[..2]) {
                    return reply;
                }
                rest = &values[2..];
            } else if option.eq_ignore_ascii_case(b"setname") && !values.is_empty() {
                if !is_printable(&values[0]) {
                    return BAD_NAME;
                }
                name = Some(word(&values[0]));
                rest = &values[1..];
            } else {
                return error(format!("ERR Syntax error in HELLO option '{}'", word(option)));
            }
        }
        self.profile.resp = resp;
        if let Some(name) = name {
            self.profile.name = name;
        }
        self.profile_changed = true;
        let mode = if self.port == Port::Cluster { "cluster" } else { "standalone" };
        Reply::Map(vec![
            (text("server"), text("redis")),
            (text("version"), text(REDIS_VERSION)),
            (text("proto"), Reply::Integer(resp.into())),
            (text("id"), Reply::Integer(i64::try_from(self.id.client).unwrap_or(i64::MAX))),
            (text("mode"), text(mode)),
            (text("role"), text("master")),
            (text("modules"), Reply::Array(Vec::new())),
            (text("polder_version"), text(cx.gateway.facts.version)),
        ])
    }

    /// RESET: everything as when the connection was opened.
    pub(super) fn reset(&mut self, command: &Command, cx: Context<'_>) -> Action {
        // Subscriptions end where the reply stands.
        self.in_turn(None, command.clone());
        self.queue = None;
        self.reply_mode = ReplyMode::On;
        let watching = self.profile.watching;
        self.profile = crate::gateway::Profile { resp: 2, watching, ..Default::default() };
        self.profile_changed = true;
        self.forget_watches(Reply::Simple("RESET".into()), cx)
    }

    /// CLIENT SETNAME.
    pub(super) fn set_name(&mut self, name: &[u8]) -> Reply {
        if !is_printable(name) {
            return BAD_NAME;
        }
        self.profile.name = word(name);
        self.profile_changed = true;
        Reply::OK
    }
}

/// Whether a name can stand in a line of CLIENT LIST.
pub(super) fn is_printable(name: &[u8]) -> bool {
    name.iter().all(|b| (b'!'..=b'~').contains(b))
}

/// There are no users: the default user needs no password, as in a Redis without configuration.
fn authenticate(args: &[Bytes]) -> Result<(), Reply> {
    match args {
        [_] => Err(Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        [user, _] if user.as_ref() == b"default" => Ok(()),
        [_, _] => Err(Reply::error("WRONGPASS invalid username-password pair or user is disabled.")),
        _ => Err(Reply::error("ERR syntax error")),
    }
}

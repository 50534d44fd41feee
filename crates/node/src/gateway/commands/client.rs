//! CLIENT and its subcommands.

use super::connection::is_printable;
use super::{NOT_AN_INTEGER, SYNTAX_ERROR, error, integer, text, word};
use crate::gateway::clients::{ClientKind, Filter};
use crate::gateway::context::Context;
use crate::gateway::session::{ReplyMode, Session};
use bytes::Bytes;
use cluster::Unblock;
use command::{Command, Reply};

impl Session {
    pub(super) fn client(&mut self, command: &Command, cx: Context<'_>) -> Reply {
        let args = &command.args[1..];
        match command.spec.name {
            "client|id" => Reply::Integer(i64::try_from(self.id.client).unwrap_or(i64::MAX)),
            "client|getname" if self.profile.name.is_empty() => Reply::Null,
            "client|getname" => text(self.profile.name.clone()),
            "client|setname" => self.set_name(&args[1]),
            "client|setinfo" => self.set_info(&args[1], &args[2]),
            "client|info" => self.own_line(cx),
            "client|list" => list(&args[1..], cx),
            "client|kill" => self.kill(&args[1..], cx),
            "client|no-evict" => self.flag(&args[1], |p| &mut p.no_evict),
            "client|no-touch" => self.flag(&args[1], |p| &mut p.no_touch),
            "client|reply" => self.reply_mode(&args[1]),
            "client|unblock" => unblock(&args[1..], cx),
            _ => error(format!("ERR Polder does not serve '{}' yet", command.spec.display_name())),
        }
    }

    fn set_info(&mut self, attribute: &[u8], value: &[u8]) -> Reply {
        let (field, name) = if attribute.eq_ignore_ascii_case(b"lib-name") {
            (&mut self.profile.lib_name, "lib-name")
        } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
            (&mut self.profile.lib_version, "lib-ver")
        } else {
            return error(format!("ERR Unrecognized option '{}'", word(attribute)));
        };
        if !is_printable(value) {
            return error(format!("ERR {name} cannot contain spaces, newlines or special characters."));
        }
        *field = word(value);
        self.profile_changed = true;
        Reply::OK
    }

    fn own_line(&mut self, cx: Context<'_>) -> Reply {
        let me = Filter { ids: Some(vec![self.id.client]), ..Filter::default() };
        let found = cx.gateway.clients.select(&me, cx.now);
        let Some(client) = found.first() else { return Reply::Null };
        if let Some(profile) = self.changed_profile() {
            client.publish(profile);
        }
        client.touch(cx.now, "client|info", 0, 0);
        Reply::Verbatim(*b"txt", (client.line(cx.now) + "\n").into())
    }

    fn flag(&mut self, value: &[u8], field: fn(&mut crate::gateway::Profile) -> &mut bool) -> Reply {
        let on = match value {
            v if v.eq_ignore_ascii_case(b"on") => true,
            v if v.eq_ignore_ascii_case(b"off") => false,
            _ => return SYNTAX_ERROR,
        };
        *field(&mut self.profile) = on;
        self.profile_changed = true;
        Reply::OK
    }

    fn reply_mode(&mut self, mode: &[u8]) -> Reply {
        if mode.eq_ignore_ascii_case(b"on") {
            self.reply_mode = ReplyMode::On;
            self.mute = false;
        } else if mode.eq_ignore_ascii_case(b"off") {
            self.reply_mode = ReplyMode::Off;
            self.mute = true;
        } else if mode.eq_ignore_ascii_case(b"skip") {
            // Under OFF nothing is said anyway, and SKIP must not end that.
            if self.reply_mode != ReplyMode::Off {
                self.reply_mode = ReplyMode::SkipNext;
            }
            self.mute = true;
        } else {
            return SYNTAX_ERROR;
        }
        Reply::OK
    }

    fn kill(&mut self, args: &[Bytes], cx: Context<'_>) -> Reply {
        let caller = self.id.client;
        // The old form names one connection by its address and answers OK; it may be the caller's own.
        if let [addr] = args {
            let filter = Filter { addr: Some(word(addr)), ..Filter::default() };
            return match cx.gateway.clients.kill(&filter, caller, cx.now) {
                (0, _) => Reply::error("ERR No such client"),
                (_, own) => {
                    self.close |= own;
                    Reply::OK
                }
            };
        }
        match kill_filter(args, caller) {
            Err(reply) => reply,
            Ok(filter) => {
                let (killed, own) = cx.gateway.clients.kill(&filter, caller, cx.now);
                self.close |= own;
                Reply::Integer(killed as i64)
            }
        }
    }
}

fn unblock(args: &[Bytes], cx: Context<'_>) -> Reply {
    let how = match args {
        [_] => Unblock::Timeout,
        [_, reason] if reason.eq_ignore_ascii_case(b"timeout") => Unblock::Timeout,
        [_, reason] if reason.eq_ignore_ascii_case(b"error") => Unblock::Error,
        [_, _] => return Reply::error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        _ => return SYNTAX_ERROR,
    };
    let Some(id) = integer(&args[0]) else { return NOT_AN_INTEGER };
    Reply::Integer(u64::try_from(id).is_ok_and(|id| cx.gateway.clients.unblock(id, how)).into())
}

fn list(args: &[Bytes], cx: Context<'_>) -> Reply {
    let mut filter = Filter::default();
    match args {
        [] => {}
        [option, kind] if option.eq_ignore_ascii_case(b"type") => match client_type(kind) {
            Ok(kind) => filter.kind = Some(kind),
            Err(reply) => return reply,
        },
        [option, ids @ ..] if option.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let ids: Option<Vec<u64>> = ids.iter().map(|id| positive(id)).collect();
            match ids {
                Some(ids) => filter.ids = Some(ids),
                None => return Reply::error("ERR Invalid client ID"),
            }
        }
        _ => return SYNTAX_ERROR,
    }
    let mut lines = String::new();
    for client in cx.gateway.clients.select(&filter, cx.now) {
        lines.push_str(&client.line(cx.now));
        lines.push('\n');
    }
    Reply::Verbatim(*b"txt", lines.into())
}

fn positive(word: &[u8]) -> Option<u64> {
    integer(word).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0)
}

fn client_type(kind: &[u8]) -> Result<ClientKind, Reply> {
    match word(kind).to_ascii_lowercase().as_str() {
        "normal" => Ok(ClientKind::Normal),
        "pubsub" => Ok(ClientKind::PubSub),
        "master" | "slave" | "replica" => Ok(ClientKind::Replication),
        other => Err(error(format!("ERR Unknown client type '{other}'"))),
    }
}

fn kill_filter(args: &[Bytes], caller: u64) -> Result<Filter, Reply> {
    let mut filter = Filter { except: Some(caller), ..Filter::default() };
    if args.is_empty() || !args.len().is_multiple_of(2) {
        return Err(SYNTAX_ERROR);
    }
    for pair in args.chunks_exact(2) {
        let value = &pair[1];
        match word(&pair[0]).to_ascii_lowercase().as_str() {
            "id" => {
                let id = positive(value).ok_or(Reply::error("ERR client-id should be greater than 0"))?;
                filter.ids = Some(vec![id]);
            }
            "type" => filter.kind = Some(client_type(value)?),
            "addr" => filter.addr = Some(word(value)),
            "laddr" => filter.laddr = Some(word(value)),
            "user" if value.as_ref() == b"default" => {}
            "user" => return Err(error(format!("ERR No such user '{}'", word(value)))),
            "skipme" if value.eq_ignore_ascii_case(b"yes") => filter.except = Some(caller),
            "skipme" if value.eq_ignore_ascii_case(b"no") => filter.except = None,
            "maxage" => {
                let age = positive(value).ok_or(Reply::error("ERR maxage is not an integer or out of range"))?;
                filter.max_age_s = Some(age);
            }
            _ => return Err(SYNTAX_ERROR),
        }
    }
    Ok(filter)
}

//! MONITOR: connections that are told of every command of this node's clients.

use super::redact::redacted;
use crate::gateway::clients::Client;
use crate::gateway::context::Context;
use crate::gateway::session::Session;
use command::{Command, Flag, Reply};
use parking_lot::RwLock;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Those who monitor. While there are none, a command costs a look at their number.
#[derive(Debug, Default)]
pub struct Monitors {
    count: AtomicUsize,
    clients: RwLock<Vec<Arc<Client>>>,
}

impl Monitors {
    /// A connection monitors from here on.
    pub(in crate::gateway) fn add(&self, client: Arc<Client>) {
        let mut clients = self.clients.write();
        if clients.iter().all(|c| c.id != client.id) {
            client.set_monitoring(true);
            clients.push(client);
        }
        self.count.store(clients.len(), Relaxed);
    }

    /// A connection monitors no more.
    pub(in crate::gateway) fn remove(&self, id: u64) {
        if self.count.load(Relaxed) > 0 {
            let mut clients = self.clients.write();
            clients.retain(|c| {
                if c.id == id {
                    c.set_monitoring(false);
                }
                c.id != id
            });
            self.count.store(clients.len(), Relaxed);
        }
    }
}

impl Session {
    /// Tells those who monitor of a command. They are not told what operators do. Scripts are told of as one command.
    pub(in crate::gateway) fn show(&self, command: &Command, cx: Context<'_>) {
        let monitors = &cx.gateway.monitors;
        if monitors.count.load(Relaxed) == 0 || command.spec.flags.has(Flag::Admin) {
            return;
        }
        let addr = cx.gateway.clients.get(self.id.client).map_or_else(String::new, |client| client.addr.clone());
        let ms = cx.wall.0;
        let mut line = format!("{}.{:06} [{} {addr}]", ms / 1000, ms % 1000 * 1000, self.profile.db);
        for word in redacted(command.spec, command.args.clone()) {
            quote(&word, &mut line);
        }
        let line = Arc::new(Reply::Simple(line.into()));
        for client in monitors.clients.read().iter() {
            client.push(&line, cx.gateway.settings.push_limits(), cx.now);
        }
    }
}

/// A word in quotes, with escapes for what is not printable.
fn quote(word: &[u8], line: &mut String) {
    *line += " \"";
    for byte in word {
        match byte {
            b'"' | b'\\' => line.extend(['\\', char::from(*byte)]),
            b'\n' => *line += "\\n",
            b'\r' => *line += "\\r",
            b'\t' => *line += "\\t",
            0x07 => *line += "\\a",
            0x08 => *line += "\\b",
            b' '..=b'~' => line.push(char::from(*byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(line, "\\x{byte:02x}")),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_quoted_as_redis_does() {
        let mut line = String::new();
        super::quote(b"a \"b\"\\\n\x00\xff", &mut line);
        assert_eq!(line, r#" "a \"b\"\\\n\x00\xff""#);
    }
}

//! Commands that are carried out in their turn: when the replies to all commands before them are on their way.
//!
//! A client that is told of a message finds what its publisher had written before; a subscription that is confirmed hears
//! whatever comes after the confirmation, and nothing that came before.

use super::action::{Action, Turn};
use super::context::{Context, Gateway};
use super::session::Session;
use crate::pubsub::{Kind, Subscriber, confirmation};
use bytes::Bytes;
use cluster::{Layout, Publication};
use command::{Command, Reply, Spec};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

type Replies = SmallVec<[Reply; 1]>;

/// What commands led to that were carried out in their turn.
#[derive(Debug, Default)]
pub struct Told {
    /// To the client.
    pub replies: Replies,
    /// The replies are sent whatever CLIENT REPLY says, as all is that tells of subscriptions.
    pub aloud: bool,
    /// Something is heard no more: what was heard of it comes before the replies.
    pub ended: bool,
    /// To the subscribers of all other nodes.
    pub publications: Vec<Publication>,
}

impl Session {
    /// Puts a command off until its turn.
    pub(super) fn in_turn(&mut self, at: Option<usize>, command: Command) -> Action {
        self.paused |= !matches!(command.spec.name, "publish" | "spublish");
        self.turns.push(Turn { at, command });
        Action::Reply(Reply::Null)
    }

    /// Carries out what waited for `reply` to leave, and says what is to leave in its place. A transaction that was aborted
    /// carries out nothing.
    #[must_use]
    pub fn take_turns(&mut self, reply: Reply, turns: Vec<Turn>, cx: Context<'_>) -> Told {
        self.paused = false;
        let mut told = Told::default();
        let mut places: Vec<(usize, Replies)> = Vec::new();
        let aborted = !matches!(reply, Reply::Array(_));
        for Turn { at, command } in turns {
            match at {
                None if command.spec.name == "reset" => {
                    self.leave(cx.gateway);
                    told.ended = true;
                }
                None => {
                    told.replies = self.turn(&command, false, &mut told.publications, cx);
                    told.aloud = !matches!(command.spec.name, "publish" | "spublish");
                    told.ended = command.spec.name.ends_with("unsubscribe");
                    return told;
                }
                Some(_) if aborted => {}
                Some(at) => places.push((at, self.turn(&command, true, &mut told.publications, cx))),
            }
        }
        told.replies = smallvec![put(reply, places)];
        told
    }

    fn turn(
        &mut self,
        command: &Command,
        in_transaction: bool,
        publications: &mut Vec<Publication>,
        cx: Context<'_>,
    ) -> Replies {
        let names = &command.args[1..];
        if let Err(refused) = self.route_channels(command, cx) {
            cx.gateway.stats.reply(&refused);
            return smallvec![refused];
        }
        match command.spec.name {
            "subscribe" => self.subscribe("subscribe", Kind::Channel, names, cx),
            "psubscribe" => self.subscribe("psubscribe", Kind::Pattern, names, cx),
            "ssubscribe" if in_transaction => {
                smallvec![Reply::error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")]
            }
            "ssubscribe" => self.subscribe("ssubscribe", Kind::Shard, names, cx),
            "monitor" if in_transaction => {
                smallvec![Reply::error("ERR MONITOR isn't allowed for DENY BLOCKING client")]
            }
            "monitor" => {
                cx.gateway.clients.get(self.id.client).into_iter().for_each(|me| cx.gateway.monitors.add(me));
                smallvec![Reply::OK]
            }
            "unsubscribe" => self.unsubscribe("unsubscribe", Kind::Channel, names, cx),
            "punsubscribe" => self.unsubscribe("punsubscribe", Kind::Pattern, names, cx),
            "sunsubscribe" => self.unsubscribe("sunsubscribe", Kind::Shard, names, cx),
            name => {
                let (channel, payload) = (names[0].clone(), names[1].clone());
                let sharded = name == "spublish";
                let publication = Publication { namespace: self.namespace, sharded, channel, payload };
                let told = cx.gateway.publish(&publication, cx.now);
                // A shard channel's subscribers are all where its slot is.
                if !(sharded && self.layout() == Layout::Sharded) {
                    publications.push(publication);
                }
                smallvec![Reply::Integer(told as i64)]
            }
        }
    }

    fn subscribe(&mut self, word: &'static str, kind: Kind, names: &[Bytes], cx: Context<'_>) -> Replies {
        if self.subscriber.is_none() {
            let client = cx.gateway.clients.get(self.id.client);
            self.subscriber = client.map(|client| Arc::new(Subscriber::new(client, self.namespace)));
        }
        let Some(subscriber) = &self.subscriber else {
            return smallvec![Reply::error("ERR the connection is being closed")];
        };
        let one = |name| {
            if cx.gateway.hub.subscribe(subscriber, kind, name) {
                confirmation(word, Some(name), subscriber.count(kind))
            } else {
                Reply::error("ERR the connection has as many subscriptions as one may have")
            }
        };
        names.iter().map(one).collect()
    }

    fn unsubscribe(&mut self, word: &'static str, kind: Kind, names: &[Bytes], cx: Context<'_>) -> Replies {
        let held = self.subscriber.as_ref().map(|s| s.names(kind)).unwrap_or_default();
        let names = if names.is_empty() { &held } else { names };
        let count = || self.subscriber.as_ref().map_or(0, |s| s.count(kind));
        if names.is_empty() {
            return smallvec![confirmation(word, None, count())];
        }
        let one = |name| {
            if let Some(subscriber) = &self.subscriber {
                cx.gateway.hub.unsubscribe(subscriber, kind, name);
            }
            confirmation(word, Some(name), count())
        };
        names.iter().map(one).collect()
    }

    /// Ends whatever others would tell this connection.
    pub fn leave(&self, gateway: &Gateway) {
        gateway.monitors.remove(self.id.client);
        if let Some(subscriber) = &self.subscriber {
            gateway.hub.leave(subscriber);
        }
    }

    /// Whether it speaks RESP2, where whatever arrives is a message once it subscribes to anything.
    pub(super) fn hears_only(&self) -> bool {
        self.profile.resp == 2 && self.subscriber.as_ref().is_some_and(|s| s.is_subscribed())
    }

    /// Whether a command may be sent in the mode that the connection is in.
    ///
    /// # Errors
    /// The reply to send instead.
    pub(super) fn check_mode(&self, spec: &Spec) -> Result<(), Reply> {
        let about_channels = spec.name.ends_with("subscribe");
        if !self.hears_only() || about_channels || matches!(spec.name, "ping" | "quit" | "reset") {
            return Ok(());
        }
        let only = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
        Err(Reply::Error(format!("ERR Can't execute '{}': {only}", spec.name).into()))
    }
}

/// Puts replies in their places of an array.
fn put(reply: Reply, places: Vec<(usize, Replies)>) -> Reply {
    let Reply::Array(items) = reply else { return reply };
    if places.is_empty() {
        return Reply::Array(items);
    }
    let mut places = places.into_iter().peekable();
    let mut all = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match places.next_if(|(place, _)| *place == at) {
            Some((_, replies)) => all.extend(replies),
            None => all.push(item),
        }
    }
    Reply::Array(all)
}

//! One connection: its protocol state, and what each of its commands leads to.

use super::action::{Action, Finish, Outcome, Turn};
use super::clients::Profile;
use super::context::Context;
use super::observe::{Call, Lap, Tally};
use super::queue::Queue;
use crate::pubsub::Subscriber;
use cluster::{Layout, NamespaceId, Request, Slot};
use command::{Args, Command, Flag, Group, SessionId, Work};
use smallvec::SmallVec;
use std::sync::Arc;
use stdx::ShardId;

/// Which of the two ports a client came in by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// The co-located namespace: any keys together, 16 databases, never redirected.
    Plain,
    /// The sharded namespace: the Redis Cluster protocol.
    Cluster,
}

/// CLIENT REPLY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReplyMode {
    On,
    Off,
    /// Said `SKIP`: nothing is said to the next command.
    SkipNext,
}

/// Keys watched since the last EXEC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Watching {
    pub(super) shard: ShardId,
    pub(super) slot: Option<Slot>,
    /// The shard's term when the first WATCH was sent: another leader knows nothing of it.
    pub(super) term: u64,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    pub(super) id: SessionId,
    pub(super) port: Port,
    pub(super) namespace: NamespaceId,
    pub(super) profile: Profile,
    pub(super) profile_changed: bool,
    pub(super) reply_mode: ReplyMode,
    pub(super) queue: Option<Queue>,
    pub(super) watching: Option<Watching>,
    /// Shards on which a watch was ever asked for: they are told when the connection ends.
    pub(super) touched: SmallVec<[ShardId; 2]>,
    pub(super) close: bool,
    pub(super) mute: bool,
    /// What it subscribes to, once it has subscribed to anything.
    pub(super) subscriber: Option<Arc<Subscriber>>,
    /// Commands of the one that is being run that wait for their turn.
    pub(super) turns: Vec<Turn>,
    /// What the next commands mean depends on turns that are to be taken.
    pub(super) paused: bool,
    /// Commands so far that may have waited.
    waits: u64,
    /// Requests under way.
    outstanding: SmallVec<[(ShardId, u32); 2]>,
    /// Calls counted since the last `Tally::flush`.
    pub tally: Tally,
    /// The command that is being carried out, until it is counted or given to whoever waits for its answer.
    pub(super) call: Option<Call>,
    /// It was refused before it ran.
    pub(super) refused: bool,
    pub(super) lap: Lap,
}

/// The namespace behind each port, by the names the cluster is created with.
fn namespace_of(port: Port) -> NamespaceId {
    match port {
        Port::Plain => 1,
        Port::Cluster => 2,
    }
}

impl Session {
    /// A fresh connection: RESP2, database 0.
    #[must_use]
    pub fn new(id: SessionId, port: Port) -> Session {
        Session {
            id,
            port,
            namespace: namespace_of(port),
            profile: Profile { resp: 2, ..Profile::default() },
            profile_changed: true,
            reply_mode: ReplyMode::On,
            queue: None,
            watching: None,
            touched: SmallVec::new(),
            close: false,
            mute: false,
            subscriber: None,
            turns: Vec::new(),
            paused: false,
            waits: 0,
            outstanding: SmallVec::new(),
            tally: Tally::default(),
            call: None,
            refused: false,
            lap: Lap::default(),
        }
    }

    /// RESP version in which the reply to the latest command is to be encoded.
    #[must_use]
    pub fn resp(&self) -> u8 {
        self.profile.resp
    }

    /// What CLIENT LIST should say, if it changed since the last call.
    pub fn changed_profile(&mut self) -> Option<&Profile> {
        if !std::mem::take(&mut self.profile_changed) {
            return None;
        }
        self.profile.multi = self.queue.as_ref().map(Queue::len);
        Some(&self.profile)
    }

    /// A request of this connection is under way to `shard`.
    pub fn sent(&mut self, shard: ShardId) {
        match self.outstanding.iter_mut().find(|(s, _)| *s == shard) {
            Some((_, n)) => *n += 1,
            None => self.outstanding.push((shard, 1)),
        }
    }

    /// A request of this connection to `shard` was answered.
    pub fn answered(&mut self, shard: ShardId) {
        if let Some(at) = self.outstanding.iter().position(|(s, _)| *s == shard) {
            self.outstanding[at].1 -= 1;
            if self.outstanding[at].1 == 0 {
                self.outstanding.swap_remove(at);
            }
        }
    }

    /// Requests of this connection under way to `shard`.
    #[must_use]
    pub fn under_way(&self, shard: ShardId) -> u32 {
        self.outstanding.iter().find(|(s, _)| *s == shard).map_or(0, |(_, n)| *n)
    }

    /// Shards that may hold watches of this connection, to be told when it ends.
    #[must_use]
    pub fn watched_shards(&self) -> &[ShardId] {
        &self.touched
    }

    /// What the words of one command lead to.
    pub fn command(&mut self, args: Args, cx: Context<'_>) -> Outcome {
        self.mute = match self.reply_mode {
            ReplyMode::On => false,
            ReplyMode::Off => true,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::On;
                true
            }
        };
        let action = match Command::checked(args) {
            Ok(command) => self.run(command, cx),
            Err(refused) => {
                self.spoil();
                self.turned_away(refused.spec, cx);
                Action::Reply(refused.reply)
            }
        };
        let clock = match &action {
            Action::Reply(reply) => self.answered_here(reply, cx),
            _ => false,
        };
        let (call, turns) = (self.call.take(), std::mem::take(&mut self.turns));
        Outcome { action, call, clock, turns, mute: self.mute, close: self.close }
    }

    /// Whether no further command may be taken up before the turns that earlier ones wait for were taken.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    fn run(&mut self, command: Command, cx: Context<'_>) -> Action {
        let spec = command.spec;
        if let Err(reply) = self.check_mode(spec) {
            self.turned_away(Some(spec), cx);
            self.spoil();
            return Action::Reply(reply);
        }
        self.taken_up(&command, cx);
        if self.queue.is_some() && !runs_inside_multi(spec.name) {
            return self.enqueue(command, cx);
        }
        match served_by(spec) {
            By::Shard => self.data(command, cx),
            By::AllShards => self.everywhere(command, cx),
            By::Transactions => self.transaction(command, cx),
            By::Turn => self.in_turn(None, command),
            By::Gateway => self.local(&command, cx),
        }
    }

    /// A command on data: read here if that is allowed, otherwise sent to the shard.
    fn data(&mut self, command: Command, cx: Context<'_>) -> Action {
        let routed = match self.route(&command, cx) {
            Ok(routed) => routed,
            Err(reply) => {
                self.refused = true;
                return Action::Reply(reply);
            }
        };
        let stale_ok = routed.stale;
        if command.spec.is_readonly()
            && self.under_way(routed.shard.id) == 0
            && let Some(reply) = super::route::read(
                routed.shard,
                &command,
                self.profile.db,
                self.profile.resp,
                stale_ok,
                cx.now,
                cx.wall,
            )
        {
            self.tally.local_read();
            return Action::Reply(reply);
        }
        let shard = routed.shard.id;
        self.leaves(&command, cx);
        let work = if command.may_wait() {
            self.waits += 1;
            Work::Blocking { command, number: self.waits, waited_ms: 0 }
        } else {
            Work::Single(command)
        };
        Action::Dispatch(self.request(shard, work, stale_ok, cx), Finish::Plain)
    }

    /// A request on behalf of this connection.
    pub(super) fn request(&self, shard: ShardId, work: Work, stale_ok: bool, cx: Context<'_>) -> Request {
        Request {
            shard,
            session: self.id,
            db: self.profile.db,
            resp: self.profile.resp,
            timeout_ms: cx.gateway.request_timeout_ms,
            stale_ok,
            work,
        }
    }

    /// Marks the transaction being queued, if any, as one that EXEC must abort.
    pub(super) fn spoil(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.spoil();
        }
    }

    /// The layout of the namespace behind the port.
    pub(super) fn layout(&self) -> Layout {
        match self.port {
            Port::Plain => Layout::Colocated,
            Port::Cluster => Layout::Sharded,
        }
    }
}

/// Who answers a command.
pub(super) enum By {
    /// The shard of its keys.
    Shard,
    /// In a sharded namespace, every shard led here.
    AllShards,
    /// MULTI and what belongs to it.
    Transactions,
    /// The gateway, when the replies before it are on their way.
    Turn,
    /// The gateway.
    Gateway,
}

impl By {
    /// Whether a shard does.
    pub(super) fn is_data(&self) -> bool {
        matches!(self, By::Shard | By::AllShards)
    }
}

pub(super) fn served_by(spec: &command::Spec) -> By {
    if spec.name.ends_with("|help") {
        return By::Gateway;
    }
    match spec.group {
        Group::Connection | Group::Cluster => By::Gateway,
        Group::Scripting => match spec.name {
            "script|load" | "script|exists" | "script|flush" => By::AllShards,
            "function|kill" => By::Gateway,
            name if name.starts_with("function|") => By::AllShards,
            _ if spec.has_keys() => By::Shard,
            _ => By::Gateway,
        },
        Group::Transactions => By::Transactions,
        Group::PubSub if spec.container.is_none() => By::Turn,
        Group::PubSub => By::Gateway,
        Group::Server => match spec.name {
            "dbsize" | "flushall" | "flushdb" => By::AllShards,
            "memory|usage" | "swapdb" => By::Shard,
            "monitor" => By::Turn,
            _ => By::Gateway,
        },
        Group::Generic if spec.flags.has(Flag::TouchesArbitraryKeys) || !spec.has_keys() => match spec.name {
            "wait" => By::Gateway,
            "scan" | "keys" | "randomkey" => By::AllShards,
            _ => By::Shard,
        },
        _ => By::Shard,
    }
}

/// Commands that take effect at once between MULTI and EXEC.
fn runs_inside_multi(name: &str) -> bool {
    matches!(name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

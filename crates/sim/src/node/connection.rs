//! One client's connection, served as crates/server/src/client/connection.rs serves it, with words in place of bytes.

use super::Waiter;
use bytes::Bytes;
use cluster::{Request, Unblock};
use command::{Args, Reply, SessionId};
use node::gateway::{Action, Answer, Blocked, Closer, Context, Finish, Gateway, Outcome, Pipeline, Port, Session, Way};
use node::pubsub::PushLimits;
use node::{RouteTable, Task};
use std::collections::VecDeque;
use std::sync::Arc;
use stdx::{Mono, NodeId, ShardId, WallMs};

/// Nobody kills simulated clients through CLIENT KILL: their connections end from their own side.
struct NoCloser;

impl Closer for NoCloser {
    fn close(&self) {}

    fn finish(&self) {}

    fn unblock(&self, _number: u64, _how: Unblock) {}

    fn push(&self, _message: &Arc<Reply>, _limits: PushLimits, _now: Mono) {}
}

/// A task and how it travels.
pub type Sent = (Way, Task<Waiter>);

/// A connection being served.
pub struct Connection {
    number: u64,
    node: NodeId,
    id: SessionId,
    session: Session,
    /// Whether CLIENT REPLY throws the reply away.
    pipeline: Pipeline<bool>,
    /// Commands that were read and not taken up.
    input: VecDeque<Args>,
}

impl Connection {
    /// A connection with nothing read; `None` when there are too many.
    pub fn open(node: NodeId, gateway: &Gateway, number: u64, port: Port, now: Mono) -> Option<Connection> {
        let (here, there) = (format!("sim{}:1", node.0), format!("client:{number}"));
        let client = gateway.clients.connect(there, here, now, Box::new(NoCloser)).ok()?;
        let id = SessionId { node, client: client.id };
        let (session, pipeline) = (Session::new(id, port), Pipeline::default());
        Some(Connection { number, node, id, session, pipeline, input: VecDeque::new() })
    }

    /// Who this is for the shards.
    pub fn session_id(&self) -> SessionId {
        self.id
    }

    /// Shards that may hold watches of this connection.
    pub fn watched(&self) -> &[ShardId] {
        self.session.watched_shards()
    }

    /// The command that may wait and is not answered.
    pub fn blocked(&self) -> Option<&Blocked> {
        self.pipeline.blocked()
    }

    /// Whether commands can be taken up.
    pub fn has_more(&self) -> bool {
        !self.input.is_empty() && self.blocked().is_none()
    }

    /// Reads commands.
    pub fn take(&mut self, commands: Vec<Vec<Bytes>>) {
        self.input.extend(commands.into_iter().map(|words| words.into_iter().collect::<Args>()));
    }

    /// Takes up what was read, up to a command that waits.
    pub fn run(&mut self, gateway: &Gateway, table: &Arc<RouteTable>, now: Mono, wall: WallMs, out: &mut Vec<Sent>) {
        while self.blocked().is_none()
            && let Some(args) = self.input.pop_front()
        {
            self.command(args, gateway, table, now, wall, out);
        }
    }

    /// Runs one command through the session.
    fn command(
        &mut self,
        args: Args,
        gateway: &Gateway,
        table: &Arc<RouteTable>,
        now: Mono,
        wall: WallMs,
        out: &mut Vec<Sent>,
    ) {
        let Outcome { action, turns, mute, .. } = self.session.command(args, Context { gateway, table, now, wall });
        debug_assert!(turns.is_empty(), "simulated clients neither subscribe nor publish");
        self.session.lap(now, wall, gateway);
        self.session.tally.flush(&gateway.stats, false);
        match action {
            Action::Reply(reply) => self.pipeline.ready(reply, turns, mute),
            Action::Dispatch(request, finish) => out.push(self.dispatch(request, finish, mute, table, now)),
            Action::Fan(requests, finish) => {
                let parts: Vec<_> =
                    requests.iter().map(|r| (r.shard, self.pipeline.way(r, table, self.node))).collect();
                parts.iter().for_each(|(shard, _)| self.session.sent(*shard));
                let slot = self.pipeline.fanned(parts.clone(), finish, mute);
                for ((part, request), (_, way)) in (0..).zip(requests).zip(parts) {
                    out.push((way, self.task(request, slot, part, now)));
                }
            }
        }
    }

    fn dispatch(&mut self, request: Request, finish: Finish, mute: bool, table: &RouteTable, now: Mono) -> Sent {
        let way = self.pipeline.way(&request, table, self.node);
        self.session.sent(request.shard);
        let slot = self.pipeline.asked(request.shard, finish, way, request.work.is_read(), mute);
        let task = self.task(request, slot, 0, now);
        self.pipeline.may_block(slot, &task);
        (way, task)
    }

    fn task(&self, request: Request, slot: u64, part: u32, now: Mono) -> Task<Waiter> {
        Task::new(request, now, Waiter::Client { connection: self.number, slot, part })
    }

    /// An answer arrived.
    pub fn deliver(&mut self, slot: u64, part: u32, answer: Answer) {
        self.pipeline.deliver(slot, part, answer, &mut self.session);
    }

    /// Replies that may leave.
    pub fn ready(&mut self) -> Vec<Reply> {
        let mut out = Vec::new();
        while let Some((reply, _, mute)) = self.pipeline.pop() {
            if !mute {
                out.push(reply);
            }
        }
        out
    }
}

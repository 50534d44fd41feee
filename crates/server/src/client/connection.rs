//! One client's connection: bytes in, commands, replies in order, bytes out.
//!
//! The task is woken by readable bytes, by answers in its mailbox, or by room in the socket. Each time it does as much as it can:
//! decode what arrived, run it through the session, hand all requests of the batch to their workers with one send
//! each, and write all replies with one call.
//!
//! Flow control: a connection whose commands in progress or unread replies reach their limits is not read until they
//! shrink. A client that does not read at all holds at most that much, and is closed when nothing moved for a while
//! (`Sweeper`).

mod output;

use crate::clock;
use crate::mailbox::{Delivery, Mail, Mailbox, Waiter, Wakes};
use crate::node::Node;
use bytes::BytesMut;
use cluster::{PeerMessage, Request, Unblock};
use command::{Args, Fault, SessionId};
use node::gateway::{Action, Call, Client, Context, Finish, Outcome, Pipeline, Port, Session, Way};
use node::{RouteTable, StateInput, Task};
use protocol::resp::{Decoder, Version};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{self, Poll};
use std::time::Duration;
use stdx::{Mono, WallMs};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at once. The buffer belongs to the thread, so that an idle connection holds none.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one connection that may be under way to shards: their replies may be large, and wait here for their turn.
const READS_UNDER_WAY_MAX: usize = 64;
/// Encoded replies at which no further command is taken up and no further answer encoded until some were written.
const OUTPUT_PAUSE_BYTES: usize = 256 * 1024;
/// Bytes that a connection may send ahead while a command of it waits. It is read only to notice its end.
const INPUT_AHEAD_BYTES: usize = 64 * 1024;
/// Capacity an empty output buffer may keep between bursts.
const OUTPUT_KEEP_BYTES: usize = 16 * 1024;
/// Room reserved at once for a word that is being received: what a client only claims takes no memory beyond this.
const RESERVE_BYTES_MAX: usize = 1024 * 1024;

/// How long a client of a node that ends hears its commands refused, before the connection is closed.
const FINISH_GRACE: Duration = Duration::from_millis(200);
/// How long the end of the stream may take to reach the client.
const LINGER: Duration = Duration::from_millis(200);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Why the task woke up.
enum Event {
    Bytes(usize),
    Answers,
    /// There is something to tell the client that it has not asked for.
    Pushes,
    /// CLIENT UNBLOCK for this wait.
    Unblock(u64, Unblock),
    Writable,
    /// The node ends.
    Finish,
    /// The client had time to hear that the node ends.
    GraceOver,
    Closed,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// By the client, or a reply that says so was written.
    Orderly,
    /// CLIENT KILL, a limit, or the end of the process.
    Killed,
    /// The socket failed.
    Failed,
}

/// What becomes of a reply.
#[derive(Debug)]
struct Manner {
    /// How it is encoded.
    version: Version,
    /// CLIENT REPLY: it is thrown away.
    mute: bool,
    /// The command, until its reply is there.
    call: Option<Call>,
}

impl Manner {
    /// Of a reply that is there already and not muted.
    fn plain(version: Version) -> Manner {
        Manner { version, mute: false, call: None }
    }
}

/// A connection being served.
pub struct Connection {
    node: Arc<Node>,
    stream: TcpStream,
    client: Arc<Client>,
    session: Session,
    mailbox: Arc<Mailbox>,
    table: Arc<RouteTable>,
    table_version: u64,
    decoder: Decoder,
    input: BytesMut,
    output: Vec<u8>,
    written: usize,
    pipeline: Pipeline<Manner>,
    deliveries: Vec<Delivery>,
    /// Requests of this batch, by worker, and those for the dispatcher.
    local: Vec<Vec<Task<Waiter>>>,
    elsewhere: Vec<Task<Waiter>>,
    last_command: &'static str,
    /// Whether something may be in the mailbox that the client has not asked for.
    addressed: bool,
    /// The wait as the registry knows it.
    blocked: Option<u64>,
    closing: bool,
    /// The node ends: commands are refused.
    finishing: bool,
    /// When a connection of a node that ends is closed.
    grace: Option<Pin<Box<tokio::time::Sleep>>>,
    received: u64,
    sent: u64,
}

impl Connection {
    /// A connection of `client`, with nothing read.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        stream: TcpStream,
        client: Arc<Client>,
        mailbox: Arc<Mailbox>,
        port: Port,
    ) -> Connection {
        let session = Session::new(SessionId { node: node.id, client: client.id }, port);
        Connection {
            table_version: node.shared.version(),
            table: node.shared.table(),
            local: node.workers.iter().map(|_| Vec::new()).collect(),
            node,
            stream,
            client,
            session,
            mailbox,
            decoder: Decoder::new(),
            input: BytesMut::new(),
            output: Vec::new(),
            written: 0,
            pipeline: Pipeline::default(),
            deliveries: Vec::new(),
            elsewhere: Vec::new(),
            last_command: "",
            addressed: false,
            blocked: None,
            closing: false,
            finishing: false,
            grace: None,
            received: 0,
            sent: 0,
        }
    }

    /// Serves until the connection ends.
    pub async fn serve(mut self) {
        let end = self.run().await;
        tracing::debug!(client = self.client.id, ?end, "connection closed");
        self.flush_tally();
        self.session.leave(&self.node.gateway);
        self.forget_watches();
        self.end_wait(None, Unblock::Gone);
        if end == End::Orderly && self.closing {
            // Boxed: a connection that is served needs no room for this.
            Box::pin(self.linger()).await;
        }
        self.node.gateway.clients.disconnect(self.client.id);
    }

    async fn run(&mut self) -> End {
        loop {
            let event = match poll_fn(|cx| self.poll_event(cx)).await {
                Ok(event) => event,
                Err(_) => return End::Failed,
            };
            match event {
                Event::Closed => return End::Killed,
                Event::Bytes(0) => return End::Orderly,
                Event::Bytes(n) => self.received += n as u64,
                Event::Answers => self.take_answers(),
                Event::Unblock(number, how) => self.end_wait(Some(number), how),
                Event::Pushes => self.addressed = true,
                Event::Writable => {}
                Event::Finish => {
                    self.finishing = true;
                    self.end_wait(None, Unblock::Forced);
                    self.grace = Some(Box::pin(tokio::time::sleep(FINISH_GRACE)));
                }
                Event::GraceOver => {
                    self.grace = None;
                    self.closing = true;
                }
            }
            // Writing may make room for commands that wait in the input, and those may add replies.
            loop {
                self.encode_ready();
                let ran = self.run_commands();
                self.encode_pushes();
                // Whoever reads a reply finds that the wait is over.
                self.publish_wait();
                if self.write().is_err() {
                    return End::Failed;
                }
                let has_more = self.pipeline.is_ready() || self.addressed;
                if !ran && (!self.output.is_empty() || !has_more) {
                    break;
                }
            }
            self.publish();
            let unread = self.output.len() - self.written + self.pipeline.ready_bytes();
            if unread > self.node.gateway.settings.output_limit() {
                tracing::info!(
                    client = self.client.id,
                    unread,
                    "closed: more replies are unread than a client may leave"
                );
                return End::Killed;
            }
            if self.closing && self.pipeline.is_empty() && self.output.is_empty() {
                return End::Orderly;
            }
        }
    }

    fn poll_event(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<Event>> {
        if let Poll::Ready(mail) = self.mailbox.poll(cx, &mut self.deliveries) {
            return Poll::Ready(Ok(match mail {
                Mail::Answers => Event::Answers,
                Mail::Pushes => Event::Pushes,
                Mail::Unblock(number, how) => Event::Unblock(number, how),
                Mail::Closed => Event::Closed,
            }));
        }
        if !self.finishing && self.mailbox.is_finishing() {
            return Poll::Ready(Ok(Event::Finish));
        }
        if self.grace.as_mut().is_some_and(|grace| grace.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Ok(Event::GraceOver));
        }
        if !self.output.is_empty()
            && let Poll::Ready(ready) = self.stream.poll_write_ready(cx)
        {
            return Poll::Ready(ready.map(|()| Event::Writable));
        }
        if self.may_read() {
            return self.poll_read(cx).map_ok(Event::Bytes);
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                Poll::Ready(Ok(())) => {
                    let wanted = self.decoder.bytes_wanted(&self.input).min(RESERVE_BYTES_MAX);
                    if wanted > buf.filled().len() {
                        self.input.reserve(wanted);
                    }
                    self.input.extend_from_slice(buf.filled());
                    Poll::Ready(Ok(buf.filled().len()))
                }
            }
        })
    }

    /// Whether another command may be taken up.
    fn may_take(&self) -> bool {
        !self.closing
            && (self.pipeline.is_empty() || !self.session.is_paused())
            && self.pipeline.blocked().is_none()
            && self.pipeline.len() < self.node.config.limits.connection_queue
            && self.pipeline.reads() < READS_UNDER_WAY_MAX
            && self.may_encode()
    }

    fn may_encode(&self) -> bool {
        self.output.len() - self.written < OUTPUT_PAUSE_BYTES
    }

    /// A closing connection is read no more; one at its limits is read later.
    fn may_read(&self) -> bool {
        let waits = !self.closing && self.pipeline.blocked().is_some() && self.input.len() < INPUT_AHEAD_BYTES;
        waits || self.may_take()
    }

    /// Takes up commands from the input; whether there was any.
    fn run_commands(&mut self) -> bool {
        if self.input.is_empty() || !self.may_take() {
            return false;
        }
        // The clock is read after the bytes arrived: a lease that holds at this time covers every read among them.
        let (now, wall) = (clock::now(), clock::wall());
        if self.table_version != self.node.shared.version() {
            self.table_version = self.node.shared.version();
            self.table = self.node.shared.table();
        }
        self.decoder.limit_words(self.node.gateway.settings.bulk_limit());
        let mut any = false;
        while self.may_take() {
            match self.decoder.decode(&mut self.input) {
                Ok(None) => break,
                Ok(Some(args)) => {
                    any = true;
                    self.command(args, now, wall);
                }
                Err(error) => {
                    self.closing = true;
                    tracing::debug!(client = self.client.id, %error, "protocol error");
                    if let Some(reply) = error.reply() {
                        self.node.gateway.stats.reply(&reply);
                        self.reply(reply, Vec::new(), Manner::plain(self.version()));
                    }
                }
            }
        }
        self.lap(wall);
        self.submit();
        any
    }

    /// The commands answered since the clock was read last shared the time since then.
    fn lap(&mut self, wall: WallMs) {
        if self.session.in_lap() {
            self.session.lap(clock::now(), wall, &self.node.gateway);
        }
    }

    fn flush_tally(&mut self) {
        let gateway = &self.node.gateway;
        self.session.tally.flush(&gateway.stats, gateway.settings.tracks_latency());
    }

    fn version(&self) -> Version {
        if self.session.resp() >= 3 { Version::V3 } else { Version::V2 }
    }

    fn command(&mut self, args: Args, now: Mono, wall: WallMs) {
        if self.finishing {
            self.reply(Fault::ShuttingDown.into(), Vec::new(), Manner::plain(self.version()));
            return;
        }
        let node = self.node.clone();
        let table = self.table.clone();
        let cx = Context { gateway: &node.gateway, table: &table, now, wall };
        let Outcome { action, call, clock, turns, mute, close } = self.session.command(args, cx);
        self.closing |= close;
        if clock {
            self.lap(wall);
        }
        let manner = Manner { version: self.version(), mute, call };
        match action {
            Action::Reply(reply) => return self.reply(reply, turns, manner),
            Action::Dispatch(request, finish) => self.dispatch(request, finish, manner, now),
            Action::Fan(requests, finish) => self.fan(requests, finish, manner, now),
        }
        self.pipeline.with_turns(turns);
    }

    fn dispatch(&mut self, request: Request, finish: Finish, manner: Manner, now: Mono) {
        let shard = request.shard;
        let way = self.pipeline.way(&request, &self.table, self.node.id);
        self.session.sent(shard);
        let slot = self.pipeline.asked(shard, finish, way, request.work.is_read(), manner);
        let task = self.task(request, slot, 0, now);
        self.pipeline.may_block(slot, &task);
        self.send(task, way);
    }

    fn send(&mut self, task: Task<Waiter>, way: Way) {
        match way {
            Way::Local(worker) => self.local[worker].push(task),
            Way::Dispatched => self.elsewhere.push(task),
        }
    }

    fn fan(&mut self, requests: Vec<Request>, finish: Finish, manner: Manner, now: Mono) {
        let way = |r: &Request| (r.shard, self.pipeline.way(r, &self.table, self.node.id));
        let parts: Vec<_> = requests.iter().map(way).collect();
        parts.iter().for_each(|(shard, _)| self.session.sent(*shard));
        let slot = self.pipeline.fanned(parts.clone(), finish, manner);
        for ((part, request), (_, way)) in (0..).zip(requests).zip(parts) {
            let task = self.task(request, slot, part, now);
            self.send(task, way);
        }
    }

    fn task(&self, request: Request, slot: u64, part: u32, now: Mono) -> Task<Waiter> {
        Task::new(request, now, Waiter::Client { mailbox: self.mailbox.clone(), slot, part })
    }

    /// Hands the batch's requests over.
    fn submit(&mut self) {
        let mut wakes = Wakes::default();
        for worker in 0..self.local.len() {
            if !self.local[worker].is_empty() {
                let tasks = std::mem::take(&mut self.local[worker]);
                self.node.submit_local(worker, tasks, &mut wakes);
            }
        }
        if !self.elsewhere.is_empty() {
            self.node.submit_elsewhere(self.elsewhere.drain(..), &mut wakes);
        }
        wakes.finish(&self.node.peers);
    }

    fn take_answers(&mut self) {
        let (now, wall) = (clock::now(), clock::wall());
        for Delivery { slot, part, answer } in self.deliveries.drain(..) {
            if let Some(done) = self.pipeline.deliver(slot, part, answer, &mut self.session)
                && let Some(call) = done.manner.call.take()
            {
                self.session.finished(call, done.reply, done.refused, now, wall, &self.node.gateway);
            }
        }
    }

    /// Tells the registry and the counters what this round did.
    fn publish(&mut self) {
        if let Some(name) = self.session.tally.last() {
            self.last_command = name;
        }
        self.flush_tally();
        let stats = &self.node.gateway.stats;
        if self.received > 0 {
            stats.bytes_in.fetch_add(std::mem::take(&mut self.received), Relaxed);
        }
        if self.sent > 0 {
            stats.bytes_out.fetch_add(std::mem::take(&mut self.sent), Relaxed);
        }
        if let Some(profile) = self.session.changed_profile() {
            self.client.publish(profile);
        }
        self.client.touch(clock::now(), self.last_command, self.input.len(), self.output.len() - self.written);
    }

    /// Says that nothing more comes, and takes what the client had sent by then: closing a socket with unread bytes would
    /// destroy replies on their way.
    async fn linger(&mut self) {
        let discard = async {
            // What fails here has ended the connection, which is all that is wanted.
            let _ = self.stream.shutdown().await;
            let mut scratch = [0; 1024];
            while matches!(self.stream.read(&mut scratch).await, Ok(n) if n > 0) {}
        };
        let _ = tokio::time::timeout(LINGER, discard).await;
    }

    fn publish_wait(&mut self) {
        let blocked = self.pipeline.blocked().map(|b| b.number);
        if blocked != self.blocked {
            self.blocked = blocked;
            self.client.set_blocked(blocked);
        }
    }

    /// Ends the wait of the connection, if it is in one, or in this one.
    fn end_wait(&mut self, number: Option<u64>, how: Unblock) {
        if let Some(blocked) = self.pipeline.blocked().filter(|b| number.is_none_or(|n| n == b.number)) {
            let mut wakes = Wakes::default();
            self.node.unblock(blocked, how, &mut wakes);
            wakes.finish(&self.node.peers);
        }
    }

    fn forget_watches(&self) {
        let session = SessionId { node: self.node.id, client: self.client.id };
        for shard in self.session.watched_shards() {
            let leader = self.table.shards.get(shard).and_then(|h| h.leader());
            match leader {
                Some(leader) if leader != self.node.id => {
                    self.node.peers.send(leader, PeerMessage::SessionClosed { session })
                }
                _ => self.node.worker(*shard).state.send(StateInput::SessionClosed(session)),
            }
        }
    }
}

//! The connections of this node: who they are and what they do, for CLIENT LIST, INFO and KILL.

use crate::pubsub::PushLimits;
use cluster::Unblock;
use command::Reply;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use stdx::Mono;

/// Ends a connection from outside. The shell implements it: wake the task, close the socket.
pub trait Closer: Send + Sync {
    /// The client was killed: its connection is to be closed without further replies.
    fn close(&self);
    /// The node ends: what was asked is answered, what comes after is refused, then the connection is closed.
    fn finish(&self);
    /// This wait of the connection is to end, if it still waits.
    fn unblock(&self, number: u64, how: Unblock);
    /// The client is told this without having asked. Beyond `limits` of what it has not read, it is closed instead.
    fn push(&self, message: &Arc<Reply>, limits: PushLimits, now: Mono);
}

/// What the protocol state of a connection says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: String,
    /// Selected database.
    pub db: u16,
    /// RESP version, 2 or 3.
    pub resp: u8,
    /// Commands queued by MULTI; `None` outside a transaction.
    pub multi: Option<usize>,
    /// Keys watched.
    pub watching: usize,
    /// READONLY.
    pub readonly: bool,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
}

/// What the shell saw last.
#[derive(Clone, Copy, Debug, Default)]
struct Activity {
    at: Mono,
    command: &'static str,
    input: usize,
    output: usize,
}

/// One connection.
pub struct Client {
    /// Unique on this node until it restarts, rising.
    pub id: u64,
    /// Remote address.
    pub addr: String,
    /// Local address.
    pub laddr: String,
    /// When it connected.
    pub since: Mono,
    killed: AtomicBool,
    /// The wait it is in; 0 while it is in none.
    blocked: AtomicU64,
    /// How many channels, patterns and shard channels it subscribes to.
    subscriptions: [AtomicUsize; 3],
    /// MONITOR.
    monitoring: AtomicBool,
    profile: Mutex<Profile>,
    activity: Mutex<Activity>,
    closer: Box<dyn Closer>,
}

impl Client {
    /// Whether CLIENT KILL chose it.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.killed.load(Relaxed)
    }

    /// Records what the connection did last and how many bytes it holds in each direction.
    pub fn touch(&self, at: Mono, command: &'static str, input: usize, output: usize) {
        *self.activity.lock() = Activity { at, command, input, output };
    }

    /// Records a change of the protocol state.
    pub fn publish(&self, profile: &Profile) {
        self.profile.lock().clone_from(profile);
    }

    /// Records the wait the connection is in, if any.
    pub fn set_blocked(&self, number: Option<u64>) {
        self.blocked.store(number.unwrap_or(0), Relaxed);
    }

    /// Tells it something without its having asked.
    pub(crate) fn push(&self, message: &Arc<Reply>, limits: PushLimits, now: Mono) {
        self.closer.push(message, limits, now);
    }

    /// How many channels, patterns and shard channels it subscribes to.
    #[must_use]
    pub fn subscriptions(&self) -> [usize; 3] {
        [0, 1, 2].map(|kind: usize| self.subscriptions[kind].load(Relaxed))
    }

    pub(crate) fn set_subscriptions(&self, counts: [usize; 3]) {
        self.subscriptions.iter().zip(counts).for_each(|(cell, count)| cell.store(count, Relaxed));
    }

    pub(super) fn set_monitoring(&self, on: bool) {
        self.monitoring.store(on, Relaxed);
    }

    fn is_monitoring(&self) -> bool {
        self.monitoring.load(Relaxed)
    }

    fn is_subscribed(&self) -> bool {
        self.subscriptions() != [0; 3]
    }

    fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed) > 0
    }

    fn kind(&self) -> ClientKind {
        if self.is_subscribed() { ClientKind::PubSub } else { ClientKind::Normal }
    }

    fn kill(&self) {
        if !self.killed.swap(true, Relaxed) {
            self.closer.close();
        }
    }

    /// Seconds since the connection did anything.
    #[must_use]
    pub fn idle(&self, now: Mono) -> u64 {
        now.since(self.activity.lock().at).as_secs()
    }

    /// The line of CLIENT LIST, without its line end.
    #[must_use]
    pub fn line(&self, now: Mono) -> String {
        let p = self.profile.lock().clone();
        let a = *self.activity.lock();
        let mut flags = String::new();
        let [sub, psub, ssub] = self.subscriptions();
        for (set, flag) in [
            (self.is_monitoring(), 'O'),
            (self.is_subscribed(), 'P'),
            (p.multi.is_some(), 'x'),
            (self.is_blocked(), 'b'),
            (p.readonly, 'r'),
            (p.no_evict, 'e'),
            (p.no_touch, 'T'),
        ] {
            if set {
                flags.push(flag);
            }
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let multi = p.multi.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let mut line = String::with_capacity(300);
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db={} sub={sub} psub={psub} ssub={ssub} multi={multi} watch={} \
             qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} events=r cmd={} \
             user=default redir=-1 resp={} lib-name={} lib-ver={}",
            self.id,
            self.addr,
            self.laddr,
            p.name,
            now.since(self.since).as_secs(),
            now.since(a.at).as_secs(),
            p.db,
            p.watching,
            a.input,
            a.output,
            a.output,
            a.input + a.output,
            if a.command.is_empty() { "NULL" } else { a.command },
            p.resp,
            p.lib_name,
            p.lib_version,
        );
        line
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// The kinds of connection that CLIENT LIST and KILL tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// It subscribes to nothing.
    Normal,
    /// It subscribes to something.
    PubSub,
    /// A replica or a master: no client is one here.
    Replication,
}

/// Which connections CLIENT KILL and LIST mean; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// These numbers.
    pub ids: Option<Vec<u64>>,
    /// This remote address.
    pub addr: Option<String>,
    /// This local address.
    pub laddr: Option<String>,
    /// Connected for at least so many seconds.
    pub max_age_s: Option<u64>,
    /// Of this kind.
    pub kind: Option<ClientKind>,
    /// Leave this connection out.
    pub except: Option<u64>,
}

impl Filter {
    fn matches(&self, c: &Client, now: Mono) -> bool {
        self.kind.is_none_or(|kind| kind == c.kind())
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&c.id))
            && self.addr.as_ref().is_none_or(|a| *a == c.addr)
            && self.laddr.as_ref().is_none_or(|a| *a == c.laddr)
            && self.max_age_s.is_none_or(|s| now.since(c.since).as_secs() >= s)
            && self.except != Some(c.id)
    }
}

/// All connections of this node.
#[derive(Debug, Default)]
pub struct Clients {
    live: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
    max: AtomicUsize,
}

impl Clients {
    /// A registry that admits at most `max` connections at a time.
    #[must_use]
    pub fn new(max: usize) -> Clients {
        Clients { max: AtomicUsize::new(max), ..Clients::default() }
    }

    /// Changes the limit; connections that exist stay.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    /// Registers a connection.
    ///
    /// # Errors
    /// The reply to send before closing, when there are too many.
    pub fn connect(
        &self,
        addr: String,
        laddr: String,
        now: Mono,
        closer: Box<dyn Closer>,
    ) -> Result<Arc<Client>, Reply> {
        let mut live = self.live.lock();
        if live.len() >= self.max.load(Relaxed) {
            return Err(Reply::error("ERR max number of clients reached"));
        }
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Relaxed) + 1,
            addr,
            laddr,
            since: now,
            killed: AtomicBool::new(false),
            blocked: AtomicU64::new(0),
            subscriptions: Default::default(),
            monitoring: AtomicBool::new(false),
            profile: Mutex::new(Profile { resp: 2, ..Profile::default() }),
            activity: Mutex::new(Activity { at: now, ..Activity::default() }),
            closer,
        });
        live.insert(client.id, client.clone());
        Ok(client)
    }

    /// Forgets a connection that ended.
    pub fn disconnect(&self, id: u64) {
        self.live.lock().remove(&id);
    }

    /// The connection of this number.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.live.lock().get(&id).cloned()
    }

    /// Bytes that connections hold in their buffers, as last seen.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        let held = |client: &Arc<Client>| {
            let a = *client.activity.lock();
            a.input + a.output
        };
        self.live.lock().values().map(held).sum()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connections that `filter` selects, oldest first.
    #[must_use]
    pub fn select(&self, filter: &Filter, now: Mono) -> Vec<Arc<Client>> {
        self.live.lock().values().filter(|c| filter.matches(c, now)).cloned().collect()
    }

    /// Kills the connections that `filter` selects, except `caller`, who is only told to close after its reply.
    /// Returns how many were selected and whether the caller was among them.
    pub fn kill(&self, filter: &Filter, caller: u64, now: Mono) -> (usize, bool) {
        let chosen = self.select(filter, now);
        for client in chosen.iter().filter(|c| c.id != caller) {
            client.kill();
        }
        (chosen.len(), chosen.iter().any(|c| c.id == caller))
    }

    /// Ends the wait of a connection; whether it was in one.
    pub fn unblock(&self, id: u64, how: Unblock) -> bool {
        let client = self.live.lock().get(&id).cloned();
        client.is_some_and(|client| match client.blocked.swap(0, Relaxed) {
            0 => false,
            number => {
                client.closer.unblock(number, how);
                true
            }
        })
    }

    /// How many connections wait for what a blocking command did not find.
    #[must_use]
    pub fn blocked(&self) -> usize {
        self.live.lock().values().filter(|client| client.is_blocked()).count()
    }

    /// Kills connections that were idle for `idle`, if given, and those that left output unread for `stall`.
    pub fn sweep(&self, now: Mono, idle: Option<Duration>, stall: Duration) {
        for client in self.live.lock().values() {
            let a = *client.activity.lock();
            let still = now.since(a.at);
            let idles = a.output == 0 && !client.is_blocked() && !client.is_subscribed() && !client.is_monitoring();
            if idle.is_some_and(|limit| still > limit && idles) || (a.output > 0 && still > stall) {
                client.kill();
            }
        }
    }

    /// Lets every connection come to its end, for a drain.
    pub fn finish_all(&self) {
        for client in self.live.lock().values() {
            client.closer.finish();
        }
    }

    /// Closes every connection that is left, for the end of a drain.
    pub fn close_all(&self) {
        for client in self.live.lock().values() {
            client.kill();
        }
    }
}

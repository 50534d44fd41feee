//! One command from when it is taken up until its reply is there.

use super::latency::Sample;
use super::redact::redacted;
use super::slow_log::{SlowCall, trimmed};
use crate::gateway::context::Context;
use crate::gateway::session::Session;
use crate::gateway::{Gateway, Settings};
use command::{Args, Command, Flag, Reply, Spec};
use stdx::{Mono, WallMs};

/// A fast command takes less than this by itself, in microseconds: its words are kept for the slow log only when that asks for
/// less, or when it leaves this node's hands.
const FAST_US: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub struct Call {
    spec: &'static Spec,
    since: Mono,
    /// Its words, while the slow log may want them.
    words: Option<Args>,
    /// The commands of an EXEC, in order.
    inner: Vec<&'static Spec>,
    /// It may wait for others: how long that takes says nothing about the node.
    waits: bool,
}

impl Call {
    fn new(spec: &'static Spec, since: Mono) -> Call {
        Call { spec, since, words: None, inner: Vec::new(), waits: false }
    }

    /// The commands that an EXEC runs.
    pub(in crate::gateway) fn runs(&mut self, inner: Vec<&'static Spec>) {
        self.inner = inner;
    }
}

/// Commands answered here since the clock was read last.
#[derive(Debug, Default)]
pub struct Lap {
    since: Mono,
    count: u64,
    specs: smallvec::SmallVec<[(&'static Spec, u64); 4]>,
    words: Vec<(&'static Spec, Args)>,
}

impl Lap {
    fn add(&mut self, call: Call) {
        if self.count == 0 {
            self.since = self.since.max(call.since);
        }
        self.count += 1;
        match self.specs.iter_mut().find(|(spec, _)| *spec == call.spec) {
            Some((_, n)) => *n += 1,
            None => self.specs.push((call.spec, 1)),
        }
        if let Some(words) = call.words {
            self.words.push((call.spec, words));
        }
    }
}

fn keeps_words(spec: &Spec, settings: &Settings) -> bool {
    let wanted = settings.slower_than_us().is_some_and(|us| us < FAST_US || !spec.flags.has(Flag::Fast));
    wanted && !spec.flags.has(Flag::SkipSlowlog)
}

impl Session {
    /// A command was understood.
    pub(in crate::gateway) fn taken_up(&mut self, command: &Command, cx: Context<'_>) {
        let mut call = Call::new(command.spec, cx.now);
        call.waits = command.may_wait();
        if keeps_words(command.spec, &cx.gateway.settings) {
            call.words = Some(command.args.clone());
        }
        self.tally.taken_up(command.spec);
        // What stands in a transaction is shown when that is carried out.
        if self.queue.is_none() && command.spec.name != "exec" {
            self.show(command, cx);
        }
        self.call = Some(call);
    }

    /// A command's name was understood, and no more.
    pub(in crate::gateway) fn turned_away(&mut self, spec: Option<&'static Spec>, cx: Context<'_>) {
        self.refused = true;
        self.call = spec.map(|spec| Call::new(spec, cx.now));
    }

    /// A command goes to a shard, which may be far away: the slow log wants its words even if it is fast.
    pub(in crate::gateway) fn leaves(&mut self, command: &Command, cx: Context<'_>) {
        if let Some(call) = &mut self.call
            && call.words.is_none()
            && cx.gateway.settings.slower_than_us().is_some()
            && !command.spec.flags.has(Flag::SkipSlowlog)
        {
            call.words = Some(command.args.clone());
        }
    }

    /// The command was answered at once; whether its time is worth reading the clock.
    pub(in crate::gateway) fn answered_here(&mut self, reply: &Reply, cx: Context<'_>) -> bool {
        let refused = std::mem::take(&mut self.refused);
        let Some(call) = self.call.take() else {
            cx.gateway.stats.reply(reply);
            return false;
        };
        self.count(&call, reply, refused, cx.gateway);
        if refused {
            return false;
        }
        let settings = &cx.gateway.settings;
        let matters = !call.spec.flags.has(Flag::Fast) || settings.slower_than_us().is_some_and(|us| us < FAST_US);
        self.lap.add(call);
        matters
    }

    /// Whether commands were answered here since the clock was read last.
    #[must_use]
    pub fn in_lap(&self) -> bool {
        self.lap.count > 0
    }

    /// The clock was read after commands were answered: they share what passed since it was read before.
    pub fn lap(&mut self, now: Mono, wall: WallMs, gateway: &Gateway) {
        if self.lap.count == 0 {
            return;
        }
        let share = u64::try_from(now.since(self.lap.since).as_nanos()).unwrap_or(u64::MAX) / self.lap.count;
        for (spec, n) in std::mem::take(&mut self.lap.specs) {
            self.took(spec, share, n, wall, gateway);
        }
        if is_slow(share, gateway) {
            for (spec, words) in std::mem::take(&mut self.lap.words) {
                self.slow(spec, words, share, wall, gateway);
            }
        }
        self.lap.words.clear();
        (self.lap.count, self.lap.since) = (0, now);
    }

    /// The reply of a command that was sent to shards is there. `refused`: by the cluster, before it ran.
    pub fn finished(&mut self, call: Call, reply: &Reply, refused: bool, now: Mono, wall: WallMs, gateway: &Gateway) {
        self.count(&call, reply, refused, gateway);
        if refused {
            return;
        }
        let took = if call.waits { 0 } else { u64::try_from(now.since(call.since).as_nanos()).unwrap_or(u64::MAX) };
        self.took(call.spec, took, 1, wall, gateway);
        if let Some(words) = call.words
            && is_slow(took, gateway)
        {
            self.slow(call.spec, words, took, wall, gateway);
        }
    }

    fn count(&mut self, call: &Call, reply: &Reply, refused: bool, gateway: &Gateway) {
        gateway.stats.reply(reply);
        if refused {
            self.tally.rejected(call.spec);
            return;
        }
        self.tally.called(call.spec, reply.is_error());
        if let Reply::Array(items) = reply {
            for (spec, item) in call.inner.iter().zip(items) {
                gateway.stats.reply(item);
                self.tally.called(spec, item.is_error());
            }
        }
    }

    fn took(&mut self, spec: &'static Spec, nanos: u64, n: u64, wall: WallMs, gateway: &Gateway) {
        self.tally.took(spec, nanos, n);
        let took_ms = nanos / 1_000_000;
        if gateway.settings.latency_threshold_ms().is_some_and(|ms| took_ms >= ms) {
            let event = if spec.flags.has(Flag::Fast) { "fast-command" } else { "command" };
            gateway.latency.add(event, Sample { at_s: wall.0 / 1000, took_ms });
        }
    }

    fn slow(&self, spec: &'static Spec, words: Args, nanos: u64, wall: WallMs, gateway: &Gateway) {
        let call = SlowCall {
            id: 0,
            at_s: wall.0 / 1000,
            took_us: nanos / 1000,
            words: trimmed(&redacted(spec, words)),
            addr: gateway.clients.get(self.id.client).map_or_else(String::new, |client| client.addr.clone()),
            name: self.profile.name.clone(),
        };
        gateway.slow_log.add(call, gateway.settings.slow_log_len());
    }
}

fn is_slow(nanos: u64, gateway: &Gateway) -> bool {
    gateway.settings.slower_than_us().is_some_and(|us| nanos / 1000 >= us)
}

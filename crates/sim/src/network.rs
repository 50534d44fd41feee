//! The network between nodes: every message is a question to the dice.

use crate::fault::{Counts, Kind};
use crate::plan::{Plan, Rates};
use bytes::BytesMut;
use cluster::PeerMessage;
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};

/// A message takes at least so long.
const DELAY_MIN_NS: u64 = 50_000;
/// What was lost of a stream is sent again after so long.
const RETRANSMIT: Duration = Duration::from_millis(200);
/// Most messages take up to so much longer.
const DELAY_USUAL_NS: u64 = 300_000;

/// One direction between two nodes.
#[derive(Default)]
struct Link {
    /// Faults that cut it at the moment.
    cuts: u32,
    /// What is added to each delay.
    slow: Duration,
    /// Since when more comes in than goes out, and how much longer each second of that makes the delay.
    congested: Option<(Mono, f64)>,
    /// Part of the stream was lost to a cut: nothing more of it arrives before the connection is made anew.
    torn: bool,
    last_arrival: Mono,
    /// Rises with each reset: what was under way before is lost.
    generation: u64,
}

/// Where a message arrives.
pub struct Arrival {
    /// When.
    pub at: Mono,
    /// On which connection.
    pub generation: u64,
    /// What arrives.
    pub message: PeerMessage,
}

/// Cuts, delays and chance.
pub struct Network {
    links: BTreeMap<(NodeId, NodeId), Link>,
    rates: Rates,
    frame_bytes_max: usize,
    rng: Rng,
    /// What happened so far.
    pub counts: Counts,
}

impl Network {
    /// A network as the plan wants it.
    pub fn new(plan: &Plan, rng: Rng) -> Network {
        Network {
            links: BTreeMap::new(),
            rates: plan.rates,
            frame_bytes_max: plan.shape.frame_bytes_max,
            rng,
            counts: Counts::default(),
        }
    }

    /// When a message sent now arrives: nowhere, once or twice. Links are TCP: what is not idempotent comes at most once, in
    /// order, without gaps; chance only delays it, and a cut loses it with all that follows on the connection.
    pub fn send(&mut self, from: NodeId, to: NodeId, message: PeerMessage, now: Mono) -> Vec<Arrival> {
        let link = self.links.entry((from, to)).or_default();
        let stream = matches!(
            message,
            PeerMessage::Forward { .. }
                | PeerMessage::ForwardReply { .. }
                | PeerMessage::SessionClosed { .. }
                | PeerMessage::Unblock { .. }
                | PeerMessage::Publish(_)
        );
        if link.cuts > 0 || (stream && link.torn) {
            link.torn = true;
            self.counts.hit(Kind::CutOff);
            return Vec::new();
        }
        let lost = self.rng.one_in(self.rates.lose_one_in);
        self.counts.add(Kind::Loss, u64::from(lost));
        if lost && !stream {
            return Vec::new();
        }
        let Some(message) = through_the_wire(message, self.frame_bytes_max, !stream) else {
            self.counts.hit(Kind::SizeLimit);
            return Vec::new();
        };
        let twice = !stream && self.rng.one_in(self.rates.duplicate_one_in);
        self.counts.add(Kind::Duplication, u64::from(twice));
        let mut arrivals = Vec::with_capacity(1);
        for _ in 0..1 + usize::from(twice) {
            let late = self.rng.one_in(self.rates.delay_one_in);
            self.counts.add(Kind::Delay, u64::from(late));
            let limit = if late { self.rates.delay_max.as_nanos() as u64 } else { DELAY_USUAL_NS };
            let delay = Duration::from_nanos(DELAY_MIN_NS + self.rng.below(limit));
            let again = if lost { RETRANSMIT } else { Duration::ZERO };
            let queued = link.congested.map_or(Duration::ZERO, |(since, growth)| now.since(since).mul_f64(growth));
            let mut at = now + delay + link.slow + again + queued;
            if at <= link.last_arrival {
                if self.rates.reorder && !stream {
                    self.counts.hit(Kind::Reordering);
                } else {
                    at = link.last_arrival + Duration::from_nanos(1);
                }
            }
            link.last_arrival = link.last_arrival.max(at);
            arrivals.push(Arrival { at, generation: link.generation, message: message.clone() });
        }
        arrivals
    }

    /// Whether what was sent on this connection still arrives.
    pub fn stands(&self, from: NodeId, to: NodeId, generation: u64) -> bool {
        self.links.get(&(from, to)).is_none_or(|l| l.generation == generation)
    }

    /// Cuts one direction, or ends one cut of it.
    pub fn cut(&mut self, from: NodeId, to: NodeId, cut: bool) {
        let link = self.links.entry((from, to)).or_default();
        link.cuts = if cut { link.cuts + 1 } else { link.cuts.saturating_sub(1) };
    }

    /// Slows one direction down.
    pub fn slow(&mut self, from: NodeId, to: NodeId, by: Duration) {
        self.links.entry((from, to)).or_default().slow = by;
    }

    /// From now on each second makes the delay of what is sent in one direction longer by so many seconds; none ends it.
    pub fn congest(&mut self, from: NodeId, to: NodeId, growth: Option<f64>, now: Mono) {
        self.links.entry((from, to)).or_default().congested = growth.map(|growth| (now, growth));
    }

    /// Loses everything under way between two nodes.
    pub fn reset(&mut self, a: NodeId, b: NodeId) {
        for ends in [(a, b), (b, a)] {
            let link = self.links.entry(ends).or_default();
            link.generation += 1;
            link.torn = false;
        }
    }

    /// Whether messages can pass in both directions.
    pub fn passes(&self, a: NodeId, b: NodeId) -> bool {
        [(a, b), (b, a)].iter().all(|ends| self.links.get(ends).is_none_or(|l| l.cuts == 0))
    }

    /// Whether the connection lost a part of its stream.
    pub fn is_torn(&self, a: NodeId, b: NodeId) -> bool {
        [(a, b), (b, a)].iter().any(|ends| self.links.get(ends).is_some_and(|l| l.torn))
    }

    /// No more loss, duplication, long delays or cuts.
    pub fn heal(&mut self) {
        for link in self.links.values_mut() {
            (link.cuts, link.slow, link.congested) = (0, Duration::ZERO, None);
        }
        self.rates.lose_one_in = 0;
        self.rates.duplicate_one_in = 0;
        self.rates.delay_one_in = 0;
        if self.frame_bytes_max > 0 {
            self.frame_bytes_max = usize::MAX;
        }
    }
}

/// With a limit, messages travel as the bytes of their frames; what is larger is refused if it may be.
fn through_the_wire(message: PeerMessage, bytes_max: usize, may_refuse: bool) -> Option<PeerMessage> {
    if bytes_max == 0 {
        return Some(message);
    }
    let mut bytes = Vec::new();
    protocol::peer::encode_into(&mut bytes, &message).ok()?;
    if may_refuse && bytes.len() > bytes_max {
        return None;
    }
    let mut bytes = BytesMut::from(bytes.as_slice());
    match protocol::peer::decode(&mut bytes) {
        Ok(Some(decoded)) => Some(decoded),
        other => panic!("a frame of {message:?} was read as {other:?}"),
    }
}

//! Time as one group sees it: when to campaign, when to speak, how long to help nobody else.
//!
//! Waiting (for an election, for a heartbeat) counts time during which the process ran: a pause credits at most half an
//! election timeout, so that a replica that wakes up reads its messages before it concludes anything. Promises (the vote
//! guard, the lease) are compared with the clock itself, which runs through pauses.

use crate::config::Config;
use std::time::Duration;
use stdx::{Mono, Rng};

/// A suspicious replica asks for pre-votes so often, plus up to half as much again.
const SUSPECT_RETRY: Duration = Duration::from_millis(50);

/// A suspicious candidate gives its election so long before it starts another, plus up to half as much again: votes
/// wait for disks.
const CANDIDATE_RETRY: Duration = Duration::from_millis(150);

/// Replicas that suspect at once ask so many ticks apart, so that the first one is elected before the second one asks:
/// ticks fall anywhere, so one would not be enough.
const SUSPECT_STAGGER_TICKS: u32 = 2;

/// After so many tries in vain suspicion was wrong or a majority is gone: fall back to the election timeout.
const SUSPECT_TRIES: u32 = 40;

/// Evidence that there is no leader.
#[derive(Debug)]
struct Suspicion {
    since: Mono,
    /// How long to wait for those who come first.
    delay: Duration,
    next: Mono,
    tries: u32,
}

#[derive(Debug)]
pub(crate) struct Clock {
    pub now: Mono,
    counted: Mono,
    credit_max: Duration,
    /// Time counted since the engine last restarted the election timer.
    pub waited: Duration,
    /// What it must reach for this replica to campaign.
    pub election_due: Duration,
    election_timeout: Duration,
    /// How much longer than its timeout it waits, because another one had better lead.
    pub hesitation: Duration,
    pub since_heartbeat: Duration,
    guard: Duration,
    guard_until: Mono,
    heartbeat: Duration,
    tick: Duration,
    suspicion: Option<Suspicion>,
    rng: Rng,
}

impl Clock {
    pub fn new(config: &Config, rng: Rng, now: Mono) -> Clock {
        let mut clock = Clock {
            now,
            counted: now,
            credit_max: config.election_timeout / 2,
            waited: Duration::ZERO,
            election_due: Duration::ZERO,
            election_timeout: config.election_timeout,
            hesitation: Duration::ZERO,
            since_heartbeat: Duration::ZERO,
            guard: config.vote_guard,
            guard_until: now,
            heartbeat: config.heartbeat,
            tick: config.tick,
            suspicion: None,
            rng,
        };
        clock.draw_timeout();
        clock
    }

    /// The caller's clock; it never goes back here.
    pub fn observe(&mut self, now: Mono) {
        self.now = self.now.max(now);
    }

    /// Counts the time since the last call.
    pub fn count(&mut self) {
        let ran = self.now.since(self.counted).min(self.credit_max);
        self.counted = self.now;
        self.waited += ran;
        self.since_heartbeat += ran;
    }

    /// Forgets uncounted time: the group slept.
    pub fn skip(&mut self) {
        self.counted = self.now;
        self.restart_wait();
    }

    pub fn restart_wait(&mut self) {
        self.waited = Duration::ZERO;
    }

    /// Draws a timeout between once and twice the configured one.
    pub fn draw_timeout(&mut self) {
        self.election_due = self.election_timeout + self.jitter(self.election_timeout);
    }

    fn jitter(&mut self, below: Duration) -> Duration {
        Duration::from_nanos(self.rng.below(u64::try_from(below.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// A leader was heard: no help for others. Suspicion ends if the leader still speaks a heartbeat after it began; before,
    /// the message may have been on its way when the leader crashed.
    pub fn heard_leader(&mut self) {
        self.guard_for(self.guard);
        let (now, guard_until, heartbeat) = (self.now, self.guard_until, self.heartbeat);
        self.suspicion = self.suspicion.take().filter(|s| now < s.since + heartbeat);
        if let Some(s) = &mut self.suspicion {
            s.next = guard_until + s.delay;
        }
    }

    /// Helps nobody become leader for `time` from now.
    pub fn guard_for(&mut self, time: Duration) {
        self.guard_at_least_until(self.now + time);
    }

    pub fn guard_at_least_until(&mut self, until: Mono) {
        self.guard_until = self.guard_until.max(until);
    }

    pub fn is_guarded(&self) -> bool {
        self.now < self.guard_until
    }

    /// There may be no leader: campaign when the guard allows, after the replicas that come first.
    pub fn suspect(&mut self, rank: u32) {
        if self.suspicion.is_none() {
            let delay = self.tick * SUSPECT_STAGGER_TICKS * rank + self.jitter(self.tick / 4);
            let next = self.now.max(self.guard_until) + delay;
            self.suspicion = Some(Suspicion { since: self.now, delay, next, tries: 0 });
        }
    }

    /// A suspicion that exists gets the delay of another rank.
    pub fn rank_again(&mut self, rank: u32) {
        if self.suspicion.take().is_some() {
            self.suspect(rank);
        }
    }

    pub fn trust(&mut self) {
        self.suspicion = None;
    }

    /// Whether it is time to campaign.
    pub fn is_election_due(&self) -> bool {
        self.waited >= self.election_due + self.hesitation
            || self.suspicion.as_ref().is_some_and(|s| self.now >= s.next)
    }

    /// A campaign begins: wait before the next one.
    pub fn campaigned(&mut self) {
        self.restart_wait();
        self.draw_timeout();
        self.retry_suspicion(SUSPECT_RETRY);
        if let Some(s) = &mut self.suspicion {
            s.tries += 1;
            if s.tries > SUSPECT_TRIES {
                self.suspicion = None;
            }
        }
    }

    /// Pre-votes were won: the election takes longer than asking did.
    pub fn became_candidate(&mut self) {
        self.retry_suspicion(CANDIDATE_RETRY);
    }

    fn retry_suspicion(&mut self, after: Duration) {
        let next = self.now + after + self.jitter(after / 2);
        if let Some(s) = &mut self.suspicion {
            s.next = next;
        }
    }
}

//! Timing and limits of one group.

use std::time::Duration;
use stdx::NodeId;

/// How one group behaves. All members of a group should agree on the times: the safety of the lease depends on every
/// voter's `vote_guard` being longer than every leader's `lease`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This replica's node. Never zero.
    pub id: NodeId,
    /// How often the caller means to call `tick`: the grain of every other time here.
    pub tick: Duration,
    /// A leader says so often that it is alive.
    pub heartbeat: Duration,
    /// A follower that hears nothing for so long, up to twice as long, campaigns; a leader that hears of no quorum
    /// for so long steps down; a transfer of leadership that takes longer is given up.
    pub election_timeout: Duration,
    /// For so long after hearing from a leader a replica helps nobody else become leader.
    pub vote_guard: Duration,
    /// For so long after it sent what a quorum answered, a leader may read without asking again.
    pub lease: Duration,
    /// Append messages on their way to one peer, before the leader waits for an answer.
    pub max_inflight: usize,
    /// Payload bytes of one append message; a larger entry travels alone.
    pub max_message_bytes: u64,
    /// Payload bytes proposed but not committed; beyond it proposals are refused as `Busy`. No entry is larger: one must fit
    /// into a frame between nodes.
    pub max_uncommitted_bytes: u64,
}

/// Two clocks may run apart by so many percent before a lease could outlast the guard that protects it.
const CLOCK_DRIFT_PERCENT: u32 = 10;

/// Why a configuration cannot be used: every problem, each with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("; "))]
pub struct ConfigError {
    /// One sentence per problem.
    pub problems: Vec<String>,
}

impl Config {
    /// The defaults: one second of silence for an election, a lease of 300 ms.
    #[must_use]
    pub fn new(id: NodeId) -> Config {
        Config {
            id,
            tick: Duration::from_millis(25),
            heartbeat: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
            vote_guard: Duration::from_millis(400),
            lease: Duration::from_millis(300),
            max_inflight: 256,
            max_message_bytes: 1 << 20,
            max_uncommitted_bytes: 132 << 20,
        }
    }

    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// All problems at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut must = |ok: bool, sentence: String| {
            if !ok {
                problems.push(sentence);
            }
        };
        let (tick, heartbeat, guard, lease) = (self.tick, self.heartbeat, self.vote_guard, self.lease);
        must(self.id != NodeId(0), "id 0 means nobody: number nodes from 1".into());
        must(!tick.is_zero(), "tick must be above zero".into());
        must(tick <= heartbeat, format!("heartbeat {heartbeat:?} must be at least the tick {tick:?}"));
        must(heartbeat * 2 <= lease, format!("lease {lease:?} must be at least two heartbeats of {heartbeat:?}"));
        must(
            lease * 100 <= guard * (100 - CLOCK_DRIFT_PERCENT),
            format!(
                "vote_guard {guard:?} must exceed the lease {lease:?} by {CLOCK_DRIFT_PERCENT} % of itself, for clock drift"
            ),
        );
        must(
            guard <= self.election_timeout,
            format!("election_timeout {:?} must be at least the vote_guard {guard:?}", self.election_timeout),
        );
        must(self.max_inflight > 0, "max_inflight must be above zero".into());
        must(self.max_message_bytes > 0, "max_message_bytes must be above zero".into());
        must(
            self.max_message_bytes <= self.max_uncommitted_bytes,
            "max_uncommitted_bytes must be at least max_message_bytes".into(),
        );
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }
}

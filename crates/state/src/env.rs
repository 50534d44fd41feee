//! What surrounds a command: the connection's database and protocol, the shard's layout, the frozen time.

/// How a namespace spreads its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One shard holds every key; databases 0 to 15; keys are counted per database.
    Colocated,
    /// Slots over many shards; database 0 only; keys are counted per slot.
    Sharded,
}

/// The surroundings of one evaluation. Everything a command may depend on besides state and randomness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Env {
    /// The connection's database, below `DATABASES`.
    pub db: u16,
    /// Wall-clock milliseconds since the epoch; never goes back here.
    pub now_ms: u64,
    /// The newest time stamped into the log and applied: no later leader's time lies before it. That a key has expired
    /// at a later time than this is known here only, until an entry carries it.
    pub proven_ms: u64,
    /// The namespace's layout.
    pub layout: Layout,
    /// Whether the connection speaks RESP3: a few replies nest differently.
    pub resp3: bool,
}

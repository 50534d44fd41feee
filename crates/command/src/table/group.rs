//! The chapter of the manual a command belongs to.

/// A group of commands, as `COMMAND DOCS` names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Group {
    /// Bits of strings.
    Bitmap,
    /// The Redis Cluster protocol.
    Cluster,
    /// The connection itself.
    Connection,
    /// Keys of any type, expiry.
    Generic,
    /// Positions on earth.
    Geo,
    /// Hashes.
    Hash,
    /// Approximate counting.
    HyperLogLog,
    /// Lists.
    List,
    /// Channels.
    PubSub,
    /// Scripts and functions.
    Scripting,
    /// The server.
    Server,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// Strings.
    String,
    /// MULTI and what belongs to it.
    Transactions,
}

impl Group {
    /// The word clients see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Group::Bitmap => "bitmap",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Geo => "geo",
            Group::Hash => "hash",
            Group::HyperLogLog => "hyperloglog",
            Group::List => "list",
            Group::PubSub => "pubsub",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::String => "string",
            Group::Transactions => "transactions",
        }
    }
}

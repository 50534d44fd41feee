//! What a gateway asks a shard's leader to do in one step, and on whose behalf.

use crate::Command;
use bytes::Bytes;
use stdx::NodeId;

/// Who asks: the node that holds the connection, and the connection's number there. The watches that a shard's leader
/// keeps are filed under it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct SessionId {
    /// The node that accepted the connection.
    pub node: NodeId,
    /// The connection, unique on that node until it restarts.
    pub client: u64,
}

/// One atomic step on one shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    /// One command.
    Single(Command),
    /// One command that waits when it finds nothing.
    Blocking {
        /// The command.
        command: Command,
        /// Counts the waits of the session: what ends one must not end a later one.
        number: u64,
        /// Milliseconds since the client asked, when it was sent here.
        waited_ms: u64,
    },
    /// What `EXEC` runs: all of the commands with nothing in between, or none when a watched key changed.
    Transaction {
        /// The queued commands, in order.
        commands: Vec<Command>,
        /// Whether the session watches keys: then a leader that does not know its watches must abort.
        watched: bool,
    },
    /// Remember the present state of `keys` for the session.
    Watch {
        /// The keys, as the client sent them.
        keys: Vec<Bytes>,
        /// Whether the session watches others already: a leader that does not know them must abort the transaction.
        continues: bool,
    },
    /// Forget what the session watches.
    Unwatch,
}

impl Work {
    /// Whether it changes nothing, so that carrying it out twice is the same as once.
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self {
            Work::Single(command) | Work::Blocking { command, .. } => !command.spec.may_write(),
            Work::Transaction { commands, .. } => commands.iter().all(|c| !c.spec.may_write()),
            Work::Watch { .. } | Work::Unwatch => false,
        }
    }
}

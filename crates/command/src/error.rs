//! Faults of the cluster, as opposed to errors of a command: each says what the client may do next.
//! The codes are documented for users in docs/errors.md.

use crate::Reply;
use stdx::NodeId;

/// What a client may do about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Nothing happened; the same request may be sent again after a short wait.
    Safe,
    /// Nothing happened here; send it elsewhere.
    Elsewhere,
    /// Nobody knows whether it happened; read before writing again.
    Unknown,
    /// It will not succeed as it is.
    Never,
}

/// Why the cluster could not answer a command.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// The shard has no leader that a majority follows, as seen from here.
    #[error("CLUSTERDOWN the shard has no leader; nothing was written, retry")]
    NoLeader,
    /// This replica does not lead; `leader` does, if known.
    #[error("TRYAGAIN the shard's leader moved; nothing was written, retry")]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// A proposal was overwritten by another leader's log: it did not happen.
    #[error("TRYAGAIN leadership changed before the write was committed; nothing was written, retry")]
    Overwritten,
    /// The deadline passed while the outcome was open.
    #[error("UNKNOWNOUTCOME the write may or may not have been committed before its deadline; read before retrying")]
    OutcomeUnknown,
    /// The deadline of a read, or of a write that was never proposed, passed.
    #[error("CLUSTERDOWN no majority answered before the deadline; nothing was written, retry")]
    Deadline,
    /// A queue is full.
    #[error("BUSY this node is overloaded; nothing was written, back off and retry")]
    Overloaded,
    /// The disk has no room for the log to grow.
    #[error("OOM the disk of a majority of replicas is full; writes are refused until space returns")]
    DiskFull,
    /// The replica is fenced: its data was damaged and is being rebuilt.
    #[error("LOADING this replica is being rebuilt from its peers; retry")]
    Fenced,
    /// The node is draining or shutting down.
    #[error("TRYAGAIN this node is shutting down; nothing was written, retry elsewhere")]
    ShuttingDown,
    /// A wait was ended because the node that kept it ends, or lost the shard.
    #[error("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")]
    Unblocked,
    /// A request or its effects exceed a limit.
    #[error("ERR {0}")]
    TooLarge(&'static str),
}

/// The limits a `TooLarge` may name. Their sentences cross the wire as text and are found here again, so that the fault
/// stays free of allocation.
const LIMITS: [&str; 3] = [
    "the effects of the command exceed the limit of one log entry",
    "the request exceeds the limit of a message between nodes",
    "the reply is too large to be forwarded; connect to the shard's leader",
];

/// Every fault as it stands in a reply. Who leads is not said in words.
const EVERY: [Fault; 13] = [
    Fault::NoLeader,
    Fault::NotLeader { leader: None },
    Fault::Overwritten,
    Fault::OutcomeUnknown,
    Fault::Deadline,
    Fault::Overloaded,
    Fault::DiskFull,
    Fault::Fenced,
    Fault::ShuttingDown,
    Fault::Unblocked,
    Fault::TooLarge(LIMITS[0]),
    Fault::TooLarge(LIMITS[1]),
    Fault::TooLarge(LIMITS[2]),
];

impl Fault {
    /// The fault that an error line tells of: the one with this text or, from a node of another version, one with this code.
    /// `None` for the errors of commands.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Fault> {
        let code = |l: &str| l.split(' ').next().unwrap_or_default().to_owned();
        let ours = code(line);
        let same_code = |f: &Fault| ours != "ERR" && code(&f.to_string()) == ours;
        EVERY.into_iter().find(|f| f.to_string() == line).or_else(|| EVERY.into_iter().find(same_code))
    }

    /// The request is too large to be sent to the node that would serve it.
    pub const REQUEST_TOO_LARGE: Fault = Fault::TooLarge(LIMITS[1]);

    /// The reply is too large to be sent back to the node that asked.
    pub const REPLY_TOO_LARGE: Fault = Fault::TooLarge(LIMITS[2]);

    /// `TooLarge` with a sentence that another node sent; one this version does not know becomes a general one.
    #[must_use]
    pub fn too_large(sentence: &str) -> Fault {
        let known = LIMITS.into_iter().find(|l| *l == sentence);
        Fault::TooLarge(known.unwrap_or("the request or its effects exceed a limit"))
    }

    /// What the client may do.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Fault::NoLeader
            | Fault::Overwritten
            | Fault::Deadline
            | Fault::Overloaded
            | Fault::DiskFull
            | Fault::Fenced => Retry::Safe,
            Fault::NotLeader { .. } | Fault::ShuttingDown | Fault::Unblocked => Retry::Elsewhere,
            Fault::OutcomeUnknown => Retry::Unknown,
            Fault::TooLarge(_) => Retry::Never,
        }
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Reply {
        Reply::Error(fault.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::{EVERY, Fault, Retry};

    #[test]
    fn a_fault_is_found_again_by_its_line() {
        for fault in EVERY {
            assert_eq!(Fault::of_line(&fault.to_string()), Some(fault));
        }
        let newer = Fault::of_line("TRYAGAIN in words of a later version");
        assert!(newer.is_some_and(|f| matches!(f.retry(), Retry::Safe | Retry::Elsewhere)));
        assert_eq!(Fault::of_line("ERR syntax error"), None);
        assert_eq!(Fault::of_line("WRONGTYPE Operation against a key holding the wrong kind of value"), None);
    }
}

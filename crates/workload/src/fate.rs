//! What a reply says about its command: the question every checker begins with.

use crate::{Operation, Outcome};
use command::{Fault, Reply, Retry};

/// Whether a command took effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It ran and this is its answer, be it an error of the command itself.
    Done,
    /// Certainly nothing happened.
    Refused,
    /// It may have taken effect, may yet, or never will.
    Unknown,
}

/// Codes and lines that say that nothing happened and are no [`Fault`]: redirections, and requests that never ran.
const REFUSALS: [&str; 5] = ["MOVED ", "ASK ", "CROSSSLOT ", "EXECABORT ", "ERR max number of clients reached"];

/// The fate that a reply tells of; `docs/errors.md` is the contract.
#[must_use]
pub fn fate(reply: &Reply) -> Fate {
    let Reply::Error(line) = reply else { return Fate::Done };
    match Fault::of_line(line).map(|f| f.retry()) {
        Some(Retry::Unknown) => Fate::Unknown,
        Some(Retry::Safe | Retry::Elsewhere | Retry::Never) => Fate::Refused,
        None if REFUSALS.iter().any(|r| line.starts_with(r)) => Fate::Refused,
        None => Fate::Done,
    }
}

/// Whether every command of an operation ran: what a shell waits for when it concludes a history.
#[must_use]
pub fn is_settled(operation: &Operation) -> bool {
    match &operation.outcome {
        Outcome::Answered(replies) => {
            replies.len() == operation.request.commands.len() && replies.iter().all(|r| fate(r) == Fate::Done)
        }
        Outcome::Lost => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, fate};
    use command::{Fault, Reply};

    fn check(reply: impl Into<Reply>, expected: Fate) {
        let reply = reply.into();
        assert_eq!(fate(&reply), expected, "{reply:?}");
    }

    #[test]
    fn replies_tell_their_fate() {
        check(Reply::OK, Fate::Done);
        check(Reply::Null, Fate::Done);
        check(Reply::error("ERR value is not an integer or out of range"), Fate::Done);
        check(Fault::OutcomeUnknown, Fate::Unknown);
        for fault in [Fault::NoLeader, Fault::Overwritten, Fault::Overloaded, Fault::DiskFull, Fault::Fenced] {
            check(fault, Fate::Refused);
        }
        check(Fault::REQUEST_TOO_LARGE, Fate::Refused);
        check(Reply::error("MOVED 12 10.0.0.1:6380"), Fate::Refused);
        check(Reply::error("EXECABORT Transaction discarded because of previous errors."), Fate::Refused);
    }
}

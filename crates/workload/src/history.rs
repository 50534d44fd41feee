//! What was asked and what was answered.

use bytes::Bytes;
use command::Reply;
use stdx::Mono;

/// A client of a workload; its connections come and go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u64);

/// Which keyspace a request goes to, that is, which port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Namespace {
    /// The co-located one.
    Plain,
    /// The sharded one.
    Cluster,
}

/// Commands that a client sends in one go on one connection, waiting for all replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Where to.
    pub namespace: Namespace,
    /// The words of each command.
    pub commands: Vec<Vec<Bytes>>,
}

/// How a request ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// One reply for each command, in order; error lines are replies.
    Answered(Vec<Reply>),
    /// The connection broke or the client gave up waiting: nobody knows.
    Lost,
}

/// A request as its client saw it.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// Who.
    pub client: ClientId,
    /// The node the client was connected to; for the story of a failure.
    pub node: u64,
    /// Unique in a run; a new one whenever the client connected anew.
    pub connection: u64,
    /// What.
    pub request: Request,
    /// When it was sent.
    pub invoked: Mono,
    /// When it ended, in whatever way.
    pub ended: Mono,
    /// How.
    pub outcome: Outcome,
}

/// A broken promise, or a history that could not be judged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{workload}: {what}")]
pub struct Violation {
    /// The workload that found it.
    pub workload: &'static str,
    /// What is wrong, in one line.
    pub what: String,
    /// The key it was found on, if it is about one: the story shows that key's operations.
    pub key: Option<Bytes>,
    /// Places in the history of the operations that cannot all be true.
    pub operations: Vec<usize>,
    /// The search for an order was given up: nothing is known to be wrong, and nothing to be right.
    pub undecided: bool,
}

impl Request {
    /// One command in the co-located namespace or the sharded one.
    pub fn one<W: AsRef<[u8]>>(namespace: Namespace, words: impl IntoIterator<Item = W>) -> Request {
        let words = words.into_iter().map(|w| Bytes::copy_from_slice(w.as_ref())).collect();
        Request { namespace, commands: vec![words] }
    }

    /// Whether a WATCH stands on the connection after these answers; `before` says whether one stood there already. Such a
    /// connection must not be replaced without a word: an EXEC on another one would watch nothing.
    #[must_use]
    pub fn leaves_watch(&self, replies: &[Reply], before: bool) -> bool {
        self.commands.iter().zip(replies).fold(before, |watching, (words, reply)| {
            let is = |name: &[u8]| words.first().is_some_and(|word| word.eq_ignore_ascii_case(name));
            if is(b"WATCH") {
                watching || !reply.is_error()
            } else {
                watching && !(is(b"EXEC") || is(b"UNWATCH") || is(b"DISCARD"))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Namespace, Request};
    use command::Reply;

    #[test]
    fn a_watch_stands_until_its_transaction_ends() {
        let after = |line: &str, reply: Reply, before| {
            Request::one(Namespace::Plain, line.split(' ')).leaves_watch(&[reply], before)
        };
        assert!(!after("WATCH foo", Reply::error("MOVED 12182 10.83.0.2:7379"), false));
        assert!(after("WATCH foo", Reply::OK, false));
        assert!(after("GET foo", Reply::Null, true));
        assert!(!after("GET foo", Reply::Null, false));
        assert!(!after("EXEC", Reply::NullArray, true));
    }
}

//! What is to be done about a command, and how answers of shards become the reply to the client.

use super::observe::Call;
use bytes::Bytes;
use cluster::Request;
use command::{Command, Fault, Reply};

/// What the shell does for one command.
#[derive(Debug)]
pub enum Action {
    /// Answer at once (after the replies to earlier commands).
    Reply(Reply),
    /// Carry out on one shard; the reply is `finish` of its answer.
    Dispatch(Request, Finish),
    /// Carry out on several shards; the reply is `finish` of all answers, in this order.
    Fan(Vec<Request>, Finish),
}

/// A command that is carried out when the replies to all commands before it are on their way: what it tells others, or is told
/// from then on, comes after what they led to.
#[derive(Debug)]
pub struct Turn {
    /// Whose place in the array of EXEC its reply takes; `None`: it is the whole reply.
    pub(super) at: Option<usize>,
    pub(super) command: Command,
}

/// An action with what the connection does besides.
#[derive(Debug)]
pub struct Outcome {
    /// What to do.
    pub action: Action,
    /// Commands to be carried out with `Session::take_turns` when the reply can leave, before it does.
    pub turns: Vec<Turn>,
    /// The command, to be given back with its reply (`Session::finished`); `None` when it was answered here.
    pub call: Option<Call>,
    /// The command may have taken long: `Session::lap` is to be told the time before the next one.
    pub clock: bool,
    /// CLIENT REPLY: the reply is computed and thrown away.
    pub mute: bool,
    /// Close the connection once the reply has been written.
    pub close: bool,
}

/// How the answers of shards become one reply.
#[derive(Debug)]
pub enum Finish {
    /// The only answer, as it is.
    Plain,
    /// The answer of a transaction: an array with one element for every `None`; the gateway answered the others.
    Exec(Vec<Option<Reply>>),
    /// A page of SCAN. `next` is the cursor at which the following shard begins, when there is one.
    Scan {
        /// Replaces a cursor of zero.
        next: Option<u64>,
    },
    /// The sum of integers.
    Sum,
    /// One array of all arrays.
    Concat,
    /// The first answer that is not null.
    FirstValue,
    /// An array of integers, each the least that any answer has in its place.
    Everywhere,
    /// This reply when all succeeded.
    Succeeded(Reply),
    /// This reply, whatever the answers are.
    Always(Reply),
}

impl Finish {
    /// The reply to the client. The first failure wins, except where the answers do not matter.
    #[must_use]
    pub fn apply(self, mut answers: Vec<Result<Reply, Fault>>) -> Reply {
        if let Finish::Always(reply) = self {
            return reply;
        }
        let mut replies = Vec::with_capacity(answers.len());
        for answer in answers.drain(..) {
            match answer {
                Err(fault) => return fault.into(),
                Ok(error @ Reply::Error(_)) => return error,
                Ok(reply) => replies.push(reply),
            }
        }
        match self {
            Finish::Plain => replies.pop().unwrap_or(Reply::Null),
            Finish::Exec(local) => weave(local, replies.pop().unwrap_or(Reply::NullArray)),
            Finish::Scan { next } => scan_page(next, replies.pop().unwrap_or(Reply::Null)),
            Finish::Sum => Reply::Integer(replies.iter().map(|r| if let Reply::Integer(n) = r { *n } else { 0 }).sum()),
            Finish::Concat => Reply::Array(
                replies.into_iter().flat_map(|r| if let Reply::Array(items) = r { items } else { vec![r] }).collect(),
            ),
            Finish::FirstValue => replies.into_iter().find(|r| *r != Reply::Null).unwrap_or(Reply::Null),
            Finish::Everywhere => replies.into_iter().reduce(least).unwrap_or(Reply::Array(Vec::new())),
            Finish::Succeeded(reply) | Finish::Always(reply) => reply,
        }
    }
}

fn least(a: Reply, b: Reply) -> Reply {
    match (a, b) {
        (Reply::Array(a), Reply::Array(b)) => Reply::Array(a.into_iter().zip(b).map(|(a, b)| least(a, b)).collect()),
        (Reply::Integer(a), Reply::Integer(b)) => Reply::Integer(a.min(b)),
        (a, _) => a,
    }
}

/// Puts the gateway's own replies between those of the shard. An aborted transaction stays aborted.
fn weave(local: Vec<Option<Reply>>, answer: Reply) -> Reply {
    let Reply::Array(items) = answer else { return answer };
    if local.iter().all(Option::is_none) {
        return Reply::Array(items);
    }
    let mut items = items.into_iter();
    Reply::Array(local.into_iter().map(|own| own.unwrap_or_else(|| items.next().unwrap_or(Reply::Null))).collect())
}

fn scan_page(next: Option<u64>, page: Reply) -> Reply {
    match (next, page) {
        (Some(next), Reply::Array(mut parts)) => {
            if matches!(parts.first(), Some(Reply::Bulk(cursor)) if cursor.as_ref() == b"0") {
                parts[0] = Reply::Bulk(Bytes::from(next.to_string()));
            }
            Reply::Array(parts)
        }
        (_, page) => page,
    }
}

#[cfg(test)]
mod tests {
    use super::Finish;
    use command::{Fault, Reply};

    fn check(finish: Finish, answers: Vec<Result<Reply, Fault>>, expected: Reply) {
        assert_eq!(finish.apply(answers), expected);
    }

    #[test]
    fn answers_of_shards_become_one_reply() {
        let int = |n| Ok(Reply::Integer(n));
        let list = |n: i64| Reply::Array(vec![Reply::Integer(n)]);
        check(Finish::Plain, vec![int(1)], Reply::Integer(1));
        check(Finish::Sum, vec![int(1), int(2)], Reply::Integer(3));
        check(Finish::Sum, vec![int(1), Err(Fault::Deadline)], Fault::Deadline.into());
        check(Finish::Sum, vec![], Reply::Integer(0));
        check(Finish::Concat, vec![Ok(list(1)), Ok(list(2))], Reply::Array(vec![Reply::Integer(1), Reply::Integer(2)]));
        let flags = |a, b| Ok(Reply::Array(vec![Reply::Integer(a), Reply::Integer(b)]));
        check(
            Finish::Everywhere,
            vec![flags(1, 0), flags(1, 1)],
            Reply::Array(vec![Reply::Integer(1), Reply::Integer(0)]),
        );
        check(Finish::FirstValue, vec![Ok(Reply::Null), int(4)], Reply::Integer(4));
        check(Finish::Succeeded(Reply::OK), vec![Ok(Reply::error("ERR no"))], Reply::error("ERR no"));
        check(Finish::Always(Reply::OK), vec![Err(Fault::NoLeader)], Reply::OK);
    }

    #[test]
    fn a_transaction_keeps_the_order_of_its_commands() {
        let own = vec![None, Some(Reply::Simple("PONG".into())), None];
        let answer = Reply::Array(vec![Reply::OK, Reply::Integer(2)]);
        check(
            Finish::Exec(own),
            vec![Ok(answer)],
            Reply::Array(vec![Reply::OK, Reply::Simple("PONG".into()), Reply::Integer(2)]),
        );
        check(Finish::Exec(vec![Some(Reply::OK)]), vec![Ok(Reply::NullArray)], Reply::NullArray);
    }

    #[test]
    fn a_scan_goes_on_in_the_next_shard() {
        let page = |cursor: &'static str| Reply::Array(vec![Reply::bulk(cursor.as_bytes()), Reply::Array(vec![])]);
        check(Finish::Scan { next: Some(7) }, vec![Ok(page("0"))], page("7"));
        check(Finish::Scan { next: Some(7) }, vec![Ok(page("9"))], page("9"));
        check(Finish::Scan { next: None }, vec![Ok(page("0"))], page("0"));
    }
}

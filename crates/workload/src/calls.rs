//! A history taken apart into commands, each with its own fate.

use crate::fate::{Fate, fate};
use crate::{ClientId, Operation, Outcome, Violation};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeMap;
use stdx::Mono;

/// What a client knows about one command.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Answer<'a> {
    Done(&'a Reply),
    Refused,
    Unknown,
}

/// Commands that say how many keys follow.
const KEYS_BEHIND_A_COUNT: [&[u8]; 2] = [b"LMPOP", b"SINTERCARD"];

/// One command of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// The operation's place in the history.
    pub(crate) position: usize,
    pub(crate) client: ClientId,
    pub(crate) invoked: Mono,
    pub(crate) ended: Mono,
    /// The name first; never empty.
    pub(crate) words: &'a [Bytes],
    pub(crate) answer: Answer<'a>,
}

impl<'a> Call<'a> {
    /// The name as it was sent; workloads send upper case.
    pub(crate) fn name(&self) -> &'a [u8] {
        &self.words[0]
    }

    /// The first key; empty when the command has none.
    pub(crate) fn key(&self) -> &'a [u8] {
        let at = if KEYS_BEHIND_A_COUNT.contains(&self.name()) { 2 } else { 1 };
        self.words.get(at).map_or(b"", |w| w)
    }

    /// The answer, if it is known.
    pub(crate) fn reply(&self) -> Option<&'a Reply> {
        match self.answer {
            Answer::Done(reply) => Some(reply),
            Answer::Refused | Answer::Unknown => None,
        }
    }

    /// When it had taken effect for certain; `None` if never.
    pub(crate) fn done_at(&self) -> Option<Mono> {
        self.reply().map(|_| self.ended)
    }

    /// The command and its answer in a line.
    pub(crate) fn show(&self) -> String {
        let answer = match self.answer {
            Answer::Done(reply) => show_reply(reply),
            Answer::Refused => "a refusal".to_owned(),
            Answer::Unknown => "nothing".to_owned(),
        };
        format!("client {} sent {} and got {answer}", self.client.0, show_words(self.words))
    }
}

/// The commands of one operation, in order.
pub(crate) fn calls_of(position: usize, operation: &Operation) -> impl Iterator<Item = Call<'_>> {
    let replies = match &operation.outcome {
        Outcome::Answered(replies) => replies.as_slice(),
        Outcome::Lost => &[],
    };
    let commands = operation.request.commands.iter().enumerate().filter(|(_, words)| !words.is_empty());
    commands.map(move |(i, words)| Call {
        position,
        client: operation.client,
        invoked: operation.invoked,
        ended: operation.ended,
        words,
        answer: replies.get(i).map_or(Answer::Unknown, |reply| match fate(reply) {
            Fate::Done => Answer::Done(reply),
            Fate::Refused => Answer::Refused,
            Fate::Unknown => Answer::Unknown,
        }),
    })
}

/// The commands on keys that begin with `prefix` and may have run, by key, in the order in which they were sent.
pub(crate) fn by_key<'a>(history: &'a [Operation], prefix: &str) -> BTreeMap<&'a [u8], Vec<Call<'a>>> {
    let mut keys: BTreeMap<&[u8], Vec<Call<'_>>> = BTreeMap::new();
    for call in history.iter().enumerate().flat_map(|(at, operation)| calls_of(at, operation)) {
        if call.key().starts_with(prefix.as_bytes()) && call.answer != Answer::Refused {
            keys.entry(call.key()).or_default().push(call);
        }
    }
    keys
}

/// A violation about one key.
pub(crate) fn broken(workload: &'static str, what: String, key: &[u8], operations: &[usize]) -> Violation {
    let mut operations = operations.to_vec();
    operations.dedup();
    Violation { workload, what, key: Some(Bytes::copy_from_slice(key)), operations, undecided: false }
}

/// The first contradiction in judgements of many keys; without one, the first key that could not be judged.
pub(crate) fn gravest(judgements: impl IntoIterator<Item = Result<(), Violation>>) -> Result<(), Violation> {
    let mut undecided = Ok(());
    for judgement in judgements {
        match judgement {
            Err(violation) if violation.undecided => undecided = undecided.and(Err(violation)),
            decided => decided?,
        }
    }
    undecided
}

/// Longest word shown, in bytes.
const MAX_SHOWN_BYTES: usize = 60;

/// Most elements of an aggregate shown.
const MAX_SHOWN_ELEMENTS: usize = 12;

fn show_word(word: &[u8]) -> String {
    let shown = word[..word.len().min(MAX_SHOWN_BYTES)].escape_ascii().to_string();
    if word.len() > MAX_SHOWN_BYTES { format!("{shown}… ({} bytes)", word.len()) } else { shown }
}

/// A command on one line, long words cut.
pub(crate) fn show_words(words: &[Bytes]) -> String {
    words.iter().map(|w| show_word(w)).collect::<Vec<_>>().join(" ")
}

/// A reply on one line, long ones cut.
pub(crate) fn show_reply(reply: &Reply) -> String {
    let list = |items: Vec<String>, of: usize| {
        let more = if of > items.len() { format!(", … {of} in all") } else { String::new() };
        format!("[{}{more}]", items.join(", "))
    };
    match reply {
        Reply::Simple(s) | Reply::Error(s) => s.to_string(),
        Reply::Integer(n) => n.to_string(),
        Reply::Bulk(b) => format!("\"{}\"", show_word(b)),
        Reply::Null | Reply::NullArray => "nil".to_owned(),
        Reply::Double(d) => d.to_string(),
        Reply::Boolean(b) => b.to_string(),
        Reply::Verbatim(_, b) => show_word(b),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            list(items.iter().take(MAX_SHOWN_ELEMENTS).map(show_reply).collect(), items.len())
        }
        Reply::Map(pairs) => {
            let shown = pairs.iter().take(MAX_SHOWN_ELEMENTS);
            list(shown.map(|(k, v)| format!("{}: {}", show_reply(k), show_reply(v))).collect(), pairs.len())
        }
    }
}

/// A reply of pairs in either version of the protocol.
pub(crate) fn pairs(reply: &Reply) -> Option<Vec<(&Bytes, &Bytes)>> {
    fn bulk(r: &Reply) -> Option<&Bytes> {
        if let Reply::Bulk(b) = r { Some(b) } else { None }
    }
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|(k, v)| Some((bulk(k)?, bulk(v)?))).collect(),
        Reply::Array(items) if items.len() % 2 == 0 => {
            items.chunks(2).map(|pair| Some((bulk(&pair[0])?, bulk(&pair[1])?))).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{broken, gravest};

    #[test]
    fn a_contradiction_weighs_more_than_a_search_that_was_given_up() {
        let wrong = broken("w", "wrong".to_owned(), b"k", &[1]);
        let unknown = crate::Violation { undecided: true, ..wrong.clone() };
        assert_eq!(gravest([Ok(()), Ok(())]), Ok(()));
        assert_eq!(gravest([Err(unknown.clone()), Ok(())]), Err(unknown.clone()));
        assert_eq!(gravest([Err(unknown), Ok(()), Err(wrong.clone())]), Err(wrong));
    }
}

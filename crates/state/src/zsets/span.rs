//! Ranges of places, from the words of a client.

use super::body::Body;
use super::{Entry, rank_of_score};
use crate::ctx::Ctx;
use crate::records::KeyBuf;
use crate::reply::{Outcome, fail};
use std::ops::ControlFlow;

/// Places from `from` on and before `to`.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(super) from: KeyBuf,
    pub(super) to: KeyBuf,
}

impl Span {
    /// Every place: no score is beyond these.
    pub(crate) fn all() -> Span {
        Span { from: KeyBuf::new(), to: KeyBuf::from_slice(&[u8::MAX; 9]) }
    }

    /// The places of scores from `first` on and below `end`.
    pub(crate) fn of_scores(first: f64, end: f64) -> Span {
        let start = |score: f64| KeyBuf::from_slice(&rank_of_score(score).to_be_bytes());
        Span { from: start(first), to: start(end) }
    }

    pub(super) fn contains(&self, place: &[u8]) -> bool {
        &self.from[..] <= place && place < &self.to[..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}

/// The smallest place greater than `place`.
pub(super) fn after(place: &[u8]) -> KeyBuf {
    let mut out = KeyBuf::from_slice(place);
    out.push(0);
    out
}

/// A range of scores as ZRANGEBYSCORE writes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores {
    min: (f64, bool),
    max: (f64, bool),
}

impl Scores {
    pub(super) fn parse(min: &[u8], max: &[u8]) -> Outcome<Scores> {
        match (bound(min), bound(max)) {
            (Some(min), Some(max)) => Ok(Scores { min, max }),
            _ => fail("ERR min or max is not a float"),
        }
    }

    pub(super) fn span(&self) -> Span {
        let start = |score: f64, beyond: bool| {
            // No score's rank is the greatest number, so the next one exists.
            KeyBuf::from_slice(&(rank_of_score(score) + u64::from(beyond)).to_be_bytes())
        };
        Span { from: start(self.min.0, self.min.1), to: start(self.max.0, !self.max.1) }
    }
}

/// A score, and whether it is excluded. Read as C's `strtod` does: blanks in front are skipped, nothing is zero, what is
/// too large is infinite.
fn bound(word: &[u8]) -> Option<(f64, bool)> {
    let (word, excluded) = match word {
        [b'(', rest @ ..] => (rest, true),
        _ => (word, false),
    };
    let text = std::str::from_utf8(word).ok()?;
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let score = if word.is_empty() { 0.0 } else { text.parse::<f64>().ok()? };
    (!score.is_nan()).then_some((score, excluded))
}

/// An end of a range of members.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    Least,
    Greatest,
    At { member: Vec<u8>, excluded: bool },
}

/// A range of members as ZRANGEBYLEX writes it. It has a meaning only where all scores are equal; elsewhere the members of
/// the lowest score are taken.
#[derive(Clone, Debug)]
pub(super) struct Lex {
    min: End,
    max: End,
}

impl Lex {
    pub(super) fn parse(min: &[u8], max: &[u8]) -> Outcome<Lex> {
        let end = |word: &[u8]| match word {
            b"-" => Some(End::Least),
            b"+" => Some(End::Greatest),
            [b'(', rest @ ..] => Some(End::At { member: rest.to_vec(), excluded: true }),
            [b'[', rest @ ..] => Some(End::At { member: rest.to_vec(), excluded: false }),
            _ => None,
        };
        match (end(min), end(max)) {
            (Some(min), Some(max)) => Ok(Lex { min, max }),
            _ => fail("ERR min or max not valid string range item"),
        }
    }

    pub(super) fn span(&self, ctx: &Ctx<'_>, set: &Body) -> Outcome<Span> {
        let mut first: Option<Entry> = None;
        set.each(ctx, &Span::all(), false, |entry| {
            first = Some(entry);
            ControlFlow::Break(())
        })?;
        let rank = first.map_or(0, |entry| rank_of_score(entry.score));
        let place = |end: &End, upper: bool| match end {
            End::Least => KeyBuf::from_slice(&rank.to_be_bytes()),
            End::Greatest => KeyBuf::from_slice(&(rank + 1).to_be_bytes()),
            End::At { member, excluded } => {
                let mut out = KeyBuf::from_slice(&rank.to_be_bytes());
                out.extend_from_slice(member);
                if *excluded == upper { out } else { after(&out) }
            }
        };
        Ok(Span { from: place(&self.min, false), to: place(&self.max, true) })
    }
}

//! Which words of a command are keys.

use crate::{Begin, Command, Find, Flag, KeyFlag, KeySpec, Spec};
use bytes::Bytes;
use smallvec::SmallVec;

/// A word that is a key, and what the command does to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// The word's position; the name is word 0.
    pub position: usize,
    /// What happens to the key.
    pub flags: &'static [KeyFlag],
}

/// The words do not allow the keys to be found: the command itself will be answered with an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the words do not allow the keys to be found")]
pub struct InvalidKeys;

impl Command {
    /// Its keys, in the order of its words; none when they cannot be found.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys { args: &self.args, positions: self.spec.positions(&self.args) }
    }

    /// The first of its keys.
    #[must_use]
    pub fn first_key(&self) -> Option<&Bytes> {
        self.keys().next()
    }
}

impl Spec {
    /// Whether the command can have keys.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The positions of the keys among `args`, ascending within each of the command's key specifications.
    #[must_use]
    pub fn positions(&self, args: &[Bytes]) -> Positions {
        let range = self.key_range;
        if range.step == 0 && self.keys.is_empty() {
            return Positions::Range { next: 1, last: 0, step: 1 };
        }
        if self.flags.has(Flag::MovableKeys) || self.keys.iter().any(|k| k.has(KeyFlag::NotKey)) {
            let uses = self.key_uses(args).unwrap_or_default();
            return Positions::List { at: 0, list: uses.iter().map(|u| u.position).collect() };
        }
        let words = args.len() as i64;
        let last = if range.last < 0 { words + i64::from(range.last) } else { i64::from(range.last) };
        let last = if last < words { last.max(0) } else { 0 };
        Positions::Range { next: range.first as usize, last: last as usize, step: range.step as usize }
    }

    /// The keys among `args` with what happens to them. Words that are only routed like keys are left out.
    ///
    /// # Errors
    /// A specification does not fit the words.
    pub fn key_uses(&self, args: &[Bytes]) -> Result<SmallVec<[KeyUse; 4]>, InvalidKeys> {
        let mut uses = SmallVec::new();
        for spec in self.keys.iter().filter(|k| !k.has(KeyFlag::NotKey)) {
            let Some(begin) = begin(spec, args)? else {
                continue;
            };
            let (first, last, step) = find(spec, begin, args)?;
            if last >= args.len() || last < first {
                return Err(InvalidKeys);
            }
            uses.extend((first..=last).step_by(step).map(|position| KeyUse { position, flags: spec.flags }));
        }
        Ok(uses)
    }
}

/// Where the keys of `spec` begin; `None` when the command was given without them.
fn begin(spec: &KeySpec, args: &[Bytes]) -> Result<Option<usize>, InvalidKeys> {
    match spec.begin {
        Begin::Index(index) => Ok(Some(index as usize)),
        Begin::Unknown => Err(InvalidKeys),
        Begin::Keyword { word, start } => {
            let is_word = |i: &usize| args[*i].eq_ignore_ascii_case(word.as_bytes());
            let found = if start >= 0 {
                (start.unsigned_abs() as usize..args.len()).find(is_word)
            } else {
                let from = args.len().saturating_sub(start.unsigned_abs() as usize);
                (1..=from).rev().filter(|i| *i < args.len()).find(is_word)
            };
            Ok(found.map(|i| i + 1))
        }
    }
}

/// First key, last key and the distance between keys.
fn find(spec: &KeySpec, begin: usize, args: &[Bytes]) -> Result<(usize, usize, usize), InvalidKeys> {
    match spec.find {
        Find::Unknown => Err(InvalidKeys),
        Find::Range { last, step, limit } => {
            let last = match last {
                0.. => begin + last.unsigned_abs() as usize,
                _ if limit > 1 => {
                    let share = args.len().saturating_sub(begin) / limit.unsigned_abs() as usize;
                    begin + share.checked_sub(1).ok_or(InvalidKeys)?
                }
                _ => args.len().checked_sub(last.unsigned_abs() as usize).ok_or(InvalidKeys)?,
            };
            Ok((begin, last, step.unsigned_abs().max(1) as usize))
        }
        Find::Counted => {
            let count = args.get(begin).and_then(|a| decimal(a)).ok_or(InvalidKeys)?;
            let last = begin.checked_add(count).filter(|last| *last > begin).ok_or(InvalidKeys)?;
            Ok((begin + 1, last, 1))
        }
    }
}

/// A count of keys: digits without sign or leading zero.
fn decimal(word: &[u8]) -> Option<usize> {
    let canonical = word == b"0" || (word.first().is_some_and(|b| *b != b'0') && word.iter().all(u8::is_ascii_digit));
    if !canonical {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The positions of a command's keys.
#[derive(Clone, Debug)]
pub enum Positions {
    /// Every `step`th word up to `last`.
    Range {
        /// The next position.
        next: usize,
        /// The last position that may be given.
        last: usize,
        /// The distance.
        step: usize,
    },
    /// As listed.
    List {
        /// How many were given.
        at: usize,
        /// All of them.
        list: SmallVec<[usize; 4]>,
    },
}

impl Iterator for Positions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Positions::Range { next, last, step } => {
                let position = *next;
                (position <= *last).then(|| {
                    *next += *step;
                    position
                })
            }
            Positions::List { at, list } => {
                let position = list.get(*at).copied();
                *at += 1;
                position
            }
        }
    }
}

/// The keys of a command.
#[derive(Clone, Debug)]
pub struct Keys<'a> {
    args: &'a [Bytes],
    positions: Positions,
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a Bytes;

    fn next(&mut self) -> Option<&'a Bytes> {
        self.positions.next().and_then(|p| self.args.get(p))
    }
}

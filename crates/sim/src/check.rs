//! The checker of the counter workload. Every INCR that was acknowledged got a number of its own, and numbers follow
//! real time: what began after another operation ended sees at least its number (Herlihy and Wing, "Linearizability",
//! for a counter that only grows, where this is equivalent to the general definition for acknowledged operations).

use stdx::Mono;

/// What an operation was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// INCR: answers the new value.
    Increment,
    /// GET: answers the value, 0 when absent.
    Read,
}

/// One operation as its client saw it.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The client.
    pub client: u64,
    /// The key.
    pub key: u64,
    /// What was asked.
    pub kind: Kind,
    /// When it was sent.
    pub invoked: Mono,
    /// When it was answered, and with what: a number, or nothing when the outcome is unknown.
    pub answer: Option<(Mono, u64)>,
}

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// Two increments were told the same number.
    #[error("key {key}: two increments were acknowledged with {value}")]
    Duplicate {
        /// The key.
        key: u64,
        /// The number.
        value: u64,
    },
    /// An operation saw less than one that had ended before it began.
    #[error("key {key}: client {client} saw {value} although {floor} had been acknowledged before it began")]
    Stale {
        /// The key.
        key: u64,
        /// Who saw it.
        client: u64,
        /// What it saw.
        value: u64,
        /// What it had to see at least.
        floor: u64,
    },
    /// More was counted than was ever asked for.
    #[error("key {key}: {value} was read although at most {asked} increments were asked for")]
    Phantom {
        /// The key.
        key: u64,
        /// What was read.
        value: u64,
        /// How many increments were sent.
        asked: u64,
    },
    /// The healed cluster did not answer.
    #[error("the healed cluster did not answer {0} clients in time")]
    NotLive(usize),
    /// Replicas at the same applied index differ.
    #[error("replicas of shard {shard} differ at index {index}")]
    Diverged {
        /// The shard.
        shard: u32,
        /// The index.
        index: u64,
    },
}

/// Checks all operations on all keys.
///
/// # Errors
/// The first violation found.
pub fn check(operations: &[Operation]) -> Result<(), Violation> {
    let mut keys: Vec<u64> = operations.iter().map(|o| o.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().try_for_each(|key| check_key(key, operations))
}

fn check_key(key: u64, operations: &[Operation]) -> Result<(), Violation> {
    let ours = || operations.iter().filter(move |o| o.key == key);
    let asked = ours().filter(|o| o.kind == Kind::Increment).count() as u64;
    let mut numbers: Vec<u64> = Vec::new();
    // Ends and beginnings in time order; an end at the same instant counts as before.
    let mut events: Vec<(Mono, bool, &Operation)> = Vec::new();
    for o in ours() {
        let Some((ended, value)) = o.answer else { continue };
        if value > asked {
            return Err(Violation::Phantom { key, value, asked });
        }
        if o.kind == Kind::Increment {
            numbers.push(value);
        }
        events.push((o.invoked, true, o));
        events.push((ended, false, o));
    }
    numbers.sort_unstable();
    if let Some(twice) = numbers.windows(2).find(|w| w[0] == w[1]) {
        return Err(Violation::Duplicate { key, value: twice[0] });
    }
    events.sort_by_key(|(at, begins, _)| (*at, *begins));
    let mut floor = 0;
    for (_, begins, o) in events {
        let Some((_, value)) = o.answer else { continue };
        if !begins {
            floor = floor.max(value);
            continue;
        }
        let least = if o.kind == Kind::Increment { floor + 1 } else { floor };
        if value < least {
            return Err(Violation::Stale { key, client: o.client, value, floor });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(kind: Kind, from: u64, to: u64, value: u64) -> Operation {
        Operation { client: 1, key: 7, kind, invoked: Mono(from), answer: Some((Mono(to), value)) }
    }

    #[test]
    fn good_histories_pass() {
        use Kind::{Increment, Read};
        assert_eq!(check(&[op(Increment, 0, 10, 1), op(Read, 5, 15, 0), op(Read, 11, 12, 1)]), Ok(()));
        let unknown = Operation { answer: None, ..op(Increment, 0, 0, 0) };
        assert_eq!(check(&[unknown, op(Read, 5, 6, 1), op(Increment, 7, 8, 2)]), Ok(()));
    }

    #[test]
    fn bad_histories_are_caught() {
        use Kind::{Increment, Read};
        let stale = [op(Increment, 0, 10, 1), op(Read, 11, 12, 0)];
        assert_eq!(check(&stale), Err(Violation::Stale { key: 7, client: 1, value: 0, floor: 1 }));
        let twice = [op(Increment, 0, 10, 1), op(Increment, 5, 15, 1)];
        assert_eq!(check(&twice), Err(Violation::Duplicate { key: 7, value: 1 }));
        assert_eq!(check(&[op(Read, 0, 1, 3)]), Err(Violation::Phantom { key: 7, value: 3, asked: 0 }));
        let lost = [op(Increment, 0, 10, 1), op(Increment, 11, 12, 2), op(Read, 20, 21, 1)];
        assert!(matches!(check(&lost), Err(Violation::Stale { .. })));
        let reads_go_back = [op(Increment, 0, 100, 1), op(Read, 10, 20, 1), op(Read, 21, 30, 0)];
        assert!(matches!(check(&reads_go_back), Err(Violation::Stale { .. })));
    }
}

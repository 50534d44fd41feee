//! Banks: accounts of one group of keys, and transfers between them by MULTI and EXEC, some blind (DECRBY, INCRBY), some
//! optimistic (WATCH, read, SET). A transfer also counts up the version of both accounts, in the same EXEC.
//!
//! Versions make the checker linear: each account's history is a chain of versions, and every answer says where in the
//! chains it stands. It checks that
//! - the total is the same in every read of all accounts;
//! - one version of an account has one balance, and belongs to one acknowledged transfer;
//! - a transfer changes the balance of the version before by its amount, as far as that is known;
//! - an EXEC that succeeded under WATCH found the versions that were read under it: no update is lost;
//! - reads of all accounts can be put in one order, and see each transfer whole or not at all;
//! - versions follow real time, and are never more than the transfers that had been sent.

mod judge;

use crate::calls::calls_of;
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::{ClientId, Operation, Options, Outcome, Request, Step, Violation, Workload, is_settled};
use bytes::Bytes;
use command::Reply;
use std::collections::{BTreeMap, BTreeSet};
use stdx::{Mono, Rng};

const NAME: &str = "bank";

/// Requests to a bank before another takes its place.
const SPAN: Span = Span { uses: 40_000, unknown: u32::MAX };

/// Accounts of a bank.
const ACCOUNTS: usize = 4;

/// What each account holds at first.
const OPENING: i64 = 100;

/// Most that one transfer moves.
const MAX_AMOUNT: u64 = 30;

/// See the module.
#[derive(Debug)]
pub struct Bank {
    beginning: String,
    pace: Pace,
    lives: Lives,
    /// Banks whose accounts are known to exist.
    opened: BTreeSet<Bytes>,
    /// Transfers that wait for the second half, by client.
    watching: BTreeMap<ClientId, Watched>,
    /// Of 10 requests, how many read.
    reads: u64,
    /// Of 10 transfers, how many are optimistic.
    optimistic: u64,
}

/// A transfer whose accounts are watched; the balances once they are read.
#[derive(Clone, Debug)]
struct Watched {
    bank: usize,
    name: Bytes,
    from: usize,
    to: usize,
    amount: i64,
    balances: Option<(i64, i64)>,
}

impl Bank {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Bank {
        let mut mix = Rng::new(seed);
        Bank {
            beginning: beginning(options, NAME),
            pace: Pace::new(options),
            lives: Lives::tagged(options, NAME, options.key_count(), SPAN),
            opened: BTreeSet::new(),
            watching: BTreeMap::new(),
            reads: mix.range(2, 6),
            optimistic: mix.range(2, 9),
        }
    }

    fn send(&self, bank: usize, commands: Vec<Vec<Bytes>>) -> Step {
        Step::Send(Request { namespace: self.lives.namespace(bank), commands })
    }

    fn transfer(&mut self, client: ClientId, bank: usize, rng: &mut Rng) -> Step {
        let name = self.lives.name(bank).clone();
        let from = rng.below(ACCOUNTS as u64) as usize;
        let to = (from + 1 + rng.below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
        let amount = 1 + rng.below(MAX_AMOUNT) as i64;
        if rng.below(10) < self.optimistic {
            let all = [balance(&name, from), version(&name, from), balance(&name, to), version(&name, to)];
            self.watching.insert(client, Watched { bank, name, from, to, amount, balances: None });
            return self.send(bank, vec![with("WATCH", &all), with("MGET", &all)]);
        }
        let text = amount.to_string();
        let (minus, plus) = (
            words(&[b"DECRBY", &balance(&name, from)[..], text.as_bytes()]),
            words(&[b"INCRBY", &balance(&name, to)[..], text.as_bytes()]),
        );
        self.send(bank, transaction(&name, from, to, minus, plus))
    }

    /// The second half of an optimistic transfer.
    fn commit(&self, w: &Watched, (from, to): (i64, i64)) -> Step {
        let set = |account: usize, n: i64| words(&[b"SET", &balance(&w.name, account)[..], n.to_string().as_bytes()]);
        let (minus, plus) = (set(w.from, from - w.amount), set(w.to, to + w.amount));
        self.send(w.bank, transaction(&w.name, w.from, w.to, minus, plus))
    }

    fn read(&self, bank: usize, in_transaction: bool) -> Step {
        let read = with("MGET", &all_keys(self.lives.name(bank)));
        let commands = if in_transaction { vec![words(&["MULTI"]), read, words(&["EXEC"])] } else { vec![read] };
        self.send(bank, commands)
    }
}

fn balance(bank: &[u8], account: usize) -> Bytes {
    [bank, account.to_string().as_bytes()].concat().into()
}

fn version(bank: &[u8], account: usize) -> Bytes {
    [bank, account.to_string().as_bytes(), b"v"].concat().into()
}

/// Balance and version of every account.
fn all_keys(bank: &[u8]) -> Vec<Bytes> {
    (0..ACCOUNTS).flat_map(|a| [balance(bank, a), version(bank, a)]).collect()
}

fn with(name: &str, keys: &[Bytes]) -> Vec<Bytes> {
    std::iter::once(Bytes::copy_from_slice(name.as_bytes())).chain(keys.iter().cloned()).collect()
}

fn transaction(bank: &[u8], from: usize, to: usize, minus: Vec<Bytes>, plus: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let count = |account| words(&[b"INCR", &version(bank, account)[..]]);
    vec![words(&["MULTI"]), minus, count(from), plus, count(to), words(&["EXEC"])]
}

/// The integers of an answer to MGET; `None` if a key is missing or no number.
fn integers(reply: &Reply) -> Option<Vec<i64>> {
    let Reply::Array(items) = reply else { return None };
    items.iter().map(integer).collect()
}

fn integer(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Bulk(b) => std::str::from_utf8(b).ok()?.parse().ok(),
        Reply::Integer(n) => Some(*n),
        _ => None,
    }
}

impl Workload for Bank {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(watched) = self.watching.remove(&client)
            && let Some(balances) = watched.balances
        {
            // Nothing comes between WATCH and EXEC: a new connection would watch nothing.
            return self.commit(&watched, balances);
        }
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let bank = rng.below(self.lives.count() as u64) as usize;
        let name = self.lives.name(bank);
        if !self.opened.contains(name) {
            let opening = OPENING.to_string();
            let first = (0..ACCOUNTS).flat_map(|a| {
                [balance(name, a), Bytes::from(opening.clone()), version(name, a), Bytes::from_static(b"0")]
            });
            let open = std::iter::once(Bytes::from_static(b"MSETNX")).chain(first).collect();
            return self.send(bank, vec![open]);
        }
        if rng.below(10) < self.reads { self.read(bank, rng.one_in(2)) } else { self.transfer(client, bank, rng) }
    }

    fn ended(&mut self, operation: &Operation) {
        let settled = is_settled(operation);
        let first = operation.request.commands.first().and_then(|words| words.first());
        if let (true, Some(words)) = (settled, operation.request.commands.first())
            && words[0] == "MSETNX"
            && let Some(name) = words.get(1).and_then(|key| key.strip_suffix(b"0"))
        {
            self.opened.insert(Bytes::copy_from_slice(name));
        }
        if first.is_some_and(|name| name == "WATCH")
            && let Outcome::Answered(replies) = &operation.outcome
            && let Some([from, _, to, _]) = replies.last().and_then(integers).as_deref()
            && settled
            && let Some(watched) = self.watching.get_mut(&operation.client)
        {
            watched.balances = Some((*from, *to));
        }
        for call in calls_of(0, operation).filter(|c| c.name() == b"EXEC" || c.name() == b"MGET") {
            let key = operation.request.commands.iter().find_map(|words| words.get(1));
            if let Some(bank) = key.and_then(|k| judge::bank_of(k)) {
                self.lives.used(bank, call.reply().is_some());
            }
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all().into_iter();
        conclude(all.map(|(namespace, bank)| (namespace, with("MGET", &all_keys(&bank)))))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        judge::judge(&self.beginning, history)
    }
}

#[cfg(test)]
mod tests {
    use super::Bank;
    use crate::testing::{Flaw, Plan, prove};
    use crate::{Options, Workload};

    #[test]
    fn finds_what_it_is_there_for() {
        let options = Options { keys: 2, ..Options::default() };
        let make = |seed| Box::new(Bank::new(&options, seed)) as Box<dyn Workload>;
        let flaws =
            [Flaw::TearsTransactions, Flaw::ForgetsWatches, Flaw::LosesWrites, Flaw::ReadsThePast, Flaw::SplitsInTwo];
        prove(make, &Plan::default(), &flaws);
    }
}

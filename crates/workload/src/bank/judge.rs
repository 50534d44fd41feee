//! The checker of the workload `bank`.

use super::{ACCOUNTS, NAME, OPENING, integer, integers};
use crate::calls::{Call, broken, calls_of, show_words};
use crate::fate::{Fate, fate};
use crate::{Operation, Outcome, Violation};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeMap;
use stdx::Mono;

/// An account at a version, with its balance where that was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    account: usize,
    version: i64,
    balance: Option<i64>,
}

/// What one operation says.
#[derive(Debug)]
struct Fact {
    position: usize,
    invoked: Mono,
    ended: Mono,
    what: What,
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Accounts read at one moment.
    Read,
    /// A transfer that took effect, of this amount unless it set its balances.
    Transfer(Option<i64>),
}

/// The operations on one bank.
#[derive(Debug, Default)]
struct Ledger {
    facts: Vec<Fact>,
    /// When transfers were sent, by account, those of unknown outcome included.
    sent: BTreeMap<usize, Vec<Mono>>,
    /// From when on the accounts exist for certain.
    opened: Option<Mono>,
}

/// The bank of a key of an account.
pub(super) fn bank_of(key: &[u8]) -> Option<&[u8]> {
    let end = key.iter().rposition(|b| *b == b'}')?;
    Some(&key[..=end])
}

/// The account of a key, and whether the key holds its version.
fn account_of(key: &[u8]) -> Option<(usize, bool)> {
    let rest = &key[bank_of(key)?.len()..];
    let (digits, is_version) = rest.strip_suffix(b"v").map_or((rest, false), |digits| (digits, true));
    let account: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (account < ACCOUNTS).then_some((account, is_version))
}

/// Judges all banks whose names begin with `beginning`.
pub(super) fn judge(beginning: &str, history: &[Operation]) -> Result<(), Violation> {
    let mut ledgers: BTreeMap<&[u8], Ledger> = BTreeMap::new();
    let mut watches: BTreeMap<u64, (usize, Vec<Seen>)> = BTreeMap::new();
    for (position, operation) in history.iter().enumerate() {
        let ours = |key: &&[u8]| key.starts_with(beginning.as_bytes());
        let commands = &operation.request.commands;
        if is_transfer(commands) {
            if let Some(bank) = commands[1].get(1).map(|k| &k[..]).filter(ours).and_then(bank_of) {
                let watched = watches.remove(&operation.connection);
                transfer(ledgers.entry(bank).or_default(), bank, position, operation, watched)?;
            }
            continue;
        }
        for call in calls_of(position, operation) {
            let Some(bank) = Some(call.key()).filter(ours).and_then(bank_of) else { continue };
            let ledger = ledgers.entry(bank).or_default();
            match call.name() {
                b"MSETNX" => ledger.opened = ledger.opened.into_iter().chain(call.done_at()).min(),
                b"MGET" => read(ledger, bank, &call, operation, &mut watches)?,
                _ => {}
            }
        }
    }
    ledgers.into_iter().try_for_each(|(bank, ledger)| judge_bank(bank, &ledger))
}

/// Whether a request is MULTI, the two halves of a transfer, and EXEC.
fn is_transfer(commands: &[Vec<Bytes>]) -> bool {
    commands.len() == 6 && commands[0].first().is_some_and(|name| name == "MULTI")
}

/// Notes a read, within a transaction or alone.
fn read(
    ledger: &mut Ledger,
    bank: &[u8],
    call: &Call<'_>,
    operation: &Operation,
    watches: &mut BTreeMap<u64, (usize, Vec<Seen>)>,
) -> Result<(), Violation> {
    let commands = &operation.request.commands;
    let reply = match (&operation.outcome, commands[0][0] == "MULTI") {
        (Outcome::Answered(replies), true) => match replies.get(2) {
            Some(Reply::Array(items)) => items.first(),
            _ => None,
        },
        _ => call.reply(),
    };
    let Some(reply) = reply else { return Ok(()) };
    let Some(numbers) = integers(reply).filter(|all| all.len() + 1 == call.words.len()) else {
        let empty = matches!(reply, Reply::Array(items) if items.iter().all(|i| *i == Reply::Null));
        if empty && ledger.opened.is_none_or(|at| at > operation.invoked) {
            return Ok(());
        }
        let what = format!("{}, but all accounts exist", call.show());
        return Err(broken(NAME, what, bank, &[call.position]));
    };
    let mut seen = Vec::with_capacity(numbers.len() / 2);
    for (keys, values) in call.words[1..].chunks(2).zip(numbers.chunks(2)) {
        if let (Some((account, false)), [balance, version]) = (account_of(&keys[0]), values) {
            seen.push(Seen { account, version: *version, balance: Some(*balance) });
        }
    }
    if commands[0][0] == "WATCH" {
        // The keys are watched from before they were read.
        let watched = matches!(&operation.outcome, Outcome::Answered(r) if r.first() == Some(&Reply::OK));
        if watched {
            watches.insert(operation.connection, (call.position, seen.clone()));
        }
    }
    let (invoked, ended) = (call.invoked, call.ended);
    ledger.facts.push(Fact { position: call.position, invoked, ended, what: What::Read, seen });
    Ok(())
}

/// Notes a transfer, and that what it was told under WATCH still held.
fn transfer(
    ledger: &mut Ledger,
    bank: &[u8],
    position: usize,
    operation: &Operation,
    watched: Option<(usize, Vec<Seen>)>,
) -> Result<(), Violation> {
    let queued = &operation.request.commands[1..operation.request.commands.len() - 1];
    let exec = match &operation.outcome {
        Outcome::Answered(replies) => replies.get(queued.len() + 1),
        Outcome::Lost => None,
    };
    let accounts: Vec<usize> = queued.iter().filter_map(|words| account_of(words.get(1)?)).map(|(a, _)| a).collect();
    let answers = match exec {
        Some(Reply::Array(answers)) => Some(answers),
        Some(Reply::Null | Reply::NullArray) => return Ok(()),
        Some(reply) if fate(reply) == Fate::Refused => return Ok(()),
        _ => None,
    };
    for account in [accounts.first(), accounts.get(2)].into_iter().flatten() {
        ledger.sent.entry(*account).or_default().push(operation.invoked);
    }
    let Some(answers) = answers else { return Ok(()) };
    let mut seen = Vec::with_capacity(2);
    for (half, replies) in queued.chunks(2).zip(answers.chunks(2)) {
        let account = account_of(half[0].get(1).map_or(b"", |k| k)).map(|(a, _)| a);
        let version = replies.get(1).and_then(integer);
        let balance = if half[0][0] == "SET" {
            integer(&Reply::Bulk(half[0].get(2).cloned().unwrap_or_default())).filter(|_| replies[0] == Reply::OK)
        } else {
            integer(&replies[0])
        };
        let (Some(account), Some(version), Some(balance)) = (account, version, balance) else {
            let what = format!("{} answered {answers:?}", show_words(&half[0]));
            return Err(broken(NAME, what, bank, &[position]));
        };
        seen.push(Seen { account, version, balance: Some(balance) });
    }
    if answers.len() != queued.len() {
        let what = format!("EXEC answered {} of {} commands", answers.len(), queued.len());
        return Err(broken(NAME, what, bank, &[position]));
    }
    let optimistic = queued[0][0] == "SET";
    if let (true, Some((read_at, before))) = (optimistic, &watched) {
        for now in &seen {
            if let Some(old) = before.iter().find(|b| b.account == now.account && b.version + 1 != now.version) {
                let what = format!(
                    "EXEC brought account {} to version {} though version {} had been read under WATCH",
                    now.account, now.version, old.version
                );
                return Err(broken(NAME, what, bank, &[position, *read_at]));
            }
        }
    }
    let amount = (!optimistic).then(|| amount_of(&queued[0])).flatten();
    let (invoked, ended) = (operation.invoked, operation.ended);
    ledger.facts.push(Fact { position, invoked, ended, what: What::Transfer(amount), seen });
    Ok(())
}

fn amount_of(words: &[Bytes]) -> Option<i64> {
    std::str::from_utf8(words.get(2)?).ok()?.parse().ok()
}

fn judge_bank(bank: &[u8], ledger: &Ledger) -> Result<(), Violation> {
    totals(bank, ledger)?;
    chains(bank, ledger)?;
    for account in 0..ACCOUNTS {
        follow_time(bank, ledger, account)?;
    }
    one_order(bank, ledger)
}

/// The facts that show all accounts at once.
fn full_reads(ledger: &Ledger) -> impl Iterator<Item = &Fact> {
    ledger.facts.iter().filter(|f| f.what == What::Read && f.seen.len() == ACCOUNTS)
}

fn totals(bank: &[u8], ledger: &Ledger) -> Result<(), Violation> {
    let expected = OPENING * ACCOUNTS as i64;
    for fact in full_reads(ledger) {
        let total: i64 = fact.seen.iter().filter_map(|s| s.balance).sum();
        if total != expected {
            let what = format!("a read of all accounts adds up to {total} instead of {expected}");
            return Err(broken(NAME, what, bank, &[fact.position]));
        }
    }
    Ok(())
}

/// Each version of an account has one balance and one transfer, which differs from the version before by its amount.
fn chains(bank: &[u8], ledger: &Ledger) -> Result<(), Violation> {
    let mut balances: BTreeMap<(usize, i64), (i64, usize)> = BTreeMap::new();
    let mut makers: BTreeMap<(usize, i64), usize> = BTreeMap::new();
    for fact in &ledger.facts {
        for seen in &fact.seen {
            let at = (seen.account, seen.version);
            let Some(balance) = seen.balance else { continue };
            let (known, says) = *balances.entry(at).or_insert((balance, fact.position));
            if known != balance {
                let what = format!("account {} held {known} and {balance} at version {}", at.0, at.1);
                return Err(broken(NAME, what, bank, &[fact.position, says]));
            }
            if fact.what == What::Read {
                continue;
            }
            if let Some(other) = makers.insert(at, fact.position) {
                let what = format!("two transfers brought account {} to version {}", at.0, at.1);
                return Err(broken(NAME, what, bank, &[fact.position, other]));
            }
        }
    }
    for fact in &ledger.facts {
        let What::Transfer(Some(amount)) = fact.what else { continue };
        for (seen, change) in fact.seen.iter().zip([-amount, amount]) {
            let opening = (seen.version == 1).then_some((OPENING, fact.position));
            let before = balances.get(&(seen.account, seen.version - 1)).copied().or(opening);
            if let (Some((before, says)), Some(now)) = (before, seen.balance)
                && before + change != now
            {
                let what = format!("a transfer of {amount} changed account {} from {before} to {now}", seen.account);
                return Err(broken(NAME, what, bank, &[fact.position, says]));
            }
        }
    }
    Ok(())
}

/// Versions never go back from what had ended to what began later, and never exceed the transfers that had been sent.
fn follow_time(bank: &[u8], ledger: &Ledger, account: usize) -> Result<(), Violation> {
    let of = |f: &Fact| f.seen.iter().find(|s| s.account == account).map(|s| s.version);
    let mut edges: Vec<(Mono, bool, usize)> = Vec::new();
    for (i, fact) in ledger.facts.iter().enumerate().filter(|(_, f)| of(f).is_some()) {
        edges.push((fact.invoked, true, i));
        edges.push((fact.ended.max(Mono(fact.invoked.0.saturating_add(1))), false, i));
    }
    edges.sort_unstable();
    let mut sent = ledger.sent.get(&account).cloned().unwrap_or_default();
    sent.sort_unstable();
    let (mut floor, mut by) = (0, None);
    for (at, begins, i) in edges {
        let fact = &ledger.facts[i];
        let Some(version) = of(fact) else { continue };
        let least = floor + i64::from(fact.what != What::Read);
        if begins && version < least {
            let what = format!("account {account} was seen at version {version} after version {floor}");
            let others: Vec<usize> = by.into_iter().collect();
            return Err(broken(NAME, what, bank, &[&[fact.position], &others[..]].concat()));
        }
        let most = sent.partition_point(|s| *s < at) as i64;
        if !begins && version > most {
            let what = format!("account {account} was seen at version {version} after {most} transfers were sent");
            return Err(broken(NAME, what, bank, &[fact.position]));
        }
        if !begins && version > floor {
            (floor, by) = (version, Some(fact.position));
        }
    }
    Ok(())
}

/// Full reads can be put in one order, and each transfer is whole in it.
fn one_order(bank: &[u8], ledger: &Ledger) -> Result<(), Violation> {
    let mut reads: Vec<(Vec<i64>, usize)> = full_reads(ledger)
        .map(|f| {
            let mut versions = vec![0; ACCOUNTS];
            f.seen.iter().for_each(|s| versions[s.account] = s.version);
            (versions, f.position)
        })
        .collect();
    reads.sort_by_key(|(versions, _)| versions.iter().sum::<i64>());
    for pair in reads.windows(2) {
        let [(before, one), (after, other)] = pair else { continue };
        if before.iter().zip(after).any(|(b, a)| b > a) {
            let what = format!("two reads saw versions {before:?} and {after:?}, neither of which is before the other");
            return Err(broken(NAME, what, bank, &[*one, *other]));
        }
    }
    for fact in ledger.facts.iter().filter(|f| f.what != What::Read) {
        // The place of the first read that sees each half.
        let places: Vec<usize> =
            fact.seen.iter().map(|s| reads.partition_point(|(versions, _)| versions[s.account] < s.version)).collect();
        if let [one, other] = places[..]
            && one != other
        {
            let what = "a read saw one half of a transfer and not the other".to_owned();
            return Err(broken(NAME, what, bank, &[fact.position, reads[one.min(other)].1]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::{ClientId, Namespace, Operation, Outcome, Request};
    use bytes::Bytes;
    use command::Reply;
    use stdx::Mono;

    const BANK: &str = "w:bank:{w:bank:0.0}";

    fn line(text: &str) -> Vec<Bytes> {
        let word = |w: &str| match w.strip_prefix('@') {
            Some(account) => Bytes::from(format!("{BANK}{account}")),
            None => Bytes::from(w.to_owned()),
        };
        text.split(' ').map(word).collect()
    }

    /// Commands apart by `;`, and the numbers that the last one answers; no numbers for an unknown outcome.
    fn operation(client: u64, from: u64, to: u64, text: &str, numbers: Option<&[i64]>) -> Operation {
        let commands: Vec<Vec<Bytes>> = text.split("; ").map(line).collect();
        let last = &commands[commands.len() - 1][0];
        let outcome = match numbers {
            None => Outcome::Lost,
            Some(numbers) => {
                let bulks = |n: &[i64]| Reply::Array(n.iter().map(|n| Reply::bulk(n.to_string().as_bytes())).collect());
                let mut replies = vec![Reply::OK; commands.len() - 1];
                replies.push(if last == "EXEC" {
                    let number = |(i, n): (usize, &i64)| {
                        if commands[i + 1][0] == "SET" { Reply::OK } else { Reply::Integer(*n) }
                    };
                    Reply::Array(numbers.iter().enumerate().map(number).collect())
                } else {
                    bulks(numbers)
                });
                Outcome::Answered(replies)
            }
        };
        Operation {
            client: ClientId(client),
            node: 1,
            connection: client,
            request: Request { namespace: Namespace::Plain, commands },
            invoked: Mono(from),
            ended: Mono(to),
            outcome,
        }
    }

    const ALL: &str = "MGET @0 @0v @1 @1v @2 @2v @3 @3v";
    const BLIND: &str = "MULTI; DECRBY @0 10; INCR @0v; INCRBY @1 10; INCR @1v; EXEC";
    const SETS: &str = "MULTI; SET @0 90; INCR @0v; SET @1 110; INCR @1v; EXEC";
    const WATCH: &str = "WATCH @0 @0v @1 @1v; MGET @0 @0v @1 @1v";

    fn check(history: &[Operation], broken: Option<&str>) {
        let found = judge("w:bank:", history).err().map(|v| v.what);
        match (&found, broken) {
            (None, None) => {}
            (Some(what), Some(part)) if what.contains(part) => {}
            _ => panic!("{found:?} instead of {broken:?}"),
        }
    }

    #[test]
    fn good_histories_are_accepted() {
        let after = [90, 1, 110, 1, 100, 0, 100, 0];
        check(&[operation(1, 0, 5, BLIND, Some(&[90, 1, 110, 1])), operation(2, 6, 7, ALL, Some(&after))], None);
        check(&[operation(1, 0, 5, BLIND, None), operation(2, 6, 7, ALL, Some(&after))], None);
        check(
            &[operation(1, 0, 5, BLIND, None), operation(2, 6, 7, ALL, Some(&[100, 0, 100, 0, 100, 0, 100, 0]))],
            None,
        );
        let watch = operation(1, 0, 1, WATCH, Some(&[100, 0, 100, 0]));
        check(&[watch, operation(1, 2, 5, SETS, Some(&[0, 1, 0, 1])), operation(2, 6, 7, ALL, Some(&after))], None);
    }

    #[test]
    fn bad_histories_are_rejected() {
        let blind = || operation(1, 0, 5, BLIND, Some(&[90, 1, 110, 1]));
        let read = |versions: &[i64]| operation(2, 6, 7, ALL, Some(versions));
        check(&[blind(), read(&[90, 1, 100, 0, 100, 0, 100, 0])], Some("adds up to 390"));
        check(&[blind(), read(&[100, 0, 100, 0, 100, 0, 100, 0])], Some("version 0 after version 1"));
        check(&[blind(), read(&[80, 1, 120, 1, 100, 0, 100, 0])], Some("held 90 and 80"));
        check(&[read(&[90, 1, 110, 1, 100, 0, 100, 0])], Some("after 0 transfers"));
        check(&[operation(1, 0, 5, BLIND, Some(&[95, 1, 105, 1]))], Some("from 100 to 95"));
        check(&[blind(), operation(3, 1, 4, BLIND, Some(&[90, 1, 110, 1]))], Some("two transfers"));
        check(&[operation(1, 0, 5, BLIND, Some(&[90, 1]))], Some("2 of 4"));
        // The account was at version 1 when the EXEC ran, not at the one that was read.
        let watch = operation(3, 0, 1, WATCH, Some(&[100, 0, 100, 0]));
        let late = operation(3, 6, 7, SETS, Some(&[0, 2, 0, 2]));
        check(&[watch, blind(), late], Some("version 0 had been read under WATCH"));
        // Both halves are right where they stand, but no moment shows both.
        let half = [100, 0, 110, 1, 90, 1, 100, 0];
        let other = operation(3, 0, 9, "MULTI; DECRBY @2 10; INCR @2v; INCRBY @3 10; INCR @3v; EXEC", None);
        let torn = operation(2, 1, 4, ALL, Some(&half));
        check(&[blind(), other, torn], Some("one half of a transfer"));
    }

    #[test]
    fn reads_that_cannot_be_ordered_are_rejected() {
        let first = operation(1, 0, 9, BLIND, None);
        let second = operation(3, 0, 9, "MULTI; DECRBY @2 10; INCR @2v; INCRBY @3 10; INCR @3v; EXEC", None);
        let one = operation(2, 1, 8, ALL, Some(&[90, 1, 110, 1, 100, 0, 100, 0]));
        let other = operation(4, 1, 8, ALL, Some(&[100, 0, 100, 0, 90, 1, 110, 1]));
        check(&[first, second, one, other], Some("neither of which is before the other"));
    }
}

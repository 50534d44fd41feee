//! Sets: unique fields go into hashes with HSET and HSETNX and stay. HGETALL, HLEN, HGET and HEXISTS read in between; at
//! the end all of them do. Nothing is lost, nothing is invented, and the length agrees.

use crate::calls::{Call, broken, by_key, calls_of, pairs};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::{ClientId, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeMap;
use stdx::{Mono, Rng};

const NAME: &str = "set";

/// Commands on a key before another takes its place: reads return all of it.
const SPAN: Span = Span { uses: 600, unknown: u32::MAX };

/// Most fields of one HSET.
const MAX_FIELDS: u64 = 3;

/// See the module.
#[derive(Debug)]
pub struct Set {
    beginning: String,
    pace: Pace,
    lives: Lives,
    fields: u64,
    /// One command in this many is a read of one kind.
    reads: u64,
}

impl Set {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Set {
        let reads = Rng::new(seed).range(4, 16);
        let lives = Lives::new(options, NAME, SPAN);
        Set { beginning: beginning(options, NAME), pace: Pace::new(options), lives, fields: 0, reads }
    }

    fn command(&mut self, n: usize, rng: &mut Rng) -> Vec<Bytes> {
        let key = &self.lives.name(n)[..];
        let known = format!("f{}", rng.below(self.fields + 1));
        match rng.below(self.reads) {
            0 if rng.one_in(2) => return words(&[b"HGETALL", key]),
            0 => return words(&[b"HLEN", key]),
            1 if rng.one_in(2) => return words(&[b"HGET", key, known.as_bytes()]),
            1 => return words(&[b"HEXISTS", key, known.as_bytes()]),
            _ => {}
        }
        let count = if rng.one_in(4) { rng.range(2, MAX_FIELDS + 1) } else { 1 };
        let name: &[u8] = if count == 1 && rng.one_in(3) { b"HSETNX" } else { b"HSET" };
        let mut command = words(&[name, key]);
        for _ in 0..count {
            self.fields += 1;
            command.extend(words(&[format!("f{}", self.fields), format!("v{}", self.fields)]));
        }
        command
    }
}

impl Workload for Set {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let n = rng.below(self.lives.count() as u64) as usize;
        let times = if rng.one_in(10) { rng.range(2, 5) } else { 1 };
        let commands = (0..times).map(|_| self.command(n, rng)).collect();
        Step::Send(Request { namespace: self.lives.namespace(n), commands })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            self.lives.used(call.key(), call.reply().is_some());
        }
    }

    /// The length before and after, so that both frame the elements.
    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all();
        let each = |name: &'static [u8]| conclude(all.iter().map(|(at, key)| (*at, words(&[name, &key[..]]))));
        [each(b"HLEN"), each(b"HGETALL"), each(b"HLEN")].concat()
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        by_key(history, &self.beginning).into_iter().try_for_each(|(key, calls)| check_key(key, &calls))
    }
}

/// What is known of a field that was sent.
struct Element<'a> {
    value: &'a [u8],
    /// Who sent it, and when.
    position: usize,
    invoked: Mono,
    /// From when on it was there for certain, and who says so.
    there: Option<(Mono, usize)>,
}

type Elements<'a> = BTreeMap<&'a [u8], Element<'a>>;

impl Element<'_> {
    fn was_there(&mut self, at: Mono, says: usize) {
        if self.there.is_none_or(|(known, _)| at < known) {
            self.there = Some((at, says));
        }
    }

    fn must_be_there(&self, at: Mono) -> bool {
        self.there.is_some_and(|(since, _)| since <= at)
    }
}

fn check_key(key: &[u8], calls: &[Call<'_>]) -> Result<(), Violation> {
    let mut elements: Elements<'_> = BTreeMap::new();
    for call in calls.iter().filter(|c| c.name().starts_with(b"HSET")) {
        for pair in call.words[2..].chunks(2) {
            let [field, value] = pair else { continue };
            let there = call.done_at().map(|at| (at, call.position));
            let element = Element { value, position: call.position, invoked: call.invoked, there };
            elements.insert(field, element);
        }
    }
    for call in calls {
        if let Some(reply) = call.reply() {
            invents_nothing(key, call, reply, &mut elements)?;
        }
    }
    let mut sent: Vec<Mono> = elements.values().map(|e| e.invoked).collect();
    let mut there: Vec<Mono> = elements.values().filter_map(|e| Some(e.there?.0)).collect();
    sent.sort_unstable();
    there.sort_unstable();
    let mut lengths = Vec::new();
    for call in calls {
        let Some(reply) = call.reply() else { continue };
        loses_nothing(key, call, reply, &elements)?;
        let length = match (call.name(), reply) {
            (b"HLEN", Reply::Integer(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
            (b"HGETALL", reply) => pairs(reply).map_or(0, |all| all.len()),
            _ => continue,
        };
        let least = there.partition_point(|at| *at <= call.invoked);
        let most = sent.partition_point(|at| *at < call.ended);
        if length < least || length > most {
            let what = format!("{}, but there were {least} elements for certain and {most} at most", call.show());
            return Err(broken(NAME, what, key, &[call.position]));
        }
        lengths.push((call, length));
    }
    never_shrinks(key, &lengths)
}

/// Every element that is seen was sent before, with that value; a sent one is new.
fn invents_nothing<'a>(
    key: &[u8],
    call: &Call<'a>,
    reply: &'a Reply,
    elements: &mut Elements<'a>,
) -> Result<(), Violation> {
    let wrong = |what: &str| broken(NAME, format!("{}, {what}", call.show()), key, &[call.position]);
    let mut saw = |field: &[u8], value: Option<&[u8]>| match elements.get_mut(field) {
        Some(e) if e.invoked < call.ended && value.is_none_or(|v| v == e.value) => {
            e.was_there(call.ended, call.position);
            Ok(())
        }
        Some(e) => {
            let what = format!("{}, but {} was sent later or with another value", call.show(), field.escape_ascii());
            Err(broken(NAME, what, key, &[call.position, e.position]))
        }
        None => Err(wrong(&format!("but {} was never sent", field.escape_ascii()))),
    };
    match (call.name(), reply) {
        (b"HSET" | b"HSETNX", Reply::Integer(n)) if *n == (call.words.len() as i64 - 2) / 2 => Ok(()),
        (b"HSET" | b"HSETNX", _) => Err(wrong("but its fields are new and sent once")),
        (b"HGET", Reply::Bulk(value)) => saw(&call.words[2], Some(value)),
        (b"HEXISTS", Reply::Integer(1)) => saw(&call.words[2], None),
        (b"HGET", Reply::Null) | (b"HEXISTS", Reply::Integer(0)) | (b"HLEN", Reply::Integer(_)) => Ok(()),
        (b"HGETALL", reply) => {
            let all = pairs(reply).ok_or_else(|| wrong("which is no hash"))?;
            let count = all.len();
            let different = all.iter().map(|(f, _)| *f).collect::<std::collections::BTreeSet<_>>().len();
            if different != count {
                return Err(wrong("which has a field twice"));
            }
            all.into_iter().try_for_each(|(field, value)| saw(field, Some(value)))
        }
        _ => Err(wrong("which is no answer to it")),
    }
}

/// Every element that was there when the call began is seen.
fn loses_nothing(key: &[u8], call: &Call<'_>, reply: &Reply, elements: &Elements<'_>) -> Result<(), Violation> {
    let lost = |field: &[u8], element: &Element<'_>| {
        let says = element.there.map_or(element.position, |(_, says)| says);
        let what = format!("{}, but {} was there before", call.show(), field.escape_ascii());
        broken(NAME, what, key, &[call.position, element.position, says])
    };
    match (call.name(), reply) {
        (b"HGET", Reply::Null) | (b"HEXISTS", Reply::Integer(0)) => match elements.get(&call.words[2][..]) {
            Some(e) if e.must_be_there(call.invoked) => Err(lost(&call.words[2], e)),
            _ => Ok(()),
        },
        (b"HGETALL", reply) => {
            let seen: std::collections::BTreeSet<&[u8]> =
                pairs(reply).unwrap_or_default().into_iter().map(|(f, _)| &f[..]).collect();
            let missing = elements.iter().find(|(f, e)| e.must_be_there(call.invoked) && !seen.contains(*f));
            missing.map_or(Ok(()), |(field, element)| Err(lost(field, element)))
        }
        _ => Ok(()),
    }
}

/// A read that began after another had ended sees no fewer elements.
fn never_shrinks(key: &[u8], lengths: &[(&Call<'_>, usize)]) -> Result<(), Violation> {
    let mut edges: Vec<(Mono, bool, usize)> = Vec::with_capacity(2 * lengths.len());
    for (i, (call, _)) in lengths.iter().enumerate() {
        edges.push((call.invoked, true, i));
        edges.push((call.ended.max(Mono(call.invoked.0.saturating_add(1))), false, i));
    }
    edges.sort_unstable();
    let (mut floor, mut by) = (0, 0);
    for (_, begins, i) in edges {
        let (call, length) = lengths[i];
        if begins && length < floor {
            let what = format!("{}, but {floor} elements had been seen before", call.show());
            return Err(broken(NAME, what, key, &[call.position, lengths[by].0.position]));
        }
        if !begins && length > floor {
            (floor, by) = (length, i);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Set;
    use crate::testing::{Flaw, Given, Plan, history, prove};
    use crate::{Operation, Options, Outcome, Workload};
    use command::Reply;

    const KEY: &str = "w:set:0.0";

    /// Commands with `K` for the key; an answer in brackets is that of HGETALL.
    fn check(given: &[(u64, u64, u64, &'static str, &'static str)], broken: Option<&str>) {
        let operation = |(client, from, to, line, answer): &(u64, u64, u64, &'static str, &'static str)| -> Operation {
            let command = line.split(' ').map(|w| if w == "K" { KEY } else { w }).collect();
            let given = Given { client: *client, from: *from, to: *to, command, answer };
            let mut operation = history(&[given]).remove(0);
            if let Some(all) = answer.strip_prefix('[') {
                let bulks = all.split_whitespace().map(|w| Reply::bulk(w.as_bytes()));
                operation.outcome = Outcome::Answered(vec![Reply::Array(bulks.collect())]);
            }
            operation
        };
        let history: Vec<Operation> = given.iter().map(operation).collect();
        let found = Set::new(&Options::default(), 0).check(&history).err().map(|v| v.what);
        match (&found, broken) {
            (None, None) => {}
            (Some(what), Some(part)) if what.contains(part) => {}
            _ => panic!("{given:?}: {found:?}"),
        }
    }

    #[test]
    fn good_histories_are_accepted() {
        let add = (1, 0, 9, "HSET K a 1", "1");
        check(&[add, (2, 5, 6, "HGETALL K", "["), (2, 7, 8, "HLEN K", "1"), (2, 10, 11, "HGETALL K", "[a 1")], None);
        let unknown = (1, 0, 9, "HSET K a 1", "?");
        check(&[unknown, (2, 10, 11, "HLEN K", "0"), (2, 12, 13, "HGET K a", "1")], None);
        check(&[unknown, (2, 10, 11, "HEXISTS K a", "0")], None);
    }

    #[test]
    fn bad_histories_are_rejected() {
        let add = (1, 0, 9, "HSET K a 1", "1");
        check(&[add, (2, 10, 11, "HGETALL K", "[")], Some("a was there before"));
        check(&[add, (2, 10, 11, "HEXISTS K a", "0")], Some("a was there before"));
        check(&[add, (2, 10, 11, "HLEN K", "0")], Some("1 elements for certain"));
        check(&[add, (2, 10, 11, "HLEN K", "2")], Some("1 at most"));
        check(&[add, (2, 10, 11, "HGETALL K", "[a 1 b 2")], Some("never sent"));
        check(&[add, (2, 10, 11, "HGETALL K", "[a 2")], Some("another value"));
        check(&[add, (2, 10, 11, "HGETALL K", "[a 1 a 1")], Some("twice"));
        check(&[(1, 0, 9, "HSET K a 1", "0")], Some("new and sent once"));
        check(&[(2, 0, 1, "HGET K a", "1"), (1, 5, 9, "HSET K a 1", "?")], Some("sent later"));
        check(&[(1, 0, 9, "HSET K a 1", "-"), (2, 10, 11, "HLEN K", "1")], Some("0 at most"));
        // Of unknown outcome, and seen: then it stays.
        let unknown = (1, 0, 9, "HSET K a 1", "?");
        check(&[unknown, (2, 10, 11, "HEXISTS K a", "1"), (2, 12, 13, "HGETALL K", "[")], Some("a was there before"));
        let shrinks = [unknown, (2, 10, 11, "HLEN K", "1"), (2, 12, 13, "HLEN K", "0")];
        check(&shrinks, Some("1 elements had been seen"));
    }

    #[test]
    fn finds_what_it_is_there_for() {
        let make = |seed| Box::new(Set::new(&Options::default(), seed)) as Box<dyn Workload>;
        let flaws = [Flaw::LosesWrites, Flaw::ReadsThePast, Flaw::RefusesWhatItDoes, Flaw::Reorders, Flaw::SplitsInTwo];
        prove(make, &Plan::default(), &flaws);
    }
}

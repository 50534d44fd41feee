//! Queues: unique elements go into lists with RPUSH and leave them with BLPOP, LPOP and BLMOVE, over one list or two; what
//! BLMOVE takes goes into a third list and stays there. At the end all lists are read.
//!
//! The checker needs no search. An element is somewhere once: taken by one answer, or in one list. What is nowhere was taken by a
//! command whose answer was lost. Elements leave a list in the order in which they came, as far as that is known, and nobody is
//! told that a list is empty while an element is there.

use crate::calls::{Call, broken, calls_of};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::{ClientId, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeMap;
use stdx::{Mono, Rng};

const NAME: &str = "queue";

/// Commands on a group of lists before another takes its place: the checker compares elements in pairs.
const SPAN: Span = Span { uses: 300, unknown: 40 };

/// Most elements of one RPUSH.
const MAX_ELEMENTS: u64 = 3;

/// The lists of a group: two to push to, and one that keeps what is moved.
const LISTS: [char; 3] = ['a', 'b', 'd'];

/// See the module.
#[derive(Debug)]
pub struct Queue {
    beginning: String,
    pace: Pace,
    lives: Lives,
    elements: u64,
    /// One command in this many pushes.
    pushes: u64,
}

impl Queue {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Queue {
        let pushes = Rng::new(seed).range(2, 4);
        let lives = Lives::tagged(options, NAME, options.key_count(), SPAN);
        Queue { beginning: beginning(options, NAME), pace: Pace::new(options), lives, elements: 0, pushes }
    }

    fn command(&mut self, n: usize, rng: &mut Rng) -> Vec<Bytes> {
        let list = |which: char| [self.lives.name(n), which.to_string().as_bytes()].concat();
        let (first, other) = if rng.one_in(3) { (list('b'), list('a')) } else { (list('a'), list('b')) };
        if rng.one_in(self.pushes) {
            let mut command = words(&[b"RPUSH", &first[..]]);
            for _ in 0..rng.range(1, MAX_ELEMENTS + 1) {
                self.elements += 1;
                command.push(Bytes::from(format!("e{}", self.elements)));
            }
            return command;
        }
        // Some wait until they give up: their connection is closed while they do.
        let timeouts: [&[u8]; 5] = [b"0.01", b"0.1", b"0.5", b"2", b"0.3"];
        let timeout = if rng.one_in(40) { b"0" } else { timeouts[rng.below(5) as usize] };
        match rng.below(6) {
            0 => words(&[b"LPOP", &first[..]]),
            1 => words(&[b"BLMOVE", &first[..], &list('d')[..], b"LEFT", b"RIGHT", timeout]),
            2 | 3 => words(&[b"BLPOP", &first[..], &other[..], timeout]),
            _ => words(&[b"BLPOP", &first[..], timeout]),
        }
    }
}

impl Workload for Queue {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let n = rng.below(self.lives.count() as u64) as usize;
        let times = if rng.one_in(8) { 2 } else { 1 };
        let commands = (0..times).map(|_| self.command(n, rng)).collect();
        Step::Send(Request { namespace: self.lives.namespace(n), commands })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            self.lives.used(group_of(call.key()), call.reply().is_some());
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all();
        let lists = all.iter().flat_map(|(at, group)| LISTS.map(|list| (*at, group, list.to_string())));
        let read = |group: &Bytes, list: &str| words(&[b"LRANGE", &[group, list.as_bytes()].concat()[..], b"0", b"-1"]);
        conclude(lists.map(|(at, group, list)| (at, read(group, &list))))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        let mut groups: BTreeMap<&[u8], Vec<Call<'_>>> = BTreeMap::new();
        for call in history.iter().enumerate().flat_map(|(at, operation)| calls_of(at, operation)) {
            let refused = call.answer == crate::calls::Answer::Refused;
            if call.key().starts_with(self.beginning.as_bytes()) && !refused {
                groups.entry(group_of(call.key())).or_default().push(call);
            }
        }
        groups.into_values().try_for_each(|calls| Group::read(&calls).and_then(|group| group.check(&calls)))
    }
}

/// The group of a list: its name without the last letter.
fn group_of(key: &[u8]) -> &[u8] {
    key.split_last().map_or(b"", |(_, group)| group)
}

/// What is known of an element.
struct Element<'a> {
    list: &'a [u8],
    /// Its place in the RPUSH.
    place: usize,
    push: &'a Call<'a>,
    taken: Option<&'a Call<'a>>,
    /// Where it is in the end: the list, its place there, and who says so.
    left: Option<(&'a [u8], usize, &'a Call<'a>)>,
}

impl Element<'_> {
    /// Whether it came into its list before another of the same list.
    fn precedes(&self, other: &Element<'_>) -> bool {
        if self.push.position == other.push.position && std::ptr::eq(self.push, other.push) {
            return self.place < other.place;
        }
        self.push.done_at().is_some_and(|at| at <= other.push.invoked)
    }

    fn is_left(&self) -> bool {
        self.left.is_some_and(|(list, ..)| list == self.list)
    }

    /// Whether it was in its list all the time from one moment to another.
    fn was_there(&self, from: Mono, to: Mono) -> bool {
        let since = self.push.done_at().is_some_and(|at| at <= from);
        since && (self.is_left() || self.taken.is_some_and(|take| take.invoked >= to))
    }
}

struct Group<'a> {
    elements: BTreeMap<&'a [u8], Element<'a>>,
}

fn wrong(call: &Call<'_>, what: &str, others: &[&Call<'_>]) -> Violation {
    let mut positions = vec![call.position];
    positions.extend(others.iter().map(|other| other.position));
    broken(NAME, format!("{}, {what}", call.show()), call.key(), &positions)
}

/// A list, and an element that came from it.
type Taken<'a> = (&'a [u8], &'a [u8]);

/// What an answer names; `None` when there was nothing.
fn taken<'a>(call: &Call<'a>) -> Result<Option<Taken<'a>>, Violation> {
    match (call.name(), call.reply()) {
        (_, None | Some(Reply::Null | Reply::NullArray)) => Ok(None),
        (b"LPOP" | b"BLMOVE", Some(Reply::Bulk(element))) => Ok(Some((call.key(), element))),
        (b"BLPOP", Some(Reply::Array(pair))) => match pair.as_slice() {
            [Reply::Bulk(key), Reply::Bulk(element)] if keys(call).any(|k| k == key) => Ok(Some((key, element))),
            _ => Err(wrong(call, "which is no answer to it", &[])),
        },
        _ => Err(wrong(call, "which is no answer to it", &[])),
    }
}

/// The lists that a command may take an element from.
fn keys<'a>(call: &Call<'a>) -> impl Iterator<Item = &'a Bytes> + use<'a> {
    let words = call.words;
    let all = if call.name() == b"BLPOP" { 1..words.len() - 1 } else { 1..2 };
    words[all].iter()
}

impl<'a> Group<'a> {
    fn read(calls: &'a [Call<'a>]) -> Result<Group<'a>, Violation> {
        let mut elements: BTreeMap<&[u8], Element<'_>> = BTreeMap::new();
        for push in calls.iter().filter(|c| c.name() == b"RPUSH") {
            if push.reply().is_some_and(|r| !matches!(r, Reply::Integer(n) if *n >= push.words.len() as i64 - 2)) {
                return Err(wrong(push, "but at least its own elements were there", &[]));
            }
            for (place, element) in push.words[2..].iter().enumerate() {
                elements.insert(element, Element { list: push.key(), place, push, taken: None, left: None });
            }
        }
        let mut group = Group { elements };
        for call in calls {
            match call.name() {
                b"RPUSH" => {}
                b"LRANGE" => group.left(call)?,
                _ => group.taken(call)?,
            }
        }
        Ok(group)
    }

    fn taken(&mut self, call: &'a Call<'a>) -> Result<(), Violation> {
        let Some((list, element)) = taken(call)? else { return Ok(()) };
        match self.elements.get_mut(element) {
            Some(e) if e.list == list && e.push.invoked < call.ended => match e.taken.replace(call) {
                None => Ok(()),
                Some(first) => Err(wrong(call, "but it was taken before", &[first, e.push])),
            },
            Some(e) => Err(wrong(call, "but it was sent later or to another list", &[e.push])),
            None => Err(wrong(call, "which was never sent", &[])),
        }
    }

    fn left(&mut self, call: &'a Call<'a>) -> Result<(), Violation> {
        let Some(reply) = call.reply() else { return Ok(()) };
        let Reply::Array(all) = reply else { return Err(wrong(call, "which is no list", &[])) };
        let moves = call.key().ends_with(b"d");
        for (place, element) in all.iter().enumerate() {
            let known = if let Reply::Bulk(b) = element { self.elements.get_mut(&b[..]) } else { None };
            let Some(e) = known.filter(|e| moves || e.list == call.key()) else {
                return Err(wrong(call, "and an element of it was never sent there", &[]));
            };
            if let Some((_, _, first)) = e.left.replace((call.key(), place, call)) {
                return Err(wrong(call, "and an element of it is there twice", &[first, e.push]));
            }
            if let Some(take) = e.taken.filter(|take| !moves || take.name() != b"BLMOVE") {
                return Err(wrong(call, "and an element of it was taken", &[take, e.push]));
            }
        }
        Ok(())
    }

    fn check(&self, calls: &[Call<'_>]) -> Result<(), Violation> {
        self.nothing_is_lost(calls)?;
        self.first_in_first_out()?;
        calls.iter().try_for_each(|call| self.nil_is_true(call))
    }

    /// What was sent is somewhere, unless a command of unknown outcome may have taken it.
    fn nothing_is_lost(&self, calls: &[Call<'_>]) -> Result<(), Violation> {
        if !calls.iter().any(|call| call.name() == b"LRANGE" && call.reply().is_some()) {
            return Ok(());
        }
        let unknown = |name: &[u8]| calls.iter().filter(|c| c.name() == name && c.reply().is_none()).count();
        let mut missing = Vec::new();
        let mut moved = Vec::new();
        for e in self.elements.values() {
            match (e.taken, e.left) {
                (Some(take), left) if take.name() == b"BLMOVE" && !left.is_some_and(|(at, ..)| at.ends_with(b"d")) => {
                    return Err(wrong(take, "but it is not where it was moved to", &[e.push]));
                }
                (None, Some((list, ..))) if list.ends_with(b"d") => moved.push(e),
                (None, None) if e.push.reply().is_some() => missing.push(e),
                _ => {}
            }
        }
        if missing.len() > unknown(b"BLPOP") + unknown(b"LPOP") {
            return Err(wrong(missing[0].push, "but an element of it is nowhere", &[]));
        }
        if moved.len() > unknown(b"BLMOVE") {
            return Err(wrong(moved[0].push, "but nobody moved an element of it", &[]));
        }
        Ok(())
    }

    fn first_in_first_out(&self) -> Result<(), Violation> {
        for (a, b) in self.elements.values().flat_map(|a| self.elements.values().map(move |b| (a, b))) {
            if a.list != b.list || !a.precedes(b) {
                continue;
            }
            let out_of_order = match (a.taken, b.taken, a.left, b.left) {
                (Some(first), Some(second), ..) => first.invoked >= second.ended,
                (None, Some(_), ..) => a.is_left(),
                (None, None, Some((x, at, _)), Some((y, then, _))) => x == a.list && y == a.list && at > then,
                _ => false,
            };
            if out_of_order {
                let says = b.taken.or_else(|| b.left.map(|(_, _, call)| call)).unwrap_or(b.push);
                return Err(wrong(says, "but an earlier element is behind it", &[a.push, b.push]));
            }
        }
        Ok(())
    }

    fn nil_is_true(&self, call: &Call<'_>) -> Result<(), Violation> {
        if !matches!(call.reply(), Some(Reply::Null | Reply::NullArray)) {
            return Ok(());
        }
        for key in keys(call) {
            let there = |e: &&Element<'_>| e.list == key && e.was_there(call.invoked, call.ended);
            if let Some(e) = self.elements.values().find(there) {
                return Err(wrong(call, "but an element was there all the time", &[e.push]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use crate::testing::{Flaw, Given, Plan, history, prove};
    use crate::{Operation, Options, Outcome, Workload};
    use command::Reply;

    /// Commands with `A` and `D` for keys; an answer in brackets is an array.
    fn check(given: &[(u64, u64, &'static str, &'static str)], broken: Option<&str>) {
        let key = |w| match w {
            "A" => "w:queue:{w:queue:0.0}a",
            "D" => "w:queue:{w:queue:0.0}d",
            other => other,
        };
        let operation = |(from, to, line, answer): &(u64, u64, &'static str, &'static str)| -> Operation {
            let command = line.split(' ').map(key).collect();
            let mut operation = history(&[Given { client: *from, from: *from, to: *to, command, answer }]).remove(0);
            if let Some(all) = answer.strip_prefix('[') {
                let bulks = all.split_whitespace().map(|w| Reply::bulk(key(w).as_bytes()));
                operation.outcome = Outcome::Answered(vec![Reply::Array(bulks.collect())]);
            }
            operation
        };
        let history: Vec<Operation> = given.iter().map(operation).collect();
        let found = Queue::new(&Options::default(), 1).check(&history).err().map(|v| v.what);
        match (&found, broken) {
            (None, None) => {}
            (Some(what), Some(part)) if what.contains(part) => {}
            _ => panic!("{given:?}: {found:?}"),
        }
    }

    const PUSH: (u64, u64, &str, &str) = (0, 1, "RPUSH A x y", "2");

    #[test]
    fn good_histories_are_accepted() {
        check(
            &[PUSH, (2, 3, "BLPOP A 0", "[A x"), (4, 5, "BLMOVE A D LEFT RIGHT 0", "y"), (9, 9, "LRANGE D 0 -1", "[y")],
            None,
        );
        check(&[(0, 9, "BLPOP A 0", "[A x"), (2, 3, "RPUSH A x", "1"), (9, 9, "LRANGE A 0 -1", "[")], None);
        check(&[PUSH, (2, 3, "BLPOP A 0", "?"), (9, 9, "LRANGE A 0 -1", "[y")], None);
        check(&[(0, 5, "RPUSH A x", "?"), (6, 7, "BLPOP A 1", "nil"), (9, 9, "LRANGE A 0 -1", "[")], None);
        check(
            &[
                PUSH,
                (2, 3, "BLMOVE A D LEFT RIGHT 0", "?"),
                (8, 8, "LRANGE A 0 -1", "[y"),
                (9, 9, "LRANGE D 0 -1", "[x"),
            ],
            None,
        );
    }

    #[test]
    fn bad_histories_are_rejected() {
        check(&[PUSH, (2, 3, "BLPOP A 0", "[A x"), (4, 5, "LPOP A", "x")], Some("taken before"));
        check(&[PUSH, (2, 3, "BLPOP A 0", "[A z")], Some("never sent"));
        check(&[(0, 1, "BLPOP A 0", "[A x"), (2, 3, "RPUSH A x", "?")], Some("sent later"));
        check(&[PUSH, (9, 9, "LRANGE A 0 -1", "[y")], Some("nowhere"));
        check(&[PUSH, (2, 3, "LPOP A", "x"), (9, 9, "LRANGE A 0 -1", "[x y")], Some("was taken"));
        check(&[PUSH, (9, 9, "LRANGE A 0 -1", "[x y y")], Some("twice"));
        check(&[PUSH, (9, 9, "LRANGE A 0 -1", "[y x")], Some("behind it"));
        check(&[PUSH, (2, 3, "LPOP A", "y"), (9, 9, "LRANGE A 0 -1", "[x")], Some("behind it"));
        check(&[PUSH, (2, 3, "LPOP A", "y"), (4, 5, "LPOP A", "x")], Some("behind it"));
        check(&[PUSH, (2, 3, "BLPOP A 1", "nil"), (9, 9, "LRANGE A 0 -1", "[x y")], Some("all the time"));
        check(&[PUSH, (2, 3, "BLMOVE A D LEFT RIGHT 0", "x"), (8, 8, "LRANGE D 0 -1", "[")], Some("moved to"));
        check(&[PUSH, (8, 8, "LRANGE A 0 -1", "[y"), (9, 9, "LRANGE D 0 -1", "[x")], Some("nobody moved"));
    }

    #[test]
    fn finds_what_it_is_there_for() {
        let make = |seed| Box::new(Queue::new(&Options::default(), seed)) as Box<dyn Workload>;
        let flaws = [Flaw::LosesWrites, Flaw::AppliesTwice, Flaw::RefusesWhatItDoes, Flaw::Reorders, Flaw::SplitsInTwo];
        prove(make, &Plan::default(), &flaws);
    }
}

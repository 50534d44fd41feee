//! Iterations: SCAN over keys and HSCAN over a hash's fields, while elements come and go. What was there from the first
//! page to the last is returned; what was never there in that time is not.
//!
//! Each element is added once and removed at most once, so when it was there is known up to the length of two commands.
//! SCAN is for the co-located namespace: in the sharded one it walks the shards that one node leads.

use crate::calls::{Answer, Call, broken, calls_of};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, words};
use crate::{ClientId, Namespace, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use command::Reply;
use std::collections::{BTreeMap, BTreeSet};
use stdx::{Mono, Rng};

const NAME: &str = "scan";

/// Requests on a collection before another takes its place.
const SPAN: Span = Span { uses: 3_000, unknown: u32::MAX };

/// Elements that a collection has about at a time.
const ELEMENTS: usize = 60;

/// Pages after which an iteration is given up: the database may be full of other keys.
const MAX_PAGES: u32 = 1_000;

/// See the module.
#[derive(Debug)]
pub struct Scan {
    beginning: String,
    pace: Pace,
    lives: Lives,
    /// Elements that were added and that nobody has removed, by collection.
    present: BTreeMap<Bytes, Vec<Bytes>>,
    walks: BTreeMap<ClientId, Walk>,
    elements: u64,
    /// Of 10 requests of a client that does not iterate, how many begin to.
    iterations: u64,
}

/// A client's iteration.
#[derive(Clone, Debug)]
struct Walk {
    n: usize,
    name: Bytes,
    cursor: Bytes,
    count: u64,
    pages: u32,
}

/// Whether the collection is a hash; else it is all keys that begin with its name.
fn is_hash(n: usize, namespace: Namespace) -> bool {
    n.is_multiple_of(2) || namespace == Namespace::Cluster
}

impl Scan {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Scan {
        Scan {
            beginning: beginning(options, NAME),
            pace: Pace::new(options),
            lives: Lives::new(options, NAME, SPAN),
            present: BTreeMap::new(),
            walks: BTreeMap::new(),
            elements: 0,
            iterations: Rng::new(seed).range(1, 4),
        }
    }

    fn page(&self, walk: &Walk) -> Step {
        let namespace = self.lives.namespace(walk.n);
        let count = walk.count.to_string();
        let command = if is_hash(walk.n, namespace) {
            words(&[b"HSCAN", &walk.name[..], &walk.cursor, b"COUNT", count.as_bytes()])
        } else {
            let pattern = [&walk.name[..], b"/*"].concat();
            words(&[b"SCAN", &walk.cursor[..], b"MATCH", &pattern, b"COUNT", count.as_bytes()])
        };
        Step::Send(Request { namespace, commands: vec![command] })
    }

    fn change(&mut self, n: usize, rng: &mut Rng) -> Step {
        let (name, namespace) = (self.lives.name(n).clone(), self.lives.namespace(n));
        let present = self.present.entry(name.clone()).or_default();
        let hash = is_hash(n, namespace);
        let command = if present.len() >= ELEMENTS || (present.len() > ELEMENTS / 2 && rng.one_in(2)) {
            // The first ones stay, so that there is always something to miss.
            let at = rng.range(ELEMENTS as u64 / 4, present.len() as u64) as usize;
            let element = present.swap_remove(at);
            if hash { words(&[b"HDEL", &name[..], &element]) } else { words(&[b"DEL", &path(&name, &element)[..]]) }
        } else {
            self.elements += 1;
            let element = format!("e{}", self.elements);
            let element = element.as_bytes();
            if hash {
                words(&[b"HSET", &name[..], element, element])
            } else {
                words(&[b"SET", &path(&name, element)[..], element])
            }
        };
        Step::Send(Request { namespace, commands: vec![command] })
    }
}

fn path(name: &[u8], element: &[u8]) -> Bytes {
    [name, b"/", element].concat().into()
}

/// The collection and the element of a key.
fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = key.iter().rposition(|b| *b == b'/')?;
    Some((&key[..slash], &key[slash + 1..]))
}

/// The collection and the element that a command adds (true) or removes.
fn change_of<'a>(call: &Call<'a>) -> Option<(&'a [u8], &'a [u8], bool)> {
    let words = call.words;
    match call.name() {
        b"HSET" => Some((call.key(), words.get(2)?, true)),
        b"HDEL" => Some((call.key(), words.get(2)?, false)),
        b"SET" => split(call.key()).map(|(name, element)| (name, element, true)),
        b"DEL" => split(call.key()).map(|(name, element)| (name, element, false)),
        _ => None,
    }
}

/// The collection that a command iterates over, and the cursor that it goes on from.
fn page_of<'a>(call: &Call<'a>) -> Option<(&'a [u8], &'a Bytes)> {
    match call.name() {
        b"HSCAN" => Some((call.key(), call.words.get(2)?)),
        b"SCAN" => Some((call.words.get(3)?.strip_suffix(b"/*")?, call.words.get(1)?)),
        _ => None,
    }
}

/// The next cursor and the elements of a page.
fn parse_page<'a>(call: &Call<'a>) -> Option<(&'a Bytes, Vec<&'a Bytes>)> {
    let Some(Reply::Array(parts)) = call.reply() else { return None };
    let [Reply::Bulk(cursor), Reply::Array(items)] = &parts[..] else { return None };
    let bulk = |r: &'a Reply| if let Reply::Bulk(b) = r { Some(b) } else { None };
    Some((cursor, items.iter().map(bulk).collect::<Option<_>>()?))
}

impl Workload for Scan {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        if let Some(walk) = self.walks.get(&client)
            && rng.below(8) > 0
        {
            return self.page(walk);
        }
        let n = rng.below(self.lives.count() as u64) as usize;
        if self.walks.contains_key(&client) || rng.below(10) >= self.iterations {
            return self.change(n, rng);
        }
        let count = if is_hash(n, self.lives.namespace(n)) { rng.range(1, 20) } else { rng.range(5, 200) };
        let walk = Walk { n, name: self.lives.name(n).clone(), cursor: Bytes::from_static(b"0"), count, pages: 0 };
        self.walks.insert(client, walk.clone());
        self.page(&walk)
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            if let Some((name, element, true)) = change_of(&call)
                && call.reply().is_some()
                && let Some(present) = self.present.get_mut(name)
            {
                present.push(Bytes::copy_from_slice(element));
            }
            if let Some((name, ..)) = change_of(&call)
                && self.lives.used(name, call.reply().is_some())
            {
                self.present.remove(name);
            }
            // A page without an answer is asked for again: it changes nothing.
            let next = page_of(&call).and_then(|_| parse_page(&call)).map(|(cursor, _)| cursor.clone());
            if let (Some(next), Some(walk)) = (next, self.walks.get_mut(&call.client)) {
                walk.pages += 1;
                if next == "0" || walk.pages > MAX_PAGES {
                    self.walks.remove(&call.client);
                } else {
                    walk.cursor = next;
                }
            }
        }
    }

    /// One page with all fields of every hash; keys that are left are other workloads' business.
    fn conclusion(&mut self) -> Vec<Request> {
        let hashes = (0..self.lives.count()).filter(|n| is_hash(*n, self.lives.namespace(*n)));
        let whole = |n: usize| Request {
            namespace: self.lives.namespace(n),
            commands: vec![words(&[b"HSCAN", &self.lives.name(n)[..], b"0", b"COUNT", b"100000"])],
        };
        hashes.map(whole).collect()
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        let calls = || {
            let all = history.iter().enumerate().flat_map(|(at, operation)| calls_of(at, operation));
            all.filter(|c| c.answer != Answer::Refused)
        };
        let ours = |name: &[u8]| name.starts_with(self.beginning.as_bytes());
        let mut collections: BTreeMap<&[u8], BTreeMap<&[u8], Element>> = BTreeMap::new();
        for call in calls() {
            if let Some((name, element, adds)) = change_of(&call).filter(|(name, ..)| ours(name)) {
                let element = collections.entry(name).or_default().entry(element).or_default();
                let change = Change { position: call.position, invoked: call.invoked, done: call.done_at() };
                *(if adds { &mut element.added } else { &mut element.removed }) = Some(change);
            }
        }
        let mut open: BTreeMap<ClientId, Iteration<'_>> = BTreeMap::new();
        let empty = BTreeMap::new();
        for call in calls().filter(|c| c.reply().is_some()) {
            let Some((name, cursor)) = page_of(&call).filter(|(name, _)| ours(name)) else { continue };
            let Some((next, items)) = parse_page(&call) else {
                return Err(broken(NAME, format!("{}, which is no page", call.show()), name, &[call.position]));
            };
            if cursor == "0" {
                open.insert(call.client, Iteration::new(name, call.invoked));
            }
            let Some(mut iteration) = open.remove(&call.client) else { continue };
            if iteration.name != name || (cursor != "0" && iteration.cursor != Some(cursor)) {
                continue;
            }
            iteration.take(&call, next, items)?;
            if next != "0" {
                open.insert(call.client, iteration);
            } else {
                iteration.judge(collections.get(name).unwrap_or(&empty), call.ended)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
struct Change {
    position: usize,
    invoked: Mono,
    /// When it had taken effect for certain.
    done: Option<Mono>,
}

/// When an element came and went.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    added: Option<Change>,
    removed: Option<Change>,
}

impl Element {
    /// It was there from `from` to `to`.
    fn was_there(&self, from: Mono, to: Mono) -> bool {
        let came = self.added.and_then(|a| a.done).is_some_and(|at| at <= from);
        came && self.removed.is_none_or(|r| r.invoked >= to)
    }

    /// It can have been there at some moment between `from` and `to`.
    fn can_have_been_there(&self, from: Mono, to: Mono) -> bool {
        let came = self.added.is_some_and(|a| a.invoked < to);
        // A removal concludes only what was added for certain before it.
        let left = match (self.added.and_then(|a| a.done), self.removed.and_then(|r| r.done)) {
            (Some(_), Some(gone)) => gone <= from,
            _ => false,
        };
        came && !left
    }
}

/// An iteration as its pages show it.
struct Iteration<'a> {
    name: &'a [u8],
    from: Mono,
    cursor: Option<&'a Bytes>,
    seen: BTreeSet<&'a [u8]>,
    pages: Vec<usize>,
}

/// Pages named in a violation.
const MAX_NAMED_PAGES: usize = 10;

impl<'a> Iteration<'a> {
    fn new(name: &'a [u8], from: Mono) -> Iteration<'a> {
        Iteration { name, from, cursor: None, seen: BTreeSet::new(), pages: Vec::new() }
    }

    fn take(&mut self, call: &Call<'a>, next: &'a Bytes, items: Vec<&'a Bytes>) -> Result<(), Violation> {
        self.cursor = Some(next);
        self.pages.push(call.position);
        let strange = |what: String| broken(NAME, what, self.name, &[call.position]);
        if call.name() == b"HSCAN" {
            for pair in items.chunks(2) {
                let [field, value] = pair else {
                    return Err(strange("HSCAN answered a field without a value".to_owned()));
                };
                if field != value {
                    return Err(strange(format!("the value of {} is {}", field.escape_ascii(), value.escape_ascii())));
                }
                self.seen.insert(field);
            }
            return Ok(());
        }
        for item in items {
            match split(item) {
                Some((name, element)) if name == self.name => drop(self.seen.insert(element)),
                _ => return Err(strange(format!("{} does not match the pattern", item.escape_ascii()))),
            }
        }
        Ok(())
    }

    fn judge(&self, elements: &BTreeMap<&[u8], Element>, to: Mono) -> Result<(), Violation> {
        let named = |element: Option<&Element>| {
            let changes = element.into_iter().flat_map(|e| [e.added, e.removed]).flatten().map(|c| c.position);
            self.pages.iter().rev().take(MAX_NAMED_PAGES).copied().chain(changes).collect::<Vec<usize>>()
        };
        for element in &self.seen {
            let known = elements.get(element);
            if !known.is_some_and(|e| e.can_have_been_there(self.from, to)) {
                let what = format!("an iteration returned {}, which was not there", element.escape_ascii());
                return Err(broken(NAME, what, self.name, &named(known)));
            }
        }
        for (element, known) in elements {
            if known.was_there(self.from, to) && !self.seen.contains(element) {
                let what = format!("an iteration lacks {}, which was there all the time", element.escape_ascii());
                return Err(broken(NAME, what, self.name, &named(Some(known))));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Element, Scan};
    use crate::testing::{Flaw, Plan, prove};
    use crate::{Namespace, Options, Workload};
    use stdx::Mono;

    #[test]
    fn presence_is_known_up_to_two_commands() {
        let change = |from, to: Option<u64>| Some(Change { position: 0, invoked: Mono(from), done: to.map(Mono) });
        let element = |added, removed| Element { added, removed };
        let check = |e: Element, from, to, must, can| {
            assert_eq!(e.was_there(Mono(from), Mono(to)), must, "{e:?} {from}..{to}");
            assert_eq!(e.can_have_been_there(Mono(from), Mono(to)), can, "{e:?} {from}..{to}");
        };
        let stays = element(change(10, Some(20)), None);
        check(stays, 0, 5, false, false);
        check(stays, 0, 15, false, true);
        check(stays, 15, 30, false, true);
        check(stays, 20, 30, true, true);
        let goes = element(change(10, Some(20)), change(40, Some(50)));
        check(goes, 25, 40, true, true);
        check(goes, 25, 45, false, true);
        check(goes, 50, 60, false, false);
        // An addition of unknown outcome may come after the removal.
        check(element(change(10, None), change(40, Some(50))), 60, 70, false, true);
        check(element(change(10, Some(20)), change(40, None)), 60, 70, false, true);
    }

    #[test]
    fn finds_what_it_is_there_for() {
        for namespaces in [vec![Namespace::Plain], vec![Namespace::Cluster]] {
            let options = Options { keys: 2, namespaces, ..Options::default() };
            let make = |seed| Box::new(Scan::new(&options, seed)) as Box<dyn Workload>;
            let flaws = [
                Flaw::SkipsElements,
                Flaw::LosesWrites,
                Flaw::ReadsThePast,
                Flaw::RefusesWhatItDoes,
                Flaw::SplitsInTwo,
            ];
            prove(make, &Plan::default(), &flaws);
        }
    }
}

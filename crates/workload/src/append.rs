//! Lists of unique tokens: APPEND, with GET and STRLEN in between and a last GET of every key.
//!
//! The length that APPEND answers says where its token stands, so the checker needs no search: every acknowledged token is
//! in the last read exactly once, at the place it was told; every read is a beginning of the last one; and places follow
//! real time.

use crate::calls::{Call, broken, by_key, calls_of};
use crate::lives::{Lives, Span, beginning};
use crate::options::{Pace, conclude, words};
use crate::{ClientId, Operation, Options, Request, Step, Violation, Workload};
use bytes::Bytes;
use command::Reply;
use std::collections::BTreeMap;
use stdx::{Mono, Rng};

const NAME: &str = "append";

/// Commands on a key before another takes its place: reads return all of it.
const SPAN: Span = Span { uses: 800, unknown: u32::MAX };

/// Most commands of one request.
const MAX_PIPELINE: u64 = 5;

/// See the module.
#[derive(Debug)]
pub struct Append {
    beginning: String,
    pace: Pace,
    lives: Lives,
    tokens: u64,
    /// One command in this many is a GET, and as many are STRLEN.
    reads: u64,
}

impl Append {
    /// A workload whose mix is drawn from `seed`.
    #[must_use]
    pub fn new(options: &Options, seed: u64) -> Append {
        let reads = Rng::new(seed).range(3, 12);
        let lives = Lives::new(options, NAME, SPAN);
        Append { beginning: beginning(options, NAME), pace: Pace::new(options), lives, tokens: 0, reads }
    }

    fn command(&mut self, n: usize, rng: &mut Rng) -> Vec<Bytes> {
        let key = &self.lives.name(n)[..];
        if rng.one_in(self.reads) {
            return words(&[b"GET", key]);
        }
        if rng.one_in(self.reads) {
            return words(&[b"STRLEN", key]);
        }
        self.tokens += 1;
        words(&[b"APPEND", key, format!("{};", self.tokens).as_bytes()])
    }
}

impl Workload for Append {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next(&mut self, client: ClientId, _now: Mono, rng: &mut Rng) -> Step {
        if let Some(step) = self.pace.idle(client, rng) {
            return step;
        }
        let n = rng.below(self.lives.count() as u64) as usize;
        let times = if rng.one_in(8) { rng.range(2, MAX_PIPELINE + 1) } else { 1 };
        let commands = (0..times).map(|_| self.command(n, rng)).collect();
        Step::Send(Request { namespace: self.lives.namespace(n), commands })
    }

    fn ended(&mut self, operation: &Operation) {
        for call in calls_of(0, operation) {
            self.lives.used(call.key(), call.reply().is_some());
        }
    }

    fn conclusion(&mut self) -> Vec<Request> {
        let all = self.lives.all().into_iter();
        conclude(all.map(|(namespace, key)| (namespace, words(&[b"GET", &key[..]]))))
    }

    fn check(&self, history: &[Operation]) -> Result<(), Violation> {
        by_key(history, &self.beginning).into_iter().try_for_each(|(key, calls)| check_key(key, &calls))
    }
}

/// What a read or an acknowledgement says: the length after it, in bytes, and for APPEND the length before it.
#[derive(Clone, Copy)]
struct Length {
    before: usize,
    after: usize,
}

/// The longest read and where its tokens stand.
struct Last<'a> {
    text: &'a [u8],
    position: usize,
    invoked: Mono,
    /// Where tokens begin.
    places: BTreeMap<&'a [u8], usize>,
    /// Ends of tokens with the latest time at which one up to there was sent.
    ends: Vec<(usize, Mono, usize)>,
}

fn check_key(key: &[u8], calls: &[Call<'_>]) -> Result<(), Violation> {
    let last = read_last(key, calls)?;
    let mut lengths = Vec::with_capacity(calls.len());
    for call in calls {
        let length = match call.reply() {
            Some(reply) => Some(judge_alone(key, call, reply, &last)?),
            None => last.places.get(token(call)).map(|at| Length { before: *at, after: *at + token(call).len() }),
        };
        lengths.push(length);
    }
    follow_time(key, calls, &lengths)
}

fn token<'a>(call: &Call<'a>) -> &'a [u8] {
    call.words.get(2).map_or(b"", |w| w)
}

fn read_last<'a>(key: &[u8], calls: &[Call<'a>]) -> Result<Last<'a>, Violation> {
    let text =
        |c: &Call<'a>| if let Some(Reply::Bulk(b)) = c.reply() { Some((c.position, c.invoked, &b[..])) } else { None };
    let longest = calls.iter().filter_map(text).max_by_key(|(at, _, t)| (t.len(), *at));
    let begin = calls.first().map_or((0, Mono(0)), |c| (c.position, c.invoked));
    let (position, invoked, text) = longest.unwrap_or((begin.0, begin.1, b""));
    let sent: BTreeMap<&[u8], &Call<'_>> =
        calls.iter().filter(|c| c.name() == b"APPEND").map(|c| (token(c), c)).collect();
    let mut last = Last { text, position, invoked, places: BTreeMap::new(), ends: Vec::new() };
    let (mut at, mut latest, mut by) = (0, Mono(0), position);
    for token in text.split_inclusive(|b| *b == b';') {
        let Some(call) = sent.get(token) else {
            let what = format!("{} was read at byte {at} and never sent", token.escape_ascii());
            return Err(broken(NAME, what, key, &[position]));
        };
        if last.places.insert(token, at).is_some() {
            let what = format!("{} is there twice", token.escape_ascii());
            return Err(broken(NAME, what, key, &[call.position, position]));
        }
        at += token.len();
        if call.invoked > latest {
            (latest, by) = (call.invoked, call.position);
        }
        last.ends.push((at, latest, by));
    }
    Ok(last)
}

/// What a call says about itself and the last read.
fn judge_alone(key: &[u8], call: &Call<'_>, reply: &Reply, last: &Last<'_>) -> Result<Length, Violation> {
    let wrong =
        |what: &str| Err(broken(NAME, format!("{}, {what}", call.show()), key, &[call.position, last.position]));
    let length = match (call.name(), reply) {
        (b"APPEND", Reply::Integer(after)) => {
            let (after, size) = (usize::try_from(*after).unwrap_or(0), token(call).len());
            let Some(before) = after.checked_sub(size) else { return wrong("which is less than its own length") };
            match last.places.get(token(call)) {
                Some(at) if *at != before => return wrong(&format!("but it stands at byte {at} in the last read")),
                None if call.ended <= last.invoked => return wrong("but the last read lacks it"),
                None if before < last.text.len() => {
                    return wrong("but something else stands there in the longest read");
                }
                _ => Length { before, after },
            }
        }
        (b"GET", Reply::Bulk(text)) if last.text.starts_with(text) => Length { before: text.len(), after: text.len() },
        (b"GET", Reply::Null) => Length { before: 0, after: 0 },
        (b"GET", _) => return wrong("which is no beginning of the longest read"),
        (b"STRLEN", Reply::Integer(n)) => {
            let n = usize::try_from(*n).unwrap_or(0);
            Length { before: n, after: n }
        }
        _ => return wrong("which is no answer to it"),
    };
    let place = last.ends.partition_point(|(end, ..)| *end < length.after);
    match last.ends.get(place) {
        Some((end, ..)) if *end != length.after && length.after != 0 => wrong("which is within a token"),
        Some((_, sent, by)) if length.after != 0 && *sent >= call.ended => {
            let what = format!("{}, which holds a token that was sent later", call.show());
            Err(broken(NAME, what, key, &[call.position, *by]))
        }
        _ => Ok(length),
    }
}

/// Lengths never shrink from what had ended to what began later; a token stands behind all that was seen before it was sent.
fn follow_time(key: &[u8], calls: &[Call<'_>], lengths: &[Option<Length>]) -> Result<(), Violation> {
    let mut edges: Vec<(Mono, bool, usize)> = Vec::with_capacity(2 * calls.len());
    for (i, call) in calls.iter().enumerate() {
        edges.push((call.invoked, true, i));
        edges.extend(call.done_at().map(|ended| (ended.max(Mono(call.invoked.0.saturating_add(1))), false, i)));
    }
    edges.sort_unstable();
    let (mut floor, mut by) = (0, 0);
    for (_, begins, i) in edges {
        let Some(length) = lengths[i] else { continue };
        if begins && length.before < floor {
            let what = format!("{}, but {floor} bytes had been there before it was sent", calls[i].show());
            return Err(broken(NAME, what, key, &[calls[i].position, calls[by].position]));
        }
        if !begins && length.after > floor {
            (floor, by) = (length.after, i);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Append;
    use crate::testing::{Flaw, Given, Plan, history, prove};
    use crate::{Options, Workload};

    const KEY: &str = "w:append:0.0";

    fn check(given: &[(u64, u64, u64, &'static str, &'static str)], broken: Option<&str>) {
        let given: Vec<Given<'_>> = given
            .iter()
            .map(|(client, from, to, line, answer)| Given {
                client: *client,
                from: *from,
                to: *to,
                command: line.split(' ').map(|w| if w == "K" { KEY } else { w }).collect(),
                answer,
            })
            .collect();
        let found = Append::new(&Options::default(), 0).check(&history(&given)).err().map(|v| v.what);
        match (&found, broken) {
            (None, None) => {}
            (Some(what), Some(part)) if what.contains(part) => {}
            _ => panic!("{given:?}: {found:?}"),
        }
    }

    #[test]
    fn good_histories_are_accepted() {
        check(&[(1, 0, 9, "APPEND K 1;", "2"), (2, 0, 9, "APPEND K 2;", "4"), (3, 10, 11, "GET K", "1;2;")], None);
        check(&[(1, 0, 9, "APPEND K 1;", "4"), (2, 0, 9, "APPEND K 2;", "2"), (3, 10, 11, "GET K", "2;1;")], None);
        // Unknown: late, or never.
        check(&[(1, 0, 9, "APPEND K 1;", "?"), (2, 10, 11, "APPEND K 2;", "2"), (3, 20, 21, "GET K", "2;1;")], None);
        check(&[(1, 0, 9, "APPEND K 1;", "?"), (2, 10, 11, "APPEND K 2;", "2"), (3, 20, 21, "GET K", "2;")], None);
        // Acknowledged after the last read.
        check(&[(3, 0, 1, "GET K", "nil"), (2, 10, 11, "APPEND K 2;", "2"), (2, 12, 13, "STRLEN K", "2")], None);
    }

    #[test]
    fn bad_histories_are_rejected() {
        check(&[(1, 0, 9, "APPEND K 1;", "2"), (3, 10, 11, "GET K", "nil")], Some("2 bytes had been there"));
        let two = [(1, 0, 1, "APPEND K 1;", "2"), (1, 2, 3, "APPEND K 2;", "4")];
        check(&[two[0], two[1], (3, 10, 11, "GET K", "2;")], Some("lacks it"));
        check(&[two[0], two[1], (3, 10, 11, "GET K", "1;")], Some("lacks it"));
        check(&[two[0], two[1], (3, 10, 11, "GET K", "2;1;")], Some("it stands at byte"));
        check(&[two[0], (3, 10, 11, "GET K", "1;1;")], Some("twice"));
        check(&[two[0], (3, 10, 11, "GET K", "1;7;")], Some("never sent"));
        check(&[two[0], (3, 10, 11, "STRLEN K", "1")], Some("2 bytes had been there"));
        check(&[two[0], (1, 2, 3, "APPEND K 2;", "-"), (3, 10, 11, "GET K", "1;2;")], Some("never sent"));
        // A token before one that was acknowledged before it was sent.
        let early = [(1, 0, 1, "APPEND K 1;", "4"), (2, 5, 6, "APPEND K 2;", "?"), (3, 9, 10, "GET K", "2;1;")];
        check(&early, Some("sent later"));
    }

    #[test]
    fn finds_what_it_is_there_for() {
        let make = |seed| Box::new(Append::new(&Options::default(), seed)) as Box<dyn Workload>;
        let flaws = [
            Flaw::LosesWrites,
            Flaw::ReadsThePast,
            Flaw::AppliesTwice,
            Flaw::RefusesWhatItDoes,
            Flaw::Reorders,
            Flaw::SplitsInTwo,
        ];
        prove(make, &Plan::default(), &flaws);
    }
}

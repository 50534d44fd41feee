//! The search against a brute-force one, and its speed.

use super::{Event, Failure, Specification, check};
use stdx::{Mono, Rng};

/// One register of a small number.
struct Register;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    /// What it read, if known.
    Read(Option<u8>),
    Write(u8),
    /// From, to, and whether it succeeded, if known.
    Swap(u8, u8, Option<bool>),
    Add(Option<u8>),
}

impl Specification for Register {
    type State = u8;
    type Call = Call;

    fn initial(&self) -> u8 {
        0
    }

    fn step(&self, state: &u8, call: &Call) -> Option<u8> {
        match *call {
            Call::Read(seen) => seen.is_none_or(|s| s == *state).then_some(*state),
            Call::Write(value) => Some(value),
            Call::Swap(from, to, done) => {
                let fits = *state == from;
                done.is_none_or(|d| d == fits).then_some(if fits { to } else { *state })
            }
            Call::Add(now) => {
                let next = state.wrapping_add(1) % 4;
                now.is_none_or(|n| n == next).then_some(next)
            }
        }
    }

    fn only_reads(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_))
    }

    fn interchangeable(&self, one: &Call, other: &Call) -> bool {
        one == other
    }
}

fn event(call: Call, invoked: u64, ended: Option<u64>) -> Event<Call> {
    Event { call, position: invoked as usize, invoked: Mono(invoked), ended: ended.map(Mono), after: None }
}

/// All orders, one after the other.
fn brute_force(events: &[Event<Call>]) -> bool {
    fn go(events: &[Event<Call>], left: u32, state: u8) -> bool {
        let of = |i: usize| left & (1 << i) != 0;
        if (0..events.len()).all(|i| !of(i) || events[i].ended.is_none()) {
            return true;
        }
        (0..events.len()).filter(|i| of(*i)).any(|i| {
            // Nothing that is left ended before this one began.
            let first = (0..events.len())
                .filter(|j| *j != i && of(*j))
                .all(|j| events[j].ended.is_none_or(|ended| ended > events[i].invoked));
            let waits = events[i].after.is_some_and(&of) && events[i].ended.is_some();
            first
                && !waits
                && Register.step(&state, &events[i].call).is_some_and(|next| go(events, left & !(1 << i), next))
        })
    }
    go(events, (1 << events.len()) - 1, 0)
}

/// A history of an execution that is linearizable: each operation takes effect at a random time between its ends, or,
/// of unknown outcome, at any later time or never.
fn execution(rng: &mut Rng, count: usize) -> Vec<Event<Call>> {
    let spread = [4, 15, 60][rng.below(3) as usize];
    let mut plans: Vec<(u64, Option<u64>, u64, Call)> = (0..count)
        .map(|_| {
            let invoked = rng.below(spread) * 4;
            let ended = invoked + 2 + rng.below(30) * 4;
            let call = match rng.below(6) {
                0 | 1 => Call::Read(None),
                2 | 3 => Call::Write(rng.below(4) as u8),
                4 => Call::Swap(rng.below(4) as u8, rng.below(4) as u8, None),
                _ => Call::Add(None),
            };
            match rng.below(5) {
                0 => (invoked, None, if rng.one_in(2) { u64::MAX } else { rng.range(invoked + 1, 400) }, call),
                _ => (invoked, Some(ended), rng.range(invoked + 1, ended), call),
            }
        })
        .collect();
    plans.sort_by_key(|p| p.2);
    let mut state = 0;
    let mut events: Vec<Event<Call>> = Vec::new();
    for (invoked, ended, at, call) in plans {
        let mut seen = call;
        if at != u64::MAX {
            let before = state;
            state = Register.step(&before, &call).expect("a call without an answer is possible");
            if ended.is_some() {
                seen = match call {
                    Call::Read(_) => Call::Read(Some(before)),
                    Call::Write(value) => Call::Write(value),
                    Call::Swap(from, to, _) => Call::Swap(from, to, Some(before == from)),
                    Call::Add(_) => Call::Add(Some(state)),
                };
            }
        }
        events.push(event(seen, invoked, ended));
    }
    events.sort_by_key(|e| e.invoked);
    events
}

fn mutate(rng: &mut Rng, events: &mut [Event<Call>]) {
    let at = rng.below(events.len() as u64) as usize;
    let event = &mut events[at];
    match &mut event.call {
        Call::Read(Some(seen)) => *seen = (*seen + 1) % 4,
        Call::Swap(_, _, Some(done)) => *done = !*done,
        Call::Add(Some(now)) => *now = (*now + 1) % 4,
        Call::Write(value) => *value = (*value + 1) % 4,
        _ => event.ended = None,
    }
}

#[test]
fn agrees_with_brute_force() {
    let mut rng = Rng::new(0x11ea);
    let (mut accepted, mut rejected) = (0, 0);
    for round in 0..6_000 {
        let count = rng.range(2, 9) as usize;
        let mut events = execution(&mut rng, count);
        assert_eq!(check(&Register, &events), Ok(()), "round {round}: {events:#?}");
        for _ in 0..rng.range(1, 4) {
            mutate(&mut rng, &mut events);
        }
        let expected = brute_force(&events);
        *(if expected { &mut accepted } else { &mut rejected }) += 1;
        assert_eq!(check(&Register, &events).is_ok(), expected, "round {round}: {events:#?}");
    }
    assert!(accepted > 500 && rejected > 500, "both happen: {accepted} accepted, {rejected} rejected");
}

#[test]
fn agrees_with_brute_force_where_one_connection_orders_operations() {
    let mut rng = Rng::new(7);
    let mut rejected = 0;
    for round in 0..3_000 {
        let mut events = execution(&mut rng, 7);
        for i in 1..events.len() {
            let before = rng.below(i as u64) as usize;
            if rng.one_in(3) && events[before].ended.is_some() && events[i].ended.is_some() {
                events[i].after = Some(before);
            }
        }
        let expected = brute_force(&events);
        rejected += u32::from(!expected);
        assert_eq!(check(&Register, &events).is_ok(), expected, "round {round}: {events:#?}");
    }
    assert!(rejected > 100, "{rejected}");
}

#[test]
fn a_failure_names_what_cannot_be_explained_first() {
    let events = [event(Call::Write(1), 0, Some(10)), event(Call::Read(Some(0)), 20, Some(30))];
    assert_eq!(check(&Register, &events), Err(Failure::NotLinearizable(vec![20, 0])));
}

#[test]
fn many_unknown_writes_that_are_overwritten_cost_nothing() {
    let mut events: Vec<Event<Call>> = Vec::new();
    for i in 0..100 {
        let at = i * 10;
        events.push(event(Call::Write(1), at, None));
        events.push(event(Call::Write(2), at + 2, Some(at + 3)));
        events.push(event(Call::Read(Some(2)), at + 4, Some(at + 5)));
    }
    assert_eq!(check(&Register, &events), Ok(()));
}

#[test]
fn a_history_beyond_the_limits_is_given_up() {
    let mut events: Vec<Event<Call>> = (0..200).map(|i| event(Call::Swap(1, 2, None), i, None)).collect();
    events.push(event(Call::Read(Some(0)), 300, Some(301)));
    assert!(matches!(check(&Register, &events), Err(Failure::GaveUp(_))));
}

#[test]
fn a_hundred_thousand_operations_are_checked_at_once() {
    let mut rng = Rng::new(5);
    let mut events = Vec::new();
    let (mut state, mut now) = (0u8, 0);
    for _ in 0..100_000 {
        now += 10;
        // Operations take effect one after the other and overlap their neighbours.
        let call = if rng.one_in(2) {
            state = rng.below(4) as u8;
            Call::Write(state)
        } else {
            Call::Read(Some(state))
        };
        let effect = now;
        events.push(event(call, effect - rng.below(25).min(effect), Some(effect + 1 + rng.below(25))));
    }
    events.sort_by_key(|e| e.invoked);
    assert_eq!(check(&Register, &events), Ok(()));
}

//! Histories judged against the reference model: any client, any commands that the model knows.

use crate::Violation;
use crate::calls::{Call, broken};
use crate::linearizability::{Event, Failure, Specification, check};
use crate::model::Model;
use bytes::Bytes;
use command::{Reply, lookup};
use std::marker::PhantomData;

/// The model as a sequential machine for the search.
struct Reference<'a>(PhantomData<Asked<'a>>);

/// A command and its answer, if that is known.
struct Asked<'a> {
    words: &'a [Bytes],
    reply: Option<&'a Reply>,
}

impl<'a> Specification for Reference<'a> {
    type State = Model;
    type Call = Asked<'a>;

    fn initial(&self) -> Model {
        Model::default()
    }

    fn step(&self, state: &Model, call: &Asked<'a>) -> Option<Model> {
        let mut next = state.clone();
        match call.reply {
            Some(reply) => next.accepts(call.words, reply).then_some(next),
            None => {
                next.run(call.words);
                Some(next)
            }
        }
    }

    fn only_reads(&self, call: &Asked<'a>) -> bool {
        !is_write(call.words)
    }

    fn interchangeable(&self, one: &Asked<'a>, other: &Asked<'a>) -> bool {
        one.words == other.words
    }
}

/// Judges the calls on one key, or on keys that are used together, in the order in which they were sent.
pub(crate) fn judge(workload: &'static str, key: &[u8], calls: &[Call<'_>]) -> Result<(), Violation> {
    let mut events: Vec<Event<Asked<'_>>> = Vec::with_capacity(calls.len());
    // The last event with an end, and the operation it belongs to.
    let mut answered: Option<(usize, usize)> = None;
    for call in calls {
        let reply = call.reply();
        if reply.is_none() && !is_write(call.words) {
            continue;
        }
        let after = answered.filter(|(position, _)| *position == call.position).map(|(_, event)| event);
        let ended = call.done_at();
        if ended.is_some() {
            answered = Some((call.position, events.len()));
        }
        let asked = Asked { words: call.words, reply };
        events.push(Event { call: asked, position: call.position, invoked: call.invoked, ended, after });
    }
    check(&Reference(PhantomData), &events).map_err(|failure| explain(workload, key, calls, failure))
}

fn is_write(words: &[Bytes]) -> bool {
    words.first().and_then(|name| lookup(name)).is_some_and(command::Spec::is_write)
}

fn explain(workload: &'static str, key: &[u8], calls: &[Call<'_>], failure: Failure) -> Violation {
    let (named, why, undecided) = match failure {
        Failure::NotLinearizable(named) => (named, "which no order of the operations explains", false),
        Failure::GaveUp(at) => {
            (vec![at], "where the search for an order was given up: nothing is known to be wrong", true)
        }
    };
    let shown =
        calls.iter().filter(|c| named.first() == Some(&c.position)).map(Call::show).collect::<Vec<_>>().join("; ");
    Violation { undecided, ..broken(workload, format!("{shown}, {why}"), key, &named) }
}

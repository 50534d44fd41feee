//! What clients do to a cluster, and the checkers that judge what they saw. A workload knows nothing of how its requests
//! travel: the simulator runs it on virtual time, the tests of real processes over sockets.
//!
//! ```text
//!   Workload::next ──▶ Request ──▶ (a shell: simulator or sockets) ──▶ Operation ──▶ Workload::ended
//!                                                                         │
//!                                              history of all operations ─┴─▶ Workload::check ──▶ Violation
//! ```
//!
//! Invariants: no clock, no randomness but what is handed in; the same inputs give the same requests. A checker never
//! trusts that an operation of unknown outcome did nothing: it may take effect at any later time, or never.

mod append;
mod bank;
mod calls;
mod commands;
mod counter;
mod expiry;
mod fate;
mod history;
pub mod linearizability;
mod lives;
pub mod model;
mod options;
mod queue;
mod reference;
mod register;
mod scan;
mod set;
mod stream;
#[cfg(test)]
mod testing;

pub use append::Append;
pub use bank::Bank;
pub use commands::Commands;
pub use counter::Counter;
pub use expiry::Expiry;
pub use fate::{Fate, fate, is_settled};
pub use history::{ClientId, Namespace, Operation, Outcome, Request, Violation};
pub use options::Options;
pub use queue::Queue;
pub use register::Register;
pub use scan::Scan;
pub use set::Set;
pub use stream::Stream;

use std::time::Duration;
use stdx::{Mono, Rng};

/// What a client does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Sends a request and waits for its answer.
    Send(Request),
    /// Does nothing for a while.
    Wait(Duration),
    /// Closes its connection and connects to any node.
    Reconnect,
}

/// Something that many clients do at once, with a rule that its history must obey.
pub trait Workload: Send {
    /// Name in reports and on the command line.
    fn name(&self) -> &'static str;

    /// What an idle client does next. A client has one request open at a time; after one of unknown outcome its
    /// connection is new.
    fn next(&mut self, client: ClientId, now: Mono, rng: &mut Rng) -> Step;

    /// The client's request ended.
    fn ended(&mut self, operation: &Operation);

    /// Requests whose answers conclude the history, each sent once the cluster is whole and all clients have stopped;
    /// a shell repeats one until [`is_settled`] says that all of it ran. Their operations are the last of the history.
    fn conclusion(&mut self) -> Vec<Request>;

    /// Judges the whole history, in the order in which operations were sent. Operations on keys of other workloads are
    /// passed over. That a conclusion was answered at all is for the shell to demand.
    ///
    /// # Errors
    /// A broken promise; or, where none was found, a history that is too entangled to be judged
    /// ([`Violation::undecided`]).
    fn check(&self, history: &[Operation]) -> Result<(), Violation>;
}

/// The workloads, by name.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &[
        "counter",
        "register",
        "append",
        "set",
        "strings",
        "hashes",
        "lists",
        "sets",
        "sorted-sets",
        "bank",
        "expiry",
        "scan",
        "queue",
        "stream",
    ]
}

/// The workload called `name`, its mix of commands drawn from `seed`.
#[must_use]
pub fn by_name(name: &str, options: &Options, seed: u64) -> Option<Box<dyn Workload>> {
    Some(match name {
        "counter" => Box::new(Counter::new(options, seed)),
        "register" => Box::new(Register::new(options, seed)),
        "append" => Box::new(Append::new(options, seed)),
        "set" => Box::new(Set::new(options, seed)),
        "strings" | "hashes" | "lists" | "sets" | "sorted-sets" => Box::new(Commands::named(name, options, seed)?),
        "bank" => Box::new(Bank::new(options, seed)),
        "expiry" => Box::new(Expiry::new(options, seed)),
        "scan" => Box::new(Scan::new(options, seed)),
        "queue" => Box::new(Queue::new(options, seed)),
        "stream" => Box::new(Stream::new(options, seed)),
        _ => return None,
    })
}

/// A workload and options for it, drawn at random. Prefix and bound of clocks are the shell's to set.
#[must_use]
pub fn draw(rng: &mut Rng) -> (&'static str, Options) {
    let names = names();
    (names[rng.below(names.len() as u64) as usize], Options::draw(rng))
}

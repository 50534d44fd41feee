//! The commands that the workloads send, against the reference model that judges the answers of real clusters: where the two
//! disagree here, a checker would call a good cluster broken.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use state::Layout;
use stdx::{Mono, Rng};
use support::{Pace, START_MS, Shard, command};
use workload::model::Model;
use workload::{ClientId, Commands, Options, Step, Workload};

const ROUNDS: u64 = 60;
const REQUESTS: usize = 300;

fn agree(kind: &str) {
    let mut answered = 0;
    for seed in 0..ROUNDS {
        let mut rng = Rng::new(seed);
        let mut workload = Commands::named(kind, &Options::default(), seed).unwrap();
        let pace = Pace { group: rng.range(1, 6) as usize, lag: rng.below(4) as usize };
        let mut shard = Shard::new(Layout::Colocated, pace, seed);
        let mut model = Model::at(START_MS as i64);
        for _ in 0..REQUESTS {
            let Step::Send(request) = workload.next(ClientId(1), Mono(0), &mut rng) else { continue };
            for words in &request.commands {
                let expected = model.clone().run(words);
                let answer = shard.run(&command(words).unwrap());
                assert!(model.accepts(words, &answer), "seed {seed}: {words:?}: {answer:?} instead of {expected:?}");
                answered += 1;
            }
            if rng.one_in(40) {
                shard.failover();
            }
        }
    }
    assert!(answered > REQUESTS * ROUNDS as usize / 2, "{answered} commands ran");
}

#[test]
fn commands_on_strings_and_keys() {
    agree("strings");
}

#[test]
fn commands_on_hashes_and_keys() {
    agree("hashes");
}

#[test]
fn commands_on_lists_and_keys() {
    agree("lists");
}

#[test]
fn commands_on_sets_and_keys() {
    agree("sets");
}

#[test]
fn commands_on_sorted_sets_and_keys() {
    agree("sorted-sets");
}

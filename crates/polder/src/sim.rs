//! `polder sim`: histories of a simulated cluster, one per seed.

use crate::cli::{EXIT_FAILED, SimArgs};
use sim::{Outcome, Summary, run_seed};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs seeds until their number or the time is used up, or one fails.
pub fn run(args: &SimArgs) -> ExitCode {
    let first = args.seed.or(args.first).unwrap_or_else(fresh_seed);
    let count = if args.seed.is_some() { 1 } else { args.seeds.unwrap_or(u64::MAX) };
    let budget = args.seconds.map_or(Duration::MAX, Duration::from_secs);
    println!("first seed {first}");
    let began = Instant::now();
    let mut sum = Summary::default();
    for seed in (first..first.saturating_add(count)).take_while(|_| began.elapsed() < budget) {
        // An assertion of the core that fails is a finding like any other: it must come with its seed.
        let Ok(outcome) = std::panic::catch_unwind(|| run_seed(seed)) else {
            return failed(seed, "an assertion failed; its message is above");
        };
        if args.seed.is_some() {
            print(&outcome);
        }
        if let Some(violation) = &outcome.violation {
            return failed(seed, &violation.to_string());
        }
        sum.add(&outcome);
    }
    print!("{sum}");
    println!("in {:.1} s", began.elapsed().as_secs_f64());
    let silent = sum.kinds_that_never_happened();
    // A few seeds need not draw every fault; a batch that misses one tests less than it says.
    if sum.seeds >= 100 && !silent.is_empty() {
        println!("these never happened in the whole batch: {}", silent.join(", "));
        return ExitCode::from(EXIT_FAILED);
    }
    ExitCode::SUCCESS
}

fn print(outcome: &Outcome) {
    println!(
        "seed {} · trace {:016x} · {} answered, {} unknown",
        outcome.seed, outcome.trace, outcome.answered, outcome.unknown
    );
}

fn failed(seed: u64, why: &str) -> ExitCode {
    println!("seed {seed}: {why}\nreplay: polder sim --seed {seed}");
    ExitCode::from(EXIT_FAILED)
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(20)
}

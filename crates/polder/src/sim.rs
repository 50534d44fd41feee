//! `polder sim`: histories of a simulated cluster, one per seed.

use crate::cli::{EXIT_FAILED, SimArgs};
use sim::{Outcome, Plan, RUNS_MAX, Story, Summary, regressions, run, shrink};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Virtual time that `--speed` runs.
const SPEED_LASTS: Duration = Duration::from_secs(300);
/// Workloads of four clients each that `--speed` runs: as many clients as an ordinary seed has, and more than any.
const SPEED_WORKLOADS: [u64; 2] = [2, 4];

/// Runs what was asked for.
pub fn run_sim(args: &SimArgs) -> ExitCode {
    // An assertion of the core that fails is a finding like any other: it comes with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    if args.speed {
        return speed(args);
    }
    if let Some(seed) = args.seed {
        return replay(seed);
    }
    if args.regressions {
        let seeds: Vec<u64> = regressions().iter().map(|r| r.seed).collect();
        return batch(seeds.len() as u64, |at| seeds[at as usize], args);
    }
    let first = args.first.unwrap_or_else(fresh_seed);
    println!("first seed {first}");
    batch(args.seeds.unwrap_or(u64::MAX - first), |at| first + at, args)
}

/// Runs seeds on as many threads as asked for, until they or the time are used up, or one fails.
fn batch(count: u64, seed: impl Fn(u64) -> u64 + Sync, args: &SimArgs) -> ExitCode {
    let budget = args.seconds.map_or(Duration::MAX, Duration::from_secs);
    let began = Instant::now();
    let (next, stop, differ) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let work = || {
        let mut sum = Summary::default();
        while !stop.load(Relaxed) && began.elapsed() < budget {
            let at = next.fetch_add(1, Relaxed);
            if at >= count {
                break;
            }
            let outcome = run(&Plan::draw(seed(at)));
            if args.twice {
                let again = run(&Plan::draw(seed(at)));
                if (again.trace, again.answered) != (outcome.trace, outcome.answered) {
                    println!("seed {}: two runs differ: {:016x} and {:016x}", seed(at), outcome.trace, again.trace);
                    differ.store(true, Relaxed);
                }
            }
            if let Some(failure) = &outcome.failure {
                println!("seed {}: {failure}", seed(at));
                stop.store(!args.keep_going, Relaxed);
            }
            sum.add(seed(at), &outcome);
        }
        sum
    };
    let mut sum = Summary::default();
    let mut panicked = false;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(part) => sum.merge(part),
                Err(_) => {
                    println!("a thread of the simulator panicked: its seeds are not in the sums");
                    panicked = true;
                }
            }
        }
    });
    print_summary(&sum, began.elapsed());
    if let Some((seed, _)) = sum.failures.first() {
        tell(*seed, run(&Plan::draw(*seed)));
        return ExitCode::from(EXIT_FAILED);
    }
    if sum.leaves_too_much_undecided() {
        println!("{} of {} seeds are undecided, which is too many", sum.undecided, sum.seeds);
    }
    if panicked || differ.load(Relaxed) || sum.leaves_too_much_undecided() {
        return ExitCode::from(EXIT_FAILED);
    }
    let missing = sum.missing();
    if missing.is_empty() {
        return ExitCode::SUCCESS;
    }
    let names: Vec<_> = missing.into_iter().map(sim::Kind::name).collect();
    println!("these never happened in the whole batch: {}", names.join(", "));
    ExitCode::from(EXIT_FAILED)
}

fn print_summary(sum: &Summary, wall: Duration) {
    print!("{sum}");
    let wall = wall.as_secs_f64();
    println!("in {wall:.1} s: {:.0} simulated seconds per second", sum.simulated.as_secs_f64() / wall);
}

/// One history again.
fn replay(seed: u64) -> ExitCode {
    let outcome = run(&Plan::draw(seed));
    println!(
        "seed {seed} · trace {:016x} · {:.1} simulated seconds · {} answered, {} unknown",
        outcome.trace,
        outcome.simulated.as_secs_f64(),
        outcome.answered,
        outcome.unknown
    );
    if outcome.failure.is_none() {
        match outcome.undecided {
            0 => println!("no violation"),
            n => println!("no violation found; {n} histories are UNDECIDED: a search was given up"),
        }
        return ExitCode::SUCCESS;
    }
    tell(seed, outcome);
    ExitCode::from(EXIT_FAILED)
}

/// The story of a failure, from the smallest plan that fails alike.
fn tell(seed: u64, outcome: Outcome) {
    let Some(failure) = &outcome.failure else { return };
    println!(
        "\nseed {seed}: {failure}\nreplay: polder sim --seed {seed}\nlooking for the smallest plan, up to {RUNS_MAX} runs"
    );
    if let Some(shrunk) = shrink(Plan::draw(seed), outcome) {
        println!("after {} runs:\n{}", shrunk.runs, Story { plan: &shrunk.plan, outcome: &shrunk.outcome });
    }
}

/// How fast a cluster without faults is simulated, under a steady load.
fn speed(args: &SimArgs) -> ExitCode {
    for workloads in SPEED_WORKLOADS {
        let plan = Plan::steady(args.first.unwrap_or(1), u64::from(args.nodes), workloads, SPEED_LASTS);
        let began = Instant::now();
        let outcome = run(&plan);
        let wall = began.elapsed().as_secs_f64();
        let simulated = outcome.simulated.as_secs_f64();
        println!(
            "{} nodes, {} clients: {simulated:.0} simulated seconds in {wall:.1} s on one core, {:.2} simulated hours per minute, \
             {:.0} requests answered per simulated second",
            args.nodes,
            plan.workloads.iter().map(|l| l.clients).sum::<u64>(),
            simulated / wall / 60.0,
            outcome.answered as f64 / simulated
        );
        if let Some(failure) = outcome.failure {
            println!("{failure}");
            return ExitCode::from(EXIT_FAILED);
        }
    }
    ExitCode::SUCCESS
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(20)) >> 1
}

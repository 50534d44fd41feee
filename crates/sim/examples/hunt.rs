//! Runs seeds until one breaks a promise, for `cargo xtask mutants`: a program of its own, so that a mutated core builds
//! without the server.
//!
//! `hunt FIRST SEEDS SECONDS` prints one line: `caught SEED RUN MILLISECONDS WHAT`, or `survived RUN MILLISECONDS`.

use std::time::{Duration, Instant};

fn main() -> Result<(), String> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|w| w.parse().map_err(|e| format!("{w}: {e}"))).collect::<Result<_, _>>()?;
    let [first, seeds, seconds] = numbers[..] else { return Err("usage: hunt FIRST SEEDS SECONDS".to_owned()) };
    // The core's assertions are checkers, too; their words are in the line that is printed.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let mut run = 0;
    while run < seeds && began.elapsed() < Duration::from_secs(seconds) {
        let seed = first + run;
        run += 1;
        let what = sim::run_seed(seed).failure.map(|failure| failure.to_string());
        if let Some(what) = what {
            let line = what.lines().next().unwrap_or_default();
            println!("caught {seed} {run} {} {line}", began.elapsed().as_millis());
            return Ok(());
        }
    }
    println!("survived {run} {}", began.elapsed().as_millis());
    Ok(())
}

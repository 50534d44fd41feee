//! `cargo xtask bench`: what docs/benchmarks.md says, measured again.

use crate::setup::{self, Need, Setup};
use crate::shell::{Outcome, command, execute};
use clap::Args;

#[derive(Args)]
pub struct Options {
    /// Rows to measure, such as `set` or `etcd`; without any, all
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Runs of each side, alternating; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    runs: u8,
    /// Print only; leave docs/benchmarks.md as it is, as a run of some rows does anyway
    #[arg(long)]
    print: bool,
    /// A tenth of the requests and keys, for a look; writes nothing
    #[arg(long)]
    quick: bool,
}

/// Everything that a comparison needs: a peer that is missing would make half a table.
const NEEDS: &[Need] = &[Need::Python, Need::Redis, Need::Etcd, Need::Binary, Need::Load];

/// `cargo xtask bench`.
pub fn run(options: &Options) -> Outcome {
    let mut setup = Setup::default();
    NEEDS.iter().try_for_each(|need| setup.provide(*need))?;
    let mut words =
        vec!["-u".to_owned(), "-m".to_owned(), "bench".to_owned(), "--runs".to_owned(), options.runs.to_string()];
    let flags = [("--print", options.print), ("--quick", options.quick)];
    words.extend(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned()));
    words.extend(options.rows.iter().cloned());
    let program = setup::python(NEEDS).to_string_lossy().into_owned();
    execute(command(&program, words).envs(setup::variables()))
}

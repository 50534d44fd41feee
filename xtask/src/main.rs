//! The project's automation, as `cargo xtask …`.
//!
//! ```text
//!   verify   the one read-only gate: format, lints, architecture, documentation, tests
//!   fix      what can be fixed by a machine
//!   test     everything: verify, simulation, and real clients against the real binary; sets up what it needs
//!   mutants  breaks the core on purpose and shows that the simulator notices
//!   bench    the table of docs/benchmarks.md, measured beside redis-server and etcd
//! ```
//!
//! Invariants: `verify` changes nothing; what `test` and `bench` download goes into `.cache`, except Debian packages.

mod architecture;
mod bench;
mod mutants;
mod setup;
mod shell;
mod sources;
mod summary;
mod test;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's automation")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The one read-only gate: format, lints, architecture, documentation, tests
    Verify {
        /// Only the steps whose name begins so
        #[arg(value_name = "STEP", default_value = "")]
        only: String,
    },
    /// Format, and apply the lints' own suggestions
    Fix,
    /// Run all parts of the test, or those named
    Test(test::Options),
    /// Break the core on purpose, one way at a time, and show that the simulator notices
    Mutants(mutants::Options),
    /// Measure beside redis-server and etcd, and write docs/benchmarks.md
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Verify { only } => verify::run(&only),
        Task::Fix => verify::fix(),
        Task::Test(options) => test::run(&options),
        Task::Mutants(options) => mutants::run(&options),
        Task::Bench(options) => bench::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

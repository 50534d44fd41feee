//! The `polder` binary: flags, configuration, the development cluster, and questions to a running node.
//!
//! ```text
//!   polder            = polder dev: a cluster on this machine, one child process per node
//!   polder start      ─▶ server::config ─▶ server::run: one node
//!   polder status     ─▶ GET /status of a node
//!   polder sim       histories of simulated clusters, by seed
//!   polder config     check a file · print the annotated defaults
//! ```
//!
//! Invariants: no logic of the cluster lives here; everything asked of a node goes through its HTTP endpoints; what `dev` does
//! to a directory it first recognises as its own.
//!
//! Not here: signals of a single node and its drain (`server::run`).

mod cli;
mod dev;
mod http;
mod sim;
mod start;
mod status;
mod table;

use clap::Parser;
use cli::{Cli, Command, ConfigCommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or_default() {
        Command::Dev(args) => dev::run(&args),
        Command::Start(args) => start::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Sim(args) => sim::run_sim(&args),
        Command::Config(ConfigCommand::Check(args)) => start::check(&args),
        Command::Config(ConfigCommand::PrintDefault) => {
            cli::print(&server::config::annotated_default());
            ExitCode::SUCCESS
        }
    }
}

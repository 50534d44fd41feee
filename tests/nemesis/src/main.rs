//! The simulator's workloads and checkers against the real binary: nodes as processes in network namespaces, and faults done
//! to them by the machine's own means.
//!
//! ```text
//!   schedule (seed) ─▶ run ─▶ faults ─▶ cluster ─▶ node: process, signals, disk, preloaded libraries
//!                       │        └────▶ net: namespaces, bridge, rules
//!                       └─▶ driver: client threads ─▶ connection ═ Redis protocol ═▶ nodes
//!                              └─▶ histories ─▶ Workload::check ─▶ report
//! ```
//!
//! Invariants: a violation, a node that ends without an excuse, and a kind of fault that never had an effect each fail the run;
//! namespaces, disks and processes are removed however the run ends, at the latest by the next one.
//!
//! Not here: what clients do and what is right (crate `workload`).

mod cluster;
mod connection;
mod driver;
mod faults;
mod http;
mod net;
mod node;
mod preload;
mod report;
mod run;
mod schedule;
mod signals;
mod tools;

use clap::Parser;
use report::Figures;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// Histories of real processes under faults, judged by the simulator's checkers.
#[derive(Parser)]
pub struct Options {
    /// The polder binary
    #[arg(long, env = "E2E_BIN", default_value = "target/release/polder")]
    binary: PathBuf,
    /// Decides workloads and schedules; drawn when it is absent
    #[arg(long)]
    seed: Option<u64>,
    /// Runs, one after the other, with seeds that follow each other
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Nodes of the cluster; with several runs, every other has five
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// How long faults go on in each run, in seconds
    #[arg(long, default_value_t = 140)]
    seconds: u64,
    /// Faults may overlap
    #[arg(long)]
    overlap: bool,
    /// Clients of each workload
    #[arg(long, default_value_t = 4)]
    clients: u32,
    /// Mean pause of a client between two requests, in milliseconds
    #[arg(long, default_value_t = 25)]
    pace_ms: u64,
    /// Keys that each workload has in use at a time
    #[arg(long, default_value_t = 6)]
    keys: u32,
    /// Only these workloads; all without
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Only these kinds of faults; all without
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// Where the result goes as JSON
    #[arg(long, env = "E2E_RESULT")]
    result: Option<PathBuf>,
}

/// Most nodes of a cluster here: what one machine runs at a pace worth judging.
const NODES_MAX: usize = 9;

/// Exit code of an interrupted run, as of a shell's.
const INTERRUPTED: u8 = 130;

/// What all runs together came to.
#[derive(Default)]
pub struct Summary {
    figures: Figures,
    passed: u64,
    failures: Vec<String>,
    skipped: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let asked = match signals::asked_to_end() {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("nemesis: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut summary = Summary::default();
    if options.nodes == 0 || options.nodes > NODES_MAX {
        summary.failures.push(format!("--nodes is a number from 1 to {NODES_MAX}"));
    } else if let Err(error) = run::all(&options, &asked, &mut summary) {
        summary.failures.push(error);
    }
    summary.print(options.result.as_deref());
    if asked.load(Ordering::Relaxed) {
        return ExitCode::from(INTERRUPTED);
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Summary {
    fn print(&self, result: Option<&std::path::Path>) {
        let lines = self.figures.lines();
        lines.iter().for_each(|line| println!("{line}"));
        self.skipped.iter().for_each(|what| println!("DID NOT RUN  {what}"));
        self.failures.iter().for_each(|what| println!("FAILED       {what}"));
        let json = serde_json::json!({
            "passed": self.passed, "failures": self.failures, "skipped": self.skipped, "notes": lines,
        });
        if let Some(path) = result
            && let Err(error) = std::fs::write(path, json.to_string())
        {
            eprintln!("nemesis: {}: {error}", path.display());
        }
    }
}

//! `polder dev`: a cluster on this machine, one child process per node.
//!
//! ```text
//!   layout ── the directory: whose it is, lock, marker, configuration files, dev.json
//!   ports  ── are they free, and if not, who has them
//!   child  ── one process: start, death, backoff        tail  ── its log file
//!   probe  ── one thread per node: /readyz and /status
//!   supervisor ── one loop on the main thread over all of them and the signals ─▶ screen
//! ```
//!
//! Invariant: no node outlives this process. Each asks the kernel to be killed with it (`--die-with-parent`).

mod child;
mod layout;
mod ports;
mod probe;
mod screen;
mod supervisor;
mod tail;
mod view;

use crate::cli::{DevArgs, EXIT_FAILED, EXIT_USAGE};
use layout::Layout;
use std::fmt;
use std::process::ExitCode;
use supervisor::Supervisor;

/// Why a development cluster does not run.
#[derive(Debug)]
pub struct DevError {
    message: String,
    code: u8,
}

impl DevError {
    /// The user can mend it with other flags or another directory.
    fn usage(message: String) -> DevError {
        DevError { message, code: EXIT_USAGE }
    }

    /// The system refused something.
    fn failed(message: String) -> DevError {
        DevError { message, code: EXIT_FAILED }
    }
}

impl fmt::Display for DevError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Runs the cluster until a signal stops it.
pub fn run(args: &DevArgs) -> ExitCode {
    match try_run(args) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("polder dev: {error}");
            error.code.into()
        }
    }
}

fn try_run(args: &DevArgs) -> Result<u8, DevError> {
    let layout = Layout::open(args)?;
    let taken = ports::taken_for_good(&layout.nodes);
    if !taken.is_empty() {
        return Err(DevError::usage(ports::explain(&layout, &taken)));
    }
    layout.prepare()?;
    // On this thread alone: nodes must be started from the thread that lives as long as the process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| DevError::failed(format!("signals and timers are not available: {e}")))?;
    runtime.block_on(async { Ok(Supervisor::begin(layout)?.run().await) })
}

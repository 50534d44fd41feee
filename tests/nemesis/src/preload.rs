//! Libraries that are loaded into each node: libfaketime, which moves the wall clock, and libfiu, which makes calls fail.
//!
//! Both stand between the program and libc, so they meet what goes through libc: Rust's standard library does (`SystemTime`,
//! `File`), and with it the wall clock, the log and the engine's files. What `rustix` does by system calls of its own they do
//! not meet: the clock that leases are measured with, free disk space, preallocation. The clock is better left alone anyway.

use crate::tools::{Outcome, feed, is_installed};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const FIU: [&str; 2] = ["/usr/lib/fiu/fiu_run_preload.so", "/usr/lib/fiu/fiu_posix_preload.so"];

/// How long a paused or dying process may leave a command of ours unanswered.
const CONTROL_LIMIT: Duration = Duration::from_secs(3);

/// What this machine has.
#[derive(Clone, Copy, Debug)]
pub struct Preload {
    /// libfaketime is there.
    pub clock: bool,
    /// libfiu is there.
    pub failures: bool,
}

impl Preload {
    /// Looks for the libraries.
    pub fn find() -> Preload {
        let failures = FIU.iter().all(|file| Path::new(file).is_file()) && is_installed("fiu-ctrl");
        Preload { clock: Path::new(FAKETIME).is_file(), failures }
    }

    /// The libraries for one node, with their controls in its directory.
    ///
    /// # Errors
    /// The file of the clock could not be written.
    pub fn in_directory(self, directory: &Path) -> Outcome<Loaded> {
        let loaded = Loaded { which: self, directory: directory.to_path_buf() };
        loaded.set_clock(0)?;
        Ok(loaded)
    }
}

/// The libraries in one node.
#[derive(Debug)]
pub struct Loaded {
    which: Preload,
    directory: PathBuf,
}

impl Loaded {
    /// Variables that load them, as words of `env`.
    pub fn variables(&self) -> Vec<String> {
        let mut libraries = Vec::new();
        let mut variables = Vec::new();
        if self.which.failures {
            libraries.extend(FIU);
            variables.push(format!("FIU_CTRL_FIFO={}", self.pipe()));
        }
        if self.which.clock {
            libraries.push(FAKETIME);
            variables.push(format!("FAKETIME_TIMESTAMP_FILE={}", self.clock_file().display()));
            variables
                .extend(["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"].map(str::to_owned));
        }
        variables.push(format!("LD_PRELOAD={}", libraries.join(" ")));
        variables
    }

    fn pipe(&self) -> String {
        self.directory.join("fiu").display().to_string()
    }

    fn clock_file(&self) -> PathBuf {
        self.directory.join("clock")
    }

    /// Sets how far the node's wall clock is off, in milliseconds.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn set_clock(&self, offset_ms: i64) -> Outcome {
        // Renamed into place: a reader sees the old offset or the new one, never half a file.
        let (file, unfinished) = (self.clock_file(), self.directory.join("clock.new"));
        let done = fs::write(&unfinished, format!("{:+.3}\n", offset_ms as f64 / 1000.0))
            .and_then(|()| fs::rename(&unfinished, &file));
        done.map_err(|e| format!("{}: {e}", file.display()))
    }

    /// Gives the process `pid` a command of libfiu, such as `enable name=posix/io/rw/pwrite,failinfo=5`.
    ///
    /// # Errors
    /// The process did not take it.
    pub fn control(&self, pid: u32, line: &str) -> Outcome {
        let limit = CONTROL_LIMIT.as_secs().to_string();
        let said = feed("timeout", &[&limit, "fiu-ctrl", "-f", &self.pipe(), "-c", line, &pid.to_string()], "")?;
        // fiu-ctrl names a process that it does not find, and ends well.
        if said.contains("Error") { Err(said.trim().to_owned()) } else { Ok(()) }
    }
}

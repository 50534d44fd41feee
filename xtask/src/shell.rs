//! Running programs from the workspace's root.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What went wrong, for the person at the terminal.
pub type Outcome<T = ()> = Result<T, String>;

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A program that will run in the workspace's root.
pub fn command<S: AsRef<OsStr>>(program: &str, words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).args(words);
    command
}

/// `cargo` with the toolchain that runs this.
pub fn cargo(words: &str) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&program, words.split_whitespace())
}

/// Runs to the end with our own standard output; an exit code other than zero is an error.
pub fn execute(command: &mut Command) -> Outcome {
    let shown = show(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
    }
}

/// Runs to the end and returns what it printed.
pub fn output(command: &mut Command) -> Outcome<String> {
    let shown = show(command);
    let done = command.stderr(Stdio::inherit()).output();
    match done {
        Ok(done) if done.status.success() => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        Ok(done) => Err(format!("`{shown}` failed: {}", done.status)),
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
    }
}

/// Whether a program runs at all.
pub fn runs(program: &str, word: &str) -> bool {
    let done =
        Command::new(program).arg(word).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// Whether a program is found in `PATH`.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs one named step, and prints its name before and its time after.
pub fn step(name: &str, body: impl FnOnce() -> Outcome) -> Outcome {
    eprintln!("── {name}");
    let began = Instant::now();
    let done = body();
    let verdict = if done.is_ok() { "ok" } else { "FAILED" };
    eprintln!("── {name}: {verdict} in {}", seconds(began.elapsed()));
    done
}

/// A duration as people read it.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

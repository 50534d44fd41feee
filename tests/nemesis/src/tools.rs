//! Programs of the machine: run to their end, with what they said as the error.

use std::io::Write;
use std::process::{Command, Stdio};

/// What went wrong, for the person at the terminal.
pub type Outcome<T = ()> = Result<T, String>;

/// Runs a program and returns what it printed; an exit code other than zero is an error.
pub fn run(program: &str, words: &[&str]) -> Outcome<String> {
    feed(program, words, "")
}

/// Runs a program with `input` on its standard input and returns what it printed.
pub fn feed(program: &str, words: &[&str], input: &str) -> Outcome<String> {
    let shown = || format!("`{program} {}`", words.join(" "));
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{} could not be started: {e}", shown()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input ends early; its exit code tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let done = child.wait_with_output().map_err(|e| format!("{}: {e}", shown()))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("{} failed: {}", shown(), String::from_utf8_lossy(&done.stderr).trim()))
}

/// Whether a program is found in `PATH`.
pub fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

//! `cargo xtask verify` and `cargo xtask fix`.

use crate::shell::{Outcome, cargo, execute, runs, step};
use crate::{architecture, mutants, sources};
use std::time::Instant;

/// One step: its name and what it runs.
type Step = (&'static str, fn() -> Outcome);

/// The steps of the gate, cheapest first.
pub const STEPS: &[Step] = &[
    ("format", || execute(&mut cargo("fmt --all -- --check --files-with-diff"))),
    ("architecture: edges between crates", architecture::check),
    ("architecture: what sources may name", sources::check),
    ("mutants: each still has its place", mutants::check),
    ("lints", || execute(&mut cargo("clippy --workspace --all-targets --quiet -- -D warnings"))),
    ("documentation", || execute(cargo("doc --no-deps --workspace --quiet").env("RUSTDOCFLAGS", "-D warnings"))),
    ("tests", tests),
];

/// `cargo xtask verify`: all steps, or those whose name begins with `only`; the first that fails ends it.
pub fn run(only: &str) -> Outcome {
    let began = Instant::now();
    let steps: Vec<&Step> = STEPS.iter().filter(|(name, _)| name.starts_with(only)).collect();
    if steps.is_empty() {
        let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no step begins with {only:?}; there are: {}", names.join(", ")));
    }
    steps.iter().try_for_each(|(name, body)| step(name, body))?;
    eprintln!("verify: {} steps passed in {}", steps.len(), crate::shell::seconds(began.elapsed()));
    Ok(())
}

/// `cargo xtask fix`: formats, and applies what the lints suggest by themselves.
pub fn fix() -> Outcome {
    step("lints", || {
        execute(&mut cargo("clippy --workspace --all-targets --fix --allow-dirty --allow-staged --quiet"))
    })?;
    step("format", || execute(&mut cargo("fmt --all")))
}

fn tests() -> Outcome {
    if runs("cargo-nextest", "--version") {
        execute(&mut cargo("nextest run --workspace --no-fail-fast --status-level fail"))
    } else {
        eprintln!("   cargo-nextest is not installed; `cargo test` runs the same tests, one crate after the other");
        execute(&mut cargo("test --workspace --quiet"))
    }
}

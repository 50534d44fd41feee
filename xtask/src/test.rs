//! `cargo xtask test`: every part of the test, or those named.

use crate::setup::{self, Need, Setup};
use crate::shell::{Outcome, cargo, command, execute, output};
use crate::summary::{self, Row};
use crate::verify;
use clap::Args;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Instant;

#[derive(Args)]
pub struct Options {
    /// Parts to run, or `e2e` for all of those with real clients; without any, all
    #[arg(value_name = "PART")]
    parts: Vec<String>,
    /// Run the parts with real clients against redis-server instead: shows that they ask for what Redis does
    #[arg(long, value_name = "TARGET", value_parser = ["redis"])]
    against: Option<String>,
    /// Print the parts and end
    #[arg(long)]
    list: bool,
}

/// How a part runs.
enum Body {
    /// The gate.
    Verify,
    /// The simulator.
    Simulation,
    /// The fuzz targets.
    Fuzz,
    /// Real processes in network namespaces, with these options of `nemesis`.
    Nemesis(&'static [&'static str]),
    /// A Python module below `tests/e2e`.
    Python(&'static str),
}

struct Part {
    name: &'static str,
    about: &'static str,
    body: Body,
    needs: &'static [Need],
}

const fn e2e(name: &'static str, module: &'static str, needs: &'static [Need], about: &'static str) -> Part {
    Part { name, about, body: Body::Python(module), needs }
}

/// All parts, in the order in which they run.
const PARTS: &[Part] = &[
    Part { name: "verify", about: "format, lints, architecture, documentation, tests", body: Body::Verify, needs: &[] },
    Part {
        name: "sim",
        about: "whole clusters in one thread, with faults",
        body: Body::Simulation,
        needs: &[Need::Binary],
    },
    Part { name: "fuzz", about: "each fuzz target for a moment", body: Body::Fuzz, needs: &[] },
    e2e("harness", "e2e.harness_test", &[Need::Python], "the tests' own checkers"),
    e2e(
        "main-job",
        "e2e.main_job",
        &[Need::Python, Need::Redis, Need::Binary],
        "start, use, lose a node, stop, start again",
    ),
    e2e(
        "unicode",
        "e2e.unicode",
        &[Need::Python, Need::Redis, Need::UnicodeData, Need::Binary],
        "UnicodeData.txt through redis-cli --pipe, kill -9 of all nodes",
    ),
    e2e(
        "clients",
        "e2e.clients",
        &[Need::Python, Need::PythonClients, Need::Redis, Need::RustClient, Need::Binary],
        "redis-benchmark, redis-py, the Rust crate redis",
    ),
    e2e("kills", "e2e.kills", &[Need::Python, Need::Binary], "leaders killed and paused under load"),
    e2e("tcl", "e2e.tcl", &[Need::Python, Need::Tcl, Need::RedisSource, Need::Binary], "Redis's own tests"),
    e2e("bad-input", "e2e.bad_input", &[Need::Python, Need::Binary], "malformed, oversized, foreign, misbehaving"),
    e2e("pressure", "e2e.pressure", &[Need::Python, Need::Binary], "a rolling restart, a disk that stalls"),
    Part {
        name: "nemesis",
        about: "the simulator's workloads and checkers against real processes: three minutes with every fault",
        body: Body::Nemesis(&[]),
        needs: &[Need::Namespaces, Need::Binary, Need::Nemesis],
    },
    Part {
        name: "nemesis-long",
        about: "the same for twenty-five minutes: clusters of three and five, faults that overlap",
        body: Body::Nemesis(&["--runs", "6", "--seconds", "250", "--overlap"]),
        needs: &[Need::Namespaces, Need::Binary, Need::Nemesis],
    },
    e2e("disks", "e2e.disks", &[Need::Python, Need::Binary], "disks that fill up and rot, a replica that lags"),
];

/// Parts that run only when they are named: they take too long for every run.
const NAMED_ONLY: &[&str] = &["nemesis-long"];

/// Seconds that the simulator gets for fresh seeds on each of two cores, and that each fuzz target gets.
const SIMULATION_SECONDS: u32 = 240;
const SIMULATION_THREADS: u32 = 2;
const FUZZ_SECONDS: u32 = 20;
/// Seeds that are run twice, to see that they lead to the same history.
const SEEDS_RUN_TWICE: u32 = 50;

/// `cargo xtask test`.
pub fn run(options: &Options) -> Outcome {
    if options.list {
        PARTS.iter().for_each(|part| println!("{:<12} {}", part.name, part.about));
        return Ok(());
    }
    let parts = choose(&options.parts)?;
    let mut setup = Setup::default();
    let mut rows = Vec::new();
    for part in parts {
        println!("\n══ {}: {}", part.name, part.about);
        rows.push(run_one(part, &mut setup, options.against.as_deref()));
    }
    if summary::print(&rows) { Ok(()) } else { Err("some checks failed".to_owned()) }
}

fn choose(names: &[String]) -> Outcome<Vec<&'static Part>> {
    let known = |name: &String| name == "e2e" || PARTS.iter().any(|part| part.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = PARTS.iter().map(|part| part.name).collect();
        return Err(format!("there is no part {unknown:?}; there are e2e, {}", all.join(", ")));
    }
    let chosen = |part: &&Part| {
        let is_e2e = matches!(part.body, Body::Python(_));
        (names.is_empty() && !NAMED_ONLY.contains(&part.name))
            || names.iter().any(|name| name == part.name || (name == "e2e" && is_e2e))
    };
    Ok(PARTS.iter().filter(chosen).collect())
}

fn run_one(part: &Part, setup: &mut Setup, against: Option<&str>) -> Row {
    // The reference run needs redis-server where the product would be.
    let needs: Vec<Need> = match against {
        Some(_) => part.needs.iter().map(|need| if *need == Need::Binary { Need::Redis } else { *need }).collect(),
        None => part.needs.to_vec(),
    };
    for need in &needs {
        if let Err(reason) = setup.provide(*need) {
            // What we build ourselves has to build; only what comes from outside may be refused.
            return if matches!(need, Need::Binary | Need::RustClient | Need::Load | Need::Nemesis) {
                Row::of(part.name, std::time::Duration::ZERO, Err(reason))
            } else {
                Row::skipped(part.name, format!("{need:?} is not available: {reason}"))
            };
        }
    }
    let began = Instant::now();
    match part.body {
        Body::Verify => {
            let done = verify::run("").map(|()| verify::STEPS.len() as u64);
            Row::of(part.name, began.elapsed(), done)
        }
        Body::Simulation => simulation(part.name),
        Body::Fuzz => fuzz(part.name),
        Body::Nemesis(words) => nemesis(part.name, words),
        Body::Python(module) => python(part.name, module, &needs, against),
    }
}

fn python(name: &'static str, module: &str, needs: &[Need], against: Option<&str>) -> Row {
    let program = setup::python(needs).to_string_lossy().into_owned();
    let mut child = command(&program, ["-u", "-m", module]);
    child.env("E2E_TARGET", against.unwrap_or("polder"));
    with_result(name, &mut child)
}

/// Real processes under faults.
fn nemesis(name: &'static str, words: &[&str]) -> Row {
    let program = setup::target().join("release/nemesis").display().to_string();
    with_result(name, &mut command(&program, words))
}

/// Runs a program that is told where things are and where to write its result.
fn with_result(name: &'static str, child: &mut Command) -> Row {
    let began = Instant::now();
    let result = setup::cache().join(format!("result-{name}.json"));
    if let Err(error) = fs::create_dir_all(setup::cache()) {
        return Row::of(name, began.elapsed(), Err(format!("{}: {error}", setup::cache().display())));
    }
    let _ = fs::remove_file(&result);
    let done = execute(child.envs(setup::variables()).env("E2E_RESULT", &result));
    let written = fs::read_to_string(&result).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    Row::of_result(name, began.elapsed(), &written.unwrap_or_default(), done.is_ok())
}

/// Simulated clusters with faults: fresh seeds, those that once failed, and some twice. A history that fails prints its seed.
fn simulation(name: &'static str) -> Row {
    let began = Instant::now();
    let runs = [
        format!("--twice --seeds {SEEDS_RUN_TWICE} --threads {SIMULATION_THREADS}"),
        format!("--regressions --threads {SIMULATION_THREADS}"),
        "--speed".to_owned(),
        format!("--seconds {SIMULATION_SECONDS} --threads {SIMULATION_THREADS}"),
    ];
    let sim = |options: &String| execute(&mut cargo(&format!("run --quiet --release -- sim {options}")));
    let passed = runs.len() as u64;
    let done = runs.iter().try_for_each(sim);
    Row::of(name, began.elapsed(), done.map(|()| passed))
}

/// Runs each fuzz target for a moment; needs a nightly toolchain and cargo-fuzz.
fn fuzz(name: &'static str) -> Row {
    let began = Instant::now();
    let targets = match output(&mut command("sh", ["-c", "ls fuzz/fuzz_targets/*.rs 2>/dev/null || true"])) {
        Ok(list) => list,
        Err(error) => return Row::of(name, began.elapsed(), Err(error)),
    };
    let targets: Vec<&str> = targets.lines().filter_map(|l| l.rsplit('/').next()?.strip_suffix(".rs")).collect();
    if targets.is_empty() {
        return Row::skipped(name, "there are no fuzz targets".to_owned());
    }
    if let Err(reason) = cargo_fuzz() {
        return Row::skipped(name, reason);
    }
    let mut passed = 0;
    for target in targets {
        // What it finds goes to the first folder; the seeds in the second stay the few that they are.
        let found = setup::cache().join("fuzz").join(target);
        if let Err(error) = fs::create_dir_all(&found) {
            return Row::of(name, began.elapsed(), Err(format!("{}: {error}", found.display())));
        }
        let (found, seeds) = (found.display().to_string(), format!("fuzz/corpus/{target}"));
        let mut child = command("cargo", ["+nightly", "fuzz", "run", target, &found, &seeds, "--"]);
        // The binding to Lua leaks 16 bytes with every script that it compiles; nothing here is about leaks.
        child
            .args([format!("-max_total_time={FUZZ_SECONDS}"), "-detect_leaks=0".to_owned()])
            .env("PATH", path_with_tools());
        // The toolchain of this program must not win over `+nightly`.
        child.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
        if let Err(error) = execute(&mut child) {
            return Row::of(name, began.elapsed(), Err(error));
        }
        passed += 1;
    }
    Row::of(name, began.elapsed(), Ok(passed))
}

fn path_with_tools() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = [setup::cache().join("tools/bin")];
    std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&path))).unwrap_or(path)
}

fn cargo_fuzz() -> Outcome {
    let mut nightly = command("cargo", ["+nightly", "--version"]);
    nightly.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    output(&mut nightly).map_err(|_| "fuzzing needs a nightly toolchain".to_owned())?;
    if setup::cache().join("tools/bin/cargo-fuzz").is_file() || crate::shell::is_installed("cargo-fuzz") {
        return Ok(());
    }
    let tools = setup::cache().join("tools").display().to_string();
    execute(&mut command("cargo", ["install", "--locked", "--quiet", "--debug", "cargo-fuzz", "--root", &tools]))
        .map_err(|error| format!("cargo-fuzz could not be installed: {error}"))
}

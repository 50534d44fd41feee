//! `cargo xtask test`: every part of the test, or those named.

use crate::setup::{self, Need, Setup};
use crate::shell::{Outcome, cargo, command, execute, output};
use crate::summary::{self, Row};
use crate::verify;
use clap::Args;
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

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
    /// It waits for most of its time, so the parts behind it run beside it, and what it prints comes at the end.
    beside: bool,
}

const fn part(name: &'static str, body: Body, needs: &'static [Need], about: &'static str) -> Part {
    Part { name, about, body, needs, beside: false }
}

const fn e2e(name: &'static str, module: &'static str, needs: &'static [Need], about: &'static str) -> Part {
    part(name, Body::Python(module), needs, about)
}

/// All parts, in the order in which they run. Those that measure times run alone.
const PARTS: &[Part] = &[
    part("verify", Body::Verify, &[], "format, lints, architecture, documentation, tests"),
    part("sim", Body::Simulation, &[Need::Binary], "whole clusters in one thread, with faults"),
    part("fuzz", Body::Fuzz, &[], "each fuzz target for a moment"),
    e2e("harness", "e2e.harness_test", &[Need::Python], "the tests' own checkers"),
    e2e(
        "main-job",
        "e2e.main_job",
        &[Need::Python, Need::Redis, Need::Binary],
        "start, use, lose a node, stop, start again",
    ),
    e2e("kills", "e2e.kills", &[Need::Python, Need::Binary], "leaders killed and paused under load"),
    e2e("pressure", "e2e.pressure", &[Need::Python, Need::Binary], "a rolling restart, a disk that stalls"),
    Part {
        beside: true,
        ..e2e("tcl", "e2e.tcl", &[Need::Python, Need::Tcl, Need::RedisSource, Need::Binary], "Redis's own tests")
    },
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
    e2e(
        "pubsub",
        "e2e.pubsub",
        &[Need::Python, Need::PythonClients, Need::Binary],
        "channels across nodes, a subscriber that does not read",
    ),
    e2e("bad-input", "e2e.bad_input", &[Need::Python, Need::Binary], "malformed, oversized, foreign, misbehaving"),
    part(
        "nemesis",
        Body::Nemesis(&[]),
        &[Need::Namespaces, Need::Binary, Need::Nemesis],
        "the simulator's workloads and checkers against real processes: three minutes with every fault",
    ),
    part(
        "nemesis-long",
        Body::Nemesis(&["--runs", "6", "--seconds", "250", "--overlap"]),
        &[Need::Namespaces, Need::Binary, Need::Nemesis],
        "the same for twenty-five minutes: clusters of three and five, faults that overlap",
    ),
    e2e("disks", "e2e.disks", &[Need::Python, Need::Binary], "disks that fill up and rot, a replica that lags"),
];

/// Parts that run only when they are named: they take too long for every run.
const NAMED_ONLY: &[&str] = &["nemesis-long"];

/// Seconds that the simulator gets for fresh seeds on each of two cores, and that each fuzz target gets.
const SIMULATION_SECONDS: u32 = 240;
const SIMULATION_THREADS: u32 = 2;
const FUZZ_SECONDS: u32 = 10;
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
    let mut beside = Vec::new();
    for (at, part) in parts.iter().copied().enumerate() {
        println!("\n══ {}: {}", part.name, part.about);
        let against = options.against.clone();
        match provide(part, &mut setup, against.as_deref()) {
            Err(row) => rows.push((at, row)),
            Ok(needs) if part.beside && at + 1 < parts.len() => {
                println!("   it runs beside what follows");
                let printed = setup::cache().join(format!("output-{}.txt", part.name));
                let path = printed.clone();
                let body = move || perform(part, &needs, against.as_deref(), Some(&path));
                beside.push((at, printed, thread::spawn(body)));
            }
            Ok(needs) => rows.push((at, perform(part, &needs, against.as_deref(), None))),
        }
    }
    for (at, printed, running) in beside {
        let part = parts[at];
        let row = running.join().unwrap_or_else(|_| Row::of(part.name, Duration::ZERO, Err("panicked".to_owned())));
        println!("\n══ {}: {}", part.name, part.about);
        print!("{}", fs::read_to_string(&printed).unwrap_or_else(|e| format!("{}: {e}\n", printed.display())));
        rows.push((at, row));
    }
    rows.sort_by_key(|(at, _)| *at);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
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

/// Makes everything available that a part needs; a row when that is not to be had.
fn provide(part: &Part, setup: &mut Setup, against: Option<&str>) -> Result<Vec<Need>, Row> {
    // The reference run needs redis-server where the product would be.
    let needs: Vec<Need> = match against {
        Some(_) => part.needs.iter().map(|need| if *need == Need::Binary { Need::Redis } else { *need }).collect(),
        None => part.needs.to_vec(),
    };
    for need in &needs {
        if let Err(reason) = setup.provide(*need) {
            // What we build ourselves has to build; only what comes from outside may be refused.
            return Err(if matches!(need, Need::Binary | Need::RustClient | Need::Load | Need::Nemesis) {
                Row::of(part.name, Duration::ZERO, Err(reason))
            } else {
                Row::skipped(part.name, format!("{need:?} is not available: {reason}"))
            });
        }
    }
    Ok(needs)
}

/// Runs a part; what it prints goes to a file, if there is one.
fn perform(part: &Part, needs: &[Need], against: Option<&str>, printed: Option<&Path>) -> Row {
    let began = Instant::now();
    match part.body {
        Body::Verify => {
            let done = verify::run("").map(|()| verify::STEPS.len() as u64);
            Row::of(part.name, began.elapsed(), done)
        }
        Body::Simulation => simulation(part.name),
        Body::Fuzz => fuzz(part.name),
        Body::Nemesis(words) => nemesis(part.name, words),
        Body::Python(module) => {
            let program = setup::python(needs).to_string_lossy().into_owned();
            let mut child = command(&program, ["-u", "-m", module]);
            child.env("E2E_TARGET", against.unwrap_or("polder"));
            match printed.map(|path| redirect(&mut child, path)) {
                Some(Err(error)) => Row::of(part.name, began.elapsed(), Err(error.to_string())),
                _ => with_result(part.name, &mut child),
            }
        }
    }
}

/// What a child prints goes to a file.
fn redirect(child: &mut Command, path: &Path) -> io::Result<()> {
    fs::create_dir_all(setup::cache())?;
    let file = File::create(path)?;
    child.stdout(file.try_clone()?).stderr(file);
    Ok(())
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

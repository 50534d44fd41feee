//! `cargo xtask mutants`: breaks the core on purpose, one way at a time, and shows that the simulator notices.
//!
//! A mutant is an edit of the core's source (crates/sim/mutants.toml): text that stands exactly once in a file, and what
//! to put in its place. It is made in a copy of the workspace below `target/mutants`, so the production code holds no
//! switch for it. `verify` checks that every text is still there, so that the list cannot rot.

use crate::shell::{Outcome, cargo, command, output, root};
use clap::Args;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Args)]
pub struct Options {
    /// Only the mutants whose names begin so; all without any. Their rows of the table in the docs are written anew
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Seconds that the simulator gets for each mutant
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Print the mutants and end
    #[arg(long)]
    list: bool,
}

const LIST: &str = "crates/sim/mutants.toml";
const DOCUMENT: &str = "docs/internals/simulation.md";
const BEGIN: &str = "<!-- mutants: written by `cargo xtask mutants` -->";
const END: &str = "<!-- end of the mutants -->";
/// More seeds than any run gets through.
const SEEDS: u64 = 1_000_000;
/// What a mutant's build may read of the workspace.
const COPIED: &[&str] = &["Cargo.toml", "Cargo.lock", ".cargo", "crates", "tests", "xtask"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    /// What it breaks, in words for the table.
    breaks: String,
    edits: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: String,
    find: String,
    replace: String,
}

/// What the simulator said about one mutant.
enum Verdict {
    Caught { seed: u64, seeds: u64, milliseconds: u64, what: String },
    Survived { seeds: u64 },
}

fn load() -> Outcome<Vec<Mutant>> {
    let text = fs::read_to_string(root().join(LIST)).map_err(|e| format!("{LIST}: {e}"))?;
    let list: List = toml::from_str(&text).map_err(|e| format!("{LIST}: {e}"))?;
    Ok(list.mutant)
}

/// Every edit still has its place in the source. A step of `verify`.
pub fn check() -> Outcome {
    let mut wrong = Vec::new();
    for mutant in load()? {
        for edit in &mutant.edits {
            if let Err(why) = edit.applied_to(&root()) {
                wrong.push(format!("mutant {}: {why}", mutant.name));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n       ")) }
}

impl Edit {
    /// The file with the edit made.
    fn applied_to(&self, tree: &Path) -> Outcome<String> {
        let text = fs::read_to_string(tree.join(&self.file)).map_err(|e| format!("{}: {e}", self.file))?;
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            n => Err(format!("its text stands {n} times in {}, not once: follow the change of the source", self.file)),
        }
    }
}

/// `cargo xtask mutants`.
pub fn run(options: &Options) -> Outcome {
    let mutants = load()?;
    if options.list {
        mutants.iter().for_each(|m| println!("{:<28} {}", m.name, m.breaks));
        return Ok(());
    }
    let wanted = |m: &&Mutant| options.names.is_empty() || options.names.iter().any(|n| m.name.starts_with(n));
    let chosen: Vec<&Mutant> = mutants.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("no mutant's name begins with {:?}", options.names));
    }
    let tree = copy()?;
    let mut rows = Vec::new();
    let mut most_seeds = 0;
    for mutant in &chosen {
        let verdict = hunt_mutant(mutant, &tree, options)?;
        match &verdict {
            Verdict::Caught { seed, seeds, milliseconds, what } => {
                most_seeds = most_seeds.max(*seeds);
                println!("{:<28} caught by seed {seed} after {milliseconds} ms: {what}", mutant.name);
            }
            Verdict::Survived { seeds } => println!("{:<28} SURVIVED {seeds} seeds", mutant.name),
        }
        rows.push((*mutant, verdict));
    }
    // The same seeds accuse nobody who is innocent.
    let innocent = hunt(&tree, options.first, most_seeds.max(1), u64::MAX)?;
    if let Verdict::Caught { seed, what, .. } = &innocent {
        return Err(format!("seed {seed} fails without any mutation: {what}"));
    }
    println!("the core itself passes all {most_seeds} seeds that were needed");
    write_table(&mutants, &rows)?;
    let survivors: Vec<&str> =
        rows.iter().filter(|(_, v)| matches!(v, Verdict::Survived { .. })).map(|(m, _)| m.name.as_str()).collect();
    println!("{} passed, {} failed", rows.len() - survivors.len(), survivors.len());
    if survivors.is_empty() { Ok(()) } else { Err(format!("not caught: {}", survivors.join(", "))) }
}

/// A copy of the workspace in which the core may be broken; its builds are kept between runs.
fn copy() -> Outcome<PathBuf> {
    let tree = root().join("target/mutants/tree");
    fs::create_dir_all(&tree).map_err(|e| format!("{}: {e}", tree.display()))?;
    for name in COPIED {
        let from = root().join(name);
        // With new times: what an interrupted run left broken is built again.
        output(command("cp", ["-r", "-T"]).arg(&from).arg(tree.join(name)))?;
    }
    Ok(tree)
}

fn hunt_mutant(mutant: &Mutant, tree: &Path, options: &Options) -> Outcome<Verdict> {
    let mut originals = Vec::new();
    for edit in &mutant.edits {
        let path = tree.join(&edit.file);
        let changed = edit.applied_to(tree).map_err(|why| format!("mutant {}: {why}", mutant.name))?;
        originals.push((path.clone(), fs::read_to_string(&path).map_err(|e| e.to_string())?));
        fs::write(&path, changed).map_err(|e| e.to_string())?;
    }
    let verdict = hunt(tree, options.first, SEEDS, options.seconds);
    for (path, text) in originals.into_iter().rev() {
        fs::write(path, text).map_err(|e| e.to_string())?;
    }
    verdict.map_err(|why| format!("mutant {}: {why}", mutant.name))
}

/// Builds what stands in the tree and lets the simulator loose on it.
fn hunt(tree: &Path, first: u64, seeds: u64, seconds: u64) -> Outcome<Verdict> {
    let target = root().join("target/mutants/build");
    let mut build = cargo("build --release --quiet --offline -p sim --example hunt");
    build.current_dir(tree).env("CARGO_TARGET_DIR", &target).env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    build.env("CARGO_INCREMENTAL", "1").env("RUSTFLAGS", "-Awarnings");
    output(&mut build)?;
    let program = target.join("release/examples/hunt");
    let mut hunt = Command::new(&program);
    hunt.args([first, seeds, seconds].map(|n| n.to_string())).stderr(Stdio::null());
    let text = output(&mut hunt)?;
    parse(text.trim()).ok_or_else(|| format!("the hunt ended with {text:?}"))
}

fn parse(line: &str) -> Option<Verdict> {
    let mut words = line.splitn(5, ' ');
    match words.next()? {
        "caught" => {
            let seed = words.next()?.parse().ok()?;
            let seeds = words.next()?.parse().ok()?;
            let milliseconds = words.next()?.parse().ok()?;
            Some(Verdict::Caught { seed, seeds, milliseconds, what: words.next()?.to_owned() })
        }
        "survived" => Some(Verdict::Survived { seeds: words.next()?.parse().ok()? }),
        _ => None,
    }
}

/// Writes the rows of what was run into the table, and leaves the others as they are.
fn write_table(all: &[Mutant], ran: &[(&Mutant, Verdict)]) -> Outcome {
    let commit = output(&mut command("git", ["describe", "--always", "--dirty"]))?;
    let date = output(&mut command("date", ["-u", "+%Y-%m-%d"]))?;
    let when = format!("{}, {}", date.trim(), commit.trim());
    let path = root().join(DOCUMENT);
    let document = fs::read_to_string(&path).map_err(|e| format!("{DOCUMENT}: {e}"))?;
    let parts = document
        .split_once(BEGIN)
        .and_then(|(before, rest)| rest.split_once(END).map(|(table, after)| (before, table, after)));
    let (before, table, after) = parts.ok_or_else(|| format!("{DOCUMENT} lacks the marks around the table"))?;
    let rows = ran.iter().map(|(mutant, verdict)| (mutant.name.as_str(), row(mutant, verdict, &when))).collect();
    let text = renewed(table, all, &rows);
    fs::write(&path, format!("{before}{BEGIN}\n\n{text}\n{END}{after}")).map_err(|e| format!("{DOCUMENT}: {e}"))?;
    println!("written to {DOCUMENT}");
    Ok(())
}

/// One row of the table.
fn row(mutant: &Mutant, verdict: &Verdict, when: &str) -> String {
    let (seed, after, what) = match verdict {
        Verdict::Caught { seed, milliseconds, what, .. } => {
            (seed.to_string(), format!("{:.1} s", *milliseconds as f64 / 1000.0), what.replace('|', "\\|"))
        }
        Verdict::Survived { seeds } => ("**not caught**".to_owned(), format!("{seeds} seeds"), String::new()),
    };
    format!("| `{}` | {} | {seed} | {after} | {what} | {when} |", mutant.name, mutant.breaks)
}

/// The table with new rows in the place of older ones. Mutants that are not in the list any more are left out.
fn renewed(table: &str, all: &[Mutant], rows: &BTreeMap<&str, String>) -> String {
    let older = |name: &str| table.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    let mut text =
        "| mutant | what it breaks | caught by seed | after | what was seen | run |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for mutant in all {
        if let Some(row) = rows.get(mutant.name.as_str()).map(String::as_str).or_else(|| older(&mutant.name)) {
            text.push_str(row);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read() {
        let Some(Verdict::Caught { seed, seeds, milliseconds, what }) = parse("caught 7 3 1200 a read was stale")
        else {
            panic!("a catch");
        };
        assert_eq!((seed, seeds, milliseconds, what.as_str()), (7, 3, 1200, "a read was stale"));
        assert!(matches!(parse("survived 9 1000"), Some(Verdict::Survived { seeds: 9 })));
        assert!(parse("panicked").is_none());
    }

    #[test]
    fn rows_that_were_not_run_again_stay() {
        let mutant = |name: &str| Mutant { name: name.to_owned(), breaks: "it".to_owned(), edits: Vec::new() };
        let all = [mutant("a"), mutant("a-b"), mutant("c")];
        let table = "\n| `gone` | x |\n| `a-b` | older |\n| `c` | older |\n";
        let rows = BTreeMap::from([("a", row(&all[0], &Verdict::Survived { seeds: 3 }, "now")), ("c", "newer".into())]);
        let text = renewed(table, &all, &rows);
        let body: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(body, ["| `a` | it | **not caught** | 3 seeds |  | now |", "| `a-b` | older |", "newer"]);
    }
}

//! The edges that the architecture allows between crates, and who may name which outside crate. A new edge is a design
//! decision: it is made here, in a change that says why.

use crate::shell::{Outcome, cargo, output};
use serde_json::Value;

/// Every crate of the workspace and the crates of the workspace it may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("stdx", &[]),
    ("command", &["stdx"]),
    ("consensus", &["stdx"]),
    ("storage", &["stdx"]),
    ("cluster", &["consensus", "command", "stdx"]),
    ("protocol", &["command", "consensus", "cluster", "stdx"]),
    ("script", &["command", "stdx"]),
    ("state", &["script", "storage", "command", "stdx"]),
    ("node", &["cluster", "consensus", "state", "storage", "command", "stdx"]),
    ("server", &["node", "protocol", "storage", "state", "cluster", "consensus", "command", "stdx"]),
    ("workload", &["command", "stdx"]),
    ("sim", &["workload", "node", "protocol", "storage", "state", "cluster", "consensus", "command", "stdx"]),
    ("polder", &["server", "sim", "stdx"]),
    ("nemesis", &["workload", "protocol", "command", "stdx"]),
    ("load", &[]),
    ("rust-client", &[]),
    ("xtask", &[]),
];

/// Further edges, for tests only, and why.
const TEST_EDGES: &[(&str, &str, &str)] =
    &[("state", "workload", "the evaluator is compared with the reference model that judges real clusters")];

/// Outside crates that only some may name, and why.
const OWNERS: &[(&str, &[&str], &str)] = &[
    ("raft", &["consensus"], "the consensus engine is replaceable behind one crate"),
    ("protobuf", &["consensus"], "it comes with raft; nothing else speaks it"),
    ("slog", &["consensus"], "it comes with raft; everything else logs with tracing"),
    ("fjall", &["storage"], "the engine is replaceable behind one trait"),
    (
        "tokio",
        &["server", "polder", "load", "nemesis"],
        "the core is deterministic and free of IO; nemesis catches signals with it",
    ),
    ("mlua", &["script"], "scripts are run in one place, behind one sandbox"),
    ("axum", &["server"], "HTTP belongs to the shell"),
    ("rand", &[], "randomness is an input: stdx::Rng"),
];

/// Compares the manifests with the tables.
pub fn check() -> Outcome {
    let text = output(&mut cargo("metadata --format-version 1 --no-deps --offline"))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("{name} is not in the table of crates in xtask/src/architecture.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let is_ours = dependency["path"].is_string();
            let in_tests =
                dependency["kind"] == "dev" && TEST_EDGES.iter().any(|(from, to, _)| (*from, *to) == (name, on));
            if is_ours && !allowed.contains(&on) && !in_tests {
                wrong.push(format!("{name} depends on {on}; allowed are: {}", allowed.join(", ")));
            }
            if let Some((_, owners, why)) = OWNERS.iter().find(|(outside, ..)| *outside == on)
                && !is_ours
                && !owners.contains(&name)
            {
                wrong.push(format!("{name} names {on}, which only {owners:?} may: {why}"));
            }
        }
    }
    if packages.is_empty() {
        wrong.push("cargo metadata names no package".to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n       ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_edges_have_no_cycle() {
        // Every crate stands below the crates it may name, so walking down always ends.
        fn depth(name: &str, seen: &mut Vec<String>) {
            assert!(!seen.iter().any(|s| s == name), "a cycle: {seen:?} and {name} again");
            seen.push(name.to_owned());
            let (_, edges) = EDGES.iter().find(|(known, _)| *known == name).expect("every edge leads to a known crate");
            edges.iter().for_each(|next| depth(next, seen));
            seen.pop();
        }
        EDGES.iter().for_each(|(name, _)| depth(name, &mut Vec::new()));
    }
}

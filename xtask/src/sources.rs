//! What the sources of the deterministic core may not name: clocks, threads, sockets, files. Such things are inputs and
//! effects there, so that the simulator can own them.

use crate::shell::{Outcome, root};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that must stay free of the outside world.
const CORE: &[&str] = &["stdx", "command", "protocol", "cluster", "consensus", "storage", "script", "state", "node"];

/// What gives the outside world away, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("Instant::now", "time is an input: stdx::Mono"),
    ("time::Instant", "time is an input: stdx::Mono"),
    ("SystemTime", "time is an input: stdx::WallMs"),
    ("std::thread", "threads belong to the shell"),
    ("thread::spawn", "threads belong to the shell"),
    ("TcpStream", "sockets belong to the shell"),
    ("TcpListener", "sockets belong to the shell"),
    ("UdpSocket", "sockets belong to the shell"),
    ("std::fs", "files are behind storage's Disk"),
    ("fs::File", "files are behind storage's Disk"),
    ("std::env", "configuration is an input"),
    ("std::process", "the shell decides when a process ends"),
    ("RandomState", "randomness is an input: stdx::Rng"),
];

/// Files that are the real world's side of a seam.
const EXEMPT: &[(&str, &str)] = &[
    ("crates/storage/src/disk", "the real disk behind the Disk trait"),
    ("crates/storage/src/engine/fjall", "the real engine behind the Engine trait"),
    ("crates/storage/src/engine/compactor", "its background thread"),
];

/// Reads every source file of the core.
pub fn check() -> Outcome {
    let mut wrong = Vec::new();
    for name in CORE {
        let folder = root().join("crates").join(name).join("src");
        for file in rust_files(&folder)? {
            let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
            if !EXEMPT.iter().any(|(start, _)| shown.starts_with(start)) && !is_test_file(&file) {
                wrong.extend(findings(&text).into_iter().map(|(line, what)| format!("{shown}:{line}: {what}")));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n       ")) }
}

/// Forbidden names with their line, comments and the tests at a file's end left out.
fn findings(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.starts_with("#[cfg(test)]") {
            // `mod tests;` leads to another file; a module in place stands at the end.
            match lines.peek() {
                Some((_, next)) if next.ends_with(';') => continue,
                _ => break,
            }
        }
        let code = line.split("//").next().unwrap_or_default();
        for (word, instead) in FORBIDDEN {
            if code.contains(word) {
                found.push((number + 1, format!("names {word}; {instead}")));
            }
        }
    }
    found
}

fn is_test_file(file: &Path) -> bool {
    let is_test = |part: &std::ffi::OsStr| part == "tests.rs" || part == "tests" || part == "testing.rs";
    file.components().any(|part| is_test(part.as_os_str()))
}

fn rust_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_the_code_is_found() {
        assert_eq!(findings("let x = 1;\nlet t = Instant::now();").len(), 1);
    }

    #[test]
    fn comments_and_tests_may_speak_of_clocks() {
        assert!(findings("// SystemTime is not for us\n#[cfg(test)]\nmod tests { use std::thread; }").is_empty());
        assert_eq!(findings("#[cfg(test)]\nmod tests;\nuse std::thread;").len(), 1);
    }
}

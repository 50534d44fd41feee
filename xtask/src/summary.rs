//! The table at the end of a test run.

use crate::shell::seconds;
use serde_json::Value;
use std::time::Duration;

/// What became of one part.
pub struct Row {
    /// The part's name.
    pub part: &'static str,
    /// Checks that passed.
    pub passed: u64,
    /// Checks that failed, in words; never empty when the part failed.
    pub failures: Vec<String>,
    /// What did not run, and why.
    pub skips: Vec<String>,
    /// Figures worth a line.
    pub notes: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

impl Row {
    /// A part whose checks are not counted one by one.
    pub fn of(part: &'static str, time: Duration, done: Result<u64, String>) -> Row {
        let (passed, failures) = match done {
            Ok(passed) => (passed, Vec::new()),
            Err(message) => (0, vec![message]),
        };
        Row { part, passed, failures, skips: Vec::new(), notes: Vec::new(), time }
    }

    /// A part that did not run.
    pub fn skipped(part: &'static str, reason: String) -> Row {
        Row { part, passed: 0, failures: Vec::new(), skips: vec![reason], notes: Vec::new(), time: Duration::ZERO }
    }

    /// A part that wrote its result as JSON.
    pub fn of_result(part: &'static str, time: Duration, result: &Value, exited_well: bool) -> Row {
        let words = |key: &str| -> Vec<String> {
            let list = result[key].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut failures = words("failures");
        if failures.is_empty() && !exited_well {
            failures.push("it did not run to its end".to_owned());
        }
        let passed = result["passed"].as_u64().unwrap_or_default();
        Row { part, passed, failures, skips: words("skipped"), notes: words("notes"), time }
    }
}

/// Prints the table, then everything that failed or did not run; returns whether nothing failed.
pub fn print(rows: &[Row]) -> bool {
    println!("\n{:<12} {:>8} {:>8} {:>8} {:>9}", "part", "passed", "failed", "skipped", "time");
    for row in rows {
        let (failed, skipped) = (row.failures.len(), row.skips.len());
        println!("{:<12} {:>8} {:>8} {:>8} {:>9}", row.part, row.passed, failed, skipped, seconds(row.time));
    }
    for row in rows {
        row.notes.iter().for_each(|what| println!("measured     {}: {}", row.part, what.trim()));
    }
    for row in rows {
        row.skips.iter().for_each(|what| println!("DID NOT RUN  {}: {what}", row.part));
    }
    for row in rows {
        row.failures.iter().for_each(|what| println!("FAILED       {}: {what}", row.part));
    }
    let passed: u64 = rows.iter().map(|row| row.passed).sum();
    let failed: usize = rows.iter().map(|row| row.failures.len()).sum();
    let skipped: usize = rows.iter().map(|row| row.skips.len()).sum();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; {skipped} skipped");
    failed == 0
}

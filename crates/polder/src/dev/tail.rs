//! Follows a node's log file: picks out warnings and errors, keeps the last lines, keeps the file from growing without end.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A log file that reaches this is set aside as `log.1.txt`, replacing the one before.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// Read at a time; what a node writes faster than this is skipped, not collected.
const CHUNK_BYTES_MAX: u64 = 256 << 10;
/// Warnings and errors shown of one chunk; the rest is counted.
const SHOWN_MAX: usize = 4;
/// Lines kept for the report on a death.
const KEPT_MAX: usize = 8;
/// Longest line that is shown or kept, in characters.
const LINE_CHARS_MAX: usize = 300;

/// A log file and how far it has been read.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    offset: u64,
    partial: String,
    last: VecDeque<String>,
}

impl Tail {
    /// Follows the file from its end.
    pub fn at_end(path: &Path) -> Tail {
        let offset = fs::metadata(path).map_or(0, |m| m.len());
        Tail { path: path.to_owned(), offset, partial: String::new(), last: VecDeque::new() }
    }

    /// Reads what is there and gives what is worth showing. A file that cannot be read yet has nothing to show.
    pub fn poll(&mut self) -> Vec<String> {
        self.read().unwrap_or_default()
    }

    /// The last lines read, at most `count`, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        let skipped = self.last.len().saturating_sub(count);
        self.last.iter().skip(skipped).map(String::as_str)
    }

    fn read(&mut self) -> io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        let len = file.metadata()?.len();
        if len < self.offset {
            self.offset = 0;
        }
        let mut shown = Vec::new();
        if len - self.offset > CHUNK_BYTES_MAX {
            let skipped = len - self.offset - CHUNK_BYTES_MAX;
            shown.push(format!("({} KiB of log skipped, see {})", skipped >> 10, self.path.display()));
            self.offset = len - CHUNK_BYTES_MAX;
            self.partial.clear();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        self.offset += file.take(CHUNK_BYTES_MAX).read_to_end(&mut bytes)? as u64;
        self.take_lines(&String::from_utf8_lossy(&bytes), &mut shown);
        if self.offset >= LOG_BYTES_MAX {
            self.set_aside()?;
        }
        Ok(shown)
    }

    fn take_lines(&mut self, text: &str, shown: &mut Vec<String>) {
        self.partial.push_str(text);
        let Some(end) = self.partial.rfind('\n') else { return };
        let rest = self.partial.split_off(end + 1);
        let complete = std::mem::replace(&mut self.partial, rest);
        let mut hidden = 0;
        for line in complete.lines().map(plain).filter(|l| !l.is_empty()) {
            if is_notable(&line) {
                if shown.len() < SHOWN_MAX { shown.push(line.clone()) } else { hidden += 1 }
            }
            self.last.push_back(line);
            if self.last.len() > KEPT_MAX {
                self.last.pop_front();
            }
        }
        if hidden > 0 {
            shown.push(format!("({hidden} more warnings and errors, see {})", self.path.display()));
        }
    }

    /// The node keeps its descriptor, which appends: so the content is copied and the file cut to nothing. Lines written in
    /// between are lost, which a log of development can bear.
    fn set_aside(&mut self) -> io::Result<()> {
        fs::copy(&self.path, self.path.with_file_name("log.1.txt"))?;
        File::options().write(true).open(&self.path)?.set_len(0)?;
        self.offset = 0;
        Ok(())
    }
}

/// Without colours and control characters, and not too long.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // A control sequence ends with a letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else if !c.is_control() || c == '\t' {
            out.push(c);
        }
    }
    match out.char_indices().nth(LINE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &out[..at]),
        None => out.trim_end().to_owned(),
    }
}

/// Whether a log line, human or JSON, is a warning, an error or a panic.
fn is_notable(line: &str) -> bool {
    if line.starts_with('{') {
        return line.contains("\"level\":\"WARN\"") || line.contains("\"level\":\"ERROR\"");
    }
    // The level stands first, or after the time.
    let level = line.split_whitespace().take(2).any(|word| matches!(word, "WARN" | "ERROR"));
    level || line.starts_with("polder: ") || (line.starts_with("thread '") && line.contains("panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn notable_lines_are_warnings_errors_and_panics() {
        let notable = [
            "2026-01-01T00:00:00Z  WARN server: disk is slow",
            "{\"timestamp\":\"x\",\"level\":\"ERROR\",\"fields\":{}}",
            "thread 'main' panicked at src/x.rs:1:1:",
            "polder: the address is taken",
        ];
        let quiet = ["2026-01-01T00:00:00Z  INFO server: no WARN here", "{\"level\":\"INFO\",\"message\":\"x\"}", ""];
        assert!(notable.iter().all(|l| is_notable(l)));
        assert!(!quiet.iter().any(|l| is_notable(l)));
    }

    #[test]
    fn colours_and_long_lines_are_cut() {
        assert_eq!(plain("\x1b[2m12:00\x1b[0m \x1b[33m WARN\x1b[0m x\r"), "12:00  WARN x");
        assert_eq!(plain(&"é".repeat(1000)).chars().count(), LINE_CHARS_MAX + 1);
    }

    #[test]
    fn follows_from_the_end_and_keeps_the_last_lines() {
        let path = std::env::temp_dir().join(format!("polder-tail-{}", std::process::id()));
        fs::write(&path, "0 WARN old\n").unwrap();
        let mut tail = Tail::at_end(&path);
        let mut file = File::options().append(true).open(&path).unwrap();
        write!(file, "1 INFO a\n2 WARN half").unwrap();
        assert!(tail.poll().is_empty());
        writeln!(file, " and half").unwrap();
        assert_eq!(tail.poll(), ["2 WARN half and half"]);
        for i in 0..20 {
            writeln!(file, "{i} ERROR x").unwrap();
        }
        let shown = tail.poll();
        assert_eq!(shown.len(), SHOWN_MAX + 1);
        assert!(shown[SHOWN_MAX].starts_with("(16 more"));
        assert_eq!(tail.last(100).count(), KEPT_MAX);
        assert_eq!(tail.last(1).last(), Some("19 ERROR x"));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_flood_is_skipped_and_a_large_file_set_aside() {
        let dir = std::env::temp_dir().join(format!("polder-flood-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log.txt");
        let mut tail = Tail::at_end(&path);
        fs::write(&path, "INFO x\n".repeat(3 << 20)).unwrap();
        assert!(tail.poll()[0].contains("skipped"));
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert!(fs::metadata(dir.join("log.1.txt")).unwrap().len() > LOG_BYTES_MAX);
        fs::remove_dir_all(&dir).unwrap();
    }
}

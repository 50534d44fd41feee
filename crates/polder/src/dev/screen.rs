//! What the development cluster shows: events as lines, and on a terminal a live block below them.

use std::io::{IsTerminal, Write};

/// Size assumed where a terminal does not tell its own.
const FALLBACK_SIZE: (usize, usize) = (100, 40);

/// Standard output.
#[derive(Debug)]
pub struct Screen {
    live: bool,
    /// Lines of the block that stands below the cursor's home.
    drawn: usize,
}

impl Screen {
    /// Live on a terminal, plain otherwise.
    pub fn new() -> Screen {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Screen { live: std::io::stdout().is_terminal() && !dumb, drawn: 0 }
    }

    /// Whether a block can be redrawn.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Writes lines that stay. The block is drawn anew with the next [`Screen::draw`].
    pub fn say(&mut self, text: &str) {
        let mut out = self.erased();
        out.push_str(text);
        out.push('\n');
        write(&out);
    }

    /// Replaces the block. On anything but a terminal nothing is written.
    pub fn draw(&mut self, lines: &[String]) {
        if !self.live {
            return;
        }
        let (columns, rows) = size();
        let mut out = self.erased();
        // One row is left for the cursor; a line that wrapped would be two.
        for line in lines.iter().take(rows.saturating_sub(1)) {
            out.push_str(&cut(line, columns));
            out.push('\n');
            self.drawn += 1;
        }
        write(&out);
    }

    /// What erases the block.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            n => format!("\x1b[{n}A\r\x1b[J"),
        }
    }
}

fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => FALLBACK_SIZE,
    }
}

fn cut(line: &str, columns: usize) -> String {
    line.chars().take(columns).collect()
}

/// A terminal that went away is no reason to stop the cluster.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

//! The settings written out for people: an annotated default file, and the table of docs/configuration.md.

use super::settings::{PEER_FIELDS, SETTINGS, Setting};
use std::fmt::Write;

/// Column at which comments wrap.
const WRAP_COLUMNS: usize = 96;

/// A configuration file that says every default, each commented out under its meaning.
#[must_use]
pub fn annotated_default() -> String {
    let mut out = String::from(
        "# Polder configuration. Every setting is shown with its default; uncomment what you change.\n\
         # Environment variables (POLDER_RAFT_TICK for raft.tick) override the file, --set key=value overrides both.\n\n",
    );
    let mut table = "";
    for setting in SETTINGS {
        let (section, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if section != table {
            table = section;
            line(&mut out, &format!("[{section}]"));
        }
        comment(&mut out, setting.doc);
        line(&mut out, &format!("# {name} = {}\n", value(setting)));
    }
    comment(
        &mut out,
        "The initial nodes, this one included, the same list on each. Without a list: a cluster of this node alone.",
    );
    line(&mut out, "# [peers.1]");
    for (field, doc) in PEER_FIELDS {
        let example = match *field {
            "host" => "10.0.0.1",
            "redis" => "10.0.0.1:6379",
            "redis_cluster" => "10.0.0.1:7379",
            "peer" => "10.0.0.1:8379",
            "http" => "10.0.0.1:9379",
            _ => "",
        };
        line(&mut out, &format!("# {field} = \"{example}\"  # {doc}"));
    }
    out
}

/// The reference table of docs/configuration.md.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("| setting | default | values | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let values = setting.kind.describe();
        line(&mut out, &format!("| `{}` | `{}` | {values} | {} |", setting.key, value(setting), setting.doc));
    }
    for (field, doc) in PEER_FIELDS {
        line(&mut out, &format!("| `peers.N.{field}` | | | {doc} |"));
    }
    out
}

fn value(setting: &Setting) -> String {
    let text = setting.default;
    if setting.kind.is_quoted(text) { format!("\"{text}\"") } else { text.to_owned() }
}

fn comment(out: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split(' ') {
        if width == 0 || width + word.len() >= WRAP_COLUMNS {
            out.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        out.push(' ');
        out.push_str(word);
        width += word.len() + 1;
    }
    out.push('\n');
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

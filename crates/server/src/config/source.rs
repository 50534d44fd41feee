//! Gathers what the file, the environment and the command line say, as text by key, each with its origin.

use super::error::{ConfigErrors, Origin};
use super::settings::{self, PEER_FIELDS, SETTINGS};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file, if any.
    pub file: Option<PathBuf>,
    /// Environment variables; those that are not `POLDER_…` of a setting are ignored.
    pub environment: Vec<(String, String)>,
    /// `key=value` overrides of the command line, in order.
    pub overrides: Vec<(String, String)>,
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub text: String,
    pub origin: Origin,
}

/// What was written, by key. Keys are known, values are not checked yet.
#[derive(Default)]
pub(super) struct Values {
    /// Settings of the table.
    pub settings: BTreeMap<&'static str, Written>,
    /// Fields of each peer.
    pub peers: BTreeMap<u64, BTreeMap<&'static str, Written>>,
    /// Where a peer was first mentioned.
    pub peer_origins: BTreeMap<u64, Origin>,
    /// Keys whose value was rejected while gathering.
    pub rejected: BTreeSet<&'static str>,
    /// The file could be read only in part: nothing may be concluded from what is missing.
    pub incomplete: bool,
    /// Likely mistakes that must not stop a start.
    pub warnings: Vec<String>,
}

enum Target {
    Setting(&'static str),
    Peer(u64, &'static str),
}

/// Reads every source; later ones override.
pub(super) fn gather(sources: &Sources, errors: &mut ConfigErrors) -> Values {
    let mut values = Values::default();
    if let Some(path) = &sources.file {
        read_file(path, &mut values, errors);
    }
    let mut environment: Vec<_> = sources.environment.iter().collect();
    environment.sort();
    for (name, text) in environment {
        read_variable(name, text, &mut values);
    }
    for (key, text) in &sources.overrides {
        let origin = Origin::Flag(key.clone());
        match target(key) {
            Some(target) => values.put(target, text.clone(), origin),
            None => errors.push(&origin, format!("there is no setting `{key}`"), unknown_remedy(key)),
        }
    }
    values
}

impl Values {
    fn put(&mut self, target: Target, text: String, origin: Origin) {
        match target {
            Target::Setting(key) => {
                self.rejected.remove(key);
                self.settings.insert(key, Written { text, origin });
            }
            Target::Peer(id, field) => {
                self.peer_origins.entry(id).or_insert_with(|| origin.clone());
                self.peers.entry(id).or_default().insert(field, Written { text, origin });
            }
        }
    }
}

fn target(key: &str) -> Option<Target> {
    if let Some(setting) = settings::find(key) {
        return Some(Target::Setting(setting.key));
    }
    let (id, field) = key.strip_prefix("peers.")?.split_once('.')?;
    let (field, _) = PEER_FIELDS.iter().find(|(name, _)| *name == field)?;
    Some(Target::Peer(id.parse().ok()?, field))
}

/// An orchestrator sets variables of its own that begin with the name of the service (`POLDER_SERVICE_HOST`), so an unknown
/// one is no error; one that nearly names a setting is worth a warning.
fn read_variable(name: &str, text: &str, values: &mut Values) {
    let Some(rest) = name.strip_prefix("POLDER_") else {
        return;
    };
    let origin = Origin::Environment(name.to_owned());
    if let Some(setting) = SETTINGS.iter().find(|s| s.variable() == name) {
        values.put(Target::Setting(setting.key), text.to_owned(), origin);
    } else if let Some(peer) = rest.strip_prefix("PEERS_").and_then(peer_variable) {
        values.put(peer, text.to_owned(), origin);
    } else {
        let close = SETTINGS.iter().map(|s| s.variable()).find(|v| distance(v, name) <= 2);
        if let Some(variable) = close {
            values
                .warnings
                .push(format!("environment variable {name} is not a setting and is ignored; did you mean {variable}?"));
        }
    }
}

fn peer_variable(rest: &str) -> Option<Target> {
    let (id, field) = rest.split_once('_')?;
    target(&format!("peers.{id}.{}", field.to_lowercase()))
}

fn read_file(path: &Path, values: &mut Values, errors: &mut ConfigErrors) {
    let whole = Origin::File(path.to_owned(), 1);
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    if let Err(error) = read {
        values.incomplete = true;
        let remedy = "check the path, or write a file with `polder config print-default`";
        return errors.push(&whole, format!("cannot be read: {error}"), remedy);
    }
    if text.len() as u64 > FILE_BYTES_MAX {
        values.incomplete = true;
        return errors.push(&whole, "is larger than 1 MiB", "give the path of a configuration file");
    }
    let line_of = |offset: usize| 1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count();
    let (document, syntax) = DeTable::parse_recoverable(&text);
    let mut broken_header = false;
    let mut broken_lines = BTreeSet::new();
    for error in &syntax {
        let line = error.span().map_or(1, |span| line_of(span.start));
        let written = text.lines().nth(line - 1).unwrap_or_default().trim();
        broken_header |= written.starts_with('[');
        broken_lines.insert(line);
        values.incomplete = true;
        let (message, _) = error.message().split_once(", expected").unwrap_or((error.message(), ""));
        let at = Origin::File(path.to_owned(), line);
        errors.push(&at, format!("not TOML: {}", message.trim()), remedy_for_syntax(message, written));
    }
    // Below a damaged [table] line every key would be taken for one of another table.
    if !broken_header {
        let place = |offset| {
            let line = line_of(offset);
            (!broken_lines.contains(&line)).then(|| Origin::File(path.to_owned(), line))
        };
        walk("", document.get_ref(), &place, values, errors);
    }
}

fn remedy_for_syntax(message: &str, line: &str) -> String {
    match line.split_once('=') {
        _ if line.starts_with('[') => "write a table as [name], once".into(),
        Some((key, value)) if message.contains("quoted") => {
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            format!("write text, durations, sizes and addresses in quotes: {key} = \"{value}\"")
        }
        _ => "write a line as key = value, and each key once".into(),
    }
}

/// Where a byte offset of the file is, unless its line was damaged and has been reported.
type Place<'a> = &'a dyn Fn(usize) -> Option<Origin>;

fn walk(prefix: &str, table: &DeTable<'_>, place: Place<'_>, values: &mut Values, errors: &mut ConfigErrors) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        let Some(at) = place(name.span().start) else {
            continue;
        };
        match (target(&key), value.get_ref()) {
            (Some(target), scalar) => match scalar_text(scalar) {
                Some(text) => values.put(target, text, at),
                None => reject(&key, target, value, &at, values, errors),
            },
            (None, DeValue::Table(inner)) if is_table(&key) => {
                note_peer(&key, &at, values);
                walk(&key, inner, place, values, errors);
            }
            (None, DeValue::Table(_)) => {
                errors.push(&at, format!("there is no table [{key}]"), unknown_table_remedy(&key));
            }
            (None, _) => errors.push(&at, format!("there is no setting `{key}`"), unknown_remedy(&key)),
        }
    }
}

fn reject(
    key: &str,
    target: Target,
    value: &Spanned<DeValue<'_>>,
    at: &Origin,
    values: &mut Values,
    errors: &mut ConfigErrors,
) {
    let expected = match target {
        Target::Setting(key) => {
            values.rejected.insert(key);
            settings::find(key).map(|s| s.kind.describe()).unwrap_or_default()
        }
        Target::Peer(id, field) => {
            note_peer(&format!("peers.{id}"), at, values);
            // A present but unreadable field is not a missing one.
            values.peers.entry(id).or_default().insert(field, Written { text: String::new(), origin: at.clone() });
            "text in quotes".into()
        }
    };
    errors.push(at, format!("`{key}` cannot be a TOML {}", value.get_ref().type_str()), format!("write {expected}"));
}

fn scalar_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Whether `key` is a table that settings live in.
fn is_table(key: &str) -> bool {
    let known = SETTINGS.iter().any(|s| s.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
    known || key == "peers" || peer_of_table(key).is_some()
}

fn peer_of_table(key: &str) -> Option<u64> {
    key.strip_prefix("peers.")?.parse().ok().filter(|id| *id != 0)
}

/// A peer counts from its table's header on, even when it is empty.
fn note_peer(key: &str, at: &Origin, values: &mut Values) {
    if let Some(id) = peer_of_table(key) {
        values.peer_origins.entry(id).or_insert_with(|| at.clone());
        values.peers.entry(id).or_default();
    }
}

fn unknown_table_remedy(key: &str) -> String {
    if key.starts_with("peers.") {
        return "name a peer's table by its node number, from 1: [peers.1]".into();
    }
    let tables = SETTINGS.iter().filter_map(|s| s.key.rsplit_once('.').map(|(table, _)| table)).chain(["peers"]);
    match tables.min_by_key(|table| distance(table, key)).filter(|table| distance(table, key) <= allowed_distance(key))
    {
        Some(table) => format!("did you mean [{table}]?"),
        None => "remove it; `polder config print-default` lists every setting".into(),
    }
}

fn unknown_remedy(key: &str) -> String {
    if let Some(rest) = key.strip_prefix("peers.") {
        let fields: Vec<_> = PEER_FIELDS.iter().map(|(name, _)| *name).collect();
        let field = rest.rsplit('.').next().unwrap_or(rest);
        return match fields.iter().find(|name| distance(name, field) <= 2) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("a peer is written peers.NUMBER with the fields {}", fields.join(", ")),
        };
    }
    match nearest(key) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it; `polder config print-default` lists every setting".into(),
    }
}

/// The setting that was probably meant: a typing error, or the right name in the wrong table.
fn nearest(key: &str) -> Option<&'static str> {
    let last = |k: &str| k.rsplit('.').next().unwrap_or_default().to_owned();
    let score = |candidate: &str| {
        let misplaced = distance(&last(candidate), &last(key)) + 1;
        distance(candidate, key).min(misplaced)
    };
    let allowed = allowed_distance(&last(key));
    SETTINGS.iter().map(|s| s.key).min_by_key(|k| score(k)).filter(|k| score(k) <= allowed)
}

/// How many typing errors a word of this length may have and still be recognised.
fn allowed_distance(word: &str) -> usize {
    1 + word.len() / 4
}

/// Levenshtein distance over bytes; the inputs are short keys.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

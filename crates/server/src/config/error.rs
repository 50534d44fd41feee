//! Configuration errors: where, what, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Where a setting came from. Orders errors: files by line first, then variables, then flags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the configuration file, counted from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// An override on the command line.
    Flag(String),
    /// The built-in default: only relations between settings can be wrong here.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(key) => write!(f, "--set {key}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it is.
    pub origin: Origin,
    /// What is wrong, naming the setting.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.origin, self.what, self.remedy)
    }
}

/// All mistakes of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes, in the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }

    pub(super) fn push(&mut self, origin: &Origin, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(ConfigError { origin: origin.clone(), what: what.into(), remedy: remedy.into() });
    }

    pub(super) fn sorted(mut self) -> ConfigErrors {
        self.0.sort_by(|a, b| a.origin.cmp(&b.origin));
        self
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "{error}")?;
        }
        let count = self.0.len();
        write!(f, "{count} configuration {}", if count == 1 { "error" } else { "errors" })
    }
}

impl std::error::Error for ConfigErrors {}

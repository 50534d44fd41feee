//! The command table: one row per command, the only place that knows its arity, flags and keys.
//!
//! The rows are constants, a file for each group; they are joined, numbered and indexed while compiling, so the table
//! costs nothing at start and a lookup neither allocates nor locks.

mod acl;
mod flag;
mod group;
mod index;
mod keyspec;
mod rows;
#[cfg(test)]
mod tests;

pub use acl::{Categories, Category};
pub use flag::{Flag, Flags};
pub use group::Group;
pub(crate) use index::find_command;
pub use index::{COMMAND_COUNT, lookup, specs};
pub use keyspec::{Begin, Find, KeyFlag, KeyRange, KeySpec};

use std::fmt;

/// A command's number: dense from 0 to [`COMMAND_COUNT`], so that a dispatcher can be an array. It is stable only within
/// one build and is never written down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CommandId(pub(crate) u16);

impl CommandId {
    /// The number as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How many words a command takes, its name (and its subcommand's) included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// Exactly this many.
    Exact(usize),
    /// This many or more.
    AtLeast(usize),
}

impl Arity {
    /// Whether a command of `words` words is complete.
    #[must_use]
    pub const fn allows(self, words: usize) -> bool {
        match self {
            Arity::Exact(n) => words == n,
            Arity::AtLeast(n) => words >= n,
        }
    }

    /// The number by which Redis writes it: negative for "at least".
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Arity::Exact(n) => n as i64,
            Arity::AtLeast(n) => -(n as i64),
        }
    }

    const fn of(number: i32) -> Arity {
        if number < 0 { Arity::AtLeast(number.unsigned_abs() as usize) } else { Arity::Exact(number as usize) }
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Spec {
    /// Its number.
    pub id: CommandId,
    /// In lower case; a subcommand's is `container|name`.
    pub name: &'static str,
    /// How many words it takes.
    pub arity: Arity,
    /// What it does and where it may run.
    pub flags: Flags,
    /// Whether Polder serves it; parsing any other gives an error.
    pub served: bool,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// The plain form of `keys`, which is exact unless the command has [`Flag::MovableKeys`].
    pub key_range: KeyRange,
    /// Its chapter.
    pub group: Group,
    /// Its access categories.
    pub categories: Categories,
    /// The Redis release that introduced it.
    pub since: &'static str,
    /// The words it takes after its name; empty for none, or where the row is only planned.
    pub syntax: &'static str,
    /// What it costs.
    pub complexity: &'static str,
    /// What it is for, in one sentence.
    pub summary: &'static str,
    /// Hints for clients that route and merge (redis.io, "Command tips").
    pub tips: &'static [&'static str],
    /// The release that deprecated it, and what to use.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Whether it is for the system and not for applications.
    pub system: bool,
    /// The command it is a subcommand of.
    pub container: Option<CommandId>,
    /// How many subcommands follow it in the table.
    pub(crate) children: u16,
}

impl Spec {
    /// A command that is served.
    const fn new(name: &'static str, group: Group, arity: i32, since: &'static str) -> Spec {
        Spec {
            id: CommandId(0),
            name,
            arity: Arity::of(arity),
            flags: Flags::of(&[]),
            served: true,
            keys: &[],
            key_range: KeyRange { first: 0, last: 0, step: 0 },
            group,
            categories: Categories::of(Category::of_group(group)),
            since,
            syntax: "",
            complexity: "",
            summary: "",
            tips: &[],
            deprecated: None,
            system: false,
            container: None,
            children: 0,
        }
    }

    /// A command of Redis that Polder knows and does not serve yet.
    const fn planned(name: &'static str, group: Group, arity: i32, since: &'static str) -> Spec {
        let mut spec = Spec::new(name, group, arity, since);
        spec.served = false;
        spec
    }

    const fn doc(mut self, complexity: &'static str, summary: &'static str) -> Spec {
        self.complexity = complexity;
        self.summary = summary;
        self
    }

    const fn syntax(mut self, words: &'static str) -> Spec {
        self.syntax = words;
        self
    }

    const fn flags(mut self, flags: &[Flag]) -> Spec {
        self.flags = Flags::of(flags);
        self
    }

    /// Categories other than the group's own.
    const fn acl(mut self, categories: &[Category]) -> Spec {
        self.categories = Categories::of(categories);
        self
    }

    const fn keys(mut self, keys: &'static [KeySpec]) -> Spec {
        self.keys = keys;
        self
    }

    const fn tips(mut self, tips: &'static [&'static str]) -> Spec {
        self.tips = tips;
        self
    }

    const fn deprecated(mut self, since: &'static str, instead: &'static str) -> Spec {
        self.deprecated = Some((since, instead));
        self
    }

    const fn syscmd(mut self) -> Spec {
        self.system = true;
        self
    }

    /// What follows from the rest of the row.
    const fn finish(mut self, id: u16) -> Spec {
        let (range, movable) = keyspec::plain_range(self.keys);
        self.id = CommandId(id);
        self.key_range = range;
        if movable {
            self.flags = self.flags.with(Flag::MovableKeys);
        }
        self.categories = self.categories.implied_by(self.flags);
        self
    }

    /// Whether it may change data.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        self.flags.has(Flag::Write)
    }

    /// Whether it may change data, or have others change or see something: a script, a message. Carried out twice it is not
    /// the same as once.
    #[must_use]
    pub const fn may_write(&self) -> bool {
        self.is_write() || (self.flags.has(Flag::MayReplicate) && !self.is_readonly())
    }

    /// Whether it reads data and never changes it.
    #[must_use]
    pub const fn is_readonly(&self) -> bool {
        self.flags.has(Flag::Readonly)
    }

    /// Its subcommands, served or not, in alphabetical order.
    #[must_use]
    pub fn subcommands(&self) -> &'static [Spec] {
        let first = self.id.index() + 1;
        &specs()[first..first + usize::from(self.children)]
    }

    /// The subcommand named `name` in any case, served or not.
    #[must_use]
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Spec> {
        index::find_subcommand(self, name)
    }

    /// The name as a user types it: `CLIENT ID`.
    #[must_use]
    pub fn display_name(&self) -> String {
        self.name.replace('|', " ").to_uppercase()
    }
}

/// Rows are equal when they are the same row.
impl PartialEq for Spec {
    fn eq(&self, other: &Spec) -> bool {
        self.id == other.id
    }
}

impl Eq for Spec {}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

//! The categories by which access rules name many commands at once.

use super::flag::{Flag, Flags};
use super::group::Group;

/// A category, in the order in which `COMMAND INFO` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Category {
    /// Keys of any type.
    Keyspace,
    /// Reads data.
    Read,
    /// Changes data.
    Write,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Lists.
    List,
    /// Hashes.
    Hash,
    /// Strings.
    String,
    /// Bits of strings.
    Bitmap,
    /// Approximate counting.
    HyperLogLog,
    /// Positions on earth.
    Geo,
    /// Streams.
    Stream,
    /// Channels.
    Pubsub,
    /// For operators.
    Admin,
    /// Constant or logarithmic time.
    Fast,
    /// Not fast.
    Slow,
    /// May wait.
    Blocking,
    /// Can do harm to everybody.
    Dangerous,
    /// The connection.
    Connection,
    /// MULTI and what belongs to it.
    Transaction,
    /// Scripts.
    Scripting,
}

impl Category {
    /// Every category, in the order of `COMMAND INFO`.
    pub const ALL: [Category; 21] = [
        Category::Keyspace,
        Category::Read,
        Category::Write,
        Category::Set,
        Category::SortedSet,
        Category::List,
        Category::Hash,
        Category::String,
        Category::Bitmap,
        Category::HyperLogLog,
        Category::Geo,
        Category::Stream,
        Category::Pubsub,
        Category::Admin,
        Category::Fast,
        Category::Slow,
        Category::Blocking,
        Category::Dangerous,
        Category::Connection,
        Category::Transaction,
        Category::Scripting,
    ];

    /// The word clients see, without the `@`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Category::Keyspace => "keyspace",
            Category::Read => "read",
            Category::Write => "write",
            Category::Set => "set",
            Category::SortedSet => "sortedset",
            Category::List => "list",
            Category::Hash => "hash",
            Category::String => "string",
            Category::Bitmap => "bitmap",
            Category::HyperLogLog => "hyperloglog",
            Category::Geo => "geo",
            Category::Stream => "stream",
            Category::Pubsub => "pubsub",
            Category::Admin => "admin",
            Category::Fast => "fast",
            Category::Slow => "slow",
            Category::Blocking => "blocking",
            Category::Dangerous => "dangerous",
            Category::Connection => "connection",
            Category::Transaction => "transaction",
            Category::Scripting => "scripting",
        }
    }

    /// The category every command of a group is in, where there is one.
    pub(super) const fn of_group(group: Group) -> &'static [Category] {
        match group {
            Group::Bitmap => &[Category::Bitmap],
            Group::Connection => &[Category::Connection],
            Group::Generic => &[Category::Keyspace],
            Group::Geo => &[Category::Geo],
            Group::Hash => &[Category::Hash],
            Group::HyperLogLog => &[Category::HyperLogLog],
            Group::List => &[Category::List],
            Group::Scripting => &[Category::Scripting],
            Group::Set => &[Category::Set],
            Group::SortedSet => &[Category::SortedSet],
            Group::Stream => &[Category::Stream],
            Group::String => &[Category::String],
            Group::Transactions => &[Category::Transaction],
            Group::Cluster | Group::PubSub | Group::Server => &[],
        }
    }
}

/// A set of categories.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Categories(u32);

impl Categories {
    /// The set of `list`.
    #[must_use]
    pub const fn of(list: &[Category]) -> Categories {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u32;
            i += 1;
        }
        Categories(bits)
    }

    const fn with(self, category: Category) -> Categories {
        Categories(self.0 | 1 << category as u32)
    }

    /// This set and the categories that follow from a command's flags; every command is fast or slow.
    pub(super) const fn implied_by(self, flags: Flags) -> Categories {
        let mut all = self;
        if flags.has(Flag::Write) {
            all = all.with(Category::Write);
        }
        if flags.has(Flag::Readonly) && !self.has(Category::Scripting) {
            all = all.with(Category::Read);
        }
        if flags.has(Flag::Admin) {
            all = all.with(Category::Admin).with(Category::Dangerous);
        }
        if flags.has(Flag::Pubsub) {
            all = all.with(Category::Pubsub);
        }
        if flags.has(Flag::Blocking) {
            all = all.with(Category::Blocking);
        }
        all.with(if flags.has(Flag::Fast) { Category::Fast } else { Category::Slow })
    }

    /// Whether `category` is in the set.
    #[must_use]
    pub const fn has(self, category: Category) -> bool {
        self.0 & (1 << category as u32) != 0
    }

    /// The categories of the set, in the order of `COMMAND INFO`.
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.into_iter().filter(move |c| self.has(*c))
    }
}

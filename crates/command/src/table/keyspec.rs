//! Where a command's keys are among its words, and what the command does to them: the key specifications of Redis 7
//! (redis.io, "Command key specifications").

/// What a command does to the keys of one specification. The first four say what happens to the value as a whole; of
/// `Access` to `Delete` those that apply to what the user stored in it are given. The order is that of `COMMAND INFO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFlag {
    /// Reads the value.
    Ro,
    /// Reads and changes the value.
    Rw,
    /// Overwrites the value without reading it.
    Ow,
    /// Removes the value without reading it.
    Rm,
    /// Returns or uses what the user stored.
    Access,
    /// Changes what the user stored.
    Update,
    /// Adds to what the user stored.
    Insert,
    /// Deletes some or all of what the user stored.
    Delete,
    /// Not a key, but routed as if it were one.
    NotKey,
    /// There may be keys that the specification does not find.
    Incomplete,
    /// What happens depends on other words.
    VariableFlags,
}

impl KeyFlag {
    /// The word clients see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KeyFlag::Ro => "RO",
            KeyFlag::Rw => "RW",
            KeyFlag::Ow => "OW",
            KeyFlag::Rm => "RM",
            KeyFlag::Access => "access",
            KeyFlag::Update => "update",
            KeyFlag::Insert => "insert",
            KeyFlag::Delete => "delete",
            KeyFlag::NotKey => "not_key",
            KeyFlag::Incomplete => "incomplete",
            KeyFlag::VariableFlags => "variable_flags",
        }
    }
}

/// Where to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At this word; the command's name is word 0.
    Index(i32),
    /// After this word, in any case, looked for from word `start` onwards; a negative `start` counts from the end and
    /// looks backwards.
    Keyword {
        /// The word.
        word: &'static str,
        /// Where to begin looking.
        start: i32,
    },
    /// Nobody knows without evaluating the command.
    Unknown,
}

/// Which words, from the beginning, are keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Find {
    /// Every `step`th word up to `last`, which counts from the beginning, or from the end of the command when negative.
    /// A `limit` of 2 or more stops after that fraction of the remaining words (only with `last` = -1).
    Range {
        /// The last key.
        last: i32,
        /// The distance between keys.
        step: i32,
        /// The fraction; 0 and 1 mean all.
        limit: i32,
    },
    /// The first word says how many of the words behind it are keys.
    Counted,
    /// Nobody knows without evaluating the command.
    Unknown,
}

/// One specification; a command has one for each way in which it uses keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// Which words are keys.
    pub find: Find,
    /// What happens to them.
    pub flags: &'static [KeyFlag],
}

impl KeySpec {
    /// Whether the specification has `flag`.
    #[must_use]
    pub const fn has(&self, flag: KeyFlag) -> bool {
        let mut i = 0;
        while i < self.flags.len() {
            if self.flags[i] as u8 == flag as u8 {
                return true;
            }
            i += 1;
        }
        false
    }
}

/// One key at word `index`.
pub(super) const fn at(index: i32, flags: &'static [KeyFlag]) -> KeySpec {
    span(index, 0, 1, flags)
}

/// Every `step`th word from word `index` to `last`, as in [`Find::Range`].
pub(super) const fn span(index: i32, last: i32, step: i32, flags: &'static [KeyFlag]) -> KeySpec {
    KeySpec { begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, flags }
}

/// As many keys as word `index` says, behind it.
pub(super) const fn counted(index: i32, flags: &'static [KeyFlag]) -> KeySpec {
    KeySpec { begin: Begin::Index(index), find: Find::Counted, flags }
}

/// The words after `word`, as in [`Begin::Keyword`] and [`Find::Range`].
pub(super) const fn after(word: &'static str, start: i32, last: i32, limit: i32, flags: &'static [KeyFlag]) -> KeySpec {
    KeySpec { begin: Begin::Keyword { word, start }, find: Find::Range { last, step: 1, limit }, flags }
}

/// The plain range that older clients understand: first word, last word (negative from the end), step; all 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyRange {
    /// The first key's word.
    pub first: i32,
    /// The last key's word; negative counts from the end.
    pub last: i32,
    /// The distance between keys.
    pub step: i32,
}

/// The plain range that covers `specs`, and whether it misses or misplaces some keys ("movable").
pub(super) const fn plain_range(specs: &[KeySpec]) -> (KeyRange, bool) {
    let mut range = KeyRange { first: 0, last: 0, step: 0 };
    let mut movable = false;
    let mut i = 0;
    while i < specs.len() {
        let spec = &specs[i];
        i += 1;
        movable |= spec.has(KeyFlag::Incomplete);
        let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
            movable = true;
            continue;
        };
        let last = if last >= 0 { first + last } else { last };
        if range.step == 0 {
            range = KeyRange { first, last, step };
        } else if step == 1 && range.step == 1 && range.last == first - 1 {
            range.last = last;
        } else {
            movable = true;
        }
    }
    (range, movable)
}

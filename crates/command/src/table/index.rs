//! The table joined from its rows, and a hash index over the names, both built while compiling.

use super::{CommandId, Group, Spec, rows};

const GROUPS: [&[Spec]; 14] = [
    rows::cluster::ROWS,
    rows::compact::ROWS,
    rows::connection::ROWS,
    rows::generic::ROWS,
    rows::hash::ROWS,
    rows::list::ROWS,
    rows::pubsub::ROWS,
    rows::scripting::ROWS,
    rows::server::ROWS,
    rows::set::ROWS,
    rows::sorted_set::ROWS,
    rows::stream::ROWS,
    rows::string::ROWS,
    rows::transactions::ROWS,
];

/// Rows of the table, subcommands included.
pub const COMMAND_COUNT: usize = {
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
};

static SPECS: [Spec; COMMAND_COUNT] = join();

/// Slots of the index: a power of two at least twice the number of rows, so that probes stay short.
const SLOTS: usize = 1024;
const _: () = assert!(SLOTS >= 2 * COMMAND_COUNT, "the index needs more slots");

const EMPTY: u16 = u16::MAX;
static INDEX: [u16; SLOTS] = index(&SPECS);

/// Longest name in the table, in bytes: a longer word is not hashed at all.
const MAX_NAME_BYTES: usize = 32;

/// All rows. A container is followed by its subcommands; otherwise the order means nothing.
#[must_use]
pub fn specs() -> &'static [Spec] {
    &SPECS
}

/// The command named `name` in any case, served or not; `container|name` finds a subcommand.
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    find_command(name).or_else(|| {
        let bar = name.iter().take(MAX_NAME_BYTES).position(|b| *b == b'|')?;
        find_subcommand(find_command(&name[..bar])?, &name[bar + 1..])
    })
}

/// The command named `name` in any case; subcommands are not found.
pub(crate) fn find_command(name: &[u8]) -> Option<&'static Spec> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    probe(hash(name, NO_CONTAINER), |spec| spec.container.is_none() && spec.name.as_bytes().eq_ignore_ascii_case(name))
}

pub(super) fn find_subcommand(container: &Spec, name: &[u8]) -> Option<&'static Spec> {
    if container.children == 0 || name.len() > MAX_NAME_BYTES {
        return None;
    }
    let prefix = container.name.len() + 1;
    probe(hash(name, container.id.0), |spec| {
        spec.container == Some(container.id)
            && spec.name.as_bytes().get(prefix..).is_some_and(|own| own.eq_ignore_ascii_case(name))
    })
}

#[inline]
fn probe(hash: usize, matches: impl Fn(&Spec) -> bool) -> Option<&'static Spec> {
    let mut slot = hash % SLOTS;
    // Ends because at least half of the slots are empty.
    while INDEX[slot] != EMPTY {
        let spec = &SPECS[usize::from(INDEX[slot])];
        if matches(spec) {
            return Some(spec);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// Stands for the container of a command that is no subcommand.
const NO_CONTAINER: u16 = u16::MAX;

/// Bytes from both ends of a name that are hashed; the rest decides only by its length.
const HASHED_BYTES: usize = 8;

/// A hash of a name without regard to case, within `container`. Both ends are read as numbers, so that the usual short
/// name costs a few shifts and one multiplication.
#[inline]
const fn hash(name: &[u8], container: u16) -> usize {
    let (mut head, mut tail, mut i) = (0u64, 0u64, 0);
    while i < name.len() && i < HASHED_BYTES {
        head = head << 8 | name[i] as u64;
        i += 1;
    }
    i = if name.len() > 2 * HASHED_BYTES { name.len() - HASHED_BYTES } else { i };
    while i < name.len() {
        tail = tail << 8 | name[i] as u64;
        i += 1;
    }
    const LOWER_CASE: u64 = 0x2020_2020_2020_2020;
    let ends = (head | LOWER_CASE) ^ (tail | LOWER_CASE).rotate_left(23);
    let all = ends ^ (container as u64) << 40 ^ name.len() as u64;
    (all.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

const fn join() -> [Spec; COMMAND_COUNT] {
    let mut all = [Spec::new("", Group::Server, 0, ""); COMMAND_COUNT];
    let (mut at, mut container, mut group) = (0, 0, 0);
    while group < GROUPS.len() {
        let mut row = 0;
        while row < GROUPS[group].len() {
            all[at] = GROUPS[group][row].finish(at as u16);
            if is_subcommand(all[at].name) {
                all[at].container = Some(CommandId(container as u16));
                all[container].children += 1;
            } else {
                container = at;
            }
            at += 1;
            row += 1;
        }
        group += 1;
    }
    all
}

const fn is_subcommand(name: &str) -> bool {
    let mut i = 0;
    while i < name.len() {
        if name.as_bytes()[i] == b'|' {
            return true;
        }
        i += 1;
    }
    false
}

const fn index(all: &[Spec; COMMAND_COUNT]) -> [u16; SLOTS] {
    let mut slots = [EMPTY; SLOTS];
    let mut i = 0;
    while i < COMMAND_COUNT {
        let name = all[i].name.as_bytes();
        assert!(name.len() <= MAX_NAME_BYTES, "a name is longer than the longest allowed");
        let own = match all[i].container {
            Some(id) => (name.split_at(all[id.index()].name.len() + 1).1, id.0),
            None => (name, NO_CONTAINER),
        };
        let mut slot = hash(own.0, own.1) % SLOTS;
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = i as u16;
        i += 1;
    }
    slots
}

//! Streams. The META record keeps the IDs and counters; each entry has a sub-record under its ID, so entries are in order and
//! neither XADD nor a read at the end depends on how many there are. Each consumer group has a record of its own, one for
//! each consumer, and two for each pending entry: by ID, and by consumer and ID.
//!
//! Entries that are trimmed in large numbers, and what is left of a group that was destroyed, are deleted in the background.

mod append;
mod edit;
mod entry;
mod groups;
mod id;
mod info;
mod range;
mod read;
mod stream;
mod trim;
mod whole;

use crate::dispatch::{Row, reads, writes};
use crate::records::{Name, Part, Record};
use crate::reply::Outcome;

pub(crate) use groups::ROWS as GROUP_ROWS;
pub use id::Id;
pub(crate) use whole::{all, check_names, retain_living, store};

pub(crate) const ROWS: &[Row] = &[
    writes("xadd", append::xadd),
    writes("xtrim", trim::xtrim),
    writes("xdel", edit::xdel),
    writes("xsetid", edit::xsetid),
    reads("xlen", range::xlen),
    reads("xrange", range::xrange),
    reads("xrevrange", range::xrevrange),
    reads("xread", read::xread),
    reads("xinfo|stream", info::stream),
];

/// How many entries a stream has.
pub(crate) fn len(name: &Name, record: &Record) -> Outcome<u64> {
    Ok(stream::Stream::of(name.clone(), record.clone())?.meta.count)
}

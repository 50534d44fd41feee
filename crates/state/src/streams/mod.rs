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

use crate::dispatch::{Row, reads, writes};
use crate::records::{Name, Part, Record};
use crate::reply::Outcome;
use bytes::Bytes;
use std::collections::BTreeSet;

pub(crate) use groups::ROWS as GROUP_ROWS;
use id::Id;

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

/// Keeps those of a stream's sub-records, given as what follows their prefix and in order, that do not wait for deletion.
pub(crate) fn retain_living(name: &Name, record: &Record, parts: &mut Vec<(Bytes, Bytes)>) -> Outcome<()> {
    let stream = stream::Stream::of(name.clone(), record.clone())?;
    let mut groups = BTreeSet::new();
    for (_, value) in parts.iter().filter(|(suffix, _)| suffix.first() == Some(&(Part::Group as u8))) {
        groups.insert(groups::Group::decode(value)?.number.to_be_bytes());
    }
    parts.retain(|(suffix, _)| match suffix.split_first() {
        Some((part, id)) if *part == Part::Entry as u8 => Id::of_bytes(id).is_some_and(|id| stream.may_hold(id)),
        Some((part, _)) if *part == Part::Group as u8 => true,
        Some((_, rest)) => rest.first_chunk().is_some_and(|number| groups.contains(number)),
        None => false,
    });
    Ok(())
}

//! MULTI and what belongs to it.

use crate::table::Spec;
use crate::table::flag::Flag::{AllowBusy, Fast, Loading, NoScript, SkipSlowlog, Stale};
use crate::table::group::Group::Transactions;
use crate::table::keyspec::KeyFlag::Ro;
use crate::table::keyspec::span;

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("discard", Transactions, 1, "2.0.0").doc("O(N), N queued commands.", "Drops the commands queued since MULTI.")
        .flags(&[NoScript, Loading, Stale, Fast, AllowBusy]),
    Spec::new("exec", Transactions, 1, "1.2.0")
        .doc("The sum of the queued commands.", "Runs the commands queued since MULTI, with nothing in between.")
        .flags(&[NoScript, Loading, Stale, SkipSlowlog]),
    Spec::new("multi", Transactions, 1, "1.2.0").doc("O(1)", "Begins to queue commands for EXEC.")
        .flags(&[NoScript, Loading, Stale, Fast, AllowBusy]),
    Spec::new("unwatch", Transactions, 1, "2.2.0").doc("O(1)", "Forgets the watched keys.")
        .flags(&[NoScript, Loading, Stale, Fast, AllowBusy]),
    Spec::new("watch", Transactions, -2, "2.2.0")
        .doc("O(N), N keys.", "Makes the next EXEC fail if one of the keys changes before it.")
        .syntax("key [key ...]").flags(&[NoScript, Loading, Stale, Fast, AllowBusy]).keys(&[span(1, -1, 1, &[Ro])]),
];

//! Bitmaps, HyperLogLog and positions on earth: types kept inside strings and sorted sets.

use crate::table::Spec;
use crate::table::flag::Flag::{Admin, DenyOom, Fast, MayReplicate, Readonly, Write};
use crate::table::group::Group::{Bitmap, Geo, HyperLogLog};
use crate::table::keyspec::KeyFlag::{Access, Insert, Ow, Ro, Rw, Update, VariableFlags};
use crate::table::keyspec::{after, at, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("bitcount", Bitmap, -2, "2.6.0").doc("O(N), N bytes of the range.", "How many bits of a string are set.")
        .syntax("key [start end [BYTE | BIT]]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("bitfield", Bitmap, -2, "3.2.0")
        .doc("O(1) for each integer, and O(N) to write, N bytes of the string.", "Reads and changes integers of any width inside a string.")
        .syntax("key [GET type offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET type offset value | INCRBY type offset increment>] ...")
        .flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Update, Access, VariableFlags])]),
    Spec::new("bitfield_ro", Bitmap, -2, "6.0.0").doc("O(1) for each integer.", "Reads integers of any width inside a string.")
        .syntax("key [GET type offset [GET type offset ...]]").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("bitop", Bitmap, -4, "2.6.0").doc("O(N), N bytes of all strings.", "Combines the bits of strings and stores the result.")
        .syntax("<AND | OR | XOR | NOT> destkey key [key ...]").flags(&[Write, DenyOom])
        .keys(&[at(2, &[Ow, Update]), span(3, -1, 1, &[Ro, Access])]),
    Spec::new("bitpos", Bitmap, -3, "2.8.7").doc("O(N), N bytes of the range.", "The first bit of a string that is set, or that is clear.")
        .syntax("key bit [start [end [BYTE | BIT]]]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("getbit", Bitmap, 3, "2.2.0").doc("O(1)", "A bit of a string.")
        .syntax("key offset").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("setbit", Bitmap, 4, "2.2.0").doc("O(N), N bytes of the string.", "Sets or clears a bit of a string.")
        .syntax("key offset value").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::planned("pfadd", HyperLogLog, -2, "2.8.9").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::planned("pfcount", HyperLogLog, -2, "2.8.9").flags(&[Readonly, MayReplicate]).keys(&[span(1, -1, 1, &[Rw, Access])]),
    Spec::planned("pfdebug", HyperLogLog, 3, "2.8.9").flags(&[Write, DenyOom, Admin]).keys(&[at(2, &[Rw, Access])]),
    Spec::planned("pfmerge", HyperLogLog, -2, "2.8.9").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Rw, Access, Insert]), span(2, -1, 1, &[Ro, Access])]),
    Spec::planned("pfselftest", HyperLogLog, 1, "2.8.9").flags(&[Admin]),
    Spec::planned("geoadd", Geo, -5, "3.2.0").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Update])]),
    Spec::planned("geodist", Geo, -4, "3.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("geohash", Geo, -2, "3.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("geopos", Geo, -2, "3.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("georadius", Geo, -6, "3.2.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ro, Access]), after("STORE", 6, 0, 0, &[Ow, Update]), after("STOREDIST", 6, 0, 0, &[Ow, Update])]),
    Spec::planned("georadius_ro", Geo, -6, "3.2.10").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("georadiusbymember", Geo, -5, "3.2.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ro, Access]), after("STORE", 5, 0, 0, &[Ow, Update]), after("STOREDIST", 5, 0, 0, &[Ow, Update])]),
    Spec::planned("georadiusbymember_ro", Geo, -5, "3.2.10").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("geosearch", Geo, -7, "6.2.0").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::planned("geosearchstore", Geo, -8, "6.2.0").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), at(2, &[Ro, Access])]),
];

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
    Spec::new("pfadd", HyperLogLog, -2, "2.8.9").doc("O(N), N elements.", "Adds elements to an approximate count.")
        .syntax("key [element [element ...]]").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Insert])]),
    Spec::new("pfcount", HyperLogLog, -2, "2.8.9").doc("O(N), N keys.", "About how many different elements were added.")
        .syntax("key [key ...]").flags(&[Readonly, MayReplicate]).keys(&[span(1, -1, 1, &[Rw, Access])]),
    Spec::new("pfdebug", HyperLogLog, 3, "2.8.9").doc("O(1)", "How an approximate count is kept.")
        .syntax("<ENCODING | GETREG | DECODE | TODENSE> key").syscmd().flags(&[Write, DenyOom, Admin]).keys(&[at(2, &[Rw, Access])]),
    Spec::new("pfmerge", HyperLogLog, -2, "2.8.9").doc("O(N), N keys.", "Merges approximate counts into one.")
        .syntax("destkey [sourcekey [sourcekey ...]]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Rw, Access, Insert]), span(2, -1, 1, &[Ro, Access])]),
    Spec::planned("pfselftest", HyperLogLog, 1, "2.8.9").flags(&[Admin]),
    Spec::new("geoadd", Geo, -5, "3.2.0").doc("O(N*log(M)), N members, M members of the set.", "Adds members with their positions on earth.")
        .syntax("key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]").flags(&[Write, DenyOom]).keys(&[at(1, &[Rw, Update])]),
    Spec::new("geodist", Geo, -4, "3.2.0").doc("O(1)", "The distance between two members.")
        .syntax("key member1 member2 [M | KM | FT | MI]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("geohash", Geo, -2, "3.2.0").doc("O(N), N members.", "The positions of members as geohashes.")
        .syntax("key [member [member ...]]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("geopos", Geo, -2, "3.2.0").doc("O(N), N members.", "The positions of members.")
        .syntax("key [member [member ...]]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("georadius", Geo, -6, "3.2.0").doc("O(N), N members near the area.", "The members around a position, or stores them.")
        .syntax("key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ro, Access]), after("STORE", 6, 0, 0, &[Ow, Update]), after("STOREDIST", 6, 0, 0, &[Ow, Update])])
        .deprecated("6.2.0", "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS"),
    Spec::new("georadius_ro", Geo, -6, "3.2.10").doc("O(N), N members near the area.", "The members around a position.")
        .syntax("key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .deprecated("6.2.0", "GEOSEARCH with BYRADIUS"),
    Spec::new("georadiusbymember", Geo, -5, "3.2.0").doc("O(N), N members near the area.", "The members around another, or stores them.")
        .syntax("key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ro, Access]), after("STORE", 5, 0, 0, &[Ow, Update]), after("STOREDIST", 5, 0, 0, &[Ow, Update])])
        .deprecated("6.2.0", "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS and FROMMEMBER"),
    Spec::new("georadiusbymember_ro", Geo, -5, "3.2.10").doc("O(N), N members near the area.", "The members around another.")
        .syntax("key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .deprecated("6.2.0", "GEOSEARCH with BYRADIUS and FROMMEMBER"),
    Spec::new("geosearch", Geo, -7, "6.2.0").doc("O(N), N members near the area.", "The members inside a circle or a rectangle.")
        .syntax("key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("geosearchstore", Geo, -8, "6.2.0").doc("O(N*log(N)), N members near the area.", "Stores the members inside a circle or a rectangle.")
        .syntax("destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), at(2, &[Ro, Access])]),
];

//! Golden bytes: what is on disk does not change by accident. The layout is drawn in docs/internals/keyspace-layout.md.

use super::{
    Flags, Garbage, Head, Home, Kind, Name, Part, Record, System, Type, count_key, directory_key, function_key,
    garbage_collection, garbage_keyspace, garbage_span, key_hash, library_key, locator_of_expiry, meta_of_locator,
    meta_position, sub_key, sub_prefix, successor, system_key, user_key_of_meta, write_value,
};
use crate::packed;
use crate::{Awaited, Env, Layout, Leading, Overlay, ProposalBuilder, Scripts, Watches};
use bytes::Bytes;
use command::{Command, slot_of};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use stdx::Rng;
use storage::{EngineError, Op, View};

#[track_caller]
fn golden(bytes: impl AsRef<[u8]>, expected: &str) {
    let hex = bytes.as_ref().iter().fold(String::new(), |mut s, b| {
        write!(s, "{b:02x}").unwrap();
        s
    });
    assert_eq!(hex, expected.replace(' ', ""));
}

fn value(kind: Type, flags: Flags, expire_ms: Option<u64>, body: &[&[u8]]) -> Bytes {
    let mut out = Vec::new();
    write_value(&mut out, Head { kind, flags, expire_ms }, body);
    out.into()
}

#[test]
fn tags() {
    use Kind::{Count, Directory, Expiry, FieldExpiry, Garbage, Library, Meta, Script, Sub};
    let kinds = [Kind::System, Directory, Count, Garbage, Script, Library, Meta, Sub, Expiry, FieldExpiry];
    golden(kinds.map(|k| k as u8), "01 02 03 04 05 06 10 20 30 31");
    golden([System::NextVersion, System::NextKeyspace].map(|s| s as u8), "01 02");
    let types = [Type::String, Type::List, Type::Set, Type::SortedSet, Type::Hash, Type::Stream].map(|t| t as u8);
    golden(types, "01 02 03 04 05 06");
    use Part::{Block, Consumer, Element, Entry, Fragment, Group, Member, Owned, Pending, Score};
    let parts = [Member, Element, Score, Entry, Group, Consumer, Pending, Fragment, Block, Owned].map(|p| p as u8);
    golden(parts, "01 02 03 04 05 06 07 08 09 0a");
}

#[test]
fn keys() {
    let name = Name::new(3, 0x400, b"foo");
    golden(name.record(), "10 00000400 2f96 53fc2b4c 666f6f");
    golden(name.expiry_key(0x0102_0304_0506_0708), "30 0102030405060708 00000400 2f96 53fc2b4c 666f6f");
    golden(system_key(System::NextVersion), "01 01");
    golden(directory_key(9), "02 0009");
    golden(count_key(7, None), "03 00000007 ffff");
    golden(count_key(7, Some(5)), "03 00000007 0005");
    let prefix = sub_prefix(7, 0x2f96, 0x11);
    golden(&prefix, "20 00000007 2f96 0000000000000011");
    golden(
        sub_key(&prefix, Part::Member, &[b"\x01\x02\x03\x04", b"f"]),
        "20 00000007 2f96 0000000000000011 01 01020304 66",
    );
    golden(garbage_keyspace(7), "04 01 00000007");
    golden(library_key(b"Lib"), "06 01 4c6962");
    golden(function_key(b"Fun"), "06 02 66756e");
    golden(garbage_collection(&prefix), "04 02 00000007 2f96 0000000000000011");
}

#[test]
fn values() {
    golden(value(Type::String, Flags::NONE, None, &[b"hi"]), "01 6869");
    golden(value(Type::String, Flags::NONE, Some(0x10), &[b"hi"]), "81 0000000000000010 6869");
    golden(value(Type::String, Flags::GREW, None, &[b"12"]), "21 3132");
    let home = Home { slot: 0x2f96, version: 0x11 }.encode();
    let spilled = Flags::SPILLED.with(Flags::GREW);
    golden(value(Type::Hash, spilled, None, &[&home, b"\x02"]), "65 2f96 0000000000000011 02");
}

#[test]
fn bodies() {
    let pieces = [Bytes::from_static(b"ab"), Bytes::new()];
    golden(packed::encode(pieces.iter()), "02 02 6162 00");
    assert_eq!(packed::decode(&packed::encode(pieces.iter()).into()).unwrap(), pieces);
    for cut in [&b""[..], b"\x01", b"\x01\x02a", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
        assert!(packed::decode(&Bytes::copy_from_slice(cut)).is_err(), "{cut:?}");
    }
    // What the commands leave: a small list and a small set, then each with its parts in records of their own.
    let mut shard = Bench::new();
    shard.run(&["RPUSH", "l", "a", "bc"]);
    shard.run(&["SADD", "s", "a", "12"]);
    golden(shard.meta("l"), "02 02 01 61 02 6263");
    golden(shard.meta("s"), "03 02 01 61 02 3132");
    let long = "x".repeat(1100);
    shard.run(&["RPUSH", "l", &long]);
    shard.run(&["LPUSH", "l", "h"]);
    shard.run(&["SADD", "s", &long]);
    let list = "0000000000000001";
    let set = "0000000000000002";
    golden(shard.meta("l"), &format!("42 {} {list} 7fffffffffffffff 8000000000000003 d008", slot("l")));
    golden(shard.meta("s"), &format!("63 {} {set} 03", slot("s")));
    shard.run(&["ZADD", "z", "1", "a", "-2", "b"]);
    golden(shard.meta("z"), "04 02 c000000000000000 01 62 3ff0000000000000 01 61");
    shard.run(&["ZADD", "z", "0", &long]);
    let sorted = "0000000000000003";
    golden(shard.meta("z"), &format!("64 {} {sorted} 03", slot("z")));
    golden(shard.sub("z", sorted, &format!("01 {:08x} 62", key_hash(b"b"))), "c000000000000000");
    golden(shard.sub("z", sorted, "03 3fffffffffffffff 62"), "");
    golden(shard.sub("z", sorted, "03 bff0000000000000 61"), "");
    golden(shard.sub("z", sorted, "09 3fffffffffffffff 62"), "03");
    golden(shard.sub("l", list, "02 7fffffffffffffff"), "68");
    golden(shard.sub("l", list, "02 8000000000000001"), "6263");
    golden(shard.sub("s", set, &format!("01 {:08x} 61", key_hash(b"a"))), "");
}

#[test]
fn streams() {
    let mut shard = Bench::new();
    shard.run(&["XADD", "s", "258-3", "f", "v"]);
    shard.run(&["XADD", "s", "259-0", "f", "w"]);
    let (stream, home) = ("0000000000000001", slot("s"));
    let (first, last) = ("0000000000000102 0000000000000003", "0000000000000103 0000000000000000");
    let none = "0".repeat(32);
    golden(shard.meta("s"), &format!("46 {home} {stream} 02 {last} {first} {none} 02"));
    golden(shard.sub("s", stream, &format!("04 {first}")), "02 01 66 01 76");
    shard.run(&["XGROUP", "CREATE", "s", "g", "0", "ENTRIESREAD", "-1"]);
    let group = "0000000000000002";
    golden(shard.sub("s", stream, "05 67"), &format!("{group} {none} {none} 00 00 00"));
    shard.run(&["XREADGROUP", "GROUP", "g", "me", "COUNT", "1", "STREAMS", "s", ">"]);
    let consumer = "0000000000000003";
    golden(shard.sub("s", stream, "05 67"), &format!("{group} {first} {first} 02 01 01"));
    golden(
        shard.sub("s", stream, &format!("06 {group} 6d65")),
        &format!("{consumer} 0000000000000001 0000000000000001 01"),
    );
    golden(shard.sub("s", stream, &format!("07 {group} {first}")), "0000000000000001 01 6d65");
    golden(shard.sub("s", stream, &format!("0a {group} {consumer} {first}")), "");
    shard.run(&["XGROUP", "DESTROY", "s", "g"]);
    let garbage = |part: &str| format!("03 00000000 {home} {stream} {part} {group}");
    for part in ["06", "07", "0a"] {
        let end = format!("20 00000000 {home} {stream} {part} 0000000000000003");
        golden(shard.record(&format!("04 {}", garbage(part))), &end);
    }
}

fn slot(key: &str) -> String {
    format!("{:04x}", slot_of(key.as_bytes()).0)
}

/// A shard that applies at once, to look at what commands leave.
struct Bench {
    view: BTreeMap<Bytes, Bytes>,
    sequence: u64,
}

impl Bench {
    fn new() -> Bench {
        Bench { view: BTreeMap::new(), sequence: 0 }
    }

    fn run(&mut self, words: &[&str]) {
        let cmd = Command::parse(words.iter().map(|w| Bytes::copy_from_slice(w.as_bytes())).collect()).unwrap();
        let env = Env { db: 0, now_ms: 1, proven_ms: 1, layout: Layout::Colocated, resp3: false };
        self.sequence += 1;
        let (mut overlay, mut watches, mut rng, mut scripts) =
            (Overlay::new(), Watches::new(), Rng::new(1), Scripts::default());
        let mut awaited = Awaited::default();
        let base = MapView(&self.view);
        let mut on = Leading {
            base: &base,
            overlay: &mut overlay,
            watches: &mut watches,
            awaited: &mut awaited,
            rng: &mut rng,
            scripts: &mut scripts,
        };
        let mut builder = ProposalBuilder::new(self.sequence);
        let reply = builder.evaluate(&mut on, env, &cmd).unwrap().reply;
        assert!(!reply.is_error(), "{words:?}: {reply:?}");
        let batch = builder.finish(&mut on);
        for op in batch.ops {
            match op {
                Op::Put(k, v) => drop(self.view.insert(k, v)),
                Op::Delete(k) => drop(self.view.remove(&k)),
                Op::DeleteRange(s, e) => self.view.retain(|k, _| k < &s || k >= &e),
            }
        }
    }

    /// The META value of a key.
    fn meta(&self, key: &str) -> Bytes {
        self.view[Name::new(0, 0, key.as_bytes()).record()].clone()
    }

    /// The value of a sub-record, whose version and suffix are given in hexadecimal.
    fn sub(&self, home: &str, version: &str, suffix: &str) -> Bytes {
        self.record(&format!("20 00000000 {} {version} {suffix}", slot(home)))
    }

    /// The value of a record, whose key is given in hexadecimal.
    fn record(&self, key: &str) -> Bytes {
        let hex = key.replace(' ', "");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let key: Bytes = (0..hex.len()).step_by(2).map(byte).collect();
        self.view.get(&key).unwrap_or_else(|| panic!("no record {hex}")).clone()
    }
}

struct MapView<'a>(&'a BTreeMap<Bytes, Bytes>);

type Visit<'a> = &'a mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>;

impl View for MapView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        let inside = self.0.iter().filter(|(k, _)| &k[..] >= start && &k[..] < end);
        let _ = { inside }.try_for_each(|(k, v)| visit(k, v));
        Ok(())
    }

    fn scan_reverse(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        let inside = self.0.iter().rev().filter(|(k, _)| &k[..] >= start && &k[..] < end);
        let _ = { inside }.try_for_each(|(k, v)| visit(k, v));
        Ok(())
    }
}

#[test]
fn hashes_and_slots_never_change() {
    for (key, hash) in [("", 0xe7d1_2412), ("a", 0xde0e_b0c6), ("foo", 0x53fc_2b4c), ("user:1000:profile", 0xa59e_a65e)]
    {
        assert_eq!(key_hash(key.as_bytes()), hash, "{key}: {:#x}", key_hash(key.as_bytes()));
    }
}

#[test]
fn the_hash_spreads_similar_keys() {
    let mut buckets = [0u32; 256];
    for i in 0..65_536 {
        buckets[(key_hash(format!("key:{i:012}").as_bytes()) >> 24) as usize] += 1;
    }
    let chi: f64 = buckets.iter().map(|n| (f64::from(*n) - 256.0).powi(2) / 256.0).sum();
    assert!(chi < 350.0, "chi-square of 255 degrees of freedom is {chi}");
    let mut all: Vec<u32> = (0..100_000).map(|i: u32| key_hash(&i.to_le_bytes())).collect();
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 99_980, "only {} of 100000 hashes differ", all.len());
}

#[test]
fn what_was_written_reads_back() {
    let name = Name::new(2, 9, b"key");
    assert_eq!((name.db(), name.keyspace(), name.user()), (2, 9, &b"key"[..]));
    assert_eq!(name.slot(), slot_of(b"key").0);
    assert_eq!(user_key_of_meta(name.record()), b"key");
    assert_eq!(meta_position(name.record()), u64::from(slot_of(b"key").0) << 32 | u64::from(key_hash(b"key")));
    let index = name.expiry_key(77);
    let (at, locator) = locator_of_expiry(&index).unwrap();
    assert_eq!((at, meta_of_locator(2, locator)), (77, name));
    let prefix = sub_prefix(1, 2, 3);
    assert_eq!(Garbage::of_key(&garbage_collection(&prefix)), Some(Garbage::Collection(prefix)));
    assert_eq!(Garbage::of_key(&garbage_keyspace(5)), Some(Garbage::Keyspace(5)));
    let span = sub_key(&sub_prefix(1, 2, 3), Part::Entry, &[b"x"]);
    assert_eq!(Garbage::of_key(&garbage_span(&span)), Some(Garbage::Span(span)));
    assert_eq!(&successor(b"a\xff\xff")[..], b"b");
    assert!(successor(b"\xff").is_empty());
}

#[test]
fn damaged_values_are_refused() {
    for bad in [&b""[..], b"\x00x", b"\x0fx", b"\x81\x00", b"\x15"] {
        assert!(Record::decode(&Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
    }
    let cut = Record::decode(&Bytes::from_static(b"\x45\x00\x01")).unwrap();
    assert!(cut.home().is_err());
}

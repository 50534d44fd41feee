//! Golden bytes: what is on disk does not change by accident. The layout is drawn in docs/internals/keyspace-layout.md.

use super::{
    Flags, Garbage, Head, Home, Kind, Name, Part, Record, System, Type, count_key, directory_key, garbage_collection,
    garbage_keyspace, key_hash, locator_of_expiry, meta_of_locator, meta_position, slot, sub_key, sub_prefix,
    successor, system_key, user_key_of_meta, write_value,
};
use bytes::Bytes;
use std::fmt::Write as _;

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
    use Kind::{Count, Directory, Expiry, FieldExpiry, Garbage, Meta, Sub};
    let kinds = [Kind::System, Directory, Count, Garbage, Meta, Sub, Expiry, FieldExpiry].map(|k| k as u8);
    golden(kinds, "01 02 03 04 10 20 30 31");
    golden([System::NextVersion, System::NextKeyspace].map(|s| s as u8), "01 02");
    let types = [Type::String, Type::List, Type::Set, Type::SortedSet, Type::Hash, Type::Stream].map(|t| t as u8);
    golden(types, "01 02 03 04 05 06");
    use Part::{Consumer, Element, Entry, Fragment, Group, Member, Pending, Score};
    let parts = [Member, Element, Score, Entry, Group, Consumer, Pending, Fragment].map(|p| p as u8);
    golden(parts, "01 02 03 04 05 06 07 08");
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
fn hashes_and_slots_never_change() {
    for (key, hash) in [("", 0xe7d1_2412), ("a", 0xde0e_b0c6), ("foo", 0x53fc_2b4c), ("user:1000:profile", 0xa59e_a65e)]
    {
        assert_eq!(key_hash(key.as_bytes()), hash, "{key}: {:#x}", key_hash(key.as_bytes()));
    }
    // From the Redis Cluster specification and `CLUSTER KEYSLOT` of Redis 7.0.
    for (key, s) in [
        ("123456789", 0x31c3),
        ("foo", 12182),
        ("", 0),
        ("foo{hash_tag}", 2515),
        ("bar{hash_tag}", 2515),
        ("{}x", 10595),
        ("a{b}c{d}", 3300),
        ("{{x}}", 11068),
    ] {
        assert_eq!(slot(key.as_bytes()), s, "{key}");
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
    assert_eq!(name.slot(), slot(b"key"));
    assert_eq!(user_key_of_meta(name.record()), b"key");
    assert_eq!(meta_position(name.record()), u64::from(slot(b"key")) << 32 | u64::from(key_hash(b"key")));
    let index = name.expiry_key(77);
    let (at, locator) = locator_of_expiry(&index).unwrap();
    assert_eq!((at, meta_of_locator(2, locator)), (77, name));
    let prefix = sub_prefix(1, 2, 3);
    assert_eq!(Garbage::of_key(&garbage_collection(&prefix)), Some(Garbage::Collection(prefix)));
    assert_eq!(Garbage::of_key(&garbage_keyspace(5)), Some(Garbage::Keyspace(5)));
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

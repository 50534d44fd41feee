//! What must hold in any applied state.

use super::{MapView, streams};
use bytes::Bytes;
use state::records::{self, Garbage, Kind, Name, Part as Parts, Record, Type};
use state::{DATABASES, Layout};
use std::collections::{BTreeMap, BTreeSet};

/// A sub-record.
pub type Part<'v> = (&'v Bytes, &'v Bytes);

/// Checks that counts, expiry index, sub-records and garbage agree with the keys.
pub fn check(view: &MapView, layout: Layout) {
    let living: BTreeSet<u32> = (0..DATABASES)
        .map(|db| {
            let mapped = view.0.get(&records::directory_key(db)[..]);
            mapped.map_or(u32::from(db), |v| u32::from_be_bytes(v.as_ref().try_into().unwrap()))
        })
        .collect();
    let mut counts: BTreeMap<Bytes, u64> = BTreeMap::new();
    let mut index: BTreeSet<Bytes> = BTreeSet::new();
    let mut flushed: BTreeSet<Bytes> = BTreeSet::new();
    let mut homes: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut dead: BTreeSet<u32> = BTreeSet::new();
    let mut spans = Vec::new();
    for (key, end) in of_kind(view, Kind::Garbage) {
        match Garbage::of_key(key).expect("garbage records decode") {
            Garbage::Keyspace(keyspace) => drop(dead.insert(keyspace)),
            Garbage::Collection(prefix) => drop(homes.insert(prefix.to_vec())),
            Garbage::Span(start) => spans.push((Bytes::copy_from_slice(&start), end.clone())),
        }
    }
    assert!(living.is_disjoint(&dead), "a database uses a keyspace that is being deleted");
    for (key, value) in of_kind(view, Kind::Meta) {
        let record = Record::decode(value).unwrap();
        let keyspace = keyspace_of(key);
        let name = Name::new(0, keyspace, records::user_key_of_meta(key));
        assert_eq!(name.record(), &key[..], "a key lies where it is looked for");
        if !living.contains(&keyspace) {
            flushed.extend(record.head.expire_ms.map(|at| Bytes::copy_from_slice(&name.expiry_key(at))));
            assert!(dead.contains(&keyspace), "a flushed key that nobody will delete");
            continue;
        }
        if let Some(at) = record.head.expire_ms {
            index.insert(Bytes::copy_from_slice(&name.expiry_key(at)));
        }
        let slot = (layout == Layout::Sharded).then(|| name.slot());
        *counts.entry(Bytes::copy_from_slice(&records::count_key(keyspace, slot))).or_default() += 1;
        if let Some(home) = record.home().unwrap() {
            let prefix = records::sub_prefix(keyspace, home.slot, home.version).to_vec();
            let parts: Vec<_> = of_kind(view, Kind::Sub).filter(|(k, _)| k.starts_with(&prefix)).collect();
            match record.head.kind {
                Type::SortedSet => check_order(&parts),
                Type::Stream => streams::check(&record, &parts, &spans),
                _ => {}
            }
            let parts =
                parts.iter().filter(|(k, _)| k[15] == Parts::Member as u8 || k[15] == Parts::Element as u8).count();
            let mut body = stdx::codec::Reader::new(record.body.slice(records::Home::LEN..));
            let counted = match record.head.kind {
                // What a stream counts was checked, without those parts that wait for deletion.
                Type::Stream => 0,
                Type::List => {
                    let mut number = || u64::from_be_bytes(body.take(8).unwrap().as_ref().try_into().unwrap());
                    let head = number();
                    number() - head
                }
                _ => body.varint().unwrap(),
            };
            assert_eq!(counted, parts as u64, "a collection counts its parts");
            assert!(homes.insert(prefix), "two keys share a collection, or it is garbage");
        }
    }
    for (key, value) in of_kind(view, Kind::Count).filter(|(k, _)| living.contains(&keyspace_of(k))) {
        let counted = u64::from_be_bytes(value.as_ref().try_into().unwrap());
        assert_eq!(counted, counts.remove(key).unwrap_or(0), "the count {key:?}");
    }
    assert!(counts.is_empty(), "keys that are not counted: {counts:?}");
    let stored = of_kind(view, Kind::Expiry).map(|(k, _)| k.clone());
    // The sweeper may have dealt with a flushed key's record before its key is deleted.
    let stored: BTreeSet<Bytes> = stored.filter(|k| !flushed.contains(k)).collect();
    assert_eq!(stored, index, "the expiry index holds exactly the keys that expire");
    for (key, _) in of_kind(view, Kind::Sub).filter(|(k, _)| !dead.contains(&keyspace_of(k))) {
        assert!(homes.contains(&key[..15]), "a part of no collection");
    }
}

/// Checks that each member of a sorted set has its place, and that blocks count what lies between them.
fn check_order(parts: &[Part<'_>]) {
    let of = |part: Parts| parts.iter().filter(move |(k, _)| k[15] == part as u8);
    let places: BTreeSet<&[u8]> = of(Parts::Score).map(|(k, _)| &k[16..]).collect();
    for (key, score) in of(Parts::Member) {
        let bits = u64::from_be_bytes(score.as_ref().try_into().unwrap());
        let sortable = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        let place = [&sortable.to_be_bytes()[..], &key[20..]].concat();
        assert!(places.contains(&place[..]), "a member without its place");
    }
    assert_eq!(of(Parts::Member).count(), places.len(), "a place of no member");
    let fences: Vec<(&[u8], u64)> =
        of(Parts::Block).map(|(k, v)| (&k[16..], stdx::codec::Reader::new((*v).clone()).varint().unwrap())).collect();
    assert!(places.first().is_none_or(|first| fences[0].0 <= *first), "entries in front of the first block");
    for (i, (fence, count)) in fences.iter().enumerate() {
        let end = fences.get(i + 1).map(|(next, _)| *next);
        let inside = places.iter().filter(|p| **p >= *fence && end.is_none_or(|end| **p < end)).count();
        assert_eq!(inside as u64, *count, "a block counts its entries");
        assert!((1..=1024).contains(count), "no block is empty or too large");
    }
}

/// Checks that nothing is left but living keys.
pub fn check_clean(view: &MapView) {
    assert_eq!(of_kind(view, Kind::Garbage).count(), 0);
}

fn of_kind(view: &MapView, kind: Kind) -> impl Iterator<Item = (&Bytes, &Bytes)> {
    view.0.iter().filter(move |(k, _)| k[0] == kind as u8)
}

fn keyspace_of(key: &[u8]) -> u32 {
    u32::from_be_bytes(key[1..5].try_into().unwrap())
}

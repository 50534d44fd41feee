//! What must hold of a stream's records in any applied state.

use super::integrity::Part as Stored;
use bytes::Bytes;
use state::records::{Home, Part, Record};
use std::collections::{BTreeMap, BTreeSet};
use stdx::codec::Reader;

/// Keys from one to another that wait for deletion.
pub type Spans = Vec<(Bytes, Bytes)>;

fn u64_of(r: &mut Reader) -> u64 {
    u64::from_be_bytes(r.take(8).unwrap().as_ref().try_into().unwrap())
}

fn id_of(r: &mut Reader) -> u128 {
    u128::from_be_bytes(r.take(16).unwrap().as_ref().try_into().unwrap())
}

struct Group {
    first: u128,
    pending: u64,
    consumers: u64,
}

/// Checks that counters, the order of IDs and both lists of pending entries agree. `parts` are all of the stream's.
pub fn check(record: &Record, parts: &[Stored<'_>], spans: &Spans) {
    let dead = |key: &Bytes| spans.iter().any(|(start, end)| start <= key && key < end);
    let living: Vec<_> = parts.iter().filter(|(key, _)| !dead(key)).collect();
    let of = |part: Part| living.iter().filter(move |(k, _)| k[15] == part as u8).map(|(k, v)| (&k[16..], *v));
    let mut body = Reader::new(record.body.slice(Home::LEN..));
    let (count, last, first, max_deleted) =
        (body.varint().unwrap(), id_of(&mut body), id_of(&mut body), id_of(&mut body));
    let added = body.varint().unwrap();
    body.finish().unwrap();
    let ids: Vec<u128> = of(Part::Entry).map(|(k, _)| u128::from_be_bytes(k.try_into().unwrap())).collect();
    assert_eq!(ids.len() as u64, count, "a stream counts its entries");
    assert_eq!(ids.first().copied().unwrap_or(0), first, "a stream knows its first entry");
    assert!(ids.last().is_none_or(|id| *id <= last), "no entry is behind the last ID");
    assert!(added >= count && max_deleted <= last.max(max_deleted));
    let (mut groups, mut consumers) = (BTreeMap::new(), BTreeMap::new());
    for (_, value) in of(Part::Group) {
        let mut r = Reader::new(value.clone());
        let (number, _, first) = (u64_of(&mut r), id_of(&mut r), id_of(&mut r));
        let (_, pending, consumers) = (r.varint().unwrap(), r.varint().unwrap(), r.varint().unwrap());
        r.finish().unwrap();
        assert!(groups.insert(number, Group { first, pending, consumers }).is_none(), "groups have different numbers");
    }
    for (key, value) in of(Part::Consumer) {
        let group = u64::from_be_bytes(key[..8].try_into().unwrap());
        let mut r = Reader::new(value.clone());
        let (number, _, _, pending) = (u64_of(&mut r), u64_of(&mut r), u64_of(&mut r), r.varint().unwrap());
        r.finish().unwrap();
        consumers.insert((group, key[8..].to_vec()), (number, pending));
    }
    let (mut by_group, mut owned): (BTreeMap<u64, Vec<u128>>, BTreeSet<Vec<u8>>) = Default::default();
    let mut by_consumer: BTreeMap<(u64, Vec<u8>), u64> = BTreeMap::new();
    for (key, value) in of(Part::Pending) {
        let (group, id) = (u64::from_be_bytes(key[..8].try_into().unwrap()), &key[8..]);
        let mut r = Reader::new(value.clone());
        let (_, _) = (u64_of(&mut r), r.varint().unwrap());
        let consumer = (group, r.take(r.remaining()).unwrap().to_vec());
        let (number, _) = consumers.get(&consumer).expect("a pending entry has a consumer");
        owned.insert([&key[..8], &number.to_be_bytes(), id].concat());
        by_group.entry(group).or_default().push(u128::from_be_bytes(id.try_into().unwrap()));
        *by_consumer.entry(consumer).or_default() += 1;
    }
    assert_eq!(of(Part::Owned).map(|(k, _)| k.to_vec()).collect::<BTreeSet<_>>(), owned, "both lists agree");
    for (consumer, (_, pending)) in &consumers {
        assert_eq!(by_consumer.get(consumer).copied().unwrap_or(0), *pending, "a consumer counts its pending entries");
        assert!(groups.contains_key(&consumer.0), "a consumer of no group");
    }
    for (number, group) in &groups {
        let pending = by_group.remove(number).unwrap_or_default();
        assert_eq!(pending.len() as u64, group.pending, "a group counts its pending entries");
        assert_eq!(consumers.keys().filter(|(g, _)| g == number).count() as u64, group.consumers);
        assert_eq!(pending.first().copied().unwrap_or(0), group.first, "a group knows its first pending entry");
    }
    assert!(by_group.is_empty(), "pending entries of no group");
}

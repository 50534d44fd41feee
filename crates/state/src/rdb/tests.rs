use super::{Consumer, Group, Id, Malformed, Pending, Stream, Value, decode, encode, kind, seal};
use bytes::Bytes;
use proptest::prelude::*;

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn sealed(body: &[u8]) -> Bytes {
    seal(body.to_vec()).into()
}

fn value() -> impl Strategy<Value = Value> {
    let word = || prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from);
    let words = || prop::collection::btree_set(word(), 1..20);
    prop_oneof![
        stream().prop_map(Value::Stream),
        prop::collection::vec(any::<u8>(), 0..20_000).prop_map(|s| Value::String(s.into())),
        prop::collection::vec(word(), 1..80).prop_map(Value::List),
        words().prop_map(|m| Value::Set(m.into_iter().collect())),
        words().prop_map(|m| Value::Hash(m.iter().cloned().zip(m.iter().rev().cloned()).collect())),
        (words(), any::<i32>()).prop_map(|(m, s)| Value::SortedSet(m.into_iter().map(|m| (f64::from(s), m)).collect())),
    ]
}

fn stream() -> impl Strategy<Value = Stream> {
    let id = || {
        prop_oneof![
            (0..40u64, 1..4u64).prop_map(|(ms, seq)| Id::new(ms, seq)),
            (1..u64::MAX, any::<u64>()).prop_map(|(ms, seq)| Id::new(ms, seq))
        ]
    };
    let word = || prop_oneof![3 => "[abc]{0,2}".prop_map(|s| b(&s)), 1 => "[0-9]{1,20}".prop_map(|s| b(&s)), 1 => prop::collection::vec(any::<u8>(), 0..5000).prop_map(Bytes::from)];
    let words = prop::collection::vec((word(), word()), 1..4);
    let words = words.prop_map(|w| w.into_iter().flat_map(|(f, v)| [f, v]).collect::<Vec<_>>());
    let entries = prop::collection::btree_map(id(), words, 0..250);
    let pending = || prop::collection::btree_map(id(), (0..3usize, any::<u64>(), any::<u32>()), 0..20);
    let group = (pending(), id(), prop::option::of(0..9u64), prop::option::of(0..u64::MAX)).prop_map(
        |(pending, last, read, active_ms)| {
            let consumer = |n: usize| {
                let own = pending.iter().filter(move |(_, (of, ..))| *of == n);
                let own =
                    own.map(|(id, (_, at, count))| Pending { id: *id, delivered_ms: *at, count: u64::from(*count) });
                Consumer { name: b(&format!("c{n}")), seen_ms: 7, active_ms, pending: own.collect() }
            };
            Group { name: Bytes::new(), last, read, consumers: (0..3).map(consumer).collect() }
        },
    );
    let groups = prop::collection::vec(group, 0..3);
    (entries, id(), id(), 0..9u64, groups).prop_map(|(entries, last, max_deleted, more, mut groups)| {
        for (n, group) in groups.iter_mut().enumerate() {
            group.name = b(&format!("g{n}"));
        }
        let entries: Vec<_> = entries.into_iter().collect();
        let last = entries.last().map_or(last, |(id, _)| last.max(*id));
        Stream { last, max_deleted, added: entries.len() as u64 + more, entries, groups }
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(value in value()) {
        prop_assert_eq!(decode(&encode(&value).into()), Ok(value));
    }

    /// Whatever a sealed body holds, reading it ends in a value or an error.
    #[test]
    fn no_body_does_harm(kind in 0..24u8, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&sealed(&[&[kind], &body[..]].concat()));
    }

    /// Nor does a good one with some bytes changed.
    #[test]
    fn changed_bytes_do_no_harm(value in value(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let good = encode(&value);
        let mut body = good[..good.len() - 10].to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let _ = decode(&sealed(&body));
    }
}

#[test]
fn the_envelope_is_checked() {
    let good = encode(&Value::String(b("x")));
    for cut in 0..good.len() {
        assert_eq!(decode(&Bytes::copy_from_slice(&good[..cut])), Err(Malformed::Envelope));
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(decode(&bad.into()), Err(Malformed::Envelope));
    }
}

#[test]
fn packed_forms_are_read() {
    let check = |kind: u8, packed: &[u8], expected: Value| {
        let body = [&[kind, packed.len() as u8][..], packed].concat();
        assert_eq!(decode(&sealed(&body)), Ok(expected), "{kind}");
    };
    check(kind::SET_INTSET, b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\x00", Value::Set(vec![b("-1"), b("5")]));
    // 7 bits, 13 bits, a short string, 16 bits.
    let listpack = b"\x16\0\0\0\x04\0\x05\x01\xdf\xff\x02\x82hi\x03\xf1\x00\x80\x03\xff";
    let listpack = [&(listpack.len() as u8).to_le_bytes()[..], &listpack[1..]].concat();
    let pairs = vec![(b("5"), b("-1")), (b("hi"), b("-32768"))];
    check(kind::HASH_LISTPACK, &listpack, Value::Hash(pairs));
    let ziplist = b"\x00\0\0\0\x0a\0\0\0\x02\0\x00\x01m\x03\xf4\xff";
    let ziplist = [&(ziplist.len() as u8).to_le_bytes()[..], &ziplist[1..]].concat();
    check(kind::ZSET_ZIPLIST, &ziplist, Value::SortedSet(vec![(3.0, b("m"))]));
    let node = [&[1, 2, listpack.len() as u8][..], &listpack].concat();
    let list = vec![b("5"), b("-1"), b("hi"), b("-32768")];
    assert_eq!(decode(&sealed(&[&[kind::QUICKLIST_2], &node[..]].concat())), Ok(Value::List(list)));
    // Twenty bytes from four: one as it is, and nineteen that repeat it.
    let compressed = b"\x00\xc3\x05\x14\x00a\xe0\x0a\x00";
    assert_eq!(decode(&sealed(compressed)), Ok(Value::String(b(&"a".repeat(20)))));
    assert_eq!(decode(&sealed(b"\x00\xc1\x00\x80")), Ok(Value::String(b("-32768"))));
}

#[test]
fn what_cannot_exist_is_refused() {
    for body in [
        &b""[..],
        b"\x01\x00",
        b"\x02\x02\x01a\x01a",
        b"\x04\x01\x01a",
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
        b"\x00\x01a\x00",
        b"\x0b\x08\x03\0\0\0\0\0\0\0",
        b"\x0f\x00",
        b"\x00\xc4",
    ] {
        assert_eq!(decode(&sealed(body)), Err(Malformed::Value), "{body:?}");
    }
}

#[test]
fn a_small_payload_cannot_unpack_to_a_large_value() {
    // It promises four gigabytes.
    assert_eq!(decode(&sealed(b"\x00\xc3\x05\x80\xff\xff\xff\xff\x00a\xe0\xff\x00")), Err(Malformed::TooLarge));
    // A billion elements, none of which are there.
    assert_eq!(decode(&sealed(b"\x01\x80\x40\x00\x00\x00")), Err(Malformed::Value));
}

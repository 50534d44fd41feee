use super::frame::{FrameError, HEADER_BYTES, MAX_BODY_BYTES};
use super::{Hello, MAX_CLUSTER_ID_BYTES, PROTOCOL_VERSION, Standing, bytes_wanted, decode, encode_into};
use bytes::{Bytes, BytesMut};
use cluster::{Fitness, ForwardedReply, PeerMessage, Publication, Request, SnapshotChunk, SnapshotId, Unblock};
use command::{Command, Fault, Reply, SessionId, Work};
use consensus::{Entry, EntryKind, Membership, Message, MessageKind, SnapshotMeta};
use proptest::collection::vec;
use proptest::prelude::*;
use stdx::{NodeId, ShardId};

fn frame(message: &PeerMessage) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, message).unwrap();
    out
}

/// All messages of `stream`, arriving in pieces of `step` bytes.
fn messages(stream: &[u8], step: usize) -> Result<Vec<PeerMessage>, FrameError> {
    let (mut buffer, mut all) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(message) = decode(&mut buffer)? {
            all.push(message);
        }
    }
    Ok(all)
}

/// Messages are compared by their text: they hold floating-point numbers and need no equality elsewhere.
fn text<T: std::fmt::Debug>(value: T) -> String {
    format!("{value:?}")
}

fn command(line: &str) -> Command {
    Command::parse(line.split(' ').map(|w| Bytes::copy_from_slice(w.as_bytes())).collect()).unwrap()
}

fn raft_message() -> Message {
    Message {
        kind: MessageKind::Append,
        from: NodeId(1),
        to: NodeId(2),
        term: 3,
        log_term: 2,
        index: 300,
        commit: 299,
        commit_term: 2,
        entries: vec![
            Entry { term: 3, index: 301, kind: EntryKind::Normal, data: Bytes::from_static(b"ab") },
            Entry { term: 3, index: 302, kind: EntryKind::Membership, data: Bytes::new() },
        ],
        snapshot: None,
        reject: false,
        reject_hint: 0,
        context: Bytes::from_static(b"c"),
        priority: -1,
        sent_at: 1_000_000,
    }
}

fn meta() -> SnapshotMeta {
    let membership = Membership {
        voters: vec![NodeId(1), NodeId(2)],
        learners: vec![NodeId(3)],
        voters_outgoing: vec![],
        learners_next: vec![NodeId(4)],
        auto_leave: true,
    };
    SnapshotMeta { index: 10, term: 2, membership }
}

fn forward(work: Work) -> PeerMessage {
    let session = SessionId { node: NodeId(2), client: 77 };
    let request = Request { shard: ShardId(5), session, db: 3, resp: 2, timeout_ms: 1500, stale_ok: false, work };
    PeerMessage::Forward { id: 9, request }
}

fn answer(outcome: ForwardedReply) -> PeerMessage {
    PeerMessage::ForwardReply { id: 9, outcome }
}

/// One message of every kind and, within them, one value of every tag.
fn samples() -> Vec<PeerMessage> {
    let (shard, id) = (ShardId(5), SnapshotId(6));
    let every_reply = Reply::Array(vec![
        Reply::OK,
        Reply::error("ERR x"),
        Reply::Integer(-2),
        Reply::bulk(b"b"),
        Reply::Null,
        Reply::NullArray,
        Reply::Map(vec![(Reply::Integer(1), Reply::Double(1.5))]),
        Reply::Set(vec![Reply::Boolean(false), Reply::Boolean(true)]),
        Reply::Verbatim(*b"txt", Bytes::from_static(b"v")),
        Reply::Push(vec![]),
    ]);
    let mut all = vec![
        PeerMessage::Raft { shard, message: raft_message() },
        PeerMessage::Raft {
            shard,
            message: Message { kind: MessageKind::Snapshot, snapshot: Some(meta()), reject: true, ..raft_message() },
        },
        PeerMessage::Liveness {
            sent_at: 1 << 40,
            echo: 7,
            leading: vec![(ShardId(0), 3), (ShardId(200), 4)],
            full: true,
            map_version: 12,
            fitness: Fitness::Full,
        },
        PeerMessage::Hibernate { shards: vec![(ShardId(1), 2, 3)] },
        PeerMessage::MapWanted,
        PeerMessage::Map { json: Bytes::from_static(b"{}") },
        forward(Work::Single(command("SET k v"))),
        forward(Work::Transaction { commands: vec![command("GET k"), command("client id")], watched: true }),
        forward(Work::Watch { keys: vec![Bytes::from_static(b"k")], continues: true }),
        forward(Work::Unwatch),
        forward(Work::Blocking { command: command("BLPOP a b 0"), number: 300, waited_ms: 1_000 }),
        answer(ForwardedReply::Done(every_reply)),
        answer(ForwardedReply::Waits(None)),
        answer(ForwardedReply::Waits(Some(command("BLPOP a 0")))),
        PeerMessage::SessionClosed { session: SessionId { node: NodeId(2), client: 77 } },
        PeerMessage::SnapshotOffer { shard, id, meta: meta(), stamp_ms: 8, message: raft_message() },
        PeerMessage::SnapshotFetch { shard, id, after: Some(Bytes::from_static(b"k")), max_bytes: 1024 },
        PeerMessage::SnapshotData {
            shard,
            id,
            after: None,
            chunk: SnapshotChunk {
                pairs: vec![(Bytes::from_static(b"k"), Bytes::from_static(b"v"))],
                checksum: 0xdead_beef,
                last: true,
            },
        },
        PeerMessage::SnapshotGone { shard, id },
        PeerMessage::SnapshotDone { shard, id, node: NodeId(3), installed: false },
    ];
    let session = SessionId { node: NodeId(2), client: 77 };
    for how in [Unblock::Gone, Unblock::Timeout, Unblock::Error, Unblock::Forced] {
        all.push(PeerMessage::Unblock { shard, session, number: 300, how });
    }
    for sharded in [false, true] {
        let (channel, payload) = (Bytes::from_static(b"news"), Bytes::from_static(b"x"));
        all.push(PeerMessage::Publish(Publication { namespace: 2, sharded, channel, payload }));
    }
    all.extend(every_fault().into_iter().map(|f| answer(ForwardedReply::Failed(f))));
    all
}

fn every_fault() -> Vec<Fault> {
    vec![
        Fault::NoLeader,
        Fault::NotLeader { leader: Some(NodeId(3)) },
        Fault::NotLeader { leader: None },
        Fault::Overwritten,
        Fault::OutcomeUnknown,
        Fault::Deadline,
        Fault::Overloaded,
        Fault::DiskFull,
        Fault::Fenced,
        Fault::ShuttingDown,
        Fault::Unblocked,
        Fault::REQUEST_TOO_LARGE,
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn golden_bytes_of_every_message() {
    let found: Vec<String> = samples().iter().map(|m| hex(&frame(m))).collect();
    let expected: Vec<&str> = include_str!("golden.txt").lines().collect();
    for (i, (found, message)) in found.iter().zip(samples()).enumerate() {
        assert_eq!(Some(found.as_str()), expected.get(i).copied(), "line {} of golden.txt: {message:?}", i + 1);
    }
    assert_eq!(expected.len(), found.len());
}

#[test]
fn samples_round_trip_in_one_stream_in_pieces() {
    let mut stream = Vec::new();
    for message in samples() {
        encode_into(&mut stream, &message).unwrap();
    }
    for step in [1, 2, 15, 16, 17, 1000] {
        assert_eq!(text(messages(&stream, step).unwrap()), text(samples()), "in pieces of {step}");
    }
}

#[test]
fn every_damaged_bit_is_noticed() {
    let good = frame(&samples()[0]);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // A longer length may just wait for bytes that never come; nothing else may pass.
        let result = decode(&mut BytesMut::from(&bad[..]));
        assert!(matches!(result, Err(_) | Ok(None)), "bit {bit}: {result:?}");
        assert!(result.is_err() || (8..12).contains(&(bit / 8)), "bit {bit} went unnoticed");
    }
}

#[test]
fn garbage_and_lies_are_refused_before_they_cost_anything() {
    let check = |bytes: &[u8], error: FrameError| {
        assert_eq!(decode(&mut BytesMut::from(bytes)).unwrap_err(), error);
    };
    check(b"G", FrameError::Garbage);
    check(b"\x9eX", FrameError::Garbage);
    let mut header = frame(&PeerMessage::MapWanted);
    header.truncate(HEADER_BYTES);
    let altered = |at: usize, bytes: &[u8]| {
        let mut h = header.clone();
        h[at..at + bytes.len()].copy_from_slice(bytes);
        h
    };
    check(
        &altered(2, &[9]),
        FrameError::OtherVersion {
            theirs_min: 9,
            theirs_max: 9,
            ours_min: PROTOCOL_VERSION,
            ours_max: PROTOCOL_VERSION,
        },
    );
    check(&altered(4, &[2]), FrameError::Garbage);
    check(&altered(5, &[1]), FrameError::Garbage);
    check(&altered(8, &u32::MAX.to_le_bytes()), FrameError::TooLarge(u32::MAX as usize));
    check(&altered(12, &[0; 4]), FrameError::Checksum);
    let claimed = BytesMut::from(&altered(8, &(MAX_BODY_BYTES as u32).to_le_bytes())[..]);
    assert_eq!(bytes_wanted(&claimed), MAX_BODY_BYTES);
    assert_eq!(bytes_wanted(&BytesMut::new()), 0);
}

/// A frame of any kind and body, with a checksum that holds.
fn sealed(kind: u8, flags: u8, body: &[u8]) -> BytesMut {
    let mut out = Vec::new();
    out.extend_from_slice(&[0x9e, 0x50, PROTOCOL_VERSION, kind, flags, 0, 0, 0]);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let sum = stdx::crc::crc32c_append(stdx::crc::crc32c(&out), body);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(body);
    BytesMut::from(&out[..])
}

#[test]
fn malformed_bodies_are_errors() {
    assert_eq!(decode(&mut sealed(0, 0, b"")).unwrap_err(), FrameError::UnexpectedKind(0));
    assert_eq!(decode(&mut sealed(99, 0, b"")).unwrap_err(), FrameError::UnexpectedKind(99));
    let malformed = |kind, body: &[u8]| match decode(&mut sealed(kind, 0, body)) {
        Err(FrameError::Malformed { error, .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(malformed(4, b"x"), "1 bytes left over");
    assert_eq!(malformed(3, &[0xff, 0xff, 0xff, 0xff, 0x0f]), "input ends inside a value");
    assert_eq!(malformed(1, &[0, 77]), "malformed value: kind of a Raft message");
    let deep = [&[9, 1][..], &[7, 1].repeat(40), &[5]].concat();
    assert_eq!(malformed(7, &deep), "malformed value: reply is nested too deeply");
    let nonsense = [&[9, 5, 2, 77, 3, 2, 0, 0, 1, 1, 4][..], b"NOPE"].concat();
    assert_eq!(malformed(6, &nonsense), "malformed value: command that this node does not serve");
}

#[test]
fn large_bodies_are_compressed_when_it_helps() {
    let json = Bytes::from(vec![b'x'; 100_000]);
    let small = frame(&PeerMessage::Map { json: json.clone() });
    assert!(small.len() < 2000 && small[4] == 1);
    assert_eq!(text(messages(&small, 100).unwrap()), text(vec![PeerMessage::Map { json }]));
    let mut rng = stdx::Rng::new(1);
    let noise = PeerMessage::Map { json: (0..100_000).map(|_| rng.next_u64() as u8).collect() };
    assert_eq!(frame(&noise)[4], 0);
    assert_eq!(text(messages(&frame(&noise), 4096).unwrap()), text(vec![noise]));
}

#[test]
fn compressed_lies_are_refused_before_room_is_made() {
    let check = |body: &[u8], error| assert_eq!(decode(&mut sealed(5, 1, body)).unwrap_err(), error);
    check(b"abc", FrameError::Compression);
    check(&u32::MAX.to_le_bytes(), FrameError::TooLarge(u32::MAX as usize));
    check(&[&100_000_000u32.to_le_bytes()[..], b"tiny"].concat(), FrameError::Compression);
    check(&[&10u32.to_le_bytes()[..], b"garbage"].concat(), FrameError::Compression);
}

#[test]
fn a_message_too_large_to_send_leaves_the_buffer_alone() {
    let mut out = b"before".to_vec();
    let huge = PeerMessage::Map { json: Bytes::from(vec![0; MAX_BODY_BYTES]) };
    assert!(matches!(encode_into(&mut out, &huge), Err(FrameError::TooLarge(_))));
    assert_eq!(out, b"before");
}

fn hello(cluster: &str, versions: (u8, u8)) -> Hello {
    let mut hello = Hello::new(cluster.into(), NodeId(3), 99);
    (hello.min_version, hello.max_version) = versions;
    hello.standing = Standing { directory: 7, founded: true, whole: true, founders: [(3, 7), (4, 8)].into() };
    hello
}

#[test]
fn hello_introduces_and_refuses() {
    let ours = hello("blue", (1, 2));
    let mut out = Vec::new();
    ours.encode_into(&mut out).unwrap();
    assert_eq!(
        hex(&out),
        "9e5000000000000049000000cff3d68d504f4c4445520d0a01020300000000000000630000000000000004626c7565030700000000000000020300000000000000070000000000000004000000000000000800000000000000"
    );
    for cut in 0..out.len() {
        assert_eq!(Hello::decode(&mut BytesMut::from(&out[..cut])), Ok(None));
    }
    assert_eq!(Hello::decode(&mut BytesMut::from(&out[..])), Ok(Some(ours.clone())));
    assert_eq!(ours.agree(&hello("blue", (2, 5))), Ok(2));
    assert!(matches!(ours.agree(&hello("blue", (3, 5))), Err(FrameError::OtherVersion { .. })));
    assert!(matches!(ours.agree(&hello("red", (1, 2))), Err(FrameError::OtherCluster { .. })));
    let long = hello(&"x".repeat(MAX_CLUSTER_ID_BYTES + 1), (1, 1));
    assert!(matches!(long.encode_into(&mut out), Err(FrameError::TooLarge(_))));
}

#[test]
fn a_link_that_begins_otherwise_is_refused() {
    let check = |bytes: &[u8], error| assert_eq!(Hello::decode(&mut BytesMut::from(bytes)), Err(error));
    check(b"GET / HTTP/1.1\r\n", FrameError::Garbage);
    check(b"*1\r\n$4\r\nPING\r\n", FrameError::Garbage);
    let message = frame(&PeerMessage::MapWanted);
    assert!(matches!(Hello::decode(&mut BytesMut::from(&message[..])), Err(FrameError::OtherVersion { .. })));
    let mut header = [0x9e, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    check(&header, FrameError::TooLarge(65536));
    header[10] = 0;
    check(&header, FrameError::Checksum);
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

prop_compose! {
    fn any_raft()(
        kind in proptest::sample::select(vec![MessageKind::Append, MessageKind::HeartbeatResponse, MessageKind::TransferLeader]),
        numbers in any::<[u64; 9]>(), reject in any::<bool>(), priority in any::<i64>(), context in any_bytes(),
        entries in vec((any::<u64>(), any::<u64>(), any::<bool>(), any_bytes()), 0..5),
        voters in proptest::option::of(vec(any::<u64>().prop_map(NodeId), 0..4)),
    ) -> Message {
        let [from, to, term, log_term, index, commit, commit_term, reject_hint, sent_at] = numbers;
        let kind_of = |m: bool| if m { EntryKind::Membership } else { EntryKind::Normal };
        let entries = entries.into_iter().map(|(term, index, m, data)| Entry { term, index, kind: kind_of(m), data });
        let snapshot = voters.map(|voters| SnapshotMeta {
            index, term, membership: Membership { voters, ..Membership::default() },
        });
        Message {
            kind, from: NodeId(from), to: NodeId(to), term, log_term, index, commit, commit_term,
            entries: entries.collect(), snapshot, reject, reject_hint, context, priority, sent_at,
        }
    }
}

fn any_message() -> impl Strategy<Value = PeerMessage> {
    let shard = || any::<u32>().prop_map(ShardId);
    prop_oneof![
        (shard(), any_raft()).prop_map(|(shard, message)| PeerMessage::Raft { shard, message }),
        (any::<u64>(), any::<u64>(), vec((shard(), any::<u64>()), 0..9), (any::<bool>(), 0..3_usize), any::<u64>())
            .prop_map(|(sent_at, echo, leading, (full, fitness), map_version)| PeerMessage::Liveness {
                sent_at,
                echo,
                leading,
                full,
                map_version,
                fitness: [Fitness::Fit, Fitness::Full, Fitness::Unfit][fitness],
            }),
        vec((shard(), any::<u64>(), any::<u64>()), 0..9).prop_map(|shards| PeerMessage::Hibernate { shards }),
        (any::<u64>(), any_bytes(), any_bytes()).prop_map(|(id, key, value)| {
            let args = [Bytes::from_static(b"set"), key, value].into_iter().collect();
            let PeerMessage::Forward { request, .. } = forward(Work::Single(Command::parse(args).unwrap())) else {
                unreachable!("forward makes a Forward")
            };
            PeerMessage::Forward { id, request }
        }),
        (shard(), any::<u64>(), proptest::option::of(any_bytes()), vec((any_bytes(), any_bytes()), 0..200)).prop_map(
            |(shard, id, after, pairs)| {
                let chunk = SnapshotChunk { pairs, checksum: id as u32, last: id % 2 == 0 };
                PeerMessage::SnapshotData { shard, id: SnapshotId(id), after, chunk }
            }
        ),
    ]
}

proptest! {
    #[test]
    fn messages_round_trip(all in vec(any_message(), 1..4), step in 1usize..300) {
        let mut stream = Vec::new();
        for message in &all {
            encode_into(&mut stream, message).unwrap();
        }
        prop_assert_eq!(text(messages(&stream, step).unwrap()), text(all));
    }

    #[test]
    fn no_body_panics(kind in 0u8..18, flags in 0u8..2, body in vec(any::<u8>(), 0..200)) {
        let _ = decode(&mut sealed(kind, flags, &body));
    }

    #[test]
    fn no_altered_body_panics(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let all = samples();
        let good = frame(which.get(&all));
        let mut body = good[HEADER_BYTES..].to_vec();
        if !body.is_empty() {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let _ = decode(&mut sealed(good[3], 0, &body));
    }

    #[test]
    fn no_stream_panics(stream in vec(any::<u8>(), 0..200)) {
        let _ = (messages(&stream, 7), Hello::decode(&mut BytesMut::from(&stream[..])));
    }
}

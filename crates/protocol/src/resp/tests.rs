use super::{Decoder, MAX_REPLY_DEPTH, ProtocolError, ReplyDecoder, ReplyError, Version, encode, encode_request};
use bytes::{Bytes, BytesMut};
use command::{MAX_INLINE_BYTES, Reply};
use proptest::prelude::*;

type Words = Vec<Vec<u8>>;

/// All requests of `stream`, which arrives in pieces of `step` bytes, and what is wrong with it in the end.
fn requests(stream: &[u8], step: usize) -> (Vec<Words>, Option<ProtocolError>) {
    let (mut decoder, mut buffer, mut all) = (Decoder::new(), BytesMut::new(), Vec::new());
    for piece in stream.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(args)) => all.push(args.iter().map(|a| a.to_vec()).collect()),
                Ok(None) => break,
                Err(e) => return (all, Some(e)),
            }
        }
    }
    (all, None)
}

/// The first error of `stream`, which must be the same whether it arrives at once or byte by byte.
fn error_of(stream: &[u8]) -> String {
    let errors: Vec<_> = [stream.len(), 1].into_iter().map(|step| requests(stream, step).1).collect();
    assert_eq!(errors[0], errors[1], "{:?}", String::from_utf8_lossy(stream));
    match errors[0].and_then(|e| e.reply()) {
        Some(Reply::Error(line)) => line.into_owned(),
        other => panic!("{other:?}"),
    }
}

fn words(list: &[&str]) -> Words {
    list.iter().map(|w| w.as_bytes().to_vec()).collect()
}

#[test]
fn requests_arrive_whole_in_pieces_and_pipelined() {
    let stream = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\0\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n\r\nget k\r\n*1\r\n$0\r\n\r\nDEL a\n";
    let expected: Vec<Words> = vec![
        words(&["SET", "k", "a\r\nb\0"]),
        words(&["PING"]),
        words(&["get", "k"]),
        words(&[""]),
        words(&["DEL", "a"]),
    ];
    for step in 1..stream.len() {
        assert_eq!(requests(stream, step), (expected.clone(), None), "in pieces of {step}");
    }
}

#[test]
fn errors_read_as_in_redis() {
    let check = |stream: &str, error: &str| {
        assert_eq!(error_of(stream.as_bytes()), format!("ERR Protocol error: {error}"), "{stream:?}");
    };
    check("*x\r\n", "invalid multibulk length");
    check("*\r\n", "invalid multibulk length");
    check("*+1\r\n", "invalid multibulk length");
    check("*01\r\n", "invalid multibulk length");
    check("*1048577\r\n", "invalid multibulk length");
    check("*99999999999999999999\r\n", "invalid multibulk length");
    check("*1\rx", "invalid multibulk length");
    check("*1\r\n$x\r\n", "invalid bulk length");
    check("*1\r\n$-1\r\n", "invalid bulk length");
    check("*1\r\n$67108865\r\n", "invalid bulk length");
    check("*1\r\n$9223372036854775807\r\n", "invalid bulk length");
    check("*2\r\n$1\r\na\r\nfoo\r\n", "expected '$', got 'f'");
    check("*1\r\n\r\n", "expected '$', got ' '");
    check("*1\r\n$1\r\nabc", "expected CRLF after bulk string");
    check("GET \"a\r\n", "unbalanced quotes in request");
    check("GET 'a'b\r\n", "unbalanced quotes in request");
    check(&"x".repeat(MAX_INLINE_BYTES + 1), "too big inline request");
    check(&("*".to_owned() + &"1".repeat(MAX_INLINE_BYTES + 1)), "too big mbulk count string");
    check(&("*1\r\n$".to_owned() + &"1".repeat(MAX_INLINE_BYTES + 1)), "too big bulk count string");
}

#[test]
fn http_is_hung_up_on() {
    for stream in ["POST / HTTP/1.1\r\n", "Host: localhost:6379\r\n"] {
        let (all, error) = requests(stream.as_bytes(), 7);
        assert!(all.is_empty());
        assert_eq!(error, Some(ProtocolError::Http));
        assert_eq!(error.and_then(|e| e.reply()), None);
    }
}

#[test]
fn request_size_is_bounded_by_headers_alone() {
    let word = vec![b'x'; command::MAX_VALUE_BYTES - 8];
    let mut stream = b"*3\r\n".to_vec();
    for _ in 0..2 {
        stream.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        stream.extend_from_slice(&word);
        stream.extend_from_slice(b"\r\n");
    }
    stream.extend_from_slice(b"$100\r\n");
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::from(&stream[..]));
    assert_eq!(decoder.decode(&mut buffer), Err(ProtocolError::RequestTooBig));
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let mut decoder = Decoder::new();
    let mut buffer = BytesMut::from(&b"*1048576\r\n$67108864\r\nabc"[..]);
    let before = buffer.capacity();
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    assert_eq!(buffer.capacity(), before);
    assert!(decoder.is_mid_request(&buffer));
    assert_eq!(decoder.bytes_wanted(&buffer), 67_108_864 + 2 - 3);
}

#[test]
fn inline_words() {
    let check = |line: &str, expected: Option<&[&[u8]]>| {
        let found = super::split_words(line.as_bytes());
        let found: Option<Vec<Vec<u8>>> = found.map(|a| a.iter().map(|w| w.to_vec()).collect());
        assert_eq!(found, expected.map(|e| e.iter().map(|w| w.to_vec()).collect()), "{line:?}");
    };
    check("", Some(&[]));
    check("  a  b\t", Some(&[b"a", b"b"]));
    check("\x0ba\x0bb", Some(&[b"a\x0bb"]));
    check(r#"set k "a b""#, Some(&[b"set", b"k", b"a b"]));
    check(r#""\x41\n\r\t\b\a\q\"" ''"#, Some(&[b"A\n\r\t\x08\x07q\"", b""]));
    check(r#""\xzz""#, Some(&[b"xzz"]));
    check(r"'it\'s \n'", Some(&[b"it's \\n"]));
    check(r#"foo"bar baz""#, Some(&[b"foobar baz"]));
    check(r#""a"b"#, None);
    check(r#""a"#, None);
    check(r#""a\"#, None);
    check("'a", None);
}

fn encoded(reply: &Reply, version: Version) -> String {
    let mut out = Vec::new();
    encode(reply, version, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn replies_in_both_versions() {
    let check = |reply: Reply, v2: &str, v3: &str| {
        assert_eq!(encoded(&reply, Version::V2), v2, "{reply:?}");
        assert_eq!(encoded(&reply, Version::V3), v3, "{reply:?}");
    };
    let one = || Reply::Integer(1);
    check(Reply::OK, "+OK\r\n", "+OK\r\n");
    check(Reply::Error("ERR a\r\nb".into()), "-ERR a  b\r\n", "-ERR a  b\r\n");
    check(Reply::Integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    check(Reply::Integer(0), ":0\r\n", ":0\r\n");
    check(Reply::bulk(b"a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n");
    check(Reply::Null, "$-1\r\n", "_\r\n");
    check(Reply::NullArray, "*-1\r\n", "_\r\n");
    check(Reply::Array(vec![one(), Reply::Null]), "*2\r\n:1\r\n$-1\r\n", "*2\r\n:1\r\n_\r\n");
    check(Reply::Map(vec![(one(), Reply::OK)]), "*2\r\n:1\r\n+OK\r\n", "%1\r\n:1\r\n+OK\r\n");
    check(Reply::Set(vec![one()]), "*1\r\n:1\r\n", "~1\r\n:1\r\n");
    check(Reply::Push(vec![one()]), "*1\r\n:1\r\n", ">1\r\n:1\r\n");
    check(Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
    check(Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    check(Reply::Boolean(true), ":1\r\n", "#t\r\n");
    check(Reply::Boolean(false), ":0\r\n", "#f\r\n");
    check(Reply::Verbatim(*b"txt", Bytes::from_static(b"hi")), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
}

/// The replies of `stream`, arriving in pieces of `step` bytes.
fn replies(stream: &[u8], step: usize) -> Result<Vec<Reply>, ReplyError> {
    let (mut decoder, mut buffer, mut all) = (ReplyDecoder::new(), BytesMut::new(), Vec::new());
    for piece in stream.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(reply) = decoder.decode(&mut buffer)? {
            all.push(reply);
        }
    }
    Ok(all)
}

#[test]
fn client_side_accepts_what_servers_may_send() {
    let stream =
        b"|1\r\n+ttl\r\n:5\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n(123456789012345678901\r\n!3\r\nERR\r\n*0\r\n%0\r\n";
    let expected = vec![
        Reply::Array(vec![Reply::Integer(1), Reply::bulk(b"123456789012345678901")]),
        Reply::error("ERR"),
        Reply::Array(vec![]),
        Reply::Map(vec![]),
    ];
    for step in 1..stream.len() {
        assert_eq!(replies(stream, step), Ok(expected.clone()), "in pieces of {step}");
    }
}

#[test]
fn client_side_refuses_the_rest() {
    let check = |stream: &str, error| assert_eq!(replies(stream.as_bytes(), 1), Err(error), "{stream:?}");
    check("hello\r\n", ReplyError::UnknownType(b'h'));
    check(":1x\r\n", ReplyError::Malformed("integer"));
    check("$-2\r\n", ReplyError::Malformed("bulk length"));
    check("$1\r\nabc", ReplyError::Malformed("bulk string end"));
    check("%-1\r\n", ReplyError::Malformed("aggregate length"));
    check("#x\r\n", ReplyError::Malformed("null or boolean"));
    check("=3\r\nabc\r\n", ReplyError::Malformed("verbatim string"));
    check("+a\rb", ReplyError::Malformed("line end"));
    check("$999999999999\r\n", ReplyError::TooBig("bulk string too long"));
    check("*99999999\r\n", ReplyError::TooBig("too many elements"));
    check("%9223372036854775807\r\n", ReplyError::TooBig("too many elements"));
    check(&"*1\r\n".repeat(MAX_REPLY_DEPTH + 1), ReplyError::TooBig("nested too deeply"));
    check(&("+".to_owned() + &"x".repeat(MAX_INLINE_BYTES + 1)), ReplyError::TooBig("line too long"));
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let line = "[ -~]{0,20}";
    let leaf = prop_oneof![
        line.prop_map(|s| Reply::Simple(s.into())),
        line.prop_map(|s| Reply::Error(s.into())),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::Bulk),
        Just(Reply::Null),
        any::<f64>().prop_filter("NaN is not equal to itself", |v| !v.is_nan()).prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        bytes().prop_map(|b| Reply::Verbatim(*b"txt", b)),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let list = || proptest::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            list().prop_map(Reply::Array),
            list().prop_map(Reply::Set),
            list().prop_map(Reply::Push),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Reply::Map),
        ]
    })
}

/// What is left of a reply in RESP2.
fn flattened(reply: &Reply) -> Reply {
    let list = |items: &[Reply]| Reply::Array(items.iter().map(flattened).collect());
    match reply {
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => list(items),
        Reply::Map(pairs) => Reply::Array(pairs.iter().flat_map(|(k, v)| [flattened(k), flattened(v)]).collect()),
        Reply::Double(v) => Reply::Bulk(command::double::to_text(*v).into()),
        Reply::Boolean(v) => Reply::Integer((*v).into()),
        Reply::Verbatim(_, text) => Reply::Bulk(text.clone()),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn requests_round_trip(all in proptest::collection::vec(proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..40), 1..12), 1..6), step in 1usize..50)
    {
        let mut stream = Vec::new();
        for words in &all {
            encode_request(words, &mut stream);
        }
        prop_assert_eq!(requests(&stream, step), (all, None));
    }

    #[test]
    fn any_bytes_are_read_alike_however_they_arrive(
        stream in proptest::collection::vec(prop_oneof![
            3 => proptest::sample::select(b"*$0123\r\n-+ \"'\\xg".to_vec()), 1 => any::<u8>()
        ], 0..200), step in 1usize..20)
    {
        prop_assert_eq!(requests(&stream, step), requests(&stream, stream.len()));
        // Replies may fail earlier or later in pieces, but must not panic.
        let _ = (replies(&stream, step), replies(&stream, stream.len()));
    }

    #[test]
    fn replies_round_trip(all in proptest::collection::vec(any_reply(), 1..4), step in 1usize..50) {
        let (mut v2, mut v3) = (Vec::new(), Vec::new());
        for reply in &all {
            encode(reply, Version::V2, &mut v2);
            encode(reply, Version::V3, &mut v3);
        }
        prop_assert_eq!(replies(&v2, step), Ok(all.iter().map(flattened).collect()));
        prop_assert_eq!(replies(&v3, step), Ok(all.clone()));
        for cut in 0..v3.len().min(300) {
            prop_assert!(replies(&v3[..cut], 1000).is_ok_and(|got| got == all[..got.len()]));
        }
    }
}

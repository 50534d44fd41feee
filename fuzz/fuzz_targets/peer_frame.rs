//! Frames between nodes under hostile bytes.
//!
//! Bytes 0 and 1 of the input are the kind and flags of a frame whose body is the rest, sealed with a checksum that holds,
//! so that the fuzzer gets past it; then the same bytes are read as a stream of their own. Held: nothing panics, and what
//! was decoded encodes to bytes that decode to the same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use protocol::peer::{Hello, PROTOCOL_VERSION, decode, encode_into};
use stdx::crc::{crc32c, crc32c_append};

fuzz_target!(|input: &[u8]| {
    let _ = Hello::decode(&mut BytesMut::from(input));
    check(&mut BytesMut::from(input));
    if let [kind, flags, body @ ..] = input {
        check(&mut sealed(PROTOCOL_VERSION, *kind, *flags, body));
        let _ = Hello::decode(&mut sealed(0, 0, *flags, body));
    }
});

/// A frame drawn as in the documentation of `protocol::peer`.
fn sealed(version: u8, kind: u8, flags: u8, body: &[u8]) -> BytesMut {
    let mut frame = vec![0x9e, 0x50, version, kind, flags, 0, 0, 0];
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let sum = crc32c_append(crc32c(&frame), body);
    frame.extend_from_slice(&sum.to_le_bytes());
    frame.extend_from_slice(body);
    BytesMut::from(&frame[..])
}

fn check(buffer: &mut BytesMut) {
    while let Ok(Some(message)) = decode(buffer) {
        let mut bytes = Vec::new();
        encode_into(&mut bytes, &message).expect("a message that was decoded is not too large to encode");
        let again =
            decode(&mut BytesMut::from(&bytes[..])).expect("our own bytes decode").expect("all of them are here");
        assert_eq!(format!("{again:?}"), format!("{message:?}"));
    }
}

//! The RESP decoders under hostile bytes. The first byte says in pieces of which size the rest arrives.
//!
//! Held: nothing panics; a request has at least one word; requests and the first error are the same however the bytes
//! arrive; what was decoded encodes and decodes to itself; any accepted command's keys are among its words.
#![no_main]

use bytes::BytesMut;
use command::{Args, Command, introspect};
use libfuzzer_sys::fuzz_target;
use protocol::resp::{Decoder, ProtocolError, ReplyDecoder, Version, encode, encode_request};

fuzz_target!(|input: &[u8]| {
    let Some((step, stream)) = input.split_first() else { return };
    let step = usize::from(*step).max(1);
    let decoded = requests(stream, stream.len().max(1));
    assert_eq!(decoded, requests(stream, step), "arrival must not matter");
    let (whole, _) = decoded;

    let mut again = Vec::new();
    for words in &whole {
        assert!(!words.is_empty(), "a request has a name");
        encode_request(words, &mut again);
        if let Ok(command) = Command::parse(words.clone()) {
            assert!(command.keys().count() < words.len(), "the name is no key");
            if let Some(reply) = introspect::reply(&command) {
                encode(&reply, Version::V3, &mut Vec::new());
            }
        }
    }
    assert_eq!(requests(&again, step), (whole, None), "requests round trip");
    replies(stream, step);
});

fn requests(stream: &[u8], step: usize) -> (Vec<Args>, Option<ProtocolError>) {
    let (mut decoder, mut buffer, mut all) = (Decoder::new(), BytesMut::new(), Vec::new());
    for piece in stream.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(args)) => all.push(args),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
    }
    (all, None)
}

/// Replies read from `stream` must encode in both versions.
fn replies(stream: &[u8], step: usize) {
    let (mut decoder, mut buffer) = (ReplyDecoder::new(), BytesMut::new());
    for piece in stream.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => {
                    encode(&reply, Version::V2, &mut Vec::new());
                    encode(&reply, Version::V3, &mut Vec::new());
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

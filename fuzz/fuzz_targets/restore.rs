//! DUMP payloads under hostile bytes. What arrives is a body; the footer is made right, so that the checksum protects
//! nothing.
//!
//! Held: nothing panics; what was read is written and reads back as the same value.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use state::rdb::{decode, encode, seal};

fuzz_target!(|body: &[u8]| {
    let Ok(value) = decode(&seal(body.to_vec()).into()) else { return };
    assert_eq!(decode(&Bytes::from(encode(&value))), Ok(value), "values round trip");
});

//! Writing payloads.

use super::{VERSION, VERSION_MAX, Value, crc, kind};
use bytes::Bytes;

/// The DUMP payload of a value.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::String(bytes) => {
            out.push(kind::STRING);
            put_string(&mut out, bytes);
        }
        Value::List(elements) => put_strings(&mut out, kind::LIST, elements),
        Value::Set(members) => put_strings(&mut out, kind::SET, members),
        Value::Hash(pairs) => {
            out.push(kind::HASH);
            put_length(&mut out, pairs.len() as u64);
            for (field, value) in pairs {
                put_string(&mut out, field);
                put_string(&mut out, value);
            }
        }
        Value::SortedSet(entries) => {
            out.push(kind::ZSET);
            put_length(&mut out, entries.len() as u64);
            for (score, member) in entries {
                put_string(&mut out, member);
                out.extend_from_slice(&score.to_bits().to_le_bytes());
            }
        }
        Value::Stream(stream) => {
            out.push(kind::STREAM_3);
            stream.write(&mut out);
        }
    }
    // Only 7.2 reads its form of streams.
    let version = if matches!(value, Value::Stream(_)) { VERSION_MAX } else { VERSION };
    seal_as(out, version)
}

/// The payload of FUNCTION DUMP for libraries of this code.
#[must_use]
pub fn encode_functions(codes: &[Bytes]) -> Vec<u8> {
    let mut out = Vec::new();
    for code in codes {
        out.push(kind::FUNCTION_2);
        put_string(&mut out, code);
    }
    seal_as(out, VERSION)
}

/// The payload that holds a value which is encoded already: with version and checksum behind it.
#[must_use]
pub fn seal(body: Vec<u8>) -> Vec<u8> {
    seal_as(body, VERSION)
}

fn seal_as(mut body: Vec<u8>, version: u16) -> Vec<u8> {
    body.extend_from_slice(&version.to_le_bytes());
    let checksum = crc::crc64(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

fn put_strings(out: &mut Vec<u8>, kind: u8, strings: &[Bytes]) {
    out.push(kind);
    put_length(out, strings.len() as u64);
    strings.iter().for_each(|s| put_string(out, s));
}

pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn put_length(out: &mut Vec<u8>, len: u64) {
    match len {
        0..=0x3f => out.push(len as u8),
        0x40..=0x3fff => out.extend([0x40 | (len >> 8) as u8, len as u8]),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
}

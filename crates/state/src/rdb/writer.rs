//! Writing payloads.

use super::{VERSION, Value, crc, kind};
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
            put_length(&mut out, pairs.len());
            for (field, value) in pairs {
                put_string(&mut out, field);
                put_string(&mut out, value);
            }
        }
        Value::SortedSet(entries) => {
            out.push(kind::ZSET);
            put_length(&mut out, entries.len());
            for (score, member) in entries {
                put_string(&mut out, member);
                out.extend_from_slice(&score.to_bits().to_le_bytes());
            }
        }
    }
    seal(out)
}

/// The payload that holds a value which is encoded already: with version and checksum behind it.
#[must_use]
pub fn seal(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = crc::crc64(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

fn put_strings(out: &mut Vec<u8>, kind: u8, strings: &[Bytes]) {
    out.push(kind);
    put_length(out, strings.len());
    strings.iter().for_each(|s| put_string(out, s));
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_length(out: &mut Vec<u8>, len: usize) {
    match len {
        0..=0x3f => out.push(len as u8),
        0x40..=0x3fff => out.extend([0x40 | (len >> 8) as u8, len as u8]),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

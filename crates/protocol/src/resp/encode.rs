//! Replies and, for our own clients, requests as bytes.

use command::{Reply, double};
use memchr::memchr2;

/// The version of the protocol a connection speaks; 2 until HELLO says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Version {
    /// RESP2.
    #[default]
    V2,
    /// RESP3.
    V3,
}

/// Appends `reply` to `out`. Types that RESP2 lacks become those by which Redis replaces them.
pub fn encode(reply: &Reply, version: Version, out: &mut Vec<u8>) {
    match reply {
        Reply::Simple(text) => line(out, b'+', text.as_bytes()),
        Reply::Error(text) => line(out, b'-', text.as_bytes()),
        Reply::Integer(v) => {
            out.push(b':');
            integer(out, *v);
            end(out);
        }
        Reply::Bulk(bytes) => bulk(out, b'$', bytes),
        Reply::Array(items) => aggregate(out, b'*', items, version),
        Reply::Null if version == Version::V2 => out.extend_from_slice(b"$-1\r\n"),
        Reply::NullArray if version == Version::V2 => out.extend_from_slice(b"*-1\r\n"),
        Reply::Null | Reply::NullArray => out.extend_from_slice(b"_\r\n"),
        Reply::Map(pairs) => {
            match version {
                Version::V2 => header(out, b'*', pairs.len() * 2),
                Version::V3 => header(out, b'%', pairs.len()),
            }
            for (key, value) in pairs {
                encode(key, version, out);
                encode(value, version, out);
            }
        }
        Reply::Set(items) => aggregate(out, if version == Version::V2 { b'*' } else { b'~' }, items, version),
        Reply::Push(items) => aggregate(out, if version == Version::V2 { b'*' } else { b'>' }, items, version),
        Reply::Double(v) => match version {
            Version::V2 => bulk(out, b'$', &double::to_text(*v)),
            Version::V3 => line(out, b',', &double::to_text(*v)),
        },
        Reply::Boolean(v) => out.extend_from_slice(match (version, v) {
            (Version::V2, true) => b":1\r\n",
            (Version::V2, false) => b":0\r\n",
            (Version::V3, true) => b"#t\r\n",
            (Version::V3, false) => b"#f\r\n",
        }),
        Reply::Verbatim(_, text) if version == Version::V2 => bulk(out, b'$', text),
        Reply::Verbatim(format, text) => {
            header(out, b'=', text.len() + format.len() + 1);
            out.extend_from_slice(format);
            out.push(b':');
            out.extend_from_slice(text);
            end(out);
        }
    }
}

/// Appends the request of `words` to `out`.
pub fn encode_request<W: AsRef<[u8]>>(words: &[W], out: &mut Vec<u8>) {
    header(out, b'*', words.len());
    for word in words {
        bulk(out, b'$', word.as_ref());
    }
}

fn aggregate(out: &mut Vec<u8>, kind: u8, items: &[Reply], version: Version) {
    header(out, kind, items.len());
    for item in items {
        encode(item, version, out);
    }
}

fn bulk(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    header(out, kind, bytes.len());
    out.extend_from_slice(bytes);
    end(out);
}

/// A line of text. Line ends within it would break the stream, so they become blanks, as in Redis.
fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    if memchr2(b'\r', b'\n', text).is_none() {
        out.extend_from_slice(text);
    } else {
        out.extend(text.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
    }
    end(out);
}

fn header(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    unsigned(out, length as u64);
    end(out);
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

fn integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

/// Longest decimal form of a 64-bit number.
const MAX_DIGITS: usize = 20;

fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    if value < 10 {
        out.push(b'0' + value as u8);
        return;
    }
    let mut digits = [0; MAX_DIGITS];
    let mut at = MAX_DIGITS;
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

//! Lines typed by hand: words between blanks, with quotes as in Redis.
//!
//! Within double quotes `\xhh`, `\n`, `\r`, `\t`, `\b`, `\a` and `\` before any other byte are understood; within single
//! quotes only `\'`. A closing quote must be followed by a blank or the end.

use bytes::Bytes;
use command::Args;

/// The words of `line`; `None` when its quotes are not balanced.
#[must_use]
pub fn split_words(line: &[u8]) -> Option<Args> {
    split_line(&Bytes::copy_from_slice(line))
}

/// As [`split_words`]; words without quotes are slices of `line`.
pub(super) fn split_line(line: &Bytes) -> Option<Args> {
    let mut args = Args::new();
    let mut at = 0;
    loop {
        at += line[at..].iter().take_while(|b| is_blank(**b)).count();
        if at == line.len() {
            return Some(args);
        }
        let plain = line[at..].iter().take_while(|b| !ends_word(**b) && !is_quote(**b)).count();
        if line.get(at + plain).is_none_or(|b| ends_word(*b)) {
            args.push(line.slice(at..at + plain));
            at += plain;
        } else {
            let (word, used) = quoted_word(&line[at..])?;
            args.push(Bytes::from(word));
            at += used;
        }
    }
}

/// Whether a browser sent this: `POST` begins its request and `Host:` is among its headers.
pub(super) fn is_http(args: &[Bytes]) -> bool {
    args.first().is_some_and(|w| w.eq_ignore_ascii_case(b"post") || w.eq_ignore_ascii_case(b"host:"))
}

/// A word that contains quotes, and how many bytes of `text` it took.
fn quoted_word(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut word = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at).copied().filter(|b| !ends_word(*b)) {
        at += 1;
        match byte {
            b'"' => {
                at += double_quoted(&text[at..], &mut word)?;
                return closed(text, at).then_some((word, at));
            }
            b'\'' => {
                at += single_quoted(&text[at..], &mut word)?;
                return closed(text, at).then_some((word, at));
            }
            plain => word.push(plain),
        }
    }
    Some((word, at))
}

fn closed(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|b| is_blank(*b))
}

/// Appends what stands before the closing quote; bytes used, the quote included.
fn double_quoted(text: &[u8], word: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let (byte, used) = match &text[at..] {
            [] => return None,
            [b'"', ..] => return Some(at + 1),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) * 16 + hex(*low), 4)
            }
            [b'\\', escaped, ..] => (unescape(*escaped), 2),
            [byte, ..] => (*byte, 1),
        };
        word.push(byte);
        at += used;
    }
}

fn single_quoted(text: &[u8], word: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let (byte, used) = match &text[at..] {
            [] => return None,
            [b'\'', ..] => return Some(at + 1),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (*byte, 1),
        };
        word.push(byte);
        at += used;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

/// Skipped between words. A NUL counts, although for Redis, whose lines are C strings, it ends the line.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0)
}

/// Ends a word; vertical tab and form feed, though blanks, do not.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0)
}

fn is_quote(byte: u8) -> bool {
    byte == b'"' || byte == b'\''
}

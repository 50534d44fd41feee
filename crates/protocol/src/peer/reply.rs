//! The outcome of forwarded work.

use super::wire::{Wire, take_count};
use cluster::ForwardedReply;
use command::{Command, Fault, Reply};
use stdx::NodeId;
use stdx::codec::{DecodeError, Put, Reader};

/// Replies within replies that are accepted.
const MAX_DEPTH: usize = command::MAX_REPLY_DEPTH;

/// Elements of one reply that are accepted, those of nested replies included. A byte can announce one, and one takes
/// some forty bytes of memory; KEYS of a large database needs millions.
const MAX_ELEMENTS: usize = 1 << 24;

/// Elements for which room is made before they are read.
const RESERVED_ELEMENTS: usize = 64;

const DONE: u8 = 1;
const FAILED: u8 = 2;
const WAITS: u8 = 3;

impl Wire for ForwardedReply {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            ForwardedReply::Done(reply) => {
                out.put_u8(DONE);
                put_reply(reply, out);
            }
            ForwardedReply::Failed(fault) => {
                out.put_u8(FAILED);
                fault.put(out);
            }
            ForwardedReply::Waits(again) => {
                out.put_u8(WAITS);
                again.put(out);
            }
        }
    }

    fn read(r: &mut Reader) -> Result<ForwardedReply, DecodeError> {
        Ok(match r.u8()? {
            DONE => ForwardedReply::Done(Replies { left: MAX_ELEMENTS }.take(r, 0)?),
            FAILED => ForwardedReply::Failed(Fault::read(r)?),
            WAITS => ForwardedReply::Waits(Option::<Command>::read(r)?),
            _ => return Err(DecodeError::Malformed("kind of outcome")),
        })
    }
}

/// Wire tags of replies: never reuse one.
mod tag {
    pub(super) const SIMPLE: u8 = 1;
    pub(super) const ERROR: u8 = 2;
    pub(super) const INTEGER: u8 = 3;
    pub(super) const BULK: u8 = 4;
    pub(super) const NULL: u8 = 5;
    pub(super) const NULL_ARRAY: u8 = 6;
    pub(super) const ARRAY: u8 = 7;
    pub(super) const MAP: u8 = 8;
    pub(super) const SET: u8 = 9;
    pub(super) const DOUBLE: u8 = 10;
    pub(super) const FALSE: u8 = 11;
    pub(super) const TRUE: u8 = 12;
    pub(super) const VERBATIM: u8 = 13;
    pub(super) const PUSH: u8 = 14;
}

fn put_reply(reply: &Reply, out: &mut Vec<u8>) {
    let list = |tag, items: &[Reply], out: &mut Vec<u8>| {
        out.put_u8(tag);
        out.put_varint(items.len() as u64);
        for item in items {
            put_reply(item, out);
        }
    };
    match reply {
        Reply::Simple(line) => {
            out.put_u8(tag::SIMPLE);
            out.put_bytes(line.as_bytes());
        }
        Reply::Error(line) => {
            out.put_u8(tag::ERROR);
            out.put_bytes(line.as_bytes());
        }
        Reply::Integer(v) => {
            out.put_u8(tag::INTEGER);
            v.put(out);
        }
        Reply::Bulk(bytes) => {
            out.put_u8(tag::BULK);
            out.put_bytes(bytes);
        }
        Reply::Null => out.put_u8(tag::NULL),
        Reply::NullArray => out.put_u8(tag::NULL_ARRAY),
        Reply::Array(items) => list(tag::ARRAY, items, out),
        Reply::Set(items) => list(tag::SET, items, out),
        Reply::Push(items) => list(tag::PUSH, items, out),
        Reply::Map(pairs) => {
            out.put_u8(tag::MAP);
            out.put_varint(pairs.len() as u64);
            for (key, value) in pairs {
                put_reply(key, out);
                put_reply(value, out);
            }
        }
        Reply::Double(v) => {
            out.put_u8(tag::DOUBLE);
            out.put_u64(v.to_bits());
        }
        Reply::Boolean(v) => out.put_u8(if *v { tag::TRUE } else { tag::FALSE }),
        Reply::Verbatim(format, text) => {
            out.put_u8(tag::VERBATIM);
            out.extend_from_slice(format);
            out.put_bytes(text);
        }
    }
}

/// Reads one reply, counting its elements.
struct Replies {
    left: usize,
}

impl Replies {
    fn take(&mut self, r: &mut Reader, depth: usize) -> Result<Reply, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Malformed("reply is nested too deeply"));
        }
        Ok(match r.u8()? {
            tag::SIMPLE => Reply::Simple(String::read(r)?.into()),
            tag::ERROR => Reply::Error(String::read(r)?.into()),
            tag::INTEGER => Reply::Integer(i64::read(r)?),
            tag::BULK => Reply::Bulk(r.bytes()?),
            tag::NULL => Reply::Null,
            tag::NULL_ARRAY => Reply::NullArray,
            tag::ARRAY => Reply::Array(self.list(r, depth)?),
            tag::SET => Reply::Set(self.list(r, depth)?),
            tag::PUSH => Reply::Push(self.list(r, depth)?),
            tag::MAP => {
                let count = self.announced(r)?;
                let mut pairs = Vec::with_capacity(count.min(RESERVED_ELEMENTS));
                for _ in 0..count {
                    pairs.push((self.take(r, depth + 1)?, self.take(r, depth + 1)?));
                }
                Reply::Map(pairs)
            }
            tag::DOUBLE => Reply::Double(f64::from_bits(r.u64()?)),
            tag::FALSE => Reply::Boolean(false),
            tag::TRUE => Reply::Boolean(true),
            tag::VERBATIM => Reply::Verbatim([r.u8()?, r.u8()?, r.u8()?], r.bytes()?),
            _ => return Err(DecodeError::Malformed("kind of reply")),
        })
    }

    fn list(&mut self, r: &mut Reader, depth: usize) -> Result<Vec<Reply>, DecodeError> {
        let count = self.announced(r)?;
        let mut items = Vec::with_capacity(count.min(RESERVED_ELEMENTS));
        for _ in 0..count {
            items.push(self.take(r, depth + 1)?);
        }
        Ok(items)
    }

    fn announced(&mut self, r: &mut Reader) -> Result<usize, DecodeError> {
        let count = take_count(r)?;
        self.left = self.left.checked_sub(count).ok_or(DecodeError::Malformed("reply has too many elements"))?;
        Ok(count)
    }
}

impl Wire for Fault {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Fault::NoLeader => out.put_u8(1),
            Fault::NotLeader { leader } => {
                out.put_u8(2);
                leader.put(out);
            }
            Fault::Overwritten => out.put_u8(3),
            Fault::OutcomeUnknown => out.put_u8(4),
            Fault::Deadline => out.put_u8(5),
            Fault::Overloaded => out.put_u8(6),
            Fault::DiskFull => out.put_u8(7),
            Fault::Fenced => out.put_u8(8),
            Fault::ShuttingDown => out.put_u8(9),
            Fault::TooLarge(sentence) => {
                out.put_u8(10);
                out.put_bytes(sentence.as_bytes());
            }
            Fault::Unblocked => out.put_u8(11),
        }
    }

    fn read(r: &mut Reader) -> Result<Fault, DecodeError> {
        Ok(match r.u8()? {
            1 => Fault::NoLeader,
            2 => Fault::NotLeader { leader: Option::<NodeId>::read(r)? },
            3 => Fault::Overwritten,
            4 => Fault::OutcomeUnknown,
            5 => Fault::Deadline,
            6 => Fault::Overloaded,
            7 => Fault::DiskFull,
            8 => Fault::Fenced,
            9 => Fault::ShuttingDown,
            10 => Fault::too_large(&String::read(r)?),
            11 => Fault::Unblocked,
            _ => return Err(DecodeError::Malformed("kind of fault")),
        })
    }
}

//! Lists. A small one is kept whole in its META record; a larger one has a sub-record for each element under an index,
//! and indexes are dense: position `i` is index `head + i`. Ends and positions are therefore found without a search.
//! A change in the middle moves the shorter side.

mod blocking;
mod body;
mod ends;
mod middle;
mod positions;
mod writer;

use crate::ctx::Ctx;
use crate::dispatch::{Row, reads, writes};
use crate::records::{self, Home, KeyBuf, Name, Part, Record, damaged};
use crate::reply::Outcome;
use bytes::Bytes;
use stdx::codec::{Put, Reader};

pub(crate) use writer::store;

pub(crate) const ROWS: &[Row] = &[
    writes("lpush", ends::lpush),
    writes("rpush", ends::rpush),
    writes("lpushx", ends::lpushx),
    writes("rpushx", ends::rpushx),
    writes("lpop", ends::lpop),
    writes("rpop", ends::rpop),
    writes("lmpop", ends::lmpop),
    writes("lmove", ends::lmove),
    writes("rpoplpush", ends::rpoplpush),
    writes("blpop", blocking::blpop),
    writes("brpop", blocking::brpop),
    writes("blmpop", blocking::blmpop),
    writes("blmove", blocking::blmove),
    writes("brpoplpush", blocking::brpoplpush),
    reads("llen", positions::llen),
    reads("lindex", positions::lindex),
    reads("lrange", positions::lrange),
    reads("lpos", positions::lpos),
    writes("lset", middle::lset),
    writes("ltrim", middle::ltrim),
    writes("linsert", middle::linsert),
    writes("lrem", middle::lrem),
];

/// Most bytes of a body kept in the META record: what one change rewrites at most.
const INLINE_BYTES_MAX: usize = 1024;

/// Redis' `list-max-listpack-size` of -2, bytes: beyond it OBJECT ENCODING says `quicklist`, until half of it is left.
const LISTPACK_BYTES_MAX: u64 = 8192;

/// What an element costs in a listpack besides its bytes, when it is short.
const LISTPACK_ELEMENT_BYTES: u64 = 2;

/// Index of the first element; others follow in both directions.
const FIRST_INDEX: u64 = 1 << 63;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Left,
    Right,
}

/// Where the elements of a larger list are: the body of its META record.
#[derive(Clone, Debug)]
struct Spilled {
    home: Home,
    /// What the elements' records start with, the part included.
    prefix: KeyBuf,
    /// The first index.
    head: u64,
    /// One past the last index.
    tail: u64,
    /// Bytes of all elements.
    bytes: u64,
}

impl Spilled {
    fn new(name: &Name, home: Home) -> Spilled {
        let prefix = records::sub_prefix(name.keyspace(), home.slot, home.version);
        let prefix = records::sub_key(&prefix, Part::Element, &[]);
        Spilled { home, prefix, head: FIRST_INDEX, tail: FIRST_INDEX, bytes: 0 }
    }

    fn decode(name: &Name, record: &Record) -> Outcome<Option<Spilled>> {
        let Some(home) = record.home()? else { return Ok(None) };
        let mut s = Spilled::new(name, home);
        let mut reader = Reader::new(record.body.slice(Home::LEN..));
        let numbers =
            (|| Ok::<_, stdx::codec::DecodeError>((number(&mut reader)?, number(&mut reader)?, reader.varint()?)))();
        (s.head, s.tail, s.bytes) = numbers.map_err(|_| damaged("a list without its ends"))?;
        if s.head > s.tail {
            return Err(damaged("a list that ends before it begins").into());
        }
        Ok(Some(s))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = self.home.encode().to_vec();
        out.extend_from_slice(&self.head.to_be_bytes());
        out.extend_from_slice(&self.tail.to_be_bytes());
        out.put_varint(self.bytes);
        out
    }

    fn len(&self) -> u64 {
        self.tail - self.head
    }

    fn key(&self, index: u64) -> KeyBuf {
        let mut key = self.prefix.clone();
        key.extend_from_slice(&index.to_be_bytes());
        key
    }
}

/// Eight bytes, big-endian like every number of a record's header.
fn number(reader: &mut Reader) -> Result<u64, stdx::codec::DecodeError> {
    Ok(reader.take(8)?.iter().fold(0, |v, b| (v << 8) | u64::from(*b)))
}

/// All elements of the list that a record holds, when they fit into a reply.
pub(crate) fn all(ctx: &Ctx<'_>, name: &Name, record: &Record) -> Outcome<Vec<Bytes>> {
    let body = body::Body::of(name, Some(record))?;
    body.elements(ctx, 0..body.len(), false)
}

/// How many elements a list has.
pub(crate) fn len(name: &Name, record: &Record) -> Outcome<u64> {
    match Spilled::decode(name, record)? {
        Some(spilled) => Ok(spilled.len()),
        None => Ok(crate::packed::count(&record.body)?),
    }
}

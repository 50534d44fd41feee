//! The value of a META record: one tag byte, the expiry when there is one, and the body.

use bytes::Bytes;
use storage::EngineError;

/// The type of a key, the low four bits of the tag. Persisted. 0 is never used; 15 is kept for a longer header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Type {
    /// Bytes; also HyperLogLogs and bitmaps.
    String = 1,
    /// A list.
    List = 2,
    /// A set.
    Set = 3,
    /// A sorted set.
    SortedSet = 4,
    /// A hash.
    Hash = 5,
    /// A stream.
    Stream = 6,
}

impl Type {
    /// What the TYPE command answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::SortedSet => "zset",
            Type::Hash => "hash",
            Type::Stream => "stream",
        }
    }

    fn of_tag(tag: u8) -> Option<Type> {
        Some(match tag & 0x0f {
            1 => Type::String,
            2 => Type::List,
            3 => Type::Set,
            4 => Type::SortedSet,
            5 => Type::Hash,
            6 => Type::Stream,
            _ => return None,
        })
    }
}

/// The high four bits of the tag. Persisted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u8);

impl Flags {
    /// Nothing special.
    pub const NONE: Flags = Flags(0);
    /// Eight bytes of expiry follow the tag.
    pub const EXPIRES: Flags = Flags(0x80);
    /// The contents are in sub-records; the body begins with [`Home`].
    pub const SPILLED: Flags = Flags(0x40);
    /// OBJECT ENCODING names the large form: the value once exceeded a threshold, or (strings) was edited in place.
    pub const GREW: Flags = Flags(0x20);
    /// Some fields of the hash expire: bounds precede the body. Reserved; records that carry it are refused.
    pub const FIELD_TTL: Flags = Flags(0x10);

    /// Whether all of `other` is set.
    #[must_use]
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// With `other` set.
    #[must_use]
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// With `other` cleared.
    #[must_use]
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

/// What precedes a body: type, flags, expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The type.
    pub kind: Type,
    /// Flags; `EXPIRES` follows from `expire_ms` when written.
    pub flags: Flags,
    /// When the key expires, milliseconds since the epoch; it is expired once the time is past it.
    pub expire_ms: Option<u64>,
}

/// A decoded META value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Type, flags, expiry.
    pub head: Head,
    /// The rest, sharing the stored allocation: a string's bytes, or what the type keeps.
    pub body: Bytes,
}

/// Where a spilled value's sub-records are: the first ten bytes of its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Home {
    /// The slot of the key under which it was created; RENAME keeps it, so that it moves nothing.
    pub slot: u16,
    /// Unique in the shard.
    pub version: u64,
}

impl Home {
    /// Encoded length in bytes.
    pub const LEN: usize = 10;

    /// The ten bytes.
    #[must_use]
    pub fn encode(self) -> [u8; Home::LEN] {
        let mut out = [0; Home::LEN];
        out[..2].copy_from_slice(&self.slot.to_be_bytes());
        out[2..].copy_from_slice(&self.version.to_be_bytes());
        out
    }

    /// Reads them from the front of a body.
    ///
    /// # Errors
    /// `Damaged` when the body is too short.
    pub fn decode(body: &[u8]) -> Result<Home, EngineError> {
        let bytes = body.get(..Home::LEN).ok_or_else(|| damaged("a spilled value without its home"))?;
        let version = bytes[2..].iter().fold(0, |v, b| (v << 8) | u64::from(*b));
        Ok(Home { slot: u16::from_be_bytes([bytes[0], bytes[1]]), version })
    }
}

impl Record {
    /// Decodes a META value.
    ///
    /// # Errors
    /// `Damaged` when no writer of this version can have written it.
    pub fn decode(value: &Bytes) -> Result<Record, EngineError> {
        let tag = *value.first().ok_or_else(|| damaged("an empty META value"))?;
        let kind = Type::of_tag(tag).ok_or_else(|| damaged("a META value of unknown type"))?;
        let flags = Flags(tag & 0xf0);
        if flags.has(Flags::FIELD_TTL) {
            return Err(damaged("a hash with field expiry, which this version does not know"));
        }
        if !flags.has(Flags::EXPIRES) {
            return Ok(Record { head: Head { kind, flags, expire_ms: None }, body: value.slice(1..) });
        }
        let time = value.get(1..9).ok_or_else(|| damaged("a META value cut inside its expiry"))?;
        let expire_ms = time.iter().fold(0, |v, b| (v << 8) | u64::from(*b));
        let flags = flags.without(Flags::EXPIRES);
        Ok(Record { head: Head { kind, flags, expire_ms: Some(expire_ms) }, body: value.slice(9..) })
    }

    /// Whether the key is logically gone at `now_ms`.
    #[must_use]
    pub fn expired(&self, now_ms: u64) -> bool {
        self.head.expire_ms.is_some_and(|at| now_ms > at)
    }

    /// Where the sub-records are, when there are any.
    ///
    /// # Errors
    /// `Damaged` when the body is too short.
    pub fn home(&self) -> Result<Option<Home>, EngineError> {
        if self.head.flags.has(Flags::SPILLED) { Home::decode(&self.body).map(Some) } else { Ok(None) }
    }
}

/// Appends a META value: the head, then the pieces of the body.
pub fn write_value(out: &mut Vec<u8>, head: Head, body: &[&[u8]]) {
    let flags = if head.expire_ms.is_some() { head.flags.with(Flags::EXPIRES) } else { head.flags };
    out.push(head.kind as u8 | flags.0);
    if let Some(at) = head.expire_ms {
        out.extend_from_slice(&at.to_be_bytes());
    }
    for piece in body {
        out.extend_from_slice(piece);
    }
}

pub(crate) fn damaged(what: &str) -> EngineError {
    EngineError::Damaged(what.to_owned())
}

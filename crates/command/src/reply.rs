//! Replies, independent of the protocol version that will carry them.

use bytes::Bytes;
use std::borrow::Cow;

/// What a client is told. The RESP3 shapes are primary; the RESP2 encoder flattens them by its own rules.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// A status line such as `OK`.
    Simple(Cow<'static, str>),
    /// An error line with its code first, such as `ERR syntax error`; one line, no CR or LF.
    Error(Cow<'static, str>),
    /// A signed integer.
    Integer(i64),
    /// A binary-safe string.
    Bulk(Bytes),
    /// No value (`$-1` in RESP2, `_` in RESP3).
    Null,
    /// No array (`*-1` in RESP2, `_` in RESP3), as an aborted EXEC answers.
    NullArray,
    /// An ordered sequence.
    Array(Vec<Reply>),
    /// Pairs in order (a flat array in RESP2).
    Map(Vec<(Reply, Reply)>),
    /// A set (an array in RESP2).
    Set(Vec<Reply>),
    /// A double (a bulk string in RESP2).
    Double(f64),
    /// A boolean (`:1` or `:0` in RESP2).
    Boolean(bool),
    /// Text with a three-letter format such as `txt` (a bulk string in RESP2).
    Verbatim([u8; 3], Bytes),
    /// Out-of-band data (an array in RESP2).
    Push(Vec<Reply>),
}

impl Reply {
    /// The status `OK`.
    pub const OK: Reply = Reply::Simple(Cow::Borrowed("OK"));

    /// Bytes it takes, roughly: for bounds on memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let sum = |items: &[Reply]| items.iter().map(Reply::size_bytes).sum::<usize>();
        16 + match self {
            Reply::Bulk(b) | Reply::Verbatim(_, b) => b.len(),
            Reply::Simple(s) | Reply::Error(s) => s.len(),
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => sum(items),
            Reply::Map(pairs) => pairs.iter().map(|(k, v)| k.size_bytes() + v.size_bytes()).sum(),
            _ => 0,
        }
    }

    /// An error line known at compile time.
    #[must_use]
    pub const fn error(line: &'static str) -> Reply {
        Reply::Error(Cow::Borrowed(line))
    }

    /// A binary-safe string copied from `bytes`.
    #[must_use]
    pub fn bulk(bytes: &[u8]) -> Reply {
        Reply::Bulk(Bytes::copy_from_slice(bytes))
    }

    /// Whether this is an error line.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }
}

impl From<Bytes> for Reply {
    fn from(b: Bytes) -> Reply {
        Reply::Bulk(b)
    }
}

impl From<i64> for Reply {
    fn from(v: i64) -> Reply {
        Reply::Integer(v)
    }
}

impl From<Option<Bytes>> for Reply {
    fn from(v: Option<Bytes>) -> Reply {
        v.map_or(Reply::Null, Reply::Bulk)
    }
}

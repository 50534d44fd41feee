//! What can be wrong with a stream of the Redis protocol. After any of these the stream has lost its place: the
//! connection is to be closed, after the reply where there is one.

use command::{MAX_REQUEST_BYTES, Reply};

/// Why a client's bytes are not a request. The texts are those of Redis 7.2 where it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The number of words is no number or above the limit.
    #[error("invalid multibulk length")]
    InvalidMultibulkLength,
    /// The length of a word is no number, negative or above the limit.
    #[error("invalid bulk length")]
    InvalidBulkLength,
    /// A word does not begin with its length.
    #[error("expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    /// A word does not end where its length says.
    #[error("expected CRLF after bulk string")]
    ExpectedLineEnd,
    /// The line that says how many words there are does not end.
    #[error("too big mbulk count string")]
    MultibulkCountTooBig,
    /// The line that says how long a word is does not end.
    #[error("too big bulk count string")]
    BulkCountTooBig,
    /// A line typed by hand is too long.
    #[error("too big inline request")]
    InlineTooBig,
    /// A line typed by hand opens a quote that it does not close, or goes on right behind one.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// All words together are too long.
    #[error("request exceeds {MAX_REQUEST_BYTES} bytes")]
    RequestTooBig,
    /// A browser was tricked into sending an HTTP request here: it gets no answer.
    #[error("an HTTP request is not a Redis request")]
    Http,
}

impl ProtocolError {
    /// What to tell the client before closing the connection.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        (*self != ProtocolError::Http).then(|| Reply::Error(format!("ERR Protocol error: {self}").into()))
    }
}

fn printable(byte: u8) -> char {
    if byte == b'\r' || byte == b'\n' { ' ' } else { char::from(byte) }
}

/// Why a server's bytes are not a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplyError {
    /// A type byte that neither version has.
    #[error("unknown reply type {0:#04x}")]
    UnknownType(u8),
    /// A number, length or line end is not what it should be.
    #[error("malformed reply: {0}")]
    Malformed(&'static str),
    /// Longer, larger or more deeply nested than we accept.
    #[error("reply exceeds a limit: {0}")]
    TooBig(&'static str),
}

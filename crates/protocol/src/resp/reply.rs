//! Replies, cut out of a client's receive buffer.

use super::ReplyError;
use super::decode::integer;
use bytes::{Buf, Bytes, BytesMut};
use command::{MAX_INLINE_BYTES, MAX_VALUE_BYTES, Reply};
use memchr::memchr;

/// Aggregates within aggregates that are accepted.
pub const MAX_REPLY_DEPTH: usize = 32;

/// Elements of one reply that are accepted, those of nested aggregates included: enough for KEYS of a large database.
pub const MAX_REPLY_ELEMENTS: usize = 1 << 24;

/// Elements for which room is made before they arrive.
const RESERVED_ELEMENTS: usize = 64;

/// Decodes the replies a server sends to one connection, of either version of the protocol.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    /// Aggregates that are not complete, the outermost first.
    open: Vec<Open>,
    /// Elements announced since the outermost reply began.
    elements: usize,
    /// Bytes at the beginning of the buffer that are known to hold no end of line.
    scanned: usize,
}

#[derive(Debug)]
struct Open {
    kind: Aggregate,
    missing: usize,
    items: Vec<Reply>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aggregate {
    Array,
    Set,
    Push,
    Map,
    /// Facts about the reply that follows, which nobody here asked for.
    Attribute,
}

enum Token {
    Value(Reply),
    Begin(Aggregate, usize),
}

impl ReplyDecoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> ReplyDecoder {
        ReplyDecoder::default()
    }

    /// The next reply of `buffer`, whose bytes are taken out; `None` when more bytes are needed. Big numbers come as
    /// `Bulk`, blob errors as `Error`, and attributes are skipped.
    ///
    /// # Errors
    /// The bytes are no reply or exceed a limit: the connection is to be closed.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        loop {
            let Some(token) = self.token(buffer)? else {
                return Ok(None);
            };
            let value = match token {
                Token::Value(value) => Some(value),
                Token::Begin(kind, count) => self.begin(kind, count)?,
            };
            if let Some(reply) = value.and_then(|v| self.place(v)) {
                self.elements = 0;
                return Ok(Some(reply));
            }
        }
    }

    /// Opens an aggregate; an empty one is complete at once.
    fn begin(&mut self, kind: Aggregate, count: usize) -> Result<Option<Reply>, ReplyError> {
        let items = match kind {
            Aggregate::Map | Aggregate::Attribute => count.saturating_mul(2),
            _ => count,
        };
        self.elements = self.elements.saturating_add(items);
        if self.elements > MAX_REPLY_ELEMENTS {
            return Err(ReplyError::TooBig("too many elements"));
        }
        if self.open.len() == MAX_REPLY_DEPTH {
            return Err(ReplyError::TooBig("nested too deeply"));
        }
        if items == 0 {
            return Ok(close(kind, Vec::new()));
        }
        self.open.push(Open { kind, missing: items, items: Vec::with_capacity(items.min(RESERVED_ELEMENTS)) });
        Ok(None)
    }

    /// Puts a value where it belongs; the outermost reply once it is complete.
    fn place(&mut self, mut value: Reply) -> Option<Reply> {
        while let Some(open) = self.open.last_mut() {
            open.items.push(value);
            open.missing -= 1;
            if open.missing > 0 {
                return None;
            }
            let done = self.open.pop()?;
            value = close(done.kind, done.items)?;
        }
        Some(value)
    }

    fn token(&mut self, buffer: &mut BytesMut) -> Result<Option<Token>, ReplyError> {
        let Some(end) = self.line_end(buffer)? else {
            return Ok(None);
        };
        let line = &buffer[1..end];
        let value = match buffer[0] {
            b'+' => Reply::Simple(text(line).into()),
            b'-' => Reply::Error(text(line).into()),
            b':' => Reply::Integer(integer(line).ok_or(ReplyError::Malformed("integer"))?),
            b',' => Reply::Double(double(line).ok_or(ReplyError::Malformed("double"))?),
            b'(' => Reply::Bulk(Bytes::copy_from_slice(line)),
            b'_' if line.is_empty() => Reply::Null,
            b'#' if line == b"t" => Reply::Boolean(true),
            b'#' if line == b"f" => Reply::Boolean(false),
            b'$' | b'=' | b'!' => return self.blob(buffer, end),
            b'*' | b'%' | b'~' | b'>' | b'|' => return self.aggregate(buffer, end),
            b'_' | b'#' => return Err(ReplyError::Malformed("null or boolean")),
            other => return Err(ReplyError::UnknownType(other)),
        };
        self.consume(buffer, end);
        Ok(Some(Token::Value(value)))
    }

    /// The position of the CR that ends the first line of `buffer`, once the whole line is there.
    fn line_end(&mut self, buffer: &BytesMut) -> Result<Option<usize>, ReplyError> {
        let from = self.scanned.clamp(1, buffer.len().max(1));
        match memchr(b'\r', buffer.get(from..).unwrap_or_default()).map(|i| i + from) {
            Some(end) if end + 1 < buffer.len() => {
                if buffer[end + 1] == b'\n' {
                    Ok(Some(end))
                } else {
                    Err(ReplyError::Malformed("line end"))
                }
            }
            Some(end) => {
                self.scanned = end;
                Ok(None)
            }
            None if buffer.len() > MAX_INLINE_BYTES => Err(ReplyError::TooBig("line too long")),
            None => {
                self.scanned = buffer.len();
                Ok(None)
            }
        }
    }

    fn blob(&mut self, buffer: &mut BytesMut, end: usize) -> Result<Option<Token>, ReplyError> {
        let kind = buffer[0];
        let length = integer(&buffer[1..end]).ok_or(ReplyError::Malformed("bulk length"))?;
        if length == -1 && kind == b'$' {
            self.consume(buffer, end);
            return Ok(Some(Token::Value(Reply::Null)));
        }
        let length = usize::try_from(length).map_err(|_| ReplyError::Malformed("bulk length"))?;
        if length > MAX_VALUE_BYTES {
            return Err(ReplyError::TooBig("bulk string too long"));
        }
        let begin = end + 2;
        match buffer.get(begin + length..begin + length + 2) {
            None => {
                // The header is complete: the next look at it begins where its line ends.
                self.scanned = end;
                return Ok(None);
            }
            Some(b"\r\n") => {}
            Some(_) => return Err(ReplyError::Malformed("bulk string end")),
        }
        self.consume(buffer, end);
        let bytes = buffer.split_to(length).freeze();
        buffer.advance(2);
        Ok(Some(Token::Value(match kind {
            b'$' => Reply::Bulk(bytes),
            b'!' => Reply::Error(text(&bytes).into()),
            _ => match bytes.first_chunk::<4>() {
                Some([a, b, c, b':']) => Reply::Verbatim([*a, *b, *c], bytes.slice(4..)),
                _ => return Err(ReplyError::Malformed("verbatim string")),
            },
        })))
    }

    fn aggregate(&mut self, buffer: &mut BytesMut, end: usize) -> Result<Option<Token>, ReplyError> {
        let kind = buffer[0];
        let count = integer(&buffer[1..end]).ok_or(ReplyError::Malformed("aggregate length"))?;
        self.consume(buffer, end);
        if count == -1 && kind == b'*' {
            return Ok(Some(Token::Value(Reply::NullArray)));
        }
        let count = usize::try_from(count).map_err(|_| ReplyError::Malformed("aggregate length"))?;
        let kind = match kind {
            b'*' => Aggregate::Array,
            b'~' => Aggregate::Set,
            b'>' => Aggregate::Push,
            b'%' => Aggregate::Map,
            _ => Aggregate::Attribute,
        };
        Ok(Some(Token::Begin(kind, count)))
    }

    /// Takes the line that ends with the CR at `end` out of `buffer`.
    fn consume(&mut self, buffer: &mut BytesMut, end: usize) {
        buffer.advance(end + 2);
        self.scanned = 0;
    }
}

/// The value of a complete aggregate; none for an attribute.
fn close(kind: Aggregate, items: Vec<Reply>) -> Option<Reply> {
    Some(match kind {
        Aggregate::Array => Reply::Array(items),
        Aggregate::Set => Reply::Set(items),
        Aggregate::Push => Reply::Push(items),
        Aggregate::Attribute => return None,
        Aggregate::Map => {
            let mut items = items.into_iter();
            let mut pairs = Vec::with_capacity(items.len() / 2);
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Reply::Map(pairs)
        }
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn double(line: &[u8]) -> Option<f64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

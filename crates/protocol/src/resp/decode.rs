//! Requests, cut out of a receive buffer.

use super::ProtocolError;
use super::inline::{is_http, split_line};
use bytes::{Buf, BytesMut};
use command::{Args, MAX_ARGUMENTS, MAX_INLINE_BYTES, MAX_REQUEST_BYTES, MAX_VALUE_BYTES};
use memchr::memchr;
use smallvec::SmallVec;

/// Words of an unfinished request whose places are kept without an allocation of their own.
const INLINE_SPANS: usize = 8;

/// Places kept allocated between requests; a request with more words gives its memory back.
const KEPT_SPANS: usize = 1024;

/// Digits read without looking for the end of the line first: enough for every length below the limits.
const FAST_DIGITS: usize = 10;

// Places within a request are kept in 32 bits.
const _: () = assert!(MAX_REQUEST_BYTES <= u32::MAX as usize);

/// Decodes the requests of one connection.
///
/// Bytes of an unfinished request stay in the caller's buffer; the decoder remembers what it has understood of them, so
/// that each byte is looked at once however it arrives. A finished request leaves the buffer as one shared allocation, of
/// which its words are slices.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes of the unfinished request that are understood.
    at: usize,
    /// Words of the request still to come; 0 between requests.
    missing: usize,
    /// Length of the next word, once its header is understood.
    word: Option<usize>,
    /// Bytes behind `at` that are known to hold no end of line.
    scanned: usize,
    /// The longest word, when that is less than the longest value.
    word_max: Option<usize>,
    /// Where the words are: begin and end.
    spans: SmallVec<[(u32, u32); INLINE_SPANS]>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Lets words be at most so long, in bytes, and never longer than the longest value.
    pub fn limit_words(&mut self, bytes: usize) {
        self.word_max = Some(bytes);
    }

    /// The next request of `buffer`, whose bytes are taken out; `None` when more bytes are needed. Empty requests are
    /// skipped, so a request has at least one word.
    ///
    /// # Errors
    /// The bytes are no request: the stream has lost its place and the connection is to be closed.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Args>, ProtocolError> {
        loop {
            if self.missing == 0 {
                match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(count) = self.header(buffer, Header::Words)? else {
                            return Ok(None);
                        };
                        if count <= 0 {
                            buffer.advance(std::mem::take(&mut self.at));
                            continue;
                        }
                        self.missing = usize::try_from(count)
                            .ok()
                            .filter(|n| *n <= MAX_ARGUMENTS)
                            .ok_or(ProtocolError::InvalidMultibulkLength)?;
                    }
                    Some(_) => match self.inline(buffer)? {
                        Some(args) if args.is_empty() => continue,
                        other => return Ok(other),
                    },
                }
            }
            if !self.words(buffer)? {
                return Ok(None);
            }
            // Filled where it is returned: moving the words once more would cost as much as finding them.
            let mut request = Ok(Some(Args::new()));
            if let Ok(Some(args)) = &mut request {
                self.finish(buffer, args);
            }
            return request;
        }
    }

    /// Whether a request has begun and not ended, given that `buffer` is what [`Decoder::decode`] left.
    #[must_use]
    pub fn is_mid_request(&self, buffer: &BytesMut) -> bool {
        self.missing > 0 || !buffer.is_empty()
    }

    /// Bytes that the word being received still lacks in `buffer`, its line end included; 0 when unknown. For reserving
    /// room, in bounded steps: it is only what the client claims.
    #[must_use]
    pub fn bytes_wanted(&self, buffer: &BytesMut) -> usize {
        self.word.map_or(0, |length| (self.at + length + 2).saturating_sub(buffer.len()))
    }

    /// Understands as many words as `data` holds; whether that was all of them.
    #[inline]
    fn words(&mut self, data: &[u8]) -> Result<bool, ProtocolError> {
        while self.missing > 0 {
            let length = match self.word {
                Some(length) => length,
                None => {
                    let Some(claimed) = self.header(data, Header::Word)? else {
                        return Ok(false);
                    };
                    let length = usize::try_from(claimed)
                        .ok()
                        .filter(|n| *n <= self.word_max.unwrap_or(MAX_VALUE_BYTES).min(MAX_VALUE_BYTES))
                        .ok_or(ProtocolError::InvalidBulkLength)?;
                    if self.at + length + 2 > MAX_REQUEST_BYTES {
                        return Err(ProtocolError::RequestTooBig);
                    }
                    self.word = Some(length);
                    length
                }
            };
            let end = self.at + length;
            match data.get(end..end + 2) {
                None => return Ok(false),
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::ExpectedLineEnd),
            }
            // The frame limit above keeps both in 32 bits.
            self.spans.push((self.at as u32, end as u32));
            self.at = end + 2;
            self.word = None;
            self.missing -= 1;
        }
        Ok(true)
    }

    /// The number in the header line at `at`, which is left behind; `None` when the line is not complete.
    #[inline]
    fn header(&mut self, data: &[u8], kind: Header) -> Result<Option<i64>, ProtocolError> {
        let line = data.get(self.at..).unwrap_or_default();
        let mut value = 0;
        let mut i = 1;
        while i <= FAST_DIGITS && i < line.len() && line[i].is_ascii_digit() {
            value = value * 10 + i64::from(line[i] - b'0');
            i += 1;
        }
        let canonical = i > 1 && (line[1] != b'0' || i == 2);
        if canonical && line[0] == kind.prefix() && line.get(i..i + 2) == Some(b"\r\n") {
            self.at += i + 2;
            self.scanned = 0;
            return Ok(Some(value));
        }
        self.unusual_header(data, kind)
    }

    /// A header that is incomplete, negative or wrong.
    #[cold]
    fn unusual_header(&mut self, data: &[u8], kind: Header) -> Result<Option<i64>, ProtocolError> {
        let line = data.get(self.at..).unwrap_or_default();
        let Some(end) = memchr(b'\r', &line[self.scanned.min(line.len())..]).map(|i| i + self.scanned) else {
            self.scanned = line.len();
            return if line.len() > MAX_INLINE_BYTES { Err(kind.too_big()) } else { Ok(None) };
        };
        let Some(after) = line.get(end + 1) else {
            self.scanned = end;
            return Ok(None);
        };
        if line[0] != kind.prefix() {
            return Err(ProtocolError::ExpectedBulk(line[0]));
        }
        let number = line.get(1..end).and_then(integer).filter(|_| *after == b'\n').ok_or(kind.invalid())?;
        self.at += end + 2;
        self.scanned = 0;
        Ok(Some(number))
    }

    /// A line typed by hand; no words for an empty line.
    fn inline(&mut self, buffer: &mut BytesMut) -> Result<Option<Args>, ProtocolError> {
        let Some(end) = memchr(b'\n', &buffer[self.scanned.min(buffer.len())..]).map(|i| i + self.scanned) else {
            self.scanned = buffer.len();
            return if buffer.len() > MAX_INLINE_BYTES { Err(ProtocolError::InlineTooBig) } else { Ok(None) };
        };
        self.scanned = 0;
        if end > MAX_INLINE_BYTES {
            return Err(ProtocolError::InlineTooBig);
        }
        let mut line = buffer.split_to(end + 1).freeze();
        line.truncate(if line[..end].ends_with(b"\r") { end - 1 } else { end });
        let args = split_line(&line).ok_or(ProtocolError::UnbalancedQuotes)?;
        if is_http(&args) {
            return Err(ProtocolError::Http);
        }
        Ok(Some(args))
    }

    /// Takes the understood request out of `buffer` and appends its words to `args`.
    #[inline]
    fn finish(&mut self, buffer: &mut BytesMut, args: &mut Args) {
        let mut frame = buffer.split_to(std::mem::take(&mut self.at)).freeze();
        if let Some(((begin, end), others)) = self.spans.split_last() {
            args.reserve(self.spans.len());
            for (begin, end) in others {
                args.push(frame.slice(*begin as usize..*end as usize));
            }
            // The last word takes over the frame's own reference.
            frame.truncate(*end as usize);
            frame.advance(*begin as usize);
            args.push(frame);
        }
        self.spans.clear();
        if self.spans.capacity() > KEPT_SPANS {
            self.spans = SmallVec::new();
        }
    }
}

/// The two kinds of header line.
#[derive(Clone, Copy)]
enum Header {
    /// How many words the request has.
    Words,
    /// How long the next word is.
    Word,
}

impl Header {
    const fn prefix(self) -> u8 {
        match self {
            Header::Words => b'*',
            Header::Word => b'$',
        }
    }

    const fn invalid(self) -> ProtocolError {
        match self {
            Header::Words => ProtocolError::InvalidMultibulkLength,
            Header::Word => ProtocolError::InvalidBulkLength,
        }
    }

    const fn too_big(self) -> ProtocolError {
        match self {
            Header::Words => ProtocolError::MultibulkCountTooBig,
            Header::Word => ProtocolError::BulkCountTooBig,
        }
    }
}

/// A whole number in the one way Redis accepts: no plus sign, blanks, or leading zeros.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

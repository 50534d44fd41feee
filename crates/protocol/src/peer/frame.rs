//! The envelope of a message: header, checksum, compression.

use super::hello::PROTOCOL_VERSION;
use bytes::{Buf, Bytes, BytesMut};
use command::MAX_REQUEST_BYTES;
use stdx::codec::DecodeError;
use stdx::crc::{crc32c, crc32c_append};

/// Longest body, plain or compressed, in bytes: the largest request a client may send, with room for what surrounds it.
pub const MAX_BODY_BYTES: usize = MAX_REQUEST_BYTES + SLACK_BYTES;

/// Room for the fields around a request: lengths of its words, session, shard.
const SLACK_BYTES: usize = 8 * 1024 * 1024;

/// Bodies up to this many bytes are sent as they are: compressing them would cost more than the wire.
const COMPRESS_ABOVE_BYTES: usize = 4 * 1024;

/// Bytes before the body.
pub(super) const HEADER_BYTES: usize = 16;

/// Bytes of the header that the checksum covers.
const CHECKED_HEADER_BYTES: usize = 12;

/// The first bytes of every frame; the first is no ASCII, so that a text protocol is told apart at once.
const MAGIC: [u8; 2] = [0x9e, 0x50];

const FLAG_COMPRESSED: u8 = 1;

/// LZ4 cannot expand a block by more than this factor, so a larger claim is a lie.
const MAX_EXPANSION: usize = 255;

const _: () = assert!(MAX_BODY_BYTES <= u32::MAX as usize / 2, "lengths are 32 bits");

/// What can be wrong with the bytes of a peer. After any of these the link has lost its place and is to be closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// It is no node of Polder.
    #[error("these bytes are not from a node of Polder")]
    Garbage,
    /// It speaks none of our versions.
    #[error(
        "the peer speaks versions {theirs_min} to {theirs_max} of the protocol between nodes, this node {ours_min} to {ours_max}"
    )]
    OtherVersion {
        /// Its lowest.
        theirs_min: u8,
        /// Its highest.
        theirs_max: u8,
        /// Our lowest.
        ours_min: u8,
        /// Our highest.
        ours_max: u8,
    },
    /// It belongs to another cluster.
    #[error("the peer belongs to cluster {theirs:?}, this node to {ours:?}")]
    OtherCluster {
        /// Its cluster.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// A message came before its Hello, or a Hello after the first.
    #[error("unexpected frame of kind {0}")]
    UnexpectedKind(u8),
    /// The body is longer than its limit.
    #[error("a frame of {0} bytes exceeds the limit")]
    TooLarge(usize),
    /// The bytes were damaged on the way.
    #[error("checksum of a frame does not match")]
    Checksum,
    /// The compressed body does not yield what it claims.
    #[error("compressed body is damaged")]
    Compression,
    /// The body is not what its kind says.
    #[error("malformed message of kind {kind}: {error}")]
    Malformed {
        /// The kind.
        kind: u8,
        /// What is wrong.
        error: DecodeError,
    },
}

/// A frame whose checksum holds.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) body: Bytes,
}

/// Appends a frame whose body `write` appends.
///
/// # Errors
/// `TooLarge`; `out` is then as before.
pub(super) fn encode_frame(
    out: &mut Vec<u8>,
    version: u8,
    kind: u8,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[MAGIC[0], MAGIC[1], version, kind]);
    out.resize(start + HEADER_BYTES, 0);
    let body = start + HEADER_BYTES;
    write(out);
    let plain = out.len() - body;
    if plain > MAX_BODY_BYTES {
        out.truncate(start);
        return Err(FrameError::TooLarge(plain));
    }
    if plain > COMPRESS_ABOVE_BYTES && compress(out, body) {
        out[start + 4] = FLAG_COMPRESSED;
    }
    let length = (out.len() - body) as u32;
    out[start + 8..start + 12].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c_append(crc32c(&out[start..start + CHECKED_HEADER_BYTES]), &out[body..]);
    out[start + 12..body].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// Replaces the body at `body` by its compressed form if that saves at least an eighth.
fn compress(out: &mut Vec<u8>, body: usize) -> bool {
    let plain = out.len() - body;
    let mut packed = vec![0; lz4_flex::block::get_maximum_output_size(plain)];
    match lz4_flex::block::compress_into(&out[body..], &mut packed) {
        Ok(size) if size + 4 <= plain - plain / 8 => {
            out.truncate(body);
            out.extend_from_slice(&(plain as u32).to_le_bytes());
            out.extend_from_slice(&packed[..size]);
            true
        }
        _ => false,
    }
}

/// The next frame of `buffer`, whose bytes are taken out; `None` when more bytes are needed.
///
/// # Errors
/// The bytes are no frame, of a version other than `version`, damaged, or longer than `limit`.
pub(super) fn decode_frame(buffer: &mut BytesMut, version: u8, limit: usize) -> Result<Option<Frame>, FrameError> {
    let seen = buffer.len().min(MAGIC.len());
    if buffer[..seen] != MAGIC[..seen] {
        return Err(FrameError::Garbage);
    }
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [_, _, theirs, kind, flags, reserved @ .., l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    if theirs != version {
        return Err(FrameError::OtherVersion {
            theirs_min: theirs,
            theirs_max: theirs,
            ours_min: version,
            ours_max: version,
        });
    }
    if flags & !FLAG_COMPRESSED != 0 || reserved != [0; 3] {
        return Err(FrameError::Garbage);
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > limit {
        return Err(FrameError::TooLarge(length));
    }
    if buffer.len() < HEADER_BYTES + length {
        return Ok(None);
    }
    let sum = crc32c_append(crc32c(&buffer[..CHECKED_HEADER_BYTES]), &buffer[HEADER_BYTES..HEADER_BYTES + length]);
    if sum != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(FrameError::Checksum);
    }
    buffer.advance(HEADER_BYTES);
    let body = buffer.split_to(length).freeze();
    let body = if flags & FLAG_COMPRESSED == 0 { body } else { decompress(&body, limit)? };
    Ok(Some(Frame { kind, body }))
}

fn decompress(body: &[u8], limit: usize) -> Result<Bytes, FrameError> {
    let Some((size, packed)) = body.split_first_chunk::<4>() else { return Err(FrameError::Compression) };
    let size = u32::from_le_bytes(*size) as usize;
    if size > limit {
        return Err(FrameError::TooLarge(size));
    }
    if size > packed.len().saturating_mul(MAX_EXPANSION) {
        return Err(FrameError::Compression);
    }
    let mut plain = vec![0; size];
    match lz4_flex::block::decompress_into(packed, &mut plain) {
        Ok(written) if written == size => Ok(Bytes::from(plain)),
        _ => Err(FrameError::Compression),
    }
}

/// Bytes that the frame being received still lacks in `buffer`; 0 when unknown. For reserving room, in bounded steps: it
/// is only what the peer claims.
#[must_use]
pub fn bytes_wanted(buffer: &BytesMut) -> usize {
    let Some([_, _, _, _, _, _, _, _, a, b, c, d, ..]) = buffer.first_chunk::<HEADER_BYTES>() else { return 0 };
    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    (HEADER_BYTES + length.min(MAX_BODY_BYTES)).saturating_sub(buffer.len())
}

/// The versions that this build can speak, for an error.
pub(super) fn other_version(theirs_min: u8, theirs_max: u8) -> FrameError {
    FrameError::OtherVersion { theirs_min, theirs_max, ours_min: PROTOCOL_VERSION, ours_max: PROTOCOL_VERSION }
}

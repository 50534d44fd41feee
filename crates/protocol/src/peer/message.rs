//! Messages as frames.

use super::frame::{Frame, FrameError, MAX_BODY_BYTES, decode_frame, encode_frame};
use super::hello::PROTOCOL_VERSION;
use super::wire::Wire;
use bytes::{Bytes, BytesMut};
use cluster::{Fitness, ForwardedReply, PeerMessage, Publication, Request, SnapshotChunk, SnapshotId, Unblock};
use command::SessionId;
use consensus::{Message, SnapshotMeta};
use stdx::codec::{DecodeError, Put, Reader};
use stdx::{NodeId, ShardId};

/// Wire tags of messages, the kind in the header: never reuse one. 0 is the Hello.
mod tag {
    pub(super) const RAFT: u8 = 1;
    pub(super) const LIVENESS: u8 = 2;
    pub(super) const HIBERNATE: u8 = 3;
    pub(super) const MAP_WANTED: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const FORWARD: u8 = 6;
    pub(super) const FORWARD_REPLY: u8 = 7;
    pub(super) const SESSION_CLOSED: u8 = 8;
    pub(super) const SNAPSHOT_OFFER: u8 = 9;
    pub(super) const SNAPSHOT_FETCH: u8 = 10;
    pub(super) const SNAPSHOT_DATA: u8 = 11;
    pub(super) const SNAPSHOT_GONE: u8 = 12;
    pub(super) const SNAPSHOT_DONE: u8 = 13;
    pub(super) const UNBLOCK: u8 = 14;
    pub(super) const PUBLISH: u8 = 15;
}

/// Appends the frame of `message` to `out`; frames may follow each other in one buffer.
///
/// # Errors
/// `TooLarge`: the message cannot be sent at all. `out` is then as before.
pub fn encode_into(out: &mut Vec<u8>, message: &PeerMessage) -> Result<(), FrameError> {
    encode_frame(out, PROTOCOL_VERSION, kind(message), |body| put_body(message, body))
}

/// The next message of `buffer`, whose bytes are taken out; `None` when more bytes are needed.
///
/// # Errors
/// The link has lost its place and is to be closed.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<PeerMessage>, FrameError> {
    let Some(Frame { kind, body }) = decode_frame(buffer, PROTOCOL_VERSION, MAX_BODY_BYTES)? else { return Ok(None) };
    let mut r = Reader::new(body);
    let message = take_body(kind, &mut r).map_err(|error| FrameError::Malformed { kind, error })?;
    let Some(message) = message else { return Err(FrameError::UnexpectedKind(kind)) };
    r.finish().map_err(|error| FrameError::Malformed { kind, error })?;
    Ok(Some(message))
}

fn kind(message: &PeerMessage) -> u8 {
    match message {
        PeerMessage::Raft { .. } => tag::RAFT,
        PeerMessage::Liveness { .. } => tag::LIVENESS,
        PeerMessage::Hibernate { .. } => tag::HIBERNATE,
        PeerMessage::MapWanted => tag::MAP_WANTED,
        PeerMessage::Map { .. } => tag::MAP,
        PeerMessage::Forward { .. } => tag::FORWARD,
        PeerMessage::ForwardReply { .. } => tag::FORWARD_REPLY,
        PeerMessage::SessionClosed { .. } => tag::SESSION_CLOSED,
        PeerMessage::SnapshotOffer { .. } => tag::SNAPSHOT_OFFER,
        PeerMessage::SnapshotFetch { .. } => tag::SNAPSHOT_FETCH,
        PeerMessage::SnapshotData { .. } => tag::SNAPSHOT_DATA,
        PeerMessage::SnapshotGone { .. } => tag::SNAPSHOT_GONE,
        PeerMessage::SnapshotDone { .. } => tag::SNAPSHOT_DONE,
        PeerMessage::Unblock { .. } => tag::UNBLOCK,
        PeerMessage::Publish(_) => tag::PUBLISH,
    }
}

fn put_body(message: &PeerMessage, out: &mut Vec<u8>) {
    match message {
        PeerMessage::Raft { shard, message } => {
            shard.put(out);
            message.put(out);
        }
        PeerMessage::Liveness { sent_at, echo, leading, full, map_version, fitness } => {
            sent_at.put(out);
            echo.put(out);
            leading.put(out);
            full.put(out);
            map_version.put(out);
            fitness.put(out);
        }
        PeerMessage::Hibernate { shards } => shards.put(out),
        PeerMessage::MapWanted => {}
        PeerMessage::Map { json } => json.put(out),
        PeerMessage::Forward { id, request } => {
            id.put(out);
            request.put(out);
        }
        PeerMessage::ForwardReply { id, outcome } => {
            id.put(out);
            outcome.put(out);
        }
        PeerMessage::SessionClosed { session } => session.put(out),
        PeerMessage::SnapshotOffer { shard, id, meta, stamp_ms, message } => {
            (*shard, id.0, *stamp_ms).put(out);
            meta.put(out);
            message.put(out);
        }
        PeerMessage::SnapshotFetch { shard, id, after, max_bytes } => {
            (*shard, id.0, *max_bytes).put(out);
            after.put(out);
        }
        PeerMessage::SnapshotData { shard, id, after, chunk } => {
            (*shard, id.0).put(out);
            after.put(out);
            chunk.put(out);
        }
        PeerMessage::SnapshotGone { shard, id } => (*shard, id.0).put(out),
        PeerMessage::SnapshotDone { shard, id, node, installed } => {
            (*shard, id.0).put(out);
            node.put(out);
            installed.put(out);
        }
        PeerMessage::Unblock { shard, session, number, how } => {
            (*shard, *number).put(out);
            session.put(out);
            how.put(out);
        }
        PeerMessage::Publish(publication) => publication.put(out),
    }
}

/// The message of a body; `None` for a kind that does not exist.
fn take_body(kind: u8, r: &mut Reader) -> Result<Option<PeerMessage>, DecodeError> {
    Ok(Some(match kind {
        tag::RAFT => PeerMessage::Raft { shard: ShardId::read(r)?, message: Message::read(r)? },
        tag::LIVENESS => PeerMessage::Liveness {
            sent_at: u64::read(r)?,
            echo: u64::read(r)?,
            leading: Vec::read(r)?,
            full: bool::read(r)?,
            map_version: u64::read(r)?,
            fitness: Fitness::read(r)?,
        },
        tag::HIBERNATE => PeerMessage::Hibernate { shards: Vec::read(r)? },
        tag::MAP_WANTED => PeerMessage::MapWanted,
        tag::MAP => PeerMessage::Map { json: Bytes::read(r)? },
        tag::FORWARD => PeerMessage::Forward { id: u64::read(r)?, request: Request::read(r)? },
        tag::FORWARD_REPLY => PeerMessage::ForwardReply { id: u64::read(r)?, outcome: ForwardedReply::read(r)? },
        tag::SESSION_CLOSED => PeerMessage::SessionClosed { session: SessionId::read(r)? },
        tag::SNAPSHOT_OFFER => {
            let (shard, id, stamp_ms) = Wire::read(r)?;
            let (meta, message) = (SnapshotMeta::read(r)?, Message::read(r)?);
            PeerMessage::SnapshotOffer { shard, id: SnapshotId(id), meta, stamp_ms, message }
        }
        tag::SNAPSHOT_FETCH => {
            let (shard, id, max_bytes) = Wire::read(r)?;
            PeerMessage::SnapshotFetch { shard, id: SnapshotId(id), after: Option::read(r)?, max_bytes }
        }
        tag::SNAPSHOT_DATA => {
            let (shard, id) = Wire::read(r)?;
            let (after, chunk) = (Option::read(r)?, SnapshotChunk::read(r)?);
            PeerMessage::SnapshotData { shard, id: SnapshotId(id), after, chunk }
        }
        tag::SNAPSHOT_GONE => {
            let (shard, id) = Wire::read(r)?;
            PeerMessage::SnapshotGone { shard, id: SnapshotId(id) }
        }
        tag::SNAPSHOT_DONE => {
            let (shard, id) = Wire::read(r)?;
            let (node, installed) = (NodeId::read(r)?, bool::read(r)?);
            PeerMessage::SnapshotDone { shard, id: SnapshotId(id), node, installed }
        }
        tag::UNBLOCK => {
            let (shard, number) = Wire::read(r)?;
            PeerMessage::Unblock { shard, number, session: SessionId::read(r)?, how: Unblock::read(r)? }
        }
        tag::PUBLISH => PeerMessage::Publish(Publication::read(r)?),
        _ => return Ok(None),
    }))
}

impl Wire for Publication {
    fn put(&self, out: &mut Vec<u8>) {
        self.namespace.put(out);
        self.sharded.put(out);
        self.channel.put(out);
        self.payload.put(out);
    }

    fn read(r: &mut Reader) -> Result<Publication, DecodeError> {
        let (namespace, sharded) = (u32::read(r)?, bool::read(r)?);
        Ok(Publication { namespace, sharded, channel: Bytes::read(r)?, payload: Bytes::read(r)? })
    }
}

impl Wire for Unblock {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(*self as u8);
    }

    fn read(r: &mut Reader) -> Result<Unblock, DecodeError> {
        Unblock::from_number(r.u8()?).ok_or(DecodeError::Malformed("way to end a wait"))
    }
}

impl Wire for SnapshotChunk {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(self.checksum);
        self.last.put(out);
        self.pairs.put(out);
    }

    fn read(r: &mut Reader) -> Result<SnapshotChunk, DecodeError> {
        Ok(SnapshotChunk { checksum: r.u32()?, last: bool::read(r)?, pairs: Vec::read(r)? })
    }
}

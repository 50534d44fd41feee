//! The values of `consensus`.

use super::wire::Wire;
use bytes::Bytes;
use consensus::{Entry, EntryKind, Membership, Message, MessageKind, SnapshotMeta};
use stdx::NodeId;
use stdx::codec::{DecodeError, Put, Reader};

const REJECT: u8 = 1;
const HAS_SNAPSHOT: u8 = 2;

const ENTRY_NORMAL: u8 = 1;
const ENTRY_MEMBERSHIP: u8 = 2;

impl Wire for Message {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind as u8);
        out.put_u8(if self.reject { REJECT } else { 0 } | if self.snapshot.is_some() { HAS_SNAPSHOT } else { 0 });
        self.from.put(out);
        self.to.put(out);
        for number in [self.term, self.log_term, self.index, self.commit, self.commit_term, self.reject_hint] {
            number.put(out);
        }
        self.priority.put(out);
        self.sent_at.put(out);
        self.context.put(out);
        self.entries.put(out);
        if let Some(snapshot) = &self.snapshot {
            snapshot.put(out);
        }
    }

    fn read(r: &mut Reader) -> Result<Message, DecodeError> {
        let kind = message_kind(r.u8()?)?;
        let flags = r.u8()?;
        if flags & !(REJECT | HAS_SNAPSHOT) != 0 {
            return Err(DecodeError::Malformed("flags of a Raft message"));
        }
        Ok(Message {
            kind,
            from: NodeId::read(r)?,
            to: NodeId::read(r)?,
            term: r.varint()?,
            log_term: r.varint()?,
            index: r.varint()?,
            commit: r.varint()?,
            commit_term: r.varint()?,
            reject: flags & REJECT != 0,
            reject_hint: r.varint()?,
            priority: i64::read(r)?,
            sent_at: r.varint()?,
            context: Bytes::read(r)?,
            entries: Vec::read(r)?,
            snapshot: if flags & HAS_SNAPSHOT != 0 { Some(SnapshotMeta::read(r)?) } else { None },
        })
    }
}

/// The kind whose wire tag is its value in `consensus`.
fn message_kind(tag: u8) -> Result<MessageKind, DecodeError> {
    const KINDS: [MessageKind; 12] = [
        MessageKind::Append,
        MessageKind::AppendResponse,
        MessageKind::RequestVote,
        MessageKind::RequestVoteResponse,
        MessageKind::Snapshot,
        MessageKind::Heartbeat,
        MessageKind::HeartbeatResponse,
        MessageKind::TimeoutNow,
        MessageKind::RequestPreVote,
        MessageKind::RequestPreVoteResponse,
        MessageKind::TransferLeader,
        MessageKind::Joining,
    ];
    KINDS.into_iter().find(|k| *k as u8 == tag).ok_or(DecodeError::Malformed("kind of a Raft message"))
}

impl Wire for Entry {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(match self.kind {
            EntryKind::Normal => ENTRY_NORMAL,
            EntryKind::Membership => ENTRY_MEMBERSHIP,
        });
        self.term.put(out);
        self.index.put(out);
        self.data.put(out);
    }

    fn read(r: &mut Reader) -> Result<Entry, DecodeError> {
        let kind = match r.u8()? {
            ENTRY_NORMAL => EntryKind::Normal,
            ENTRY_MEMBERSHIP => EntryKind::Membership,
            _ => return Err(DecodeError::Malformed("kind of an entry")),
        };
        Ok(Entry { kind, term: r.varint()?, index: r.varint()?, data: r.bytes()? })
    }
}

impl Wire for SnapshotMeta {
    fn put(&self, out: &mut Vec<u8>) {
        self.index.put(out);
        self.term.put(out);
        self.membership.put(out);
    }

    fn read(r: &mut Reader) -> Result<SnapshotMeta, DecodeError> {
        Ok(SnapshotMeta { index: r.varint()?, term: r.varint()?, membership: Membership::read(r)? })
    }
}

impl Wire for Membership {
    fn put(&self, out: &mut Vec<u8>) {
        self.voters.put(out);
        self.learners.put(out);
        self.voters_outgoing.put(out);
        self.learners_next.put(out);
        self.auto_leave.put(out);
    }

    fn read(r: &mut Reader) -> Result<Membership, DecodeError> {
        Ok(Membership {
            voters: Vec::read(r)?,
            learners: Vec::read(r)?,
            voters_outgoing: Vec::read(r)?,
            learners_next: Vec::read(r)?,
            auto_leave: bool::read(r)?,
        })
    }
}

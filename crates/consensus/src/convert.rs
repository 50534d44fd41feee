//! Our plain values and the engine's protobuf structs, both in memory: nothing is encoded or parsed.
//!
//! A membership entry's payload travels in the engine's `context`, and its `data` stays empty: the engine would parse
//! `data` as protobuf.

use crate::message::{Entry, EntryKind, HardState, Membership, Message, MessageKind, SnapshotMeta};
use raft::eraftpb::{self, EntryType, MessageType};
use stdx::NodeId;

pub(crate) fn entry_to_raft(entry: Entry) -> eraftpb::Entry {
    let mut out = eraftpb::Entry { term: entry.term, index: entry.index, ..eraftpb::Entry::default() };
    match entry.kind {
        EntryKind::Normal => out.data = entry.data,
        EntryKind::Membership => {
            out.set_entry_type(EntryType::EntryConfChangeV2);
            out.context = entry.data;
        }
    }
    out
}

pub(crate) fn entry_from_raft(entry: &eraftpb::Entry) -> Entry {
    let (kind, data) = match entry.get_entry_type() {
        EntryType::EntryNormal => (EntryKind::Normal, entry.data.clone()),
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => (EntryKind::Membership, entry.context.clone()),
    };
    Entry { term: entry.term, index: entry.index, kind, data }
}

pub(crate) fn hard_state_to_raft(state: &HardState) -> eraftpb::HardState {
    eraftpb::HardState { term: state.term, vote: state.vote.0, commit: state.commit, ..eraftpb::HardState::default() }
}

pub(crate) fn hard_state_from_raft(state: &eraftpb::HardState) -> HardState {
    HardState { term: state.term, vote: NodeId(state.vote), commit: state.commit }
}

pub(crate) fn snapshot_to_raft(meta: &SnapshotMeta) -> eraftpb::Snapshot {
    let mut out = eraftpb::Snapshot::default();
    out.mut_metadata().index = meta.index;
    out.mut_metadata().term = meta.term;
    out.mut_metadata().set_conf_state(meta.membership.to_raft());
    out
}

pub(crate) fn snapshot_from_raft(snapshot: &eraftpb::Snapshot) -> SnapshotMeta {
    let meta = snapshot.get_metadata();
    SnapshotMeta { index: meta.index, term: meta.term, membership: Membership::from_raft(meta.get_conf_state()) }
}

/// `None` for what the engine does not know.
fn kind_to_raft(kind: MessageKind) -> Option<MessageType> {
    Some(match kind {
        MessageKind::Append => MessageType::MsgAppend,
        MessageKind::AppendResponse => MessageType::MsgAppendResponse,
        MessageKind::RequestVote => MessageType::MsgRequestVote,
        MessageKind::RequestVoteResponse => MessageType::MsgRequestVoteResponse,
        MessageKind::Snapshot => MessageType::MsgSnapshot,
        MessageKind::Heartbeat => MessageType::MsgHeartbeat,
        MessageKind::HeartbeatResponse => MessageType::MsgHeartbeatResponse,
        MessageKind::TimeoutNow => MessageType::MsgTimeoutNow,
        MessageKind::RequestPreVote => MessageType::MsgRequestPreVote,
        MessageKind::RequestPreVoteResponse => MessageType::MsgRequestPreVoteResponse,
        MessageKind::TransferLeader => MessageType::MsgTransferLeader,
        MessageKind::Joining => return None,
    })
}

/// `None` for the engine's local messages, which never leave it.
fn kind_from_raft(kind: MessageType) -> Option<MessageKind> {
    Some(match kind {
        MessageType::MsgAppend => MessageKind::Append,
        MessageType::MsgAppendResponse => MessageKind::AppendResponse,
        MessageType::MsgRequestVote => MessageKind::RequestVote,
        MessageType::MsgRequestVoteResponse => MessageKind::RequestVoteResponse,
        MessageType::MsgSnapshot => MessageKind::Snapshot,
        MessageType::MsgHeartbeat => MessageKind::Heartbeat,
        MessageType::MsgHeartbeatResponse => MessageKind::HeartbeatResponse,
        MessageType::MsgTimeoutNow => MessageKind::TimeoutNow,
        MessageType::MsgRequestPreVote => MessageKind::RequestPreVote,
        MessageType::MsgRequestPreVoteResponse => MessageKind::RequestPreVoteResponse,
        MessageType::MsgTransferLeader => MessageKind::TransferLeader,
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgPropose
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum
        | MessageType::MsgReadIndex
        | MessageType::MsgReadIndexResp => return None,
    })
}

/// `None` for what the engine does not know.
pub(crate) fn message_to_raft(message: Message) -> Option<eraftpb::Message> {
    let mut out = eraftpb::Message::default();
    out.set_msg_type(kind_to_raft(message.kind)?);
    out.from = message.from.0;
    out.to = message.to.0;
    out.term = message.term;
    out.log_term = message.log_term;
    out.index = message.index;
    out.commit = message.commit;
    out.commit_term = message.commit_term;
    out.set_entries(message.entries.into_iter().map(entry_to_raft).collect::<Vec<_>>().into());
    if let Some(meta) = &message.snapshot {
        out.set_snapshot(snapshot_to_raft(meta));
    }
    out.reject = message.reject;
    out.reject_hint = message.reject_hint;
    out.context = message.context;
    out.priority = message.priority;
    Some(out)
}

pub(crate) fn message_from_raft(message: &eraftpb::Message) -> Option<Message> {
    Some(Message {
        kind: kind_from_raft(message.get_msg_type())?,
        from: NodeId(message.from),
        to: NodeId(message.to),
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        commit: message.commit,
        commit_term: message.commit_term,
        entries: message.get_entries().iter().map(entry_from_raft).collect(),
        snapshot: message.has_snapshot().then(|| snapshot_from_raft(message.get_snapshot())),
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context.clone(),
        priority: message.priority,
        sent_at: 0,
    })
}

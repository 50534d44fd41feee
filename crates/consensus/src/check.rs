//! Messages that no correct peer sends, stopped before the engine, which answers some of them with a panic.

use crate::error::StepError;
use crate::membership::MembershipChange;
use crate::message::{EntryKind, LIFE_BYTES, Message, MessageKind};
use stdx::NodeId;

/// Terms and indexes stay below this, so that adding to one never overflows.
const NUMBER_MAX: u64 = 1 << 62;

/// What the checks need to know of the replica.
pub(crate) struct Here {
    pub id: NodeId,
    pub term: u64,
    pub is_leader: bool,
    pub last: u64,
}

pub(crate) fn check(message: &Message, here: &Here) -> Result<(), StepError> {
    let (from, to) = (message.from, message.to);
    if to != here.id || from == here.id || from == NodeId(0) {
        return Err(StepError::WrongReceiver { from, to, here: here.id });
    }
    if message.term == 0 {
        return Err(StepError::Malformed("term 0"));
    }
    let numbers = [message.term, message.index, message.log_term, message.commit, message.reject_hint];
    if numbers.iter().any(|n| *n >= NUMBER_MAX) {
        return Err(StepError::Malformed("a number out of range"));
    }
    match message.kind {
        MessageKind::Append => check_append(message),
        MessageKind::Snapshot => check_snapshot(message),
        MessageKind::Joining if message.context.len() != LIFE_BYTES => {
            Err(StepError::Malformed("a joining replica without the number of its life"))
        }
        MessageKind::Heartbeat if message.term >= here.term && message.commit > here.last => {
            Err(StepError::LogLost { expected: message.commit, last: here.last })
        }
        MessageKind::AppendResponse
            if here.is_leader && message.term == here.term && !message.reject && message.index > here.last =>
        {
            Err(StepError::Malformed("an answer confirms entries that were never sent"))
        }
        _ => Ok(()),
    }
}

fn check_append(message: &Message) -> Result<(), StepError> {
    if (message.index == 0) != (message.log_term == 0) {
        return Err(StepError::Malformed("index and term of the previous entry contradict each other"));
    }
    let (mut index, mut term) = (message.index, message.log_term);
    for entry in &message.entries {
        if entry.index != index + 1 {
            return Err(StepError::Malformed("entries are not consecutive"));
        }
        if entry.term < term || entry.term == 0 || entry.term > message.term {
            return Err(StepError::Malformed("entries have impossible terms"));
        }
        if entry.kind == EntryKind::Membership && MembershipChange::decode(entry.data.clone()).is_err() {
            return Err(StepError::Malformed("a membership change cannot be decoded"));
        }
        (index, term) = (entry.index, entry.term);
    }
    if term > message.term {
        return Err(StepError::Malformed("the previous entry has a later term than the leader"));
    }
    Ok(())
}

fn check_snapshot(message: &Message) -> Result<(), StepError> {
    let Some(meta) = &message.snapshot else {
        return Err(StepError::Malformed("a snapshot message without a snapshot"));
    };
    if meta.index == 0 || meta.index >= NUMBER_MAX || meta.term == 0 || meta.term > message.term {
        return Err(StepError::Malformed("the snapshot's position is impossible"));
    }
    if meta.membership.voters.is_empty() {
        return Err(StepError::Malformed("the snapshot's membership has no voter"));
    }
    meta.membership.problem().map_or(Ok(()), |problem| Err(StepError::Malformed(problem)))
}

//! Messages on their way to one peer, in lanes: what keeps the cluster together is never behind what clients want.
//!
//! | lane | what | without room |
//! |---|---|---|
//! | signs | liveness, heartbeats, votes | the oldest go: the next ones say the same |
//! | entries | Raft's appends and what belongs to snapshots | the oldest go: Raft sends them again |
//! | requests | forwarded requests and their answers | a request is refused; an answer that is large becomes a fault |
//! | news | messages of pub/sub | the oldest go: they are delivered at most once |
//! | chunks | data of snapshots | the oldest go: the receiver asks again |
//!
//! Each lane holds at most the configured bytes. Every batch takes from all of them, so that none starves.

use cluster::{ForwardedReply, PeerMessage};
use command::{Fault, Work};
use consensus::MessageKind;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use stdx::NodeId;

/// Bytes a message takes besides its payload, roughly: for the bound only.
const MESSAGE_OVERHEAD: usize = 64;
/// An answer of at most so many bytes is always kept: their number is bounded by the requests that the peer may have
/// under way, and what a client is owed is not to be lost.
const SMALL_ANSWER_BYTES: usize = 4 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    Signs,
    Entries,
    Requests,
    News,
    Chunks,
}

/// In the order in which a batch takes from them, with the bytes it takes: together large enough to spread the cost of a
/// system call, small enough to stay in the cache and to keep no sign waiting.
const LANES: [(Lane, usize); 5] = [
    (Lane::Signs, 64 * 1024),
    (Lane::Entries, 256 * 1024),
    (Lane::Requests, 128 * 1024),
    (Lane::News, 128 * 1024),
    (Lane::Chunks, 1),
];

impl Lane {
    fn of(message: &PeerMessage) -> Lane {
        match message {
            PeerMessage::Liveness { .. } | PeerMessage::MapWanted | PeerMessage::Map { .. } => Lane::Signs,
            // Appends keep their order; everything else of Raft may overtake them.
            PeerMessage::Raft { message, .. } => match message.kind {
                MessageKind::Append | MessageKind::Snapshot => Lane::Entries,
                _ => Lane::Signs,
            },
            PeerMessage::Hibernate { .. }
            | PeerMessage::SnapshotOffer { .. }
            | PeerMessage::SnapshotFetch { .. }
            | PeerMessage::SnapshotGone { .. }
            | PeerMessage::SnapshotDone { .. } => Lane::Entries,
            PeerMessage::Forward { .. }
            | PeerMessage::ForwardReply { .. }
            | PeerMessage::SessionClosed { .. }
            | PeerMessage::Unblock { .. } => Lane::Requests,
            PeerMessage::Publish(_) => Lane::News,
            PeerMessage::SnapshotData { .. } => Lane::Chunks,
        }
    }
}

/// The queue of one peer. While no link stands nothing is kept: those who sent it learn that from the link's end.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    limit: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lanes: [Messages; LANES.len()],
    waker: Option<Waker>,
    up: bool,
}

#[derive(Debug, Default)]
struct Messages {
    queue: VecDeque<PeerMessage>,
    bytes: usize,
}

impl Outbox {
    fn new(limit: usize) -> Outbox {
        Outbox { queue: Mutex::default(), limit, dropped: AtomicU64::new(0) }
    }

    /// Queues messages, in order within each lane. Returns the numbers of forwarded requests for which there was no room.
    fn send(&self, messages: impl Iterator<Item = PeerMessage>) -> Vec<u64> {
        let mut queue = self.queue.lock();
        if !queue.up {
            self.dropped.fetch_add(messages.count() as u64, Relaxed);
            return Vec::new();
        }
        let mut refused = Vec::new();
        for message in messages {
            let lane = Lane::of(&message);
            let messages = &mut queue.lanes[lane as usize];
            if lane == Lane::Requests {
                refused.extend(messages.push_request(message, self.limit));
            } else {
                messages.push(message);
                self.dropped.fetch_add(messages.shed(self.limit), Relaxed);
            }
        }
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        refused
    }

    /// Moves a batch into `out`; without any, the task is woken later.
    pub fn poll(&self, cx: &mut Context<'_>, out: &mut Vec<PeerMessage>) -> Poll<()> {
        let mut queue = self.queue.lock();
        for (lane, share) in LANES {
            queue.lanes[lane as usize].take(share, out);
        }
        if !out.is_empty() {
            return Poll::Ready(());
        }
        match &mut queue.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => queue.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Opens or closes the queue; what is in it belongs to the link before.
    pub fn set_up(&self, up: bool) {
        let mut queue = self.queue.lock();
        queue.up = up;
        queue.lanes = Default::default();
    }

    /// Whether a link stands.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.queue.lock().up
    }

    /// Messages that were thrown away.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl Messages {
    fn push(&mut self, message: PeerMessage) {
        self.bytes += size(&message);
        self.queue.push_back(message);
    }

    /// Takes messages of up to `share` bytes, the last one whole.
    fn take(&mut self, share: usize, out: &mut Vec<PeerMessage>) {
        let mut bytes = 0;
        while bytes < share
            && let Some(message) = self.queue.pop_front()
        {
            let size = size(&message);
            self.bytes -= size;
            bytes += size;
            out.push(message);
        }
    }

    /// Makes room by dropping the oldest. Returns how many.
    fn shed(&mut self, limit: usize) -> u64 {
        let mut dropped = 0;
        while self.bytes > limit
            && let Some(message) = self.queue.pop_front()
        {
            self.bytes -= size(&message);
            dropped += 1;
        }
        dropped
    }

    /// Queues a request, or returns its number; an answer is always queued, if need be as a fault.
    fn push_request(&mut self, message: PeerMessage, limit: usize) -> Option<u64> {
        let size = size(&message);
        let fits = self.bytes + size <= limit;
        match message {
            PeerMessage::Forward { id, .. } if !fits => return Some(id),
            PeerMessage::ForwardReply { id, .. } if !fits && size > SMALL_ANSWER_BYTES => {
                // What it answers may have been a write, and that has happened.
                let outcome = ForwardedReply::Failed(Fault::OutcomeUnknown);
                self.push(PeerMessage::ForwardReply { id, outcome });
            }
            message => self.push(message),
        }
        None
    }
}

/// Bytes of a message, roughly.
fn size(message: &PeerMessage) -> usize {
    let payload = match message {
        PeerMessage::Raft { message, .. } | PeerMessage::SnapshotOffer { message, .. } => {
            message.entries.iter().map(|e| e.data.len() + MESSAGE_OVERHEAD).sum()
        }
        PeerMessage::Forward { request, .. } => match &request.work {
            Work::Single(command) | Work::Blocking { command, .. } => command.size_bytes(),
            Work::Transaction { commands, .. } => commands.iter().map(command::Command::size_bytes).sum(),
            Work::Watch { keys, .. } => keys.iter().map(bytes::Bytes::len).sum(),
            Work::Unwatch => 0,
        },
        PeerMessage::ForwardReply { outcome: ForwardedReply::Done(reply), .. } => reply.size_bytes(),
        PeerMessage::SnapshotData { chunk, .. } => chunk.pairs.iter().map(|(k, v)| k.len() + v.len()).sum(),
        PeerMessage::Map { json } => json.len(),
        PeerMessage::Publish(publication) => publication.channel.len() + publication.payload.len(),
        _ => 0,
    };
    payload + MESSAGE_OVERHEAD
}

/// The queues of all peers.
#[derive(Debug, Default)]
pub struct Peers {
    outboxes: BTreeMap<NodeId, Outbox>,
}

impl Peers {
    /// A queue for each of `ids`, of which each lane holds at most `limit` bytes.
    #[must_use]
    pub fn new(ids: impl Iterator<Item = NodeId>, limit: usize) -> Peers {
        Peers { outboxes: ids.map(|id| (id, Outbox::new(limit))).collect() }
    }

    /// Sends one message that is no forwarded request; without a link it is dropped.
    pub fn send(&self, to: NodeId, message: PeerMessage) {
        self.send_all(to, &mut vec![message]);
    }

    /// Sends everything in `messages`, in order within each lane, and leaves it empty. Returns the numbers of forwarded
    /// requests for which there was no room.
    pub fn send_all(&self, to: NodeId, messages: &mut Vec<PeerMessage>) -> Vec<u64> {
        match self.outboxes.get(&to) {
            Some(outbox) if !messages.is_empty() => outbox.send(messages.drain(..)),
            _ => {
                messages.clear();
                Vec::new()
            }
        }
    }

    /// Sends a message to every peer to which a link stands.
    pub fn send_to_all(&self, message: &PeerMessage) {
        self.outboxes.values().filter(|outbox| outbox.is_up()).for_each(|outbox| {
            outbox.send(std::iter::once(message.clone()));
        });
    }

    /// Messages that were thrown away, all peers together.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.outboxes.values().map(Outbox::dropped).sum()
    }

    /// The queue of one peer.
    #[must_use]
    pub fn outbox(&self, id: NodeId) -> Option<&Outbox> {
        self.outboxes.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cluster::{Fitness, Request, SnapshotChunk, SnapshotId};
    use command::Reply;
    use command::{Command, SessionId};
    use consensus::{Entry, EntryKind, Message};
    use stdx::ShardId;

    const TO: NodeId = NodeId(2);

    fn sign() -> PeerMessage {
        let fitness = Fitness::Fit;
        PeerMessage::Liveness { sent_at: 1, echo: 0, leading: Vec::new(), full: true, map_version: 1, fitness }
    }

    fn append(bytes: usize) -> PeerMessage {
        let entry = Entry { index: 1, term: 1, kind: EntryKind::Normal, data: vec![0; bytes].into() };
        let message = Message {
            kind: MessageKind::Append,
            from: NodeId(1),
            to: TO,
            term: 1,
            log_term: 1,
            index: 0,
            commit: 0,
            commit_term: 1,
            entries: vec![entry],
            snapshot: None,
            reject: false,
            reject_hint: 0,
            context: Bytes::new(),
            priority: 0,
            sent_at: 0,
        };
        PeerMessage::Raft { shard: ShardId(1), message }
    }

    fn request(id: u64, bytes: usize) -> PeerMessage {
        let words = [Bytes::from_static(b"set"), Bytes::from_static(b"k"), vec![0; bytes].into()];
        let request = Request {
            shard: ShardId(1),
            session: SessionId::default(),
            db: 0,
            resp: 2,
            timeout_ms: 1,
            stale_ok: false,
            work: Work::Single(Command::parse(words.into_iter().collect()).unwrap()),
        };
        PeerMessage::Forward { id, request }
    }

    fn answer(id: u64, bytes: usize) -> PeerMessage {
        PeerMessage::ForwardReply { id, outcome: ForwardedReply::Done(Reply::Bulk(vec![0; bytes].into())) }
    }

    fn chunk(bytes: usize) -> PeerMessage {
        let chunk = SnapshotChunk { pairs: vec![(Bytes::new(), vec![0; bytes].into())], checksum: 0, last: false };
        PeerMessage::SnapshotData { shard: ShardId(1), id: SnapshotId(1), after: None, chunk }
    }

    /// Sends to a peer whose link stands, and takes one batch: what it holds, one letter for each, and what was refused.
    fn check(limit: usize, mut messages: Vec<PeerMessage>) -> (String, Vec<u64>, u64) {
        let peers = Peers::new([TO].into_iter(), limit);
        let outbox = peers.outbox(TO).unwrap();
        outbox.set_up(true);
        let refused = peers.send_all(TO, &mut messages);
        let mut out = Vec::new();
        let ready = outbox.poll(&mut Context::from_waker(Waker::noop()), &mut out).is_ready();
        assert_eq!(ready, !out.is_empty());
        let letter = |message: &PeerMessage| match message {
            PeerMessage::Liveness { .. } => 'l',
            PeerMessage::Raft { .. } => 'r',
            PeerMessage::Forward { .. } => 'f',
            PeerMessage::ForwardReply { outcome: ForwardedReply::Done(_), .. } => 'a',
            PeerMessage::ForwardReply { .. } => 'u',
            PeerMessage::SnapshotData { .. } => 's',
            other => panic!("{other:?}"),
        };
        (out.iter().map(letter).collect(), refused, outbox.dropped())
    }

    #[test]
    fn without_a_link_nothing_is_kept() {
        let peers = Peers::new([TO].into_iter(), 10_000);
        peers.send(TO, sign());
        let outbox = peers.outbox(TO).unwrap();
        assert_eq!(outbox.dropped(), 1);
        outbox.set_up(true);
        let mut out = Vec::new();
        assert!(outbox.poll(&mut Context::from_waker(Waker::noop()), &mut out).is_pending());
    }

    #[test]
    fn signs_go_before_what_was_sent_earlier() {
        let messages = vec![chunk(1000), request(1, 10), append(10), chunk(1000), answer(2, 10), sign()];
        assert_eq!(check(1 << 20, messages), ("lrfas".to_owned(), vec![], 0), "one chunk in a batch");
    }

    #[test]
    fn clients_cannot_crowd_out_consensus() {
        let mut messages: Vec<_> = (0..100).map(|id| request(id, 1000)).collect();
        messages.extend([append(1000), sign()]);
        let (batch, refused, dropped) = check(10_000, messages);
        assert_eq!(batch, "lrfffffffff");
        assert_eq!((refused, dropped), ((9..100).collect(), 0));
    }

    #[test]
    fn a_full_lane_of_entries_sheds_the_oldest() {
        let (batch, _, dropped) = check(3_000, vec![append(900), append(900), append(900), append(900), sign()]);
        assert_eq!((batch.as_str(), dropped), ("lrr", 2));
    }

    #[test]
    fn answers_are_kept_and_large_ones_become_faults() {
        let messages = vec![answer(1, 9_800), answer(2, 9_000), answer(3, 100), request(4, 10)];
        assert_eq!(check(10_000, messages), ("aua".to_owned(), vec![4], 0));
    }
}

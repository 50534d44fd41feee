//! Messages on their way to one peer.

use cluster::PeerMessage;
use command::{Reply, Work};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use stdx::NodeId;

/// Bytes a message takes besides its payload, roughly: for the bound only.
const MESSAGE_OVERHEAD: usize = 64;
/// Bytes taken for one write: large enough to spread the cost of the system call, small enough to stay in the cache.
const WRITE_BATCH_BYTES: usize = 256 * 1024;

/// The queue of one peer. While no link stands nothing is kept: those who sent it learn that from the link's end.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    limit: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<PeerMessage>,
    bytes: usize,
    waker: Option<Waker>,
    up: bool,
}

impl Outbox {
    fn new(limit: usize) -> Outbox {
        Outbox { queue: Mutex::default(), limit, dropped: AtomicU64::new(0) }
    }

    fn send(&self, messages: impl Iterator<Item = PeerMessage>) {
        let mut queue = self.queue.lock();
        if !queue.up {
            self.dropped.fetch_add(messages.count() as u64, Relaxed);
            return;
        }
        for message in messages {
            queue.bytes += size(&message);
            queue.messages.push_back(message);
        }
        if queue.bytes > self.limit {
            self.dropped.fetch_add(queue.shed(self.limit) as u64, Relaxed);
        }
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves a batch into `out`; without any, the task is woken later.
    pub fn poll(&self, cx: &mut Context<'_>, out: &mut Vec<PeerMessage>) -> Poll<()> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        while bytes < WRITE_BATCH_BYTES
            && let Some(message) = queue.messages.pop_front()
        {
            let size = size(&message);
            queue.bytes -= size;
            bytes += size;
            out.push(message);
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
        queue.messages.clear();
        queue.bytes = 0;
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

impl Queue {
    /// Makes room by dropping what its senders send again, oldest first. Returns how many.
    fn shed(&mut self, limit: usize) -> usize {
        let before = self.messages.len();
        let mut bytes = self.bytes;
        self.messages.retain(|message| {
            let drop = bytes > limit && is_resent(message);
            if drop {
                bytes -= size(message);
            }
            !drop
        });
        self.bytes = bytes;
        before - self.messages.len()
    }
}

/// Whether the sender repeats the message when nothing comes back. Forwarded requests and their answers are not
/// repeated, but their number is bounded by the dispatcher.
fn is_resent(message: &PeerMessage) -> bool {
    !matches!(
        message,
        PeerMessage::Forward { .. } | PeerMessage::ForwardReply { .. } | PeerMessage::SessionClosed { .. }
    )
}

/// Bytes of a message, roughly.
fn size(message: &PeerMessage) -> usize {
    let payload = match message {
        PeerMessage::Raft { message, .. } | PeerMessage::SnapshotOffer { message, .. } => {
            message.entries.iter().map(|e| e.data.len() + MESSAGE_OVERHEAD).sum()
        }
        PeerMessage::Forward { request, .. } => match &request.work {
            Work::Single(command) => command.size_bytes(),
            Work::Transaction { commands, .. } => commands.iter().map(command::Command::size_bytes).sum(),
            Work::Watch { keys } => keys.iter().map(bytes::Bytes::len).sum(),
            Work::Unwatch => 0,
        },
        PeerMessage::ForwardReply { outcome: cluster::ForwardedReply::Done(reply), .. } => reply_size(reply),
        PeerMessage::SnapshotData { chunk, .. } => chunk.pairs.iter().map(|(k, v)| k.len() + v.len()).sum(),
        PeerMessage::Map { json } => json.len(),
        _ => 0,
    };
    payload + MESSAGE_OVERHEAD
}

/// Bytes of a reply, roughly.
fn reply_size(reply: &Reply) -> usize {
    let sum = |items: &[Reply]| items.iter().map(reply_size).sum::<usize>();
    16 + match reply {
        Reply::Bulk(b) | Reply::Verbatim(_, b) => b.len(),
        Reply::Simple(s) | Reply::Error(s) => s.len(),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => sum(items),
        Reply::Map(pairs) => pairs.iter().map(|(k, v)| reply_size(k) + reply_size(v)).sum(),
        _ => 0,
    }
}

/// The queues of all peers.
#[derive(Debug, Default)]
pub struct Peers {
    outboxes: BTreeMap<NodeId, Outbox>,
}

impl Peers {
    /// A queue of at most `limit` bytes for each of `ids`.
    #[must_use]
    pub fn new(ids: impl Iterator<Item = NodeId>, limit: usize) -> Peers {
        Peers { outboxes: ids.map(|id| (id, Outbox::new(limit))).collect() }
    }

    /// Sends one message; without a link it is dropped.
    pub fn send(&self, to: NodeId, message: PeerMessage) {
        if let Some(outbox) = self.outboxes.get(&to) {
            outbox.send(std::iter::once(message));
        }
    }

    /// Sends everything in `messages`, in order, and leaves it empty.
    pub fn send_all(&self, to: NodeId, messages: &mut Vec<PeerMessage>) {
        if messages.is_empty() {
            return;
        }
        match self.outboxes.get(&to) {
            Some(outbox) => outbox.send(messages.drain(..)),
            None => messages.clear(),
        }
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
    use cluster::ForwardedReply;

    fn big() -> PeerMessage {
        PeerMessage::Map { json: vec![0; 1000].into() }
    }

    #[test]
    fn without_a_link_nothing_is_kept() {
        let peers = Peers::new([NodeId(2)].into_iter(), 10_000);
        peers.send(NodeId(2), big());
        let outbox = peers.outbox(NodeId(2)).unwrap();
        assert_eq!(outbox.dropped(), 1);
        outbox.set_up(true);
        let mut out = Vec::new();
        assert!(outbox.poll(&mut Context::from_waker(Waker::noop()), &mut out).is_pending());
    }

    #[test]
    fn a_full_queue_sheds_what_is_sent_again_and_keeps_answers() {
        let peers = Peers::new([NodeId(2)].into_iter(), 3_000);
        let outbox = peers.outbox(NodeId(2)).unwrap();
        outbox.set_up(true);
        let answer = || PeerMessage::ForwardReply { id: 1, outcome: ForwardedReply::Done(Reply::OK) };
        peers.send_all(NodeId(2), &mut vec![answer(), big(), big(), big(), big()]);
        let mut out = Vec::new();
        assert!(outbox.poll(&mut Context::from_waker(Waker::noop()), &mut out).is_ready());
        assert!(matches!(out[0], PeerMessage::ForwardReply { .. }));
        assert_eq!((out.len(), outbox.dropped()), (3, 2));
    }
}

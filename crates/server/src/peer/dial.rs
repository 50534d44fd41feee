//! The connection this node makes to a peer: keeps it standing and writes what is in the peer's queue.

use super::outbox::Outbox;
use super::{LinkError, Refusals, read_hello};
use crate::node::Node;
use bytes::BytesMut;
use cluster::{ForwardedReply, PeerMessage};
use command::Fault;
use protocol::peer::{FrameError, Hello, encode_into};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use stdx::{NodeId, Rng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Pause before the first attempt after a failure, and the longest.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long an attempt to connect may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A link on which a write makes no progress for so long is given up and made anew. Slow is not down: elections do not
/// depend on this.
const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// Capacity that the encoding buffer keeps between batches.
const BUFFER_KEEP_BYTES: usize = 512 * 1024;

/// Keeps a link to `peer` until the process ends.
pub async fn dial(node: Arc<Node>, peer: NodeId, hello: Hello, mut rng: Rng) {
    let Some(outbox) = node.peers.outbox(peer) else { return };
    let refusals = Refusals::default();
    let mut backoff = BACKOFF_MIN;
    loop {
        match connect(&node, peer, &hello).await {
            Ok(stream) => {
                backoff = BACKOFF_MIN;
                outbox.set_up(true);
                tracing::info!(%peer, "link up");
                node.link_up(peer);
                let end = carry(stream, outbox).await;
                outbox.set_up(false);
                tracing::info!(%peer, why = %end, "link down");
                node.link_down(peer);
            }
            Err(error) => {
                if refusals.may_log() {
                    tracing::info!(%peer, %error, "no link");
                }
            }
        }
        // Between half and all of the pause, so that nodes that lost each other do not retry in step.
        let pause = backoff.as_micros() as u64;
        tokio::time::sleep(Duration::from_micros(rng.range(pause / 2, pause))).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

async fn connect(node: &Node, peer: NodeId, hello: &Hello) -> Result<TcpStream, LinkError> {
    let table = node.shared.table();
    let Some(record) = table.map.nodes.get(&peer.0) else { return Err(LinkError::Closed) };
    let connecting = TcpStream::connect(record.peer.as_str());
    let mut stream =
        tokio::time::timeout(CONNECT_LIMIT, connecting).await.unwrap_or(Err(std::io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    let mut out = Vec::new();
    Hello { standing: node.standing(), ..hello.clone() }.encode_into(&mut out)?;
    stream.write_all(&out).await?;
    let mut buffer = BytesMut::new();
    let theirs = read_hello(&mut stream, &mut buffer).await?;
    hello.agree(&theirs)?;
    if theirs.node != peer {
        return Err(LinkError::OtherNode(theirs.node));
    }
    if theirs.asks_only {
        return Err(LinkError::NotYet);
    }
    Ok(stream)
}

/// Writes batches until the connection breaks. The peer says nothing on it after its introduction, so reading only
/// notices the end.
async fn carry(mut stream: TcpStream, outbox: &Outbox) -> LinkError {
    let (mut reader, mut writer) = stream.split();
    let mut messages = Vec::new();
    let mut buffer = Vec::new();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            biased;
            () = poll_fn(|cx| outbox.poll(cx, &mut messages)) => {}
            read = reader.read(&mut ignored) => return match read {
                Ok(0) => LinkError::Closed,
                Ok(_) => LinkError::Frame(FrameError::Garbage),
                Err(error) => error.into(),
            },
        }
        for message in messages.drain(..) {
            encode(&message, &mut buffer);
        }
        match tokio::time::timeout(WRITE_LIMIT, writer.write_all(&buffer)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return LinkError::Stuck,
        }
        buffer.clear();
        if buffer.capacity() > BUFFER_KEEP_BYTES {
            buffer = Vec::new();
        }
    }
}

/// Appends a message. A reply that no frame can hold becomes an error, so that its waiter is not left alone; other
/// messages of that size cannot be made from requests within their limits.
fn encode(message: &PeerMessage, buffer: &mut Vec<u8>) {
    let Err(error) = encode_into(buffer, message) else { return };
    if let PeerMessage::ForwardReply { id, .. } = message {
        let fault = Fault::TooLarge("the reply is too large to be forwarded; connect to the shard's leader");
        let short = PeerMessage::ForwardReply { id: *id, outcome: ForwardedReply::Failed(fault) };
        if encode_into(buffer, &short).is_ok() {
            return;
        }
    }
    tracing::error!(%error, "a message for a peer cannot be encoded");
}

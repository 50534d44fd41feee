//! The connections that peers make to this node: what they say is decoded and routed.

use super::route::Router;
use super::{LinkError, Refusals, read_hello};
use crate::client::told;
use crate::node::Node;
use bytes::BytesMut;
use protocol::peer::{Hello, bytes_wanted, decode};
use std::sync::Arc;
use std::time::Duration;
use stdx::NodeId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections on the peer port at a time, introduced or not: four from every node of a large cluster.
const CONNECTIONS_MAX: usize = 256;
/// Bytes read at once. They are copied into a buffer of the size that arrived, because entries are kept as slices of it:
/// a small entry must not keep a large buffer in memory.
const READ_BYTES: usize = 128 * 1024;
/// Room reserved at once for a large frame.
const RESERVE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Accepts peers until `stop` says so.
pub async fn listen(node: Arc<Node>, listener: TcpListener, hello: Hello, mut stop: watch::Receiver<bool>) {
    let refusals = Arc::new(Refusals::default());
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told(&mut stop) => return,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (node, hello, refusals) = (node.clone(), hello.clone(), refusals.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(&node, stream, &hello).await
                && refusals.may_log()
            {
                tracing::warn!(%from, %error, "a connection to the peer port was closed");
            }
            drop(place);
        });
    }
}

/// Serves one connection. `Ok` when it stood and then ended in an ordinary way.
async fn serve(node: &Arc<Node>, mut stream: TcpStream, hello: &Hello) -> Result<(), LinkError> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    let theirs = read_hello(&mut stream, &mut buffer).await?;
    let mut out = Vec::new();
    Hello { standing: node.standing(), ..hello.clone() }.encode_into(&mut out)?;
    stream.write_all(&out).await?;
    hello.agree(&theirs)?;
    if theirs.asks_only {
        return Ok(());
    }
    let known = node.shared.table().map.nodes.contains_key(&theirs.node.0) && theirs.node != node.id;
    if !known {
        return Err(LinkError::OtherNode(theirs.node));
    }
    let end = receive(node, stream, theirs.node, buffer).await;
    broken(node, theirs.node);
    match end {
        LinkError::Io(_) | LinkError::Closed => Ok(()),
        other => Err(other),
    }
}

async fn receive(node: &Arc<Node>, mut stream: TcpStream, from: NodeId, mut buffer: BytesMut) -> LinkError {
    let mut router = Router::new(node.clone(), from);
    let mut scratch = vec![0; READ_BYTES];
    loop {
        loop {
            match decode(&mut buffer) {
                Ok(Some(message)) => router.take(message),
                Ok(None) => break,
                Err(error) => {
                    router.finish();
                    return error.into();
                }
            }
        }
        router.finish();
        match stream.read(&mut scratch).await {
            Ok(0) => return LinkError::Closed,
            Ok(n) => {
                buffer.reserve(bytes_wanted(&buffer).clamp(n, RESERVE_BYTES_MAX));
                buffer.extend_from_slice(&scratch[..n]);
            }
            Err(error) => return error.into(),
        }
    }
}

/// Answers that were on their way here are lost, even if this node's own link to the peer still stands.
fn broken(node: &Node, peer: NodeId) {
    node.link_down(peer);
    if node.peers.outbox(peer).is_some_and(super::Outbox::is_up) {
        node.link_up(peer);
    }
}

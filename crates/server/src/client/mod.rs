//! Clients of the Redis protocol: listening, one task for each connection, and closing those that only hold memory.

mod connection;

use crate::clock;
use crate::mailbox::{Mailbox, MailboxCloser};
use crate::node::Node;
use command::Reply;
use connection::Connection;
use node::gateway::Port;
use protocol::resp::{Version, encode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Pause after a failed accept: the usual cause is that the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often idle and stuck connections are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// A client that left replies unread for so long is closed.
const WRITE_STALL_MAX: Duration = Duration::from_secs(60);

/// Accepts connections of one port until `stop` says so.
pub async fn listen(node: Arc<Node>, listener: TcpListener, port: Port, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => accept(&node, stream, from, port),
                Err(error) => {
                    tracing::warn!(%error, "a client could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = told(&mut stop) => return,
        }
    }
}

/// Completes when the watched flag is set, or can never be.
pub async fn told(stop: &mut watch::Receiver<bool>) {
    // The guard that the watch returns must not live across the caller's other awaits.
    let _ = stop.wait_for(|stop| *stop).await.map(|_| ());
}

fn accept(node: &Arc<Node>, stream: TcpStream, from: SocketAddr, port: Port) {
    let stats = &node.gateway.stats;
    stats.connections.fetch_add(1, Relaxed);
    // Replies are written whole: waiting for more to send would only delay them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let here = stream.local_addr().map_or_else(|_| String::new(), |a| a.to_string());
    let mailbox = Arc::new(Mailbox::default());
    let closer = Box::new(MailboxCloser(mailbox.clone()));
    match node.gateway.clients.connect(from.to_string(), here, clock::now(), closer) {
        Ok(client) => {
            tokio::spawn(Connection::new(node.clone(), stream, client, mailbox, port).serve());
        }
        Err(reply) => {
            stats.rejected_connections.fetch_add(1, Relaxed);
            tokio::spawn(refuse(stream, reply));
        }
    }
}

async fn refuse(mut stream: TcpStream, reply: Reply) {
    let mut out = Vec::new();
    encode(&reply, Version::V2, &mut out);
    // The client is told if it listens; either way the connection ends here.
    let _ = stream.write_all(&out).await;
}

/// Closes connections that were idle for too long, if a limit is set, and those that do not read their replies.
pub async fn sweep(node: Arc<Node>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        let settings = &node.gateway.settings;
        node.gateway.clients.sweep(clock::now(), settings.idle_timeout(), WRITE_STALL_MAX);
    }
}

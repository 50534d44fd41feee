//! Links between nodes. Each node dials each other: what a node has to say to a peer goes over the connection it made,
//! and what the peer has to say comes over the connection the peer made.
//!
//! Both ends introduce themselves first; whoever is of another cluster, speaks no common version, or speaks garbage is
//! disconnected with one line in the log, not more often than `Refusals` allows.

mod dial;
mod inbound;
mod outbox;
mod route;

pub use dial::dial;
pub use inbound::listen;
pub use outbox::{Outbox, Peers};

use crate::clock;
use bytes::BytesMut;
use parking_lot::Mutex;
use protocol::peer::{FrameError, Hello};
use std::io;
use std::time::Duration;
use stdx::Mono;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long the other end may take to introduce itself.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// At most one line in so long about links that were refused.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Why a link ended before or after it stood.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What the other end sent.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The other end is not who it should be.
    #[error("the node that answered is {0}")]
    OtherNode(stdx::NodeId),
    /// It did not introduce itself in time.
    #[error("the other end did not introduce itself")]
    Silent,
    /// The other end closed the connection.
    #[error("closed by the other end")]
    Closed,
    /// The other end waits for others before it takes part.
    #[error("the node does not take part yet")]
    NotYet,
    /// Nothing could be written for a long time.
    #[error("the link is stuck")]
    Stuck,
}

/// Reads the other end's introduction. What follows it stays in `buffer`.
pub async fn read_hello(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<Hello, LinkError> {
    let read = async {
        loop {
            if let Some(hello) = Hello::decode(buffer)? {
                return Ok(hello);
            }
            if stream.read_buf(buffer).await? == 0 {
                return Err(LinkError::Closed);
            }
        }
    };
    tokio::time::timeout(HELLO_LIMIT, read).await.unwrap_or(Err(LinkError::Silent))
}

/// Keeps a misconfigured or hostile peer from filling the log.
#[derive(Debug, Default)]
struct Refusals {
    last: Mutex<Option<Mono>>,
}

impl Refusals {
    /// Whether a line may be logged now.
    fn may_log(&self) -> bool {
        let now = clock::now();
        let mut last = self.last.lock();
        let may = last.is_none_or(|at| now.since(at) >= REFUSAL_LOG_INTERVAL);
        if may {
            *last = Some(now);
        }
        may
    }
}

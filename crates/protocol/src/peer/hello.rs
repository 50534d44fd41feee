//! The first frame in each direction: who speaks, of which cluster, in which versions.

use super::frame::{Frame, FrameError, decode_frame, encode_frame, other_version};
use bytes::BytesMut;
use stdx::NodeId;
use stdx::codec::{DecodeError, Put, Reader};

/// The version of the protocol between nodes that this build speaks. It rises with any change of a body's encoding.
pub const PROTOCOL_VERSION: u8 = 1;

/// Longest name of a cluster, in bytes.
pub const MAX_CLUSTER_ID_BYTES: usize = 256;

/// The version in the header of a Hello; 0 for ever, so that nodes of all versions can refuse each other politely.
const HELLO_VERSION: u8 = 0;

/// The kind of a Hello.
const HELLO_KIND: u8 = 0;

/// Longest body of a Hello, in bytes, with room for fields that later versions may add.
const MAX_HELLO_BYTES: usize = 1024;

/// Begins the body of a Hello: the two bytes of the frame alone could be an accident. The line end catches links that
/// translate text.
const SIGNATURE: &[u8; 8] = b"POLDER\r\n";

/// What a node says of itself when a link opens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The lowest version of the protocol it speaks.
    pub min_version: u8,
    /// The highest.
    pub max_version: u8,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Which node it is.
    pub node: NodeId,
    /// Chosen at each start of its process: tells a restart from a broken link.
    pub boot: u64,
}

impl Hello {
    /// What this build says for `node` of `cluster`.
    #[must_use]
    pub fn new(cluster: String, node: NodeId, boot: u64) -> Hello {
        Hello { min_version: PROTOCOL_VERSION, max_version: PROTOCOL_VERSION, cluster, node, boot }
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// `TooLarge` when the cluster's name is; `out` is then as before.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        if self.cluster.len() > MAX_CLUSTER_ID_BYTES {
            return Err(FrameError::TooLarge(self.cluster.len()));
        }
        encode_frame(out, HELLO_VERSION, HELLO_KIND, |body| {
            body.extend_from_slice(SIGNATURE);
            body.put_u8(self.min_version);
            body.put_u8(self.max_version);
            body.put_u64(self.node.0);
            body.put_u64(self.boot);
            body.put_bytes(self.cluster.as_bytes());
        })
    }

    /// The Hello that begins `buffer`, whose bytes are taken out; `None` when more bytes are needed.
    ///
    /// # Errors
    /// The peer is no node of Polder, or its first frame is no Hello.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Hello>, FrameError> {
        let Some(Frame { kind, body }) = decode_frame(buffer, HELLO_VERSION, MAX_HELLO_BYTES)? else { return Ok(None) };
        if kind != HELLO_KIND {
            return Err(FrameError::UnexpectedKind(kind));
        }
        let mut r = Reader::new(body);
        if r.take(SIGNATURE.len()).ok().as_deref() != Some(SIGNATURE) {
            return Err(FrameError::Garbage);
        }
        read_fields(&mut r).map(Some).map_err(|error| FrameError::Malformed { kind, error })
    }

    /// The version to speak with the peer that said `theirs`.
    ///
    /// # Errors
    /// `OtherCluster` or `OtherVersion`: the link is to be closed.
    pub fn agree(&self, theirs: &Hello) -> Result<u8, FrameError> {
        if self.cluster != theirs.cluster {
            return Err(FrameError::OtherCluster { theirs: theirs.cluster.clone(), ours: self.cluster.clone() });
        }
        let version = self.max_version.min(theirs.max_version);
        if version < self.min_version.max(theirs.min_version) {
            return Err(other_version(theirs.min_version, theirs.max_version));
        }
        Ok(version)
    }
}

/// The fields after the signature. Bytes behind them are allowed: a later version may say more.
fn read_fields(r: &mut Reader) -> Result<Hello, DecodeError> {
    let (min_version, max_version) = (r.u8()?, r.u8()?);
    let (node, boot) = (NodeId(r.u64()?), r.u64()?);
    let cluster = r.bytes()?;
    if cluster.len() > MAX_CLUSTER_ID_BYTES {
        return Err(DecodeError::Malformed("name of the cluster is too long"));
    }
    let cluster = String::from_utf8(cluster.into()).map_err(|_| DecodeError::Malformed("name of the cluster"))?;
    if node == NodeId(0) || min_version > max_version {
        return Err(DecodeError::Malformed("node or versions"));
    }
    Ok(Hello { min_version, max_version, cluster, node, boot })
}

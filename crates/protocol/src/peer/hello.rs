//! The first frame in each direction: who speaks, of which cluster, in which versions.

use super::frame::{Frame, FrameError, decode_frame, encode_frame, other_version};
use bytes::BytesMut;
use std::collections::BTreeMap;
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

/// Nodes whose data directories a Hello may list.
const MAX_FOUNDERS: usize = 128;

/// Longest body of a Hello, in bytes, with room for fields that later versions may add.
const MAX_HELLO_BYTES: usize = 4096;
const _: () = assert!(MAX_HELLO_BYTES >= 1024 + 16 * MAX_FOUNDERS, "the founders of the largest cluster fit");

const FOUNDED: u8 = 1;
const WHOLE: u8 = 2;
const ASKS_ONLY: u8 = 4;
const FLAGS: u8 = FOUNDED | WHOLE | ASKS_ONLY;

/// How the sender's data directory stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Drawn when the directory was created: tells it from one that replaced it.
    pub directory: u64,
    /// Whether the node belongs to a cluster that is founded.
    pub founded: bool,
    /// Whether none of its replicas is damaged or being rebuilt.
    pub whole: bool,
    /// The directories that the cluster was founded with, by node, as far as the sender knows.
    pub founders: BTreeMap<u64, u64>,
}

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
    /// How its data directory stands.
    pub standing: Standing,
    /// Only the answer is wanted: the sender closes the connection after it, and says nothing by that.
    pub asks_only: bool,
}

impl Hello {
    /// What this build says for `node` of `cluster`, of whose data directory nothing is known.
    #[must_use]
    pub fn new(cluster: String, node: NodeId, boot: u64) -> Hello {
        let standing = Standing::default();
        Hello {
            min_version: PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            cluster,
            node,
            boot,
            standing,
            asks_only: false,
        }
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// `TooLarge` when the cluster's name or the list of founders is; `out` is then as before.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        if self.cluster.len() > MAX_CLUSTER_ID_BYTES {
            return Err(FrameError::TooLarge(self.cluster.len()));
        }
        if self.standing.founders.len() > MAX_FOUNDERS {
            return Err(FrameError::TooLarge(self.standing.founders.len()));
        }
        encode_frame(out, HELLO_VERSION, HELLO_KIND, |body| {
            body.extend_from_slice(SIGNATURE);
            body.put_u8(self.min_version);
            body.put_u8(self.max_version);
            body.put_u64(self.node.0);
            body.put_u64(self.boot);
            body.put_bytes(self.cluster.as_bytes());
            let Standing { directory, founded, whole, founders } = &self.standing;
            let flag = |set: bool, bit: u8| if set { bit } else { 0 };
            body.put_u8(flag(*founded, FOUNDED) | flag(*whole, WHOLE) | flag(self.asks_only, ASKS_ONLY));
            body.put_u64(*directory);
            body.put_varint(founders.len() as u64);
            for (node, directory) in founders {
                body.put_u64(*node);
                body.put_u64(*directory);
            }
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
    let flags = r.u8()?;
    if flags & !FLAGS != 0 {
        return Err(DecodeError::Malformed("flags of a Hello"));
    }
    let directory = r.u64()?;
    let count = r.varint()?;
    if count > MAX_FOUNDERS as u64 {
        return Err(DecodeError::Malformed("too many founders"));
    }
    let founders = (0..count).map(|_| Ok((r.u64()?, r.u64()?))).collect::<Result<_, DecodeError>>()?;
    let standing = Standing { directory, founded: flags & FOUNDED != 0, whole: flags & WHOLE != 0, founders };
    Ok(Hello { min_version, max_version, cluster, node, boot, standing, asks_only: flags & ASKS_ONLY != 0 })
}

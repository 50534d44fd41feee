//! The bytes of a segment: its header, its records, the commit that ends a round. Drawn in `docs/internals/log-format.md`.
//!
//! Every number is little-endian. Every checksum is CRC-32C and starts from a seed made of the format version, the log's
//! identity and the segment's sequence number, so that bytes left over in a recycled file never pass.

use super::{HardState, Position};
use stdx::ShardId;
use stdx::codec::Put;
use stdx::crc::{crc32c, crc32c_append};

/// The version this code writes; it refuses a larger one.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// The first bytes of a segment.
pub(crate) const MAGIC: [u8; 8] = *b"POLDRLOG";
/// Bytes before the first record: a page of its own, so that appending never rewrites the header's sectors.
pub(crate) const SEGMENT_HEADER_BYTES: u32 = 4096;
/// Bytes of the header that carry something; the rest of its page is zero.
pub(crate) const SEGMENT_HEADER_USED: usize = 64;
/// Bytes before a record's payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 36;
/// Records begin at multiples of this, so that a search for the next intact record has few places to look.
pub(crate) const RECORD_ALIGN: u32 = 8;
/// Fixed part of a commit's payload; a pair of numbers for each shard of the round follows.
const COMMIT_FIXED: usize = 24;
/// Bytes for each shard in a commit.
const COMMIT_PAIR: usize = 8;
/// Payload of a hard state: the vote.
const HARD_STATE_PAYLOAD: usize = 8;
/// Payload of a moved group state: term, vote, commit, flags.
const GROUP_PAYLOAD: usize = 25;
/// Indexes at or above this are refused, so that arithmetic on them cannot overflow.
pub(crate) const INDEX_LIMIT: u64 = 1 << 62;

const _: () = assert!(SEGMENT_HEADER_BYTES.is_multiple_of(RECORD_ALIGN));
const _: () = assert!(SEGMENT_HEADER_USED <= SEGMENT_HEADER_BYTES as usize);

/// What a record is. Values are persisted: never reuse one. Zero is never a tag, so zeroed space holds no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Tag {
    /// Ends a round: everything since `round_start` counts, or nothing of it.
    Commit = 1,
    /// An entry; it replaces everything of its shard at or above its index.
    Entry = 2,
    /// An entry copied forward from a segment about to be freed; it replaces nothing.
    Moved = 3,
    /// Term, vote and commit index.
    HardState = 4,
    /// The log begins after this position; later entries stay.
    Start = 5,
    /// The log begins after this position; all entries are gone.
    Reset = 6,
    /// Everything written before about this shard is void.
    Remove = 7,
    /// Start and hard state copied forward from a segment about to be freed.
    Group = 8,
}

impl Tag {
    fn from_u8(v: u8) -> Option<Tag> {
        Some(match v {
            1 => Tag::Commit,
            2 => Tag::Entry,
            3 => Tag::Moved,
            4 => Tag::HardState,
            5 => Tag::Start,
            6 => Tag::Reset,
            7 => Tag::Remove,
            8 => Tag::Group,
            _ => return None,
        })
    }
}

/// What a record says of itself before its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHeader {
    pub checksum: u32,
    pub payload_crc: u32,
    pub length: u32,
    pub shard: ShardId,
    pub term: u64,
    pub index: u64,
    pub tag: Tag,
    pub kind: u8,
}

impl RecordHeader {
    /// Reads a header if these bytes are one of this segment.
    pub(crate) fn parse(b: &[u8], seed: u32) -> Option<RecordHeader> {
        if b.len() < RECORD_HEADER_BYTES {
            return None;
        }
        // Cheap refusals first: a search looks at every eighth byte of a segment.
        let tag = Tag::from_u8(b[32])?;
        if b[34] != 0 || b[35] != 0 {
            return None;
        }
        let checksum = u32_at(b, 0);
        if checksum != crc32c_append(seed, &b[4..RECORD_HEADER_BYTES]) {
            return None;
        }
        Some(RecordHeader {
            checksum,
            payload_crc: u32_at(b, 4),
            length: u32_at(b, 8),
            shard: ShardId(u32_at(b, 12)),
            term: u64_at(b, 16),
            index: u64_at(b, 24),
            tag,
            kind: b[33],
        })
    }

    /// Bytes from this record's beginning to the next one's.
    pub(crate) fn size(&self) -> u64 {
        record_size(self.length as usize)
    }
}

/// Bytes that a record with this much payload takes.
pub(crate) fn record_size(payload: usize) -> u64 {
    (RECORD_HEADER_BYTES as u64 + payload as u64).next_multiple_of(u64::from(RECORD_ALIGN))
}

/// Bytes that the commit of a round over this many shards takes.
pub(crate) fn commit_size(shards: usize) -> u64 {
    record_size(COMMIT_FIXED + COMMIT_PAIR * shards)
}

/// Bytes of a hard state record.
pub(crate) fn hard_state_size() -> u64 {
    record_size(HARD_STATE_PAYLOAD)
}

/// Bytes of a group record.
pub(crate) fn group_size() -> u64 {
    record_size(GROUP_PAYLOAD)
}

/// Where every checksum of a segment starts from.
pub(crate) fn seed(identity: u64, sequence: u32) -> u32 {
    let mut b = Vec::with_capacity(16);
    b.put_u32(FORMAT_VERSION);
    b.put_u64(identity);
    b.put_u32(sequence);
    crc32c(&b)
}

/// The payload of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Commit {
    /// Offset of the round's first record.
    pub round_start: u32,
    /// Everything of this segment before this offset was synced when the round was written.
    pub synced: u32,
    /// Rises with every opening of the log, so that the remains of a cut tail are never taken for a continuation.
    pub epoch: u32,
    /// Segments below this one are free.
    pub base: u32,
    /// Checksum over the checksums of the round's records.
    pub digest: u32,
    /// Records in the round.
    pub records: u32,
    /// Shards of the round in ascending order, and how many records each has in it.
    pub shards: Vec<(ShardId, u32)>,
}

impl Commit {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(COMMIT_FIXED + COMMIT_PAIR * self.shards.len());
        for v in [self.round_start, self.synced, self.epoch, self.base, self.digest, self.records] {
            out.put_u32(v);
        }
        for (shard, records) in &self.shards {
            out.put_u32(shard.0);
            out.put_u32(*records);
        }
        out
    }

    /// Reads a commit's payload.
    pub(crate) fn decode(b: &[u8]) -> Option<Commit> {
        if b.len() < COMMIT_FIXED || !(b.len() - COMMIT_FIXED).is_multiple_of(COMMIT_PAIR) {
            return None;
        }
        let pairs = b[COMMIT_FIXED..].chunks_exact(COMMIT_PAIR);
        let possible = u32_at(b, 4) <= u32_at(b, 0);
        possible.then(|| Commit {
            round_start: u32_at(b, 0),
            synced: u32_at(b, 4),
            epoch: u32_at(b, 8),
            base: u32_at(b, 12),
            digest: u32_at(b, 16),
            records: u32_at(b, 20),
            shards: pairs.map(|p| (ShardId(u32_at(p, 0)), u32_at(p, 4))).collect(),
        })
    }
}

/// What a record carries beyond its header, entries apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// Nothing, or an entry's data, which recovery does not keep.
    None,
    /// The vote.
    HardState(u64),
    /// A moved hard state, and whether the group is fenced.
    Group(HardState, bool),
}

impl Body {
    /// Whether records with this tag have a body that `decode` must see.
    pub(crate) fn expected(tag: Tag) -> bool {
        matches!(tag, Tag::HardState | Tag::Group)
    }

    /// Reads the body of a hard state or a group.
    pub(crate) fn decode(tag: Tag, b: &[u8]) -> Option<Body> {
        match tag {
            Tag::HardState if b.len() == HARD_STATE_PAYLOAD => Some(Body::HardState(u64_at(b, 0))),
            Tag::Group if b.len() == GROUP_PAYLOAD && b[24] <= 1 => {
                let state = HardState { term: u64_at(b, 0), vote: u64_at(b, 8), commit: u64_at(b, 16) };
                Some(Body::Group(state, b[24] == 1))
            }
            _ => None,
        }
    }
}

/// Builds one round in a buffer that is used again and again.
#[derive(Default)]
pub(crate) struct Encoder {
    buffer: Vec<u8>,
    seed: u32,
    digest: u32,
    records: u32,
    shards: Vec<(ShardId, u32)>,
}

/// What is left of the buffer after an unusually large round; one of ordinary size fits without allocating.
const BUFFER_KEEP_BYTES: usize = 4 << 20;

impl Encoder {
    /// Starts a round in the segment with this seed.
    pub(crate) fn begin(&mut self, seed: u32) {
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEEP_BYTES);
        self.shards.clear();
        (self.seed, self.digest, self.records) = (seed, seed, 0);
    }

    /// The bytes of the round so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// An entry's record, and its offset within the round. Data is below 4 GiB: the writer has checked it.
    pub(crate) fn entry(&mut self, tag: Tag, shard: ShardId, term: u64, index: u64, kind: u8, data: &[u8]) -> u32 {
        self.put(tag, shard, term, index, kind, data)
    }

    /// A hard state.
    pub(crate) fn hard_state(&mut self, shard: ShardId, state: &HardState) {
        self.put(Tag::HardState, shard, state.term, state.commit, 0, &state.vote.to_le_bytes());
    }

    /// A start, a reset or a removal.
    pub(crate) fn position(&mut self, tag: Tag, shard: ShardId, at: Position) {
        self.put(tag, shard, at.term, at.index, 0, &[]);
    }

    /// A group's start, hard state and fence.
    pub(crate) fn group(&mut self, shard: ShardId, start: Position, state: &HardState, fenced: bool) {
        let mut payload = Vec::with_capacity(GROUP_PAYLOAD);
        for v in [state.term, state.vote, state.commit] {
            payload.put_u64(v);
        }
        payload.put_u8(u8::from(fenced));
        self.put(Tag::Group, shard, start.term, start.index, 0, &payload);
    }

    /// Ends the round.
    pub(crate) fn commit(&mut self, round_start: u32, synced: u32, epoch: u32, base: u32) {
        let mut shards = std::mem::take(&mut self.shards);
        shards.sort_unstable_by_key(|(shard, _)| *shard);
        shards.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        let commit = Commit { round_start, synced, epoch, base, digest: self.digest, records: self.records, shards };
        let payload = commit.encode();
        self.put_record(Tag::Commit, ShardId(0), 0, 0, 0, &payload);
    }

    fn put(&mut self, tag: Tag, shard: ShardId, term: u64, index: u64, kind: u8, payload: &[u8]) -> u32 {
        match self.shards.last_mut() {
            Some((last, records)) if *last == shard => *records += 1,
            _ => self.shards.push((shard, 1)),
        }
        let (at, checksum) = self.put_record(tag, shard, term, index, kind, payload);
        self.digest = crc32c_append(self.digest, &checksum.to_le_bytes());
        self.records += 1;
        at
    }

    fn put_record(&mut self, tag: Tag, shard: ShardId, term: u64, index: u64, kind: u8, payload: &[u8]) -> (u32, u32) {
        let at = self.buffer.len();
        let mut h = [0u8; RECORD_HEADER_BYTES];
        h[4..8].copy_from_slice(&crc32c_append(self.seed, payload).to_le_bytes());
        h[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        h[12..16].copy_from_slice(&shard.0.to_le_bytes());
        h[16..24].copy_from_slice(&term.to_le_bytes());
        h[24..32].copy_from_slice(&index.to_le_bytes());
        h[32] = tag as u8;
        h[33] = kind;
        let checksum = crc32c_append(self.seed, &h[4..]);
        h[..4].copy_from_slice(&checksum.to_le_bytes());
        self.buffer.extend_from_slice(&h);
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(self.buffer.len().next_multiple_of(RECORD_ALIGN as usize), 0);
        (at as u32, checksum)
    }
}

/// The header of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    /// Its place in the order of segments.
    pub sequence: u32,
    /// Whose log this is.
    pub identity: u64,
    /// Bytes of the file.
    pub length: u32,
    /// Where the segment before it ends; 0 for the first.
    pub previous_end: u32,
}

/// What the first bytes of a file turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderRead {
    /// A header of this format.
    Valid(SegmentHeader),
    /// An intact header of a later format.
    Newer(u32),
    /// Anything else.
    Damaged,
}

impl SegmentHeader {
    /// The header and the rest of its page.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        out.extend_from_slice(&MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(self.sequence);
        out.put_u64(self.identity);
        out.put_u32(self.length);
        out.put_u32(self.previous_end);
        out.resize(SEGMENT_HEADER_USED - 4, 0);
        out.put_u32(crc32c(&out));
        out.resize(SEGMENT_HEADER_BYTES as usize, 0);
        out
    }

    /// Reads the first `SEGMENT_HEADER_USED` bytes of a file. Every later format keeps magic, version and checksum where they are.
    pub(crate) fn decode(b: &[u8]) -> HeaderRead {
        let used = SEGMENT_HEADER_USED;
        if b.len() < used || b[..8] != MAGIC || u32_at(b, used - 4) != crc32c(&b[..used - 4]) {
            return HeaderRead::Damaged;
        }
        match u32_at(b, 8) {
            FORMAT_VERSION => HeaderRead::Valid(SegmentHeader {
                sequence: u32_at(b, 12),
                identity: u64_at(b, 16),
                length: u32_at(b, 24),
                previous_end: u32_at(b, 28),
            }),
            version if version > FORMAT_VERSION => HeaderRead::Newer(version),
            _ => HeaderRead::Damaged,
        }
    }
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    let mut v = [0; 4];
    v.copy_from_slice(&b[at..at + 4]);
    u32::from_le_bytes(v)
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    let mut v = [0; 8];
    v.copy_from_slice(&b[at..at + 8]);
    u64::from_le_bytes(v)
}

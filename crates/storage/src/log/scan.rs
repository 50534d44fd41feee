//! Reading a segment from its beginning without trusting it: a window over the file, one record at a time.

use super::LogError;
use super::format::{Body, Commit, RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, Tag};
use crate::disk::DiskFile;
use stdx::crc::crc32c_append;

/// Bytes read at once.
const WINDOW_BYTES: u32 = 1 << 20;

/// An intact record, or one with an intact header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub offset: u32,
    pub header: RecordHeader,
    pub body: Body,
}

impl Seen {
    /// Where the next record begins. Fits: the record lies within the file.
    pub(crate) fn end(&self) -> u32 {
        self.offset + self.header.size() as u32
    }
}

/// What lies at an offset.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// An intact record.
    Record(Seen),
    /// An intact commit and where it ends.
    Commit(Commit, u32),
    /// An intact header before a payload that does not verify.
    BadPayload(Seen),
    /// No record of this segment.
    Nothing,
}

/// What all commits of a segment say together, the remains of cut rounds included.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Survey {
    /// How many there are.
    pub commits: u64,
    /// Everything before this offset was synced.
    pub synced: u32,
    /// The highest epoch.
    pub epoch: u32,
}

/// A segment file being read.
pub(crate) struct Scanner<'a, F> {
    file: &'a F,
    seed: u32,
    length: u32,
    window: Vec<u8>,
    window_at: u32,
}

impl<'a, F: DiskFile> Scanner<'a, F> {
    /// A reader of the first `length` bytes.
    pub(crate) fn new(file: &'a F, seed: u32, length: u64) -> Scanner<'a, F> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Scanner { file, seed, length, window: Vec::new(), window_at: 0 }
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// What lies at `offset`.
    ///
    /// # Errors
    /// `Io` when the disk refuses.
    pub(crate) fn read(&mut self, offset: u32) -> Result<Parsed, LogError> {
        let seed = self.seed;
        let header = self.view(offset, RECORD_HEADER_BYTES as u32)?.and_then(|b| RecordHeader::parse(b, seed));
        let Some(header) = header.filter(|h| u64::from(offset) + h.size() <= u64::from(self.length)) else {
            return Ok(Parsed::Nothing);
        };
        let mut seen = Seen { offset, header, body: Body::None };
        let at = offset + RECORD_HEADER_BYTES as u32;
        if header.tag == Tag::Commit || Body::expected(header.tag) {
            let payload = self.collect(at, header.length)?;
            if crc32c_append(seed, &payload) != header.payload_crc {
                return Ok(Parsed::BadPayload(seen));
            }
            if header.tag == Tag::Commit {
                let commit = Commit::decode(&payload);
                return Ok(commit.map_or(Parsed::BadPayload(seen), |c| Parsed::Commit(c, seen.end())));
            }
            let Some(body) = Body::decode(header.tag, &payload) else { return Ok(Parsed::BadPayload(seen)) };
            seen.body = body;
        } else if self.checksum(at, header.length)? != header.payload_crc {
            return Ok(Parsed::BadPayload(seen));
        }
        Ok(Parsed::Record(seen))
    }

    /// Looks at every place where a commit may begin.
    ///
    /// # Errors
    /// `Io` when the disk refuses.
    pub(crate) fn survey(&mut self) -> Result<Survey, LogError> {
        let mut survey = Survey::default();
        let mut at = SEGMENT_HEADER_BYTES;
        while let Some(found) = self.next_header(at)? {
            at = match self.read(found)? {
                Parsed::Record(seen) => seen.end(),
                Parsed::Commit(commit, end) => {
                    survey.commits += 1;
                    survey.synced = survey.synced.max(commit.synced);
                    survey.epoch = survey.epoch.max(commit.epoch);
                    end
                }
                Parsed::BadPayload(_) | Parsed::Nothing => found + RECORD_ALIGN,
            };
        }
        Ok(survey)
    }

    /// The next offset with an intact record header.
    fn next_header(&mut self, mut at: u32) -> Result<Option<u32>, LogError> {
        let (seed, need) = (self.seed, RECORD_HEADER_BYTES);
        while self.view(at, need as u32)?.is_some() {
            // As much as the window happens to hold: filling it anew for every record would read the file a thousand times.
            let bytes = &self.window[(at - self.window_at) as usize..];
            let places = (0..=bytes.len() - need).step_by(RECORD_ALIGN as usize);
            let mut next = 0;
            for i in places {
                if RecordHeader::parse(&bytes[i..], seed).is_some() {
                    return Ok(Some(at + i as u32));
                }
                next = i as u32 + RECORD_ALIGN;
            }
            at += next;
        }
        Ok(None)
    }

    fn checksum(&mut self, mut at: u32, mut left: u32) -> Result<u32, LogError> {
        let mut sum = self.seed;
        while left > 0 {
            let n = left.min(WINDOW_BYTES);
            let Some(bytes) = self.view(at, n)? else { break };
            sum = crc32c_append(sum, bytes);
            (at, left) = (at + n, left - n);
        }
        Ok(sum)
    }

    /// A payload of which recovery needs the bytes. It lies within the file, so its length is bounded by what exists.
    fn collect(&mut self, at: u32, length: u32) -> Result<Vec<u8>, LogError> {
        let mut out = Vec::new();
        let mut done = 0;
        while done < length {
            let n = (length - done).min(WINDOW_BYTES);
            let Some(bytes) = self.view(at + done, n)? else { break };
            out.extend_from_slice(bytes);
            done += n;
        }
        Ok(out)
    }

    /// `n` bytes at `offset`, at most a window; `None` beyond the end.
    fn view(&mut self, offset: u32, n: u32) -> Result<Option<&[u8]>, LogError> {
        if u64::from(offset) + u64::from(n) > u64::from(self.length) {
            return Ok(None);
        }
        let have = self.window_at..self.window_at + self.window.len() as u32;
        if offset < have.start || offset + n > have.end {
            let fill = (self.length - offset).min(WINDOW_BYTES.max(n));
            // Nothing of a refused read may look like data afterwards.
            self.window.clear();
            let mut bytes = std::mem::take(&mut self.window);
            bytes.resize(fill as usize, 0);
            self.file.read_at(u64::from(offset), &mut bytes).map_err(LogError::io("read a segment"))?;
            (self.window, self.window_at) = (bytes, offset);
        }
        let i = (offset - self.window_at) as usize;
        Ok(Some(&self.window[i..i + n as usize]))
    }
}

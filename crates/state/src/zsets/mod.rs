//! Sorted sets. A small one is kept whole in its META record, in order; a larger one has two sub-records for each
//! member, one under the member's hash with the score and one in the order of scores, and a record for each block of
//! about a thousand neighbours that says how many they are, so that a rank is found without counting members.

mod add;
mod algebra;
mod basic;
mod body;
mod order;
mod pop;
mod range;
mod ranks;
mod remove;
mod span;
mod store;
mod writer;

use crate::ctx::Ctx;
use crate::dispatch::{Row, reads, writes};
use crate::records::{KeyBuf, Name, Record};
use crate::reply::Outcome;
use bytes::Bytes;

pub(crate) use add::{Options as AddOptions, add};
pub(crate) use body::Body;
pub(crate) use range::Collected;
pub(crate) use span::Span;
pub(crate) use writer::store;

pub(crate) const ROWS: &[Row] = &[
    writes("zadd", add::zadd),
    writes("zincrby", add::zincrby),
    writes("zrem", remove::zrem),
    writes("zremrangebyrank", remove::zremrangebyrank),
    writes("zremrangebyscore", remove::zremrangebyscore),
    writes("zremrangebylex", remove::zremrangebylex),
    reads("zcard", basic::zcard),
    reads("zscore", basic::zscore),
    reads("zmscore", basic::zmscore),
    reads("zscan", basic::zscan),
    reads("zrandmember", basic::zrandmember),
    reads("zrank", ranks::zrank),
    reads("zrevrank", ranks::zrevrank),
    reads("zcount", ranks::zcount),
    reads("zlexcount", ranks::zlexcount),
    reads("zrange", range::zrange),
    reads("zrevrange", range::zrevrange),
    reads("zrangebyscore", range::zrangebyscore),
    reads("zrevrangebyscore", range::zrevrangebyscore),
    reads("zrangebylex", range::zrangebylex),
    reads("zrevrangebylex", range::zrevrangebylex),
    writes("zrangestore", store::zrangestore),
    writes("zpopmin", pop::zpopmin),
    writes("zpopmax", pop::zpopmax),
    writes("zmpop", pop::zmpop),
    writes("bzpopmin", pop::bzpopmin),
    writes("bzpopmax", pop::bzpopmax),
    writes("bzmpop", pop::bzmpop),
    reads("zunion", algebra::zunion),
    reads("zinter", algebra::zinter),
    reads("zdiff", algebra::zdiff),
    reads("zintercard", algebra::zintercard),
    writes("zunionstore", algebra::zunionstore),
    writes("zinterstore", algebra::zinterstore),
    writes("zdiffstore", algebra::zdiffstore),
];

/// Most bytes of a body kept in the META record: what one change of a member rewrites at most.
const INLINE_BYTES_MAX: usize = 1024;

/// Redis' `zset-max-listpack-entries`: beyond it OBJECT ENCODING says `skiplist`.
const LISTPACK_ENTRIES_MAX: u64 = 128;

/// Redis' `zset-max-listpack-value`, bytes of a member.
const LISTPACK_VALUE_MAX: usize = 64;

/// A member with its score, which is never NaN and never negative zero.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entry {
    pub(crate) score: f64,
    pub(crate) member: Bytes,
}

impl Entry {
    pub(crate) fn new(score: f64, member: Bytes) -> Entry {
        Entry { score: plain_zero(score), member }
    }

    /// Where it stands among all entries: by score, then by the member's bytes.
    pub(crate) fn place(&self) -> KeyBuf {
        place(self.score, &self.member)
    }
}

/// A place among all entries, as the suffix of a Score record: the score so that bytes sort as numbers do, the member.
fn place(score: f64, member: &[u8]) -> KeyBuf {
    let mut out = KeyBuf::from_slice(&rank_of_score(score).to_be_bytes());
    out.extend_from_slice(member);
    out
}

/// The bits of a score in an order that agrees with the numbers: the sign flipped if positive, all bits if negative.
fn rank_of_score(score: f64) -> u64 {
    let bits = plain_zero(score).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The sign of a double.
const SIGN: u64 = 1 << 63;

/// The entry at a place.
fn entry_at(place: &[u8]) -> Option<Entry> {
    let (score, member) = place.split_at_checked(8)?;
    let ranked = score.iter().fold(0, |v, b| (v << 8) | u64::from(*b));
    let bits = if ranked & SIGN == 0 { !ranked } else { ranked & !SIGN };
    Some(Entry { score: f64::from_bits(bits), member: Bytes::copy_from_slice(member) })
}

/// Two zeros would be two places for one number.
fn plain_zero(score: f64) -> f64 {
    if score == 0.0 { 0.0 } else { score }
}

/// All entries of the sorted set that a record holds, in order, when they fit into a reply.
pub(crate) fn all(ctx: &Ctx<'_>, name: &Name, record: &Record) -> Outcome<Vec<Entry>> {
    let mut found = Collected::default();
    Body::of(name, record)?.each(ctx, &Span::all(), false, |entry| found.add(entry))?;
    found.finish()
}

/// How many members a sorted set has.
pub(crate) fn len(name: &Name, record: &Record) -> Outcome<u64> {
    Ok(Body::of(name, record)?.len())
}

#[cfg(test)]
mod tests {
    use super::{entry_at, place, rank_of_score};

    #[test]
    fn places_sort_as_scores_do() {
        let scores = [f64::NEG_INFINITY, -1e300, -1.5, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, 2.0, 1e300, f64::INFINITY];
        for pair in scores.windows(2) {
            assert!(place(pair[0], b"zz") < place(pair[1], b"a"), "{pair:?}");
            assert!(rank_of_score(pair[0]) < rank_of_score(pair[1]), "{pair:?}");
        }
        assert_eq!(place(-0.0, b"m"), place(0.0, b"m"));
        for score in scores {
            let entry = entry_at(&place(score, b"m")).unwrap();
            assert_eq!((entry.score, &entry.member[..]), (score, &b"m"[..]));
        }
        assert!(place(1.0, b"a") < place(1.0, b"ab") && place(1.0, b"") < place(1.0, b"\0"));
    }
}

//! LCS: the longest common subsequence of two strings.

use crate::ctx::Ctx;
use crate::parse::{int_arg, is};
use crate::records::Type;
use crate::reply::{Outcome, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, MAX_VALUE_BYTES, Reply};

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    min_match: i64,
    with_len: bool,
}

impl Options {
    fn parse(words: &[Bytes]) -> Outcome<Options> {
        let mut o = Options::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if is(word, "idx") {
                o.idx = true;
            } else if is(word, "len") {
                o.len = true;
            } else if is(word, "withmatchlen") {
                o.with_len = true;
            } else if is(word, "minmatchlen")
                && let Some(value) = rest.next()
            {
                o.min_match = int_arg(value)?.max(0);
            } else {
                return fail(SYNTAX);
            }
        }
        if o.idx && o.len {
            return fail("ERR If you want both the length and indexes, please just use IDX.");
        }
        Ok(o)
    }
}

fn operand(ctx: &mut Ctx<'_>, key: &[u8]) -> Outcome<Bytes> {
    let name = ctx.name(key)?;
    match ctx.read(&name)? {
        None => Ok(Bytes::new()),
        Some(r) if r.head.kind == Type::String => Ok(r.body),
        Some(_) => fail("ERR The specified keys must contain string values"),
    }
}

pub(super) fn lcs(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (a, b) = (operand(ctx, &cmd.args[1])?, operand(ctx, &cmd.args[2])?);
    let o = Options::parse(&cmd.args[3..])?;
    let cells = (a.len() + 1).saturating_mul(b.len() + 1);
    if cells.saturating_mul(size_of::<u32>()) > MAX_VALUE_BYTES {
        return fail("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    }
    let table = Table::fill(&a, &b);
    if o.len {
        return Ok(Reply::Integer(i64::from(table.at(a.len(), b.len()))));
    }
    let (common, matches) = table.walk(&a, &b);
    if !o.idx {
        return Ok(Reply::Bulk(common.into()));
    }
    let shown = matches.into_iter().filter(|m| m.len() >= o.min_match).map(|m| m.reply(o.with_len)).collect();
    Ok(Reply::Map(vec![
        (Reply::bulk(b"matches"), Reply::Array(shown)),
        (Reply::bulk(b"len"), Reply::Integer(common.len() as i64)),
    ]))
}

/// Lengths of the longest common subsequences of all pairs of prefixes.
struct Table {
    width: usize,
    cells: Vec<u32>,
}

impl Table {
    fn fill(a: &[u8], b: &[u8]) -> Table {
        let width = b.len() + 1;
        let mut t = Table { width, cells: vec![0; (a.len() + 1) * width] };
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                t.cells[(i + 1) * width + j + 1] =
                    if x == y { t.at(i, j) + 1 } else { t.at(i, j + 1).max(t.at(i + 1, j)) };
            }
        }
        t
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// The subsequence, and its runs that are contiguous in both strings, the last first.
    fn walk(&self, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
        let (mut i, mut j) = (a.len(), b.len());
        let mut common = Vec::new();
        let mut matches: Vec<Match> = Vec::new();
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                common.push(a[i]);
                match matches.last_mut() {
                    Some(m) if m.a.0 == i + 1 && m.b.0 == j + 1 => (m.a.0, m.b.0) = (i, j),
                    _ => matches.push(Match { a: (i, i), b: (j, j) }),
                }
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common.reverse();
        (common, matches)
    }
}

/// First and last position of a common run in each string.
struct Match {
    a: (usize, usize),
    b: (usize, usize),
}

impl Match {
    fn len(&self) -> i64 {
        (self.a.1 - self.a.0 + 1) as i64
    }

    fn reply(&self, with_len: bool) -> Reply {
        let pair =
            |(from, to): (usize, usize)| Reply::Array(vec![Reply::Integer(from as i64), Reply::Integer(to as i64)]);
        let mut out = vec![pair(self.a), pair(self.b)];
        if with_len {
            out.push(Reply::Integer(self.len()));
        }
        Reply::Array(out)
    }
}

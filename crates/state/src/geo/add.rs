//! GEOADD, and reading positions from words.

use super::Position;
use super::hash::{Cell, LATITUDES, LONGITUDES, STEPS_MAX};
use crate::ctx::Ctx;
use crate::parse::{float_arg, is};
use crate::reply::{Outcome, SYNTAX, fail, fail_with};
use crate::zsets::{AddOptions, add};
use bytes::Bytes;
use command::{Command, Reply};

/// The position that two words name.
pub(super) fn position_args(longitude: &[u8], latitude: &[u8]) -> Outcome<Position> {
    let p = Position { longitude: float_arg(longitude)?, latitude: float_arg(latitude)? };
    let inside = |x: f64, range: std::ops::Range<f64>| (range.start..=range.end).contains(&x);
    if inside(p.longitude, LONGITUDES) && inside(p.latitude, LATITUDES) {
        return Ok(p);
    }
    fail_with(format!("ERR invalid longitude,latitude pair {:.6},{:.6}", p.longitude, p.latitude))
}

/// The options in front of the positions, and how many words they are.
fn options(words: &[Bytes]) -> (AddOptions, usize) {
    let mut o = AddOptions::default();
    for (count, word) in words.iter().enumerate() {
        let flag = match () {
            () if is(word, "nx") => &mut o.absent,
            () if is(word, "xx") => &mut o.present,
            () if is(word, "ch") => &mut o.changed,
            () => return (o, count),
        };
        *flag = true;
    }
    (o, words.len())
}

pub(super) fn geoadd(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (options, words) = options(&cmd.args[2..]);
    let triples = &cmd.args[2 + words..];
    if !triples.len().is_multiple_of(3) || triples.is_empty() || options.absent && options.present {
        return fail(SYNTAX);
    }
    let entries = triples.chunks_exact(3).map(|triple| {
        let cell = Cell::of(position_args(&triple[0], &triple[1])?, STEPS_MAX);
        Ok((cell.bits() as f64, triple[2].clone()))
    });
    let entries = entries.collect::<Outcome<Vec<_>>>()?;
    add(ctx, &cmd.args[1], options, entries)
}

/// A coordinate as a reply: 17 decimals without zeros at the end.
pub(super) fn show(coordinate: f64, resp3: bool) -> Reply {
    let text = format!("{coordinate:.17}");
    if resp3 {
        return Reply::Double(text.parse().unwrap_or(coordinate));
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Reply::bulk(if text == "-0" { "0" } else { text }.as_bytes())
}

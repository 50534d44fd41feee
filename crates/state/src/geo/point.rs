//! GEOPOS, GEODIST and GEOHASH: questions about single members.

use super::add::show;
use super::distance::{self, unit_meters};
use super::hash::{Cell, STEPS_MAX};
use crate::ctx::Ctx;
use crate::reply::{Outcome, SYNTAX, fail};
use crate::zsets::Body;
use command::{Command, Reply};

/// The cells of some members; `None` for those that do not exist.
fn cells(ctx: &mut Ctx<'_>, key: &[u8], members: &[bytes::Bytes]) -> Outcome<Vec<Option<Cell>>> {
    let Some(set) = Body::read(ctx, key)? else { return Ok(vec![None; members.len()]) };
    members.iter().map(|m| Ok(set.score(ctx, m)?.map(Cell::of_score))).collect()
}

pub(super) fn geopos(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let cells = cells(ctx, &cmd.args[1], &cmd.args[2..])?;
    let resp3 = ctx.env.resp3;
    let reply = |cell: Option<Cell>| {
        let Some(center) = cell.map(Cell::center) else { return Reply::NullArray };
        Reply::Array(vec![show(center.longitude, resp3), show(center.latitude, resp3)])
    };
    Ok(Reply::Array(cells.into_iter().map(reply).collect()))
}

pub(super) fn geodist(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let meters = match &cmd.args[4..] {
        [] => 1.0,
        [unit] => unit_meters(unit)?,
        _ => return fail(SYNTAX),
    };
    Ok(match cells(ctx, &cmd.args[1], &cmd.args[2..4])?[..] {
        [Some(a), Some(b)] => distance::show(distance::between(a.center(), b.center()) / meters),
        _ => Reply::Null,
    })
}

pub(super) fn geohash(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let cells = cells(ctx, &cmd.args[1], &cmd.args[2..])?;
    let reply = |cell: Option<Cell>| cell.map_or(Reply::Null, |c| Reply::Bulk(text(c).into()));
    Ok(Reply::Array(cells.into_iter().map(reply).collect()))
}

/// The geohash as others write it (geohash.org): over all latitudes, five bits a letter. The eleventh letter has no bits
/// left in a score and is zero, as in Redis.
fn text(cell: Cell) -> String {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = Cell::within(cell.center(), STEPS_MAX, &(-90.0..90.0)).bits();
    let letters = (1..=10).map(|i| char::from(LETTERS[(bits >> (2 * STEPS_MAX - i * 5) & 31) as usize]));
    letters.chain(['0']).collect()
}

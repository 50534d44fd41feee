//! HSCAN. A small hash is answered whole, as Redis does; in a larger one the cursor is the hash of the next field, which
//! means the same on every replica.

use super::reader::Reader;
use crate::ctx::Ctx;
use crate::keys::{ScanOptions, parse_cursor, scan_reply};
use crate::reply::Outcome;
use command::{Command, Reply};
use std::ops::ControlFlow;

pub(super) fn hscan(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let cursor = parse_cursor(&cmd.args[2])?;
    let Some(hash) = Reader::open(ctx, &cmd.args[1])? else { return Ok(scan_reply(0, Vec::new())) };
    let options = ScanOptions::parse(&cmd.args[3..], false)?;
    let from = match hash {
        // Whatever the cursor, as in Redis.
        Reader::Inline(_) => Ok(0),
        Reader::Spilled(_) => u32::try_from(cursor),
    };
    let Ok(from) = from else { return Ok(scan_reply(0, Vec::new())) };
    let mut examined = 0;
    let mut last = None;
    let mut next = 0;
    let mut found = Vec::new();
    hash.each(ctx, from, |position, field, value| {
        if examined >= options.count && last != Some(position) {
            next = u64::from(position);
            return ControlFlow::Break(());
        }
        examined += 1;
        last = Some(position);
        if options.matches(&field) {
            found.extend([Reply::Bulk(field), Reply::Bulk(value)]);
        }
        ControlFlow::Continue(())
    })?;
    Ok(scan_reply(next, found))
}

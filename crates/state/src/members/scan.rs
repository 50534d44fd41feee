//! HSCAN, SSCAN, ZSCAN. A small collection is answered whole, as Redis does; in a larger one the cursor is the hash of
//! the next name.

use super::Members;
use crate::ctx::Ctx;
use crate::keys::{ScanOptions, parse_cursor, scan_reply};
use crate::reply::Outcome;
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

/// One step over the collection that `open` finds; `show` gives the words of one element.
pub(crate) fn scan<M: Members, R: IntoIterator<Item = Reply>>(
    ctx: &mut Ctx<'_>,
    cmd: &Command,
    open: impl FnOnce(&mut Ctx<'_>, &[u8]) -> Outcome<Option<M>>,
    show: impl Fn(Bytes, Bytes) -> R,
) -> Outcome {
    let cursor = parse_cursor(&cmd.args[2])?;
    let Some(members) = open(ctx, &cmd.args[1])? else { return Ok(scan_reply(0, Vec::new())) };
    let options = ScanOptions::parse(&cmd.args[3..], false)?;
    // A small collection is answered whole whatever the cursor, as in Redis.
    let from = if members.is_inline() { Ok(0) } else { u32::try_from(cursor) };
    let Ok(from) = from else { return Ok(scan_reply(0, Vec::new())) };
    let mut examined = 0;
    let mut last = None;
    let mut next = 0;
    let mut found = Vec::new();
    members.each(ctx, from, &mut |position, name, value| {
        if examined >= options.count && last != Some(position) {
            next = u64::from(position);
            return ControlFlow::Break(());
        }
        examined += 1;
        last = Some(position);
        if options.matches(&name) {
            found.extend(show(name, value));
        }
        ControlFlow::Continue(())
    })?;
    Ok(scan_reply(next, found))
}

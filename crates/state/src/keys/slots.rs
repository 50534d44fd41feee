//! The part of CLUSTER that asks a shard about the keys of a slot.

use crate::ctx::Ctx;
use crate::env::Layout;
use crate::parse::{ReplyMeter, int_arg};
use crate::records;
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail};
use command::{Command, Reply, SLOT_COUNT};
use std::ops::ControlFlow;

fn slot_arg(n: i64) -> Option<u16> {
    u16::try_from(n).ok().filter(|s| *s < SLOT_COUNT)
}

pub(super) fn count_keys_in_slot(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(slot) = slot_arg(int_arg(&cmd.args[2])?) else { return fail("ERR Invalid slot") };
    let keyspace = ctx.keyspace(0)?;
    if ctx.env.layout == Layout::Colocated {
        return fail("ERR This instance has cluster support disabled");
    }
    let n = ctx.count(keyspace, Some(slot))?;
    Ok(Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX)))
}

/// Keys of a slot, expired ones that were not removed yet included, as COUNTKEYSINSLOT counts them.
pub(super) fn get_keys_in_slot(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    if ctx.env.layout == Layout::Colocated {
        return fail("ERR This instance has cluster support disabled");
    }
    let (slot, max) = (int_arg(&cmd.args[2])?, int_arg(&cmd.args[3])?);
    let (Some(slot), Ok(max)) = (slot_arg(slot), usize::try_from(max)) else {
        return fail("ERR Invalid slot or number of keys");
    };
    let keyspace = ctx.keyspace(0)?;
    let (start, _) = records::meta_range(keyspace, u64::from(slot) << 32);
    let (end, _) = records::meta_range(keyspace, u64::from(slot + 1) << 32);
    let mut meter = ReplyMeter::default();
    let mut fits = true;
    let mut found = Vec::new();
    ctx.scan(&start, &end, &mut |key, _| {
        fits = found.len() >= max || meter.fits(key.len());
        if found.len() >= max || !fits {
            return ControlFlow::Break(());
        }
        found.push(Reply::bulk(records::user_key_of_meta(key)));
        ControlFlow::Continue(())
    })?;
    if fits { Ok(Reply::Array(found)) } else { fail(REPLY_TOO_LARGE) }
}

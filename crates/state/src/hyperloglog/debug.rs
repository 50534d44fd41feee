//! PFDEBUG: how a HyperLogLog is kept.

use super::Writer;
use super::encoding::{Form, words};
use crate::ctx::Ctx;
use crate::parse::is;
use crate::reply::{Outcome, fail, fail_with, shown};
use command::{Command, Reply};

pub(super) fn pfdebug(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (subcommand, key) = (&cmd.args[1], &cmd.args[2]);
    let Some(value) = ctx.read_string(key)? else { return fail("ERR The specified key does not exist") };
    let mut writer = Writer::open(ctx, key)?;
    if is(subcommand, "decode") {
        return match words(&value)? {
            Some(words) => Ok(Reply::Bulk(words.into())),
            None => fail("ERR HLL encoding is not sparse"),
        };
    }
    let sparse = writer.sketch.form == Form::Sparse;
    if is(subcommand, "encoding") {
        return Ok(Reply::Simple(if sparse { "sparse" } else { "dense" }.into()));
    }
    // As in Redis, showing the registers makes a value dense.
    let reply = match () {
        () if is(subcommand, "todense") => Reply::Integer(i64::from(sparse)),
        () if is(subcommand, "getreg") => {
            Reply::Array(writer.sketch.registers().iter().map(|r| Reply::Integer(i64::from(*r))).collect())
        }
        () => return fail_with(format!("ERR Unknown PFDEBUG subcommand '{}'", shown(subcommand))),
    };
    if sparse {
        writer.sketch.form = Form::Dense;
        writer.commit(ctx)?;
    }
    Ok(reply)
}

//! BITFIELD and BITFIELD_RO: several integers of a string read and changed in one step.

use super::integer::{Format, Overflow};
use super::{Writer, offset_arg};
use crate::ctx::Ctx;
use crate::parse::{int_arg, is};
use crate::reply::{Outcome, SYNTAX, fail};
use bytes::Bytes;
use command::{Command, Reply};

/// What is done with one integer.
#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// One subcommand.
#[derive(Clone, Copy, Debug)]
struct Step {
    action: Action,
    format: Format,
    offset: u64,
    overflow: Overflow,
}

impl Step {
    /// Its last bit.
    fn last(&self) -> u64 {
        self.offset + u64::from(self.format.width) - 1
    }

    fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }

    /// Carries it out on a string that is long enough, and answers.
    fn run(&self, string: &mut [u8]) -> Reply {
        let Step { format, offset, overflow, .. } = *self;
        let old = format.read(string, offset);
        let (wanted, before) = match self.action {
            Action::Get => return Reply::Integer(old),
            Action::Set(value) if format.signed => (i128::from(value), true),
            // A negative number is a very large one here.
            Action::Set(value) => (i128::from(value as u64), true),
            Action::Add(by) => (i128::from(old) + i128::from(by), false),
        };
        let Some(value) = format.fit(wanted, overflow) else { return Reply::Null };
        format.write(string, offset, value);
        Reply::Integer(if before { old } else { value })
    }
}

fn parse(words: &[Bytes]) -> Outcome<Vec<Step>> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::default();
    let mut rest = words;
    loop {
        let (word, more) = match rest {
            [] => return Ok(steps),
            [word, how, more @ ..] if is(word, "overflow") => {
                overflow = Overflow::parse(how)?;
                rest = more;
                continue;
            }
            [word, more @ ..] => (word, more),
        };
        let (format, offset, value) = match more {
            [format, offset, more @ ..] if is(word, "get") => {
                rest = more;
                (format, offset, None)
            }
            [format, offset, value, more @ ..] if is(word, "set") || is(word, "incrby") => {
                rest = more;
                (format, offset, Some(value))
            }
            _ => return fail(SYNTAX),
        };
        let format = Format::parse(format)?;
        let offset = offset_arg(offset, Some(u64::from(format.width)))?;
        let action = match value {
            None => Action::Get,
            Some(value) if is(word, "set") => Action::Set(int_arg(value)?),
            Some(value) => Action::Add(int_arg(value)?),
        };
        steps.push(Step { action, format, offset, overflow });
    }
}

fn read(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step]) -> Outcome {
    let string = ctx.read_string(key)?.unwrap_or_default();
    Ok(Reply::Array(steps.iter().map(|s| Reply::Integer(s.format.read(&string, s.offset))).collect()))
}

pub(super) fn bitfield(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let steps = parse(&cmd.args[2..])?;
    let Some(last) = steps.iter().filter(|s| s.writes()).map(Step::last).max() else {
        return read(ctx, &cmd.args[1], &steps);
    };
    let mut string = Writer::open(ctx, &cmd.args[1], last)?;
    let replies = steps.iter().map(|s| s.run(&mut string.bytes)).collect();
    string.commit(ctx)?;
    Ok(Reply::Array(replies))
}

pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let steps = parse(&cmd.args[2..])?;
    if steps.iter().any(Step::writes) {
        return fail("ERR BITFIELD_RO only supports the GET subcommand");
    }
    read(ctx, &cmd.args[1], &steps)
}

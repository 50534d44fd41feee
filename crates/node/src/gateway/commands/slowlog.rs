//! SLOWLOG and its subcommands.

use super::{integer, text};
use crate::gateway::context::Context;
use command::{Command, Reply};

/// Entries that GET shows when it is not told how many.
const DEFAULT_COUNT: usize = 10;

/// Carries out a subcommand.
pub(super) fn slowlog(command: &Command, cx: Context<'_>) -> Reply {
    let log = &cx.gateway.slow_log;
    match command.spec.name {
        "slowlog|len" => Reply::Integer(log.count() as i64),
        "slowlog|reset" => {
            log.reset();
            Reply::OK
        }
        _ => get(command, cx),
    }
}

fn get(command: &Command, cx: Context<'_>) -> Reply {
    let count = match &command.args[2..] {
        [] => DEFAULT_COUNT,
        [count] => match integer(count) {
            Some(-1) => usize::MAX,
            Some(n @ 0..) => usize::try_from(n).unwrap_or(usize::MAX),
            _ => return Reply::error("ERR count should be greater than or equal to -1"),
        },
        _ => return super::wrong_arguments(command),
    };
    let number = |n: u64| Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let calls = cx.gateway.slow_log.newest(count).into_iter().map(|call| {
        Reply::Array(vec![
            number(call.id),
            number(call.at_s),
            number(call.took_us),
            Reply::Array(call.words.into_iter().map(Reply::Bulk).collect()),
            text(call.addr),
            text(call.name),
        ])
    });
    Reply::Array(calls.collect())
}

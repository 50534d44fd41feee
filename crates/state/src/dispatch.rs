//! From a command to the function that evaluates it.

use crate::ctx::{Ctx, EFFECTS_LIMIT_BYTES};
use crate::parse::{REPLY_ELEMENT_BYTES, ReplyMeter};
use crate::reply::{Outcome, REPLY_TOO_LARGE, Stop, fail_with};
use crate::{bits, geo, hashes, hyperloglog, keys, lists, scripting, sets, streams, strings, zsets};
use command::{COMMAND_COUNT, Command, Reply, specs};
use std::sync::LazyLock;

/// One command's evaluation. It checks everything before its first change: a command that ends in an error has changed
/// nothing but the remains of expired keys.
pub(crate) type Run = fn(&mut Ctx<'_>, &Command) -> Outcome;

/// How a command of the table is evaluated.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The name in the command table; a subcommand's is `container|name`.
    pub(crate) name: &'static str,
    /// Whether it may have effects.
    pub(crate) writes: bool,
    /// Whether only a leader evaluates it, even if it writes nothing.
    pub(crate) led: bool,
    pub(crate) run: Run,
}

/// A command that only reads.
pub(crate) const fn reads(name: &'static str, run: Run) -> Row {
    Row { name, writes: false, led: false, run }
}

/// A command that may write.
pub(crate) const fn writes(name: &'static str, run: Run) -> Row {
    Row { name, writes: true, led: false, run }
}

/// A command that may write, whatever the table says, and needs what only a leader has.
pub(crate) const fn led(name: &'static str, run: Run) -> Row {
    Row { name, writes: true, led: true, run }
}

static ROWS: [&[Row]; 13] = [
    keys::ROWS,
    strings::ROWS,
    bits::ROWS,
    hyperloglog::ROWS,
    hashes::ROWS,
    lists::ROWS,
    sets::ROWS,
    zsets::ROWS,
    geo::ROWS,
    streams::ROWS,
    streams::GROUP_ROWS,
    scripting::ROWS,
    scripting::FUNCTION_ROWS,
];

/// Rows by the number of their command: a dispatch is one array access.
static BY_ID: LazyLock<[Option<Row>; COMMAND_COUNT]> = LazyLock::new(|| {
    let mut by_id = [None; COMMAND_COUNT];
    for spec in specs() {
        by_id[spec.id.index()] = ROWS.iter().flat_map(|rows| rows.iter()).find(|row| row.name == spec.name).copied();
    }
    by_id
});

/// The row of a command; `None` when it is not evaluated on a shard.
pub(crate) fn find(cmd: &Command) -> Option<&'static Row> {
    BY_ID.get(cmd.id().index()).and_then(Option::as_ref)
}

/// Evaluates one command.
pub(crate) fn run(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    match find(cmd) {
        Some(row) => (row.run)(ctx, cmd),
        None => fail_with(format!("ERR Polder does not serve '{}' on a shard", cmd.name())),
    }
}

const TRANSACTION_TOO_LARGE: &str = "ERR the effects of the transaction exceed 64 MiB; this command was not run";

/// Evaluates the commands of one EXEC and gives their replies in order. Commands behind [`EFFECTS_LIMIT_BYTES`] are not
/// run. All replies together have the limit of one:
/// what does not fit is replaced by an error, though its command took effect.
pub(crate) fn run_all(ctx: &mut Ctx<'_>, commands: &[Command]) -> Outcome {
    let mut meter = ReplyMeter::default();
    let mut replies = Vec::with_capacity(commands.len());
    for cmd in commands {
        if ctx.effects_bytes() > EFFECTS_LIMIT_BYTES {
            replies.push(Reply::error(TRANSACTION_TOO_LARGE));
            continue;
        }
        let reply = match run(ctx, cmd) {
            Ok(reply) | Err(Stop::Reply(reply)) => reply,
            Err(engine) => return Err(engine),
        };
        let fits = meter.fits(weight(&reply));
        replies.push(if fits { reply } else { Reply::error(REPLY_TOO_LARGE) });
    }
    Ok(Reply::Array(replies))
}

/// What a reply takes, bytes.
fn weight(reply: &Reply) -> usize {
    match reply {
        Reply::Bulk(b) => b.len(),
        Reply::Array(items) | Reply::Set(items) => items.iter().map(|r| weight(r) + REPLY_ELEMENT_BYTES).sum(),
        Reply::Map(pairs) => pairs.iter().map(|(k, v)| weight(k) + weight(v) + 2 * REPLY_ELEMENT_BYTES).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{BY_ID, ROWS};
    use command::specs;

    #[test]
    fn every_row_names_a_served_command_and_agrees_about_writing() {
        for row in ROWS.iter().flat_map(|rows| rows.iter()) {
            let spec = specs().iter().find(|s| s.name == row.name);
            let spec = spec.unwrap_or_else(|| panic!("{} is not in the command table", row.name));
            assert!(spec.served, "{} is evaluated but not served", row.name);
            // SELECT and the like carry no write flag; what writes must.
            assert!(row.led || spec.is_write() == row.writes, "{}", row.name);
        }
        let found = BY_ID.iter().flatten().count();
        assert_eq!(found, ROWS.iter().map(|r| r.len()).sum::<usize>());
    }
}

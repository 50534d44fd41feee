//! `redis`: what scripts call besides commands. `redis.call` and `redis.pcall` belong to a run (`interpreter.rs`).

use crate::failure::{line_table, raise_line, with_code};
use crate::{Sha, convert};
use mlua::{Lua, MultiValue, Result, Table, Value};

/// The release whose scripts run here.
const VERSION: (&str, u32) = ("7.2.4", 0x0007_0204);

/// Constants of `redis`.
const NUMBERS: [(&str, u32); 10] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
    ("REDIS_VERSION_NUM", VERSION.1),
];

/// The table without `call` and `pcall`.
pub(crate) fn table(lua: &Lua) -> Result<Table> {
    let redis = lua.create_table()?;
    redis.raw_set("REDIS_VERSION", VERSION.0)?;
    for (name, value) in NUMBERS {
        redis.raw_set(name, value)?;
    }
    redis.raw_set("sha1hex", lua.create_function(sha1hex)?)?;
    redis.raw_set("log", lua.create_function(log)?)?;
    redis.raw_set("error_reply", lua.create_function(error_reply)?)?;
    redis.raw_set("status_reply", lua.create_function(status_reply)?)?;
    redis.raw_set("set_repl", lua.create_function(set_repl)?)?;
    redis.raw_set("acl_check_cmd", lua.create_function(acl_check_cmd)?)?;
    // Effects are what is replicated, always.
    redis.raw_set("replicate_commands", lua.create_function(|_, _: MultiValue| Ok(true))?)?;
    // There is no debugger: what it would do is nothing.
    redis.raw_set("breakpoint", lua.create_function(|_, _: MultiValue| Ok(false))?)?;
    redis.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    Ok(redis)
}

/// A string, or a number as Lua writes it.
fn text(lua: &Lua, value: &Value) -> Option<Vec<u8>> {
    let text = lua.coerce_string(value.clone()).ok().flatten()?;
    Some(text.as_bytes().to_vec())
}

fn sha1hex(lua: &Lua, args: MultiValue) -> Result<String> {
    match args.iter().collect::<Vec<_>>()[..] {
        [value] => Ok(Sha::of(&text(lua, value).unwrap_or_default()).to_string()),
        _ => Err(raise_line("ERR wrong number of arguments")),
    }
}

/// Checks what it is given. There is no log that clients may write to.
fn log(_: &Lua, args: MultiValue) -> Result<()> {
    if args.len() < 2 {
        return Err(raise_line("ERR redis.log() requires two arguments or more."));
    }
    match args.front().and_then(convert::number) {
        None => Err(raise_line("ERR First argument must be a number (log level).")),
        Some(level) if (0.0..=3.0).contains(&level) => Ok(()),
        Some(_) => Err(raise_line("ERR Invalid debug level.")),
    }
}

fn one_string(args: &MultiValue) -> Option<String> {
    match args.iter().collect::<Vec<_>>()[..] {
        [Value::String(text)] => Some(text.to_string_lossy()),
        _ => None,
    }
}

const WRONG_ARGUMENTS: &str = "ERR wrong number or type of arguments";

fn error_reply(lua: &Lua, args: MultiValue) -> Result<Table> {
    match one_string(&args) {
        Some(message) => line_table(lua, &with_code(&message), false),
        None => line_table(lua, WRONG_ARGUMENTS, false),
    }
}

fn status_reply(lua: &Lua, args: MultiValue) -> Result<Table> {
    match args.iter().collect::<Vec<_>>()[..] {
        [status @ Value::String(_)] => {
            let table = lua.create_table()?;
            table.raw_set("ok", status)?;
            Ok(table)
        }
        _ => line_table(lua, WRONG_ARGUMENTS, false),
    }
}

fn set_repl(_: &Lua, args: MultiValue) -> Result<()> {
    if args.len() != 1 {
        return Err(raise_line("ERR redis.set_repl() requires one argument."));
    }
    match args.front().and_then(convert::number) {
        Some(flags) if (0.0..=3.0).contains(&flags) => Ok(()),
        _ => Err(raise_line("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")),
    }
}

/// Every client may run every command so far, so only its name is checked.
fn acl_check_cmd(lua: &Lua, args: MultiValue) -> Result<bool> {
    let words: Vec<_> = args.iter().map(|value| text(lua, value)).collect();
    let Some(first) = words.first() else {
        return Err(raise_line("ERR Please specify at least one argument for this redis lib call"));
    };
    let spec = first.as_deref().and_then(command::lookup);
    let known = spec.is_some_and(|spec| match words.get(1) {
        Some(Some(sub)) if !spec.subcommands().is_empty() => spec.subcommand(sub).is_some(),
        _ => true,
    });
    if known { Ok(true) } else { Err(raise_line("ERR Invalid command passed to redis.acl_check_cmd()")) }
}

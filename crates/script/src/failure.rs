//! Errors as scripts meet them. What a Rust function raises travels through Lua as an opaque value; [`translate`] turns it
//! into what the script may look at wherever an error is caught.

use mlua::{Error, Lua, Result, Table, Value};

/// The name that the sandbox's own code has in positions: never shown to scripts.
pub(crate) const SANDBOX: &str = "sandbox";

/// An error that a function of ours raises.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Raised {
    /// A message, with the position of the caller in front.
    #[error("{0}")]
    Text(String),
    /// An error line, which the script sees as a table with the field `err`. The flag: a command answered it.
    #[error("{0}")]
    Line(String, bool),
    /// The run must end: no script may catch this.
    #[error("the script was ended")]
    Over,
}

impl From<Raised> for Error {
    fn from(raised: Raised) -> Error {
        Error::external(raised)
    }
}

/// Raises `text` with the position of whoever called the function that raises it, as Lua's own library does.
pub(crate) fn raise(lua: &Lua, text: &str) -> Error {
    let at = lua.inspect_stack(1, |frame| {
        let source = frame.source();
        let line = frame.current_line().filter(|_| source.what != "C")?;
        Some(format!("{}:{line}: ", source.short_src.unwrap_or_default()))
    });
    Raised::Text(at.flatten().unwrap_or_default() + text).into()
}

/// Raises an error line.
pub(crate) fn raise_line(line: impl Into<String>) -> Error {
    Raised::Line(line.into(), false).into()
}

/// An error line as a table, with a code in front if it has none.
pub(crate) fn line_table(lua: &Lua, line: &str, answered: bool) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("err", line)?;
    if answered {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(table)
}

/// An error message in the form that Redis gives it: a leading `-` goes, and one word alone gets the code `ERR`.
pub(crate) fn with_code(message: &str) -> String {
    let message = message.strip_prefix('-').unwrap_or(message).trim_matches(['\r', '\n']);
    if message.contains(' ') { message.to_owned() } else { format!("ERR {message}") }
}

/// An error value as a script may see it. With `placed`, a message of the sandbox's own code gets the script's position; that
/// needs the stack as it was when the error was raised.
pub(crate) fn translate(lua: &Lua, value: Value, placed: bool) -> Result<Value> {
    let text = match value {
        Value::Error(error) => match error.chain().find_map(|e| e.downcast_ref::<Raised>()) {
            Some(Raised::Line(line, answered)) => return line_table(lua, line, *answered).map(Value::Table),
            Some(raised) => raised.to_string(),
            None => plain(&error),
        },
        Value::String(text) if text.as_bytes().starts_with(SANDBOX.as_bytes()) => text.to_string_lossy(),
        other => return Ok(other),
    };
    let at = position(lua).filter(|_| placed && text.starts_with(SANDBOX));
    let at = at.map(|(source, line)| format!("{}:{line}: ", source.trim_start_matches('@'))).unwrap_or_default();
    lua.create_string(at + without_sandbox(&text)).map(Value::String)
}

/// The message of an error of the interpreter's.
fn plain(error: &Error) -> String {
    let mut deepest = error;
    while let Error::CallbackError { cause, .. } | Error::BadArgument { cause, .. } = deepest {
        deepest = cause;
    }
    match deepest {
        Error::RuntimeError(text) | Error::SyntaxError { message: text, .. } => {
            // The interpreter's binding appends where it was.
            text.split("\nstack traceback:").next().unwrap_or_default().to_owned()
        }
        Error::MemoryError(_) => OUT_OF_MEMORY.to_owned(),
        other => other.to_string(),
    }
}

/// What Lua says when an allocation fails.
pub(crate) const OUT_OF_MEMORY: &str = "not enough memory";

/// The message without the position that a function of the sandbox put in front.
fn without_sandbox(text: &str) -> &str {
    text.strip_prefix(SANDBOX).and_then(|t| t.strip_prefix(':')?.split_once(": ")).map_or(text, |(_, message)| message)
}

/// Where the script is: source and line of the innermost function that is the script's own.
pub(crate) fn position(lua: &Lua) -> Option<(String, i64)> {
    /// Frames that are looked at; one that raised an error is near the top.
    const FRAMES: usize = 32;
    for level in 1..FRAMES {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let name = source.source.filter(|s| source.what != "C" && s.trim_start_matches('=') != SANDBOX)?;
            Some((name.into_owned(), i64::try_from(frame.current_line()?).ok()?))
        })?;
        if found.is_some() {
            return found;
        }
    }
    None
}

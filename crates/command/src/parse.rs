//! From words to a command, with the errors Redis 7.2 gives.

use crate::table::find_command;
use crate::{Args, Command, MAX_KEY_BYTES, Reply, Spec};
use bytes::Bytes;
use std::fmt::Write as _;

/// Bytes of a client's word repeated in an error, as in Redis.
const MAX_QUOTED_BYTES: usize = 128;

/// Why words are not a command.
#[derive(Clone, PartialEq, Debug)]
pub struct Refused {
    /// The reply to send instead.
    pub reply: Reply,
    /// The row that was named, if one was.
    pub spec: Option<&'static Spec>,
}

impl Command {
    /// As [`Command::parse`], saying also which command was refused.
    ///
    /// # Errors
    /// As `parse`.
    pub fn checked(args: Args) -> Result<Command, Refused> {
        let spec = resolve(&args).map_err(|reply| Refused { reply, spec: None })?;
        Command::of(spec, args).map_err(|reply| Refused { reply, spec: Some(spec) })
    }

    /// The command that `args` spell.
    ///
    /// # Errors
    /// The reply to send instead: the name or subcommand is unknown or not served, there are too few or too many words,
    /// or a key is too long. None of them depends on data.
    pub fn parse(args: Args) -> Result<Command, Reply> {
        Command::of(resolve(&args)?, args)
    }

    fn of(spec: &'static Spec, args: Args) -> Result<Command, Reply> {
        if !spec.served {
            return Err(error(format_args!("ERR Polder does not serve '{}' yet", spec.display_name())));
        }
        if !spec.arity.allows(args.len()) {
            return Err(error(format_args!("ERR wrong number of arguments for '{}' command", spec.name)));
        }
        let command = Command { spec, args };
        // Looking for a long word first spares almost every command the walk over its keys.
        if command.args.iter().any(|a| a.len() > MAX_KEY_BYTES) && command.keys().any(|k| k.len() > MAX_KEY_BYTES) {
            return Err(error(format_args!("ERR key exceeds the limit of {MAX_KEY_BYTES} bytes")));
        }
        Ok(command)
    }
}

/// The row that `args` name, served or not.
///
/// # Errors
/// The reply for an unknown command or subcommand.
pub(crate) fn resolve(args: &[Bytes]) -> Result<&'static Spec, Reply> {
    let name: &[u8] = args.first().map_or(b"", |a| a);
    let Some(spec) = find_command(name) else {
        return Err(unknown_command(name, args.get(1..).unwrap_or_default()));
    };
    match args.get(1) {
        Some(sub) if spec.children > 0 => match spec.subcommand(sub) {
            Some(found) => Ok(found),
            None if !spec.served => Ok(spec),
            None => Err(error(format_args!(
                "ERR unknown subcommand '{}'. Try {} HELP.",
                quoted(sub, MAX_QUOTED_BYTES),
                spec.display_name()
            ))),
        },
        _ => Ok(spec),
    }
}

fn unknown_command(name: &[u8], rest: &[Bytes]) -> Reply {
    let mut beginning = String::new();
    let mut shown = 0;
    for arg in rest {
        if shown >= MAX_QUOTED_BYTES {
            break;
        }
        let word = quoted(arg, MAX_QUOTED_BYTES - shown);
        // Quotes and the blank count, as they do in Redis; the limit is checked before a word, not within one.
        shown += word.len() + 3;
        // Writing to a string cannot fail.
        let _ = write!(beginning, "'{word}' ");
    }
    error(format_args!(
        "ERR unknown command '{}', with args beginning with: {beginning}",
        quoted(name, MAX_QUOTED_BYTES)
    ))
}

/// At most `limit` bytes of a client's word, up to its first NUL, as text.
fn quoted(word: &[u8], limit: usize) -> String {
    let word = &word[..word.len().min(limit)];
    let end = word.iter().position(|b| *b == 0).unwrap_or(word.len());
    String::from_utf8_lossy(&word[..end]).into_owned()
}

/// An error line: words of the client in it must not break the line.
pub(crate) fn error(line: std::fmt::Arguments<'_>) -> Reply {
    Reply::Error(line.to_string().replace(['\r', '\n'], " ").into())
}

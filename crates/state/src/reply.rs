//! How a command ends early, and the error lines that several commands share. The texts are Redis 7.2's.

use command::Reply;
use storage::EngineError;

/// Why a command ended before its normal reply.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client is told this.
    Reply(Reply),
    /// This node cannot read its own data.
    Engine(EngineError),
}

/// What a step of a command gives.
pub(crate) type Outcome<T = Reply> = Result<T, Stop>;

impl From<EngineError> for Stop {
    fn from(e: EngineError) -> Stop {
        Stop::Engine(e)
    }
}

/// Ends the command with an error line.
pub(crate) fn fail<T>(line: &'static str) -> Outcome<T> {
    Err(Stop::Reply(Reply::error(line)))
}

/// Ends the command with an error line made from client bytes, which must not break the line.
pub(crate) fn fail_with<T>(line: String) -> Outcome<T> {
    Err(Stop::Reply(Reply::Error(line.into())))
}

/// Client bytes as they may appear inside an error line: printable and short.
pub(crate) fn shown(word: &[u8]) -> String {
    /// Characters of a client's word that an error repeats.
    const SHOWN_MAX: usize = 128;
    String::from_utf8_lossy(word).chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `ERR wrong number of arguments` for a command.
pub(crate) fn wrong_arity<T>(name: &str) -> Outcome<T> {
    fail_with(format!("ERR wrong number of arguments for '{name}' command"))
}

/// `ERR invalid expire time` for a command.
pub(crate) fn invalid_expire<T>(name: &str) -> Outcome<T> {
    fail_with(format!("ERR invalid expire time in '{name}' command"))
}

pub(crate) const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
pub(crate) const SYNTAX: &str = "ERR syntax error";
pub(crate) const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
pub(crate) const NOT_FLOAT: &str = "ERR value is not a valid float";
pub(crate) const NO_SUCH_KEY: &str = "ERR no such key";
pub(crate) const SAME_OBJECT: &str = "ERR source and destination objects are the same";
pub(crate) const BAD_DB: &str = "ERR DB index is out of range";
pub(crate) const NOT_IN_LONG: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
pub(crate) const OUT_OF_RANGE: &str = "ERR value is out of range";
pub(crate) const INCREMENT_OVERFLOW: &str = "ERR increment or decrement would overflow";
pub(crate) const INCREMENT_NOT_FINITE: &str = "ERR increment would produce NaN or Infinity";
pub(crate) const STRING_TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
pub(crate) const EFFECTS_TOO_LARGE: &str =
    "ERR the effects of this command would exceed Polder's limit of 64 MiB; change less at once";
pub(crate) const REPLY_TOO_LARGE: &str = "ERR the reply would exceed Polder's limit of 256 MiB; read it in parts";

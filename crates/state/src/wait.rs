//! What a blocking command waits for when it finds nothing.

use crate::ctx::Ctx;
use crate::parse::float;
use crate::records::Type;
use crate::reply::{Outcome, fail};
use bytes::Bytes;
use command::Command;
use std::time::Duration;

/// The outcome of a blocking command that found nothing: it is to be evaluated again when one of its keys was touched.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// The keys, in the order of the arguments, as the client sent them.
    pub keys: Vec<Bytes>,
    /// The type of value it waits for: a key that holds another one does not end the wait.
    pub kind: Type,
    /// Whether it is to be evaluated also when a key is gone or holds another type: its group went with the stream.
    pub ends_without_key: bool,
    /// How long after the client asked; `None` for ever.
    pub timeout: Option<Duration>,
    /// The command to evaluate instead of the one that was sent, where that is relative to the time of the call.
    pub again: Option<Command>,
}

impl Wait {
    /// A wait for a value of `kind` under any of `keys`.
    pub(crate) fn for_any(keys: &[Bytes], kind: Type, timeout: Option<Duration>) -> Wait {
        Wait { keys: keys.to_vec(), kind, ends_without_key: false, timeout, again: None }
    }
}

impl Ctx<'_> {
    /// The command found nothing. It answers what follows for the case that it must not wait: in a transaction or a
    /// script, or because its time is up.
    pub(crate) fn wait(&mut self, wait: Wait) {
        self.wait = Some(wait);
    }

    /// Something about a key changed that those who wait for it have to know, though its value was not written.
    pub(crate) fn signal(&mut self, key: &[u8]) -> Outcome<()> {
        let db = self.env.db;
        self.txn()?.awaited.touch(db, key);
        Ok(())
    }
}

/// A timeout in seconds, which may have a fraction; `None` for ever.
pub(crate) fn seconds(word: &[u8]) -> Outcome<Option<Duration>> {
    let Some(seconds) = float(word).or_else(|| hexadecimal(word)) else {
        return fail("ERR timeout is not a float or out of range");
    };
    milliseconds((seconds * 1000.0).ceil())
}

/// A timeout in whole milliseconds, however large; `None` for ever.
pub(crate) fn milliseconds(ms: f64) -> Outcome<Option<Duration>> {
    /// Redis adds the timeout to the time, and both are milliseconds of 63 bits.
    const TIMEOUT_MS_END: f64 = 9.223_370e18;
    match ms {
        _ if ms >= TIMEOUT_MS_END => fail("ERR timeout is out of range"),
        _ if ms < 0.0 => fail("ERR timeout is negative"),
        _ if ms == 0.0 => Ok(None),
        _ => Ok(Some(Duration::from_millis(ms as u64))),
    }
}

/// A whole number as C's `strtold` reads it after `0x`.
fn hexadecimal(word: &[u8]) -> Option<f64> {
    let digits = word.strip_prefix(b"0x").or_else(|| word.strip_prefix(b"0X"))?;
    (1..=16).contains(&digits.len()).then_some(())?;
    Some(u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()? as f64)
}

#[cfg(test)]
mod tests {
    use super::seconds;
    use crate::reply::Stop;
    use command::Reply;
    use std::time::Duration;

    fn check(word: &str, expected: Result<Option<u64>, &'static str>) {
        let found = match seconds(word.as_bytes()) {
            Ok(timeout) => Ok(timeout),
            Err(Stop::Reply(reply)) => Err(reply),
            Err(Stop::Engine(error)) => panic!("{error}"),
        };
        assert_eq!(found, expected.map(|ms| ms.map(Duration::from_millis)).map_err(Reply::error), "{word}");
    }

    #[test]
    fn timeouts_are_read_as_redis_does() {
        check("0", Ok(None));
        check("-0", Ok(None));
        check("1", Ok(Some(1000)));
        check("0.1", Ok(Some(100)));
        check("0.0001", Ok(Some(1)));
        check("0x10", Ok(Some(16_000)));
        check("-1", Err("ERR timeout is negative"));
        check("abc", Err("ERR timeout is not a float or out of range"));
        check("nan", Err("ERR timeout is not a float or out of range"));
        check("0x7FFFFFFFFFFFFFFF", Err("ERR timeout is out of range"));
        check("1e30", Err("ERR timeout is out of range"));
        check("inf", Err("ERR timeout is out of range"));
    }
}

//! Running scripts in tests.

use super::{Halt, Host, Interpreter, Ran, Script};
use crate::{Limits, Sha};
use bytes::Bytes;
use command::{Args, Reply};

/// Answers with what it is asked: `reply` what it was given, `error` an error line, anything else OK.
pub(crate) struct Echo;

impl Host for Echo {
    fn call(&mut self, words: Args, _: bool) -> Result<Reply, Halt> {
        Ok(match words[0].as_ref() {
            b"echo" => Reply::Bulk(words[1].clone()),
            b"null" => Reply::Null,
            b"error" => Reply::Error(String::from_utf8_lossy(&words[1]).into_owned().into()),
            b"pairs" => {
                Reply::Map(vec![(Reply::bulk(b"a"), Reply::Integer(1)), (Reply::bulk(b"b"), Reply::Double(0.5))])
            }
            b"set" => Reply::Set(vec![Reply::bulk(b"x")]),
            b"halt" => return Err(Halt),
            _ => Reply::OK,
        })
    }
}

pub(crate) const SMALL: Limits = Limits { instructions: 5_000_000, memory_bytes: 4 << 20, time: None };

pub(crate) fn run(body: &str, arguments: &[&str]) -> Ran {
    let mut interpreter = Interpreter::new(SMALL).unwrap();
    run_in(&mut interpreter, body, arguments)
}

pub(crate) fn run_in(interpreter: &mut Interpreter, body: &str, arguments: &[&str]) -> Ran {
    let sha = Sha::of(body.as_bytes());
    let arguments: Vec<Bytes> = arguments.iter().map(|a| Bytes::copy_from_slice(a.as_bytes())).collect();
    match interpreter.compile(sha, body.as_bytes()) {
        Ok(()) => interpreter.run(Script { sha, function: None, keys: &[], arguments: &arguments, seed: 0 }, &mut Echo),
        Err(line) => Ran::Reply(Reply::Error(line.into())),
    }
}

pub(crate) fn shown(ran: Ran) -> String {
    match ran {
        Ran::Reply(Reply::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
        Ran::Reply(Reply::Error(line)) => format!("-{line}"),
        other => format!("{other:?}"),
    }
}

/// Runs `body` and compares what it gives: a string as it is, an error line behind `-`, `SHA` for its digest.
pub(crate) fn check(body: &str, expected: &str) {
    let sha = Sha::of(body.as_bytes()).to_string();
    assert_eq!(shown(run(body, &["a", "b"])).replace(&sha, "SHA"), expected, "{body}");
}

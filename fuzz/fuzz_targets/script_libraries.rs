//! The decoders that scripts call, under hostile bytes: JSON, MessagePack, `struct` and patterns.
//!
//! Held: nothing panics; what was decoded is encoded again or refused; the interpreter serves the next script.
#![no_main]

use bytes::Bytes;
use command::{Args, Reply};
use libfuzzer_sys::fuzz_target;
use script::{Halt, Host, Interpreter, Limits, Ran, Script, Sha};
use std::cell::RefCell;

struct NoCommands;

impl Host for NoCommands {
    fn call(&mut self, _: Args, _: bool) -> Result<Reply, Halt> {
        Ok(Reply::OK)
    }
}

const BODY: &str = "
local text = ARGV[1]
local ok, value = pcall(cjson.decode, text)
if ok then pcall(cjson.encode, value) end
local results = {pcall(cmsgpack.unpack, text)}
if results[1] then pcall(cmsgpack.pack, unpack(results, 2)) end
pcall(struct.unpack, text, text)
pcall(struct.unpack, '>I2hc0s', text)
pcall(struct.size, text)
pcall(string.find, text, text)
pcall(string.gsub, text, text:sub(1, 20), text)
return 'served'";

const LIMITS: Limits = Limits { instructions: 1_000_000, memory_bytes: 16 << 20, time: None };

thread_local! {
    static INTERPRETER: RefCell<Option<Interpreter>> = const { RefCell::new(None) };
}

fuzz_target!(|text: &[u8]| {
    INTERPRETER.with_borrow_mut(|slot| {
        let interpreter = slot.get_or_insert_with(|| Interpreter::new(LIMITS).expect("memory for an interpreter"));
        let sha = Sha::of(BODY.as_bytes());
        if !interpreter.has(sha) {
            interpreter.compile(sha, BODY.as_bytes()).expect("the script is right");
        }
        let arguments = [Bytes::copy_from_slice(text)];
        match interpreter.run(Script { sha, function: None, keys: &[], arguments: &arguments, seed: 1 }, &mut NoCommands) {
            Ran::Reply(reply) => assert_eq!(reply, Reply::Bulk(Bytes::from_static(b"served"))),
            Ran::Ended(_) => *slot = None,
            Ran::Halted => unreachable!("the host never halts a script"),
        }
    });
});

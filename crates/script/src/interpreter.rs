//! One interpreter: compiled scripts and loaded libraries by their digest, and running them one after another.

use crate::convert::{self, ToReply, one_line};
use crate::failure::{OUT_OF_MEMORY, Raised, line_table};
use crate::library::{FunctionInfo, Loading};
use crate::limits::{CALL_INSTRUCTIONS, Ended, Limits, Meter};
use crate::sandbox::{self, Sandbox};
use crate::{Sha, libs};
use bytes::Bytes;
use command::{Args, Reply};
use mlua::chunk::ChunkMode;
use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Compiled scripts that are kept; beyond it all are forgotten, to be compiled again.
const CHUNKS_MAX: usize = 1_024;
/// Garbage that may stay between two runs, bytes.
const GARBAGE_BYTES_MAX: usize = 8 << 20;
/// Why the code of a chunk may not begin with it: compiled code is not checked when it is loaded.
const BYTECODE: u8 = 0x1b;

/// What carries out the commands of scripts.
pub trait Host {
    /// Carries out one command, as a client would ask for it. `resp3`: the script asked for replies of that protocol.
    ///
    /// # Errors
    /// When the run must end at once.
    fn call(&mut self, words: Args, resp3: bool) -> std::result::Result<Reply, Halt>;
}

/// The host cannot go on; it knows why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Halt;

/// What became of a run.
#[derive(Clone, PartialEq, Debug)]
pub enum Ran {
    /// The script came to its end, or failed with an error line.
    Reply(Reply),
    /// It was ended for its limits.
    Ended(Ended),
    /// The host ended it.
    Halted,
}

/// Instructions that the code of libraries may take while they are loaded by one command: about a quarter of a second.
pub const LOAD_INSTRUCTIONS: u64 = 50_000_000;

/// A compiled script, or a function of a library, with what it is run on.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Which script or library.
    pub sha: Sha,
    /// Which function of the library, as it was registered.
    pub function: Option<&'a str>,
    /// `KEYS`.
    pub keys: &'a [Bytes],
    /// `ARGV`.
    pub arguments: &'a [Bytes],
    /// What `math.random` begins with.
    pub seed: u32,
}

/// See the module.
pub struct Interpreter {
    lua: Lua,
    sandbox: Sandbox,
    meter: Arc<Meter>,
    limits: Limits,
    chunks: Table,
    count: usize,
    /// Callbacks by the digest of their library and their name.
    libraries: Table,
    library_count: usize,
    /// Memory in use after the last full collection, bytes.
    settled_bytes: usize,
}

impl Interpreter {
    /// An interpreter whose scripts get `limits` each.
    ///
    /// # Errors
    /// The error line to answer when it cannot be made, for want of memory.
    pub fn new(limits: Limits) -> std::result::Result<Interpreter, String> {
        let meter = Arc::new(Meter::new(&limits));
        let made = sandbox::build(&meter).and_then(|(lua, sandbox)| {
            let (chunks, libraries) = (lua.create_table()?, lua.create_table()?);
            lua.gc_collect()?;
            let settled_bytes = lua.used_memory();
            Ok(Interpreter {
                lua,
                sandbox,
                meter,
                limits,
                chunks,
                count: 0,
                libraries,
                library_count: 0,
                settled_bytes,
            })
        });
        made.map_err(|e| format!("ERR the interpreter of scripts could not be made: {}", one_line(&e.to_string())))
    }

    /// Whether the script is compiled.
    #[must_use]
    pub fn has(&self, sha: Sha) -> bool {
        self.chunk(sha).is_some()
    }

    fn chunk(&self, sha: Sha) -> Option<Function> {
        let name = self.lua.create_string(sha.0).ok()?;
        self.chunks.raw_get::<Option<Function>>(name).ok().flatten()
    }

    /// Compiles the code of script `sha`, without its header.
    ///
    /// # Errors
    /// The error line to answer.
    pub fn compile(&mut self, sha: Sha, code: &[u8]) -> std::result::Result<(), String> {
        if code.first() == Some(&BYTECODE) {
            return Err("ERR Error compiling script (new function): user_script: bytecode is not accepted".to_owned());
        }
        self.limit(self.limits.memory_bytes);
        let made = self.load(sha, code);
        self.limit(0);
        self.tidy();
        made.map_err(|error| format!("ERR Error compiling script (new function): {}", message_of(&error)))
    }

    /// Whether the library is loaded.
    #[must_use]
    pub fn has_library(&self, sha: Sha) -> bool {
        self.library(sha).is_some()
    }

    fn library(&self, sha: Sha) -> Option<Table> {
        let name = self.lua.create_string(sha.0).ok()?;
        self.libraries.raw_get::<Option<Table>>(name).ok().flatten()
    }

    /// Runs the code of library `sha`, without its header's words, and keeps the functions that it registers; they are given in
    /// the order in which they were registered. It takes its instructions from `left`.
    ///
    /// # Errors
    /// The error line to answer, and whether the interpreter is to be dropped.
    pub fn load_library(
        &mut self,
        sha: Sha,
        code: &[u8],
        left: &mut u64,
    ) -> std::result::Result<Vec<FunctionInfo>, (String, bool)> {
        self.limit(self.limits.memory_bytes);
        self.meter.start(&Limits { instructions: *left, ..self.limits });
        let made = self.register(sha, code);
        self.limit(0);
        *left = left.saturating_sub(self.meter.used());
        // What cannot be put back is not to be used again.
        let put_back = self.sandbox.loaded.call::<()>(()).is_ok();
        self.lua.remove_app_data::<Loading>();
        let over = self.meter.is_over();
        self.tidy();
        let ended = |line: &str| (format!("ERR Error registering functions: {line}"), true);
        match made {
            _ if over => Err(ended("FUNCTION LOAD timeout")),
            Err(Error::MemoryError(_)) => Err(ended(OUT_OF_MEMORY)),
            Ok(Ok(functions)) if functions.is_empty() => Err(("ERR No functions registered".to_owned(), !put_back)),
            Ok(Ok(functions)) => Ok(functions),
            Ok(Err(line)) => Err((format!("ERR Error registering functions: {}", one_line(&line)), !put_back)),
            Err(error) => Err((format!("ERR Error compiling function: {}", message_of(&error)), !put_back)),
        }
    }

    /// The functions, or the error line of the code.
    fn register(&mut self, sha: Sha, code: &[u8]) -> Result<std::result::Result<Vec<FunctionInfo>, String>> {
        let chunk = self.lua.load(code).set_name("@user_function").set_mode(ChunkMode::Text);
        let chunk = chunk.set_environment(self.sandbox.function_env.clone()).into_function()?;
        let callbacks = self.lua.create_table()?;
        self.lua.set_app_data(Loading { functions: Vec::new(), callbacks: callbacks.clone() });
        let (finished, value): (bool, Value) = self.sandbox.load.call(chunk)?;
        if !finished {
            let Value::Table(error) = value else { return Err(Error::MemoryError(OUT_OF_MEMORY.to_owned())) };
            let line: Value = error.raw_get("err")?;
            return Ok(Err(self.lua.coerce_string(line)?.map(|l| l.to_string_lossy()).unwrap_or_default()));
        }
        let loading = self.lua.remove_app_data::<Loading>();
        if self.library_count == CHUNKS_MAX {
            self.libraries = self.lua.create_table()?;
            self.library_count = 0;
        }
        self.libraries.raw_set(self.lua.create_string(sha.0)?, callbacks)?;
        self.library_count += 1;
        Ok(Ok(loading.map_or(Vec::new(), |loading| loading.functions)))
    }

    fn load(&mut self, sha: Sha, code: &[u8]) -> Result<()> {
        let chunk = self.lua.load(code).set_name("@user_script").set_mode(ChunkMode::Text);
        let chunk = chunk.set_environment(self.sandbox.env.clone()).into_function()?;
        if self.count == CHUNKS_MAX {
            self.chunks = self.lua.create_table()?;
            self.count = 0;
        }
        self.chunks.raw_set(self.lua.create_string(sha.0)?, chunk)?;
        self.count += 1;
        Ok(())
    }

    /// Runs a script that is compiled. After [`Ran::Ended`] the interpreter is to be dropped.
    pub fn run(&mut self, script: Script<'_>, host: &mut dyn Host) -> Ran {
        libs::reset(&self.lua, script.seed);
        self.limit(self.limits.memory_bytes);
        self.meter.start(&self.limits);
        let result = self.run_on(script, host);
        self.limit(0);
        // Nothing of a run may keep its arguments alive.
        let cleared = self.sandbox.clear.call::<()>(());
        let ran = if self.meter.ran_out() {
            Ran::Ended(Ended::Time)
        } else if self.meter.is_over() {
            Ran::Halted
        } else {
            match result.and_then(|reply| cleared.map(|()| reply)) {
                Ok(Some(reply)) => Ran::Reply(reply),
                Ok(None) | Err(Error::MemoryError(_)) => Ran::Ended(Ended::Memory),
                Err(Error::RuntimeError(line)) => Ran::Reply(Reply::Error(one_line(&line).into())),
                Err(other) => Ran::Reply(Reply::Error(format!("ERR {}", one_line(&other.to_string())).into())),
            }
        };
        self.tidy();
        ran
    }

    fn limit(&self, bytes: usize) {
        let limit = if bytes == 0 { 0 } else { self.lua.used_memory() + bytes };
        // It fails only for an interpreter that another program owns.
        let _ = self.lua.set_memory_limit(limit);
    }

    fn tidy(&mut self) {
        if self.lua.used_memory() > self.settled_bytes + GARBAGE_BYTES_MAX && self.lua.gc_collect().is_ok() {
            self.settled_bytes = self.lua.used_memory();
        }
    }

    /// `None`: out of memory.
    fn run_on(&self, script: Script<'_>, host: &mut dyn Host) -> Result<Option<Reply>> {
        let (runner, body) = match script.function {
            None => (&self.sandbox.run, self.chunk(script.sha)),
            Some(name) => (&self.sandbox.call, self.library(script.sha).and_then(|l| l.raw_get(name).ok().flatten())),
        };
        let Some(body) = body else { return Err(Error::runtime("ERR the script is not compiled")) };
        let call = Call { meter: &self.meter, host: RefCell::new(host), resp3: Cell::new(false) };
        let redis = &self.sandbox.redis;
        self.lua.scope(|scope| {
            redis.raw_set("call", scope.create_function(|lua, args| call.command(lua, &args, true))?)?;
            redis.raw_set("pcall", scope.create_function(|lua, args| call.command(lua, &args, false))?)?;
            redis.raw_set("setresp", scope.create_function(|_, args| call.setresp(&args))?)?;
            let (keys, arguments) = (self.list(script.keys)?, self.list(script.arguments)?);
            let (finished, value): (bool, Value) = runner.call((body, keys, arguments))?;
            if finished {
                return ToReply::new(call.resp3.get()).reply(&value, 0).map(Some);
            }
            self.failed(script, value)
        })
    }

    fn list(&self, items: &[Bytes]) -> Result<Table> {
        let table = self.lua.create_table_with_capacity(items.len(), 0)?;
        for (at, item) in items.iter().enumerate() {
            table.raw_set(at + 1, self.lua.create_string(item)?)?;
        }
        Ok(table)
    }

    /// The error line of a script that failed.
    fn failed(&self, script: Script<'_>, value: Value) -> Result<Option<Reply>> {
        let Value::Table(error) = value else {
            // The interpreter had no room to ask the handler.
            let text = self.lua.coerce_string(value)?.map(|t| t.to_string_lossy()).unwrap_or_default();
            return Ok((text != OUT_OF_MEMORY).then(|| Reply::Error(format!("ERR {}", one_line(&text)).into())));
        };
        let line: Value = error.raw_get("err")?;
        let mut line = self.lua.coerce_string(line)?.map(|l| l.to_string_lossy()).unwrap_or_default();
        if line.strip_prefix("ERR ") == Some(OUT_OF_MEMORY) {
            return Ok(None);
        }
        if let (Some(source), Some(at)) =
            (error.raw_get::<Option<String>>("source")?, error.raw_get::<Option<i64>>("line")?)
        {
            let name = script.function.map_or_else(|| script.sha.to_string(), str::to_owned);
            line += &format!(" script: {name}, on {source}:{at}.");
        }
        Ok(Some(Reply::Error(one_line(&line).into())))
    }
}

/// Why code was not compiled.
fn message_of(error: &Error) -> String {
    one_line(&match error {
        Error::SyntaxError { message, .. } => message.clone(),
        Error::MemoryError(_) => OUT_OF_MEMORY.to_owned(),
        other => other.to_string(),
    })
}

/// What `redis.call` of a run works on.
struct Call<'a> {
    meter: &'a Meter,
    host: RefCell<&'a mut dyn Host>,
    resp3: Cell<bool>,
}

impl Call<'_> {
    fn command(&self, lua: &Lua, args: &MultiValue, raises: bool) -> Result<Value> {
        let words = match convert::words(args) {
            Ok(words) => words,
            Err(error) if raises => return Err(error),
            Err(error) => {
                return line_table(lua, &error.chain().last().map_or(String::new(), ToString::to_string), false)
                    .map(Value::Table);
            }
        };
        if !self.meter.spend(CALL_INSTRUCTIONS) {
            return Err(Raised::Over.into());
        }
        let mut host = self.host.try_borrow_mut().map_err(|_| Error::RecursiveMutCallback)?;
        match host.call(words, self.resp3.get()) {
            Err(Halt) => {
                self.meter.halt();
                Err(Raised::Over.into())
            }
            Ok(Reply::Error(line)) if raises => Err(Raised::Line(line.into_owned(), true).into()),
            Ok(reply) => convert::to_lua(lua, reply, self.resp3.get()),
        }
    }

    fn setresp(&self, args: &MultiValue) -> Result<()> {
        if args.len() != 1 {
            return Err(crate::failure::raise_line("ERR redis.setresp() requires one argument."));
        }
        match args.front().and_then(convert::number) {
            Some(version) if version == 2.0 || version == 3.0 => {
                self.resp3.set(version == 3.0);
                Ok(())
            }
            _ => Err(crate::failure::raise_line("ERR RESP version must be 2 or 3.")),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

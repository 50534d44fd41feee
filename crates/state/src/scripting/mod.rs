//! EVAL, EVALSHA, FCALL, SCRIPT and FUNCTION: a script is one evaluation, like EXEC. Its commands work on the same transaction, one after
//! another, and nothing of it is replicated but their effects.
//!
//! A script that fails keeps what it wrote before, as in Redis. One that is ended for its limits is undone: nothing of it was
//! proposed yet.

mod cache;
mod functions;
mod host;
mod library;

pub use script::Limits as ScriptLimits;

pub(crate) use cache::ScriptIndex;

use crate::ctx::Ctx;
use crate::dispatch::{Row, led, reads};
use crate::env::Layout;
use crate::parse::{int_arg, is};
use crate::reply::{Outcome, Stop, fail, fail_with};
use bytes::Bytes;
use command::{Command, Reply, slot_of};
use host::Caller;
use script::{Flags, Interpreter, Ran, Script, Sha, header};
use std::fmt;

pub(crate) const FUNCTION_ROWS: &[Row] = &functions::ROWS;

pub(crate) const ROWS: &[Row] = &[
    led("eval", |ctx, cmd| eval(ctx, cmd, true)),
    led("eval_ro", |ctx, cmd| eval(ctx, cmd, false)),
    led("evalsha", |ctx, cmd| evalsha(ctx, cmd, true)),
    led("evalsha_ro", |ctx, cmd| evalsha(ctx, cmd, false)),
    led("script|load", load),
    reads("script|exists", exists),
    led("script|flush", flush),
];

/// The longest body of a script, bytes: it is compiled in one go.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Runs the scripts of one shard. It holds nothing that a script could find in the next run: only compiled code.
pub struct Scripts {
    limits: ScriptLimits,
    interpreter: Option<Interpreter>,
}

impl Scripts {
    /// With `limits` for every script. The interpreter is made when the first one runs.
    #[must_use]
    pub fn new(limits: ScriptLimits) -> Scripts {
        Scripts { limits, interpreter: None }
    }

    /// Gives back the interpreter's memory.
    pub fn rest(&mut self) {
        self.interpreter = None;
    }

    fn interpreter(&mut self) -> Outcome<&mut Interpreter> {
        match &mut self.interpreter {
            Some(interpreter) => Ok(interpreter),
            empty => Ok(empty.insert(Interpreter::new(self.limits).or_else(fail_with)?)),
        }
    }

    /// Compiles a body once.
    fn compile(&mut self, sha: Sha, body: &[u8]) -> Outcome<Flags> {
        let (flags, start) = header(body).or_else(fail_with)?;
        let interpreter = self.interpreter()?;
        if !interpreter.has(sha) {
            interpreter.compile(sha, &body[start..]).or_else(fail_with)?;
        }
        Ok(flags)
    }
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts::new(ScriptLimits::DEFAULT)
    }
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What a script is run on.
struct Call<'a> {
    keys: &'a [Bytes],
    arguments: &'a [Bytes],
    /// Whether the command allows the script to write.
    writes: bool,
}

impl<'a> Call<'a> {
    fn parse(cmd: &'a Command, writes: bool) -> Outcome<Call<'a>> {
        Call::new(int_arg(&cmd.args[2])?, &cmd.args[3..], writes)
    }

    /// With the first `count` words of `rest` as keys.
    fn new(count: i64, rest: &'a [Bytes], writes: bool) -> Outcome<Call<'a>> {
        let Ok(count) = usize::try_from(count) else { return fail("ERR Number of keys can't be negative") };
        if count > rest.len() {
            return fail("ERR Number of keys can't be greater than number of args");
        }
        Ok(Call { keys: &rest[..count], arguments: &rest[count..], writes })
    }
}

fn eval(ctx: &mut Ctx<'_>, cmd: &Command, writes: bool) -> Outcome {
    let call = Call::parse(cmd, writes)?;
    let body = &cmd.args[1];
    let sha = checked(body)?;
    with_scripts(ctx, |ctx, scripts| {
        let flags = scripts.compile(sha, body)?;
        // A script that finds no room is run all the same: its next EVALSHA is told to send it again.
        cache::keep(ctx, sha, body, false)?;
        run(ctx, scripts, Target { sha, function: None, flags }, &call)
    })
}

fn evalsha(ctx: &mut Ctx<'_>, cmd: &Command, writes: bool) -> Outcome {
    const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";
    let Some(sha) = Sha::parse(&cmd.args[1]) else { return fail(NO_SCRIPT) };
    let call = Call::parse(cmd, writes)?;
    let Some(body) = cache::find(ctx, sha)? else { return fail(NO_SCRIPT) };
    with_scripts(ctx, |ctx, scripts| {
        let flags = scripts.compile(sha, &body)?;
        run(ctx, scripts, Target { sha, function: None, flags }, &call)
    })
}

/// The digest of a body that is not too long.
fn checked(body: &[u8]) -> Outcome<Sha> {
    if body.len() > BODY_BYTES_MAX {
        return fail("ERR the script exceeds Polder's limit of 1 MiB");
    }
    Ok(Sha::of(body))
}

/// Takes the interpreter out of the context while it works on the context.
fn with_scripts<'a, T>(ctx: &mut Ctx<'a>, work: impl FnOnce(&mut Ctx<'a>, &mut Scripts) -> Outcome<T>) -> Outcome<T> {
    let Some(scripts) = ctx.scripts.take() else { return fail("ERR This Redis command is not allowed from script") };
    let outcome = work(ctx, scripts);
    ctx.scripts = Some(scripts);
    outcome
}

/// What is run: a script, or a function of a library.
#[derive(Clone, Copy)]
struct Target<'a> {
    sha: Sha,
    function: Option<&'a str>,
    flags: Flags,
}

fn run(ctx: &mut Ctx<'_>, scripts: &mut Scripts, target: Target<'_>, call: &Call<'_>) -> Outcome {
    let Target { sha, function, flags } = target;
    if !call.writes && !flags.undeclared && !flags.no_writes {
        return fail("ERR Can not execute a script with write flag using *_ro command.");
    }
    let sharded = ctx.env.layout == Layout::Sharded;
    if sharded && flags.no_cluster {
        return fail("ERR Can not run script on cluster, 'no-cluster' flag is set.");
    }
    let env = ctx.env;
    ctx.txn()?.save();
    let seed = ctx.rng.next_u64() as u32;
    let slot = call.keys.first().map(|key| slot_of(key));
    let mut caller = Caller { ctx: &mut *ctx, writes: call.writes && !flags.no_writes, sharded, slot, failure: None };
    let script = Script { sha, function, keys: call.keys, arguments: call.arguments, seed };
    let ran = scripts.interpreter()?.run(script, &mut caller);
    let failure = caller.failure.take();
    (ctx.env.db, ctx.env.resp3) = (env.db, env.resp3);
    match (ran, failure) {
        (_, Some(error)) => Err(Stop::Engine(error)),
        (Ran::Reply(reply), None) => {
            ctx.txn()?.keep();
            Ok(reply)
        }
        (Ran::Ended(why), None) => {
            ctx.txn()?.undo();
            scripts.rest();
            fail_with(why.to_string())
        }
        (Ran::Halted, None) => {
            ctx.txn()?.undo();
            fail("ERR the script was ended; nothing was written")
        }
    }
}

fn load(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let body = &cmd.args[2];
    let sha = checked(body)?;
    with_scripts(ctx, |ctx, scripts| scripts.compile(sha, body).and_then(|_| cache::keep(ctx, sha, body, true)))?;
    Ok(Reply::Bulk(sha.to_string().into()))
}

fn exists(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let mut found = Vec::with_capacity(cmd.args.len() - 2);
    for word in &cmd.args[2..] {
        let known = match Sha::parse(word) {
            Some(sha) => cache::find(ctx, sha)?.is_some(),
            None => false,
        };
        found.push(Reply::Integer(known.into()));
    }
    Ok(Reply::Array(found))
}

fn flush(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    match &cmd.args[2..] {
        [] => {}
        [mode] if is(mode, "sync") || is(mode, "async") => {}
        _ => return fail("ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
    }
    cache::flush(ctx)?;
    if let Some(scripts) = &mut ctx.scripts {
        scripts.rest();
    }
    Ok(Reply::OK)
}

//! What a script's commands work on: the transaction of the command that runs the script.

use crate::ctx::{Ctx, EFFECTS_LIMIT_BYTES};
use crate::dispatch;
use crate::reply::Stop;
use command::{Args, Command, Flag, Reply, Slot, Spec, lookup, slot_of};
use script::{Halt, Host};
use storage::EngineError;

/// Carries out commands of one run.
pub(super) struct Caller<'c, 'a> {
    pub(super) ctx: &'c mut Ctx<'a>,
    /// Whether the script may write.
    pub(super) writes: bool,
    pub(super) sharded: bool,
    /// In a sharded namespace, the slot of the script's keys; without keys it may use none.
    pub(super) slot: Option<Slot>,
    /// Why the run was halted.
    pub(super) failure: Option<EngineError>,
}

impl Host for Caller<'_, '_> {
    fn call(&mut self, words: Args, resp3: bool) -> Result<Reply, Halt> {
        let command = match self.check(words) {
            Ok(command) => command,
            Err(refused) => return Ok(refused),
        };
        if let Some(reply) = self.local(&command) {
            return Ok(reply);
        }
        self.ctx.env.resp3 = resp3;
        match dispatch::run(self.ctx, &command) {
            Ok(reply) | Err(Stop::Reply(reply)) => Ok(reply),
            Err(Stop::Engine(error)) => {
                self.failure = Some(error);
                Err(Halt)
            }
        }
    }
}

impl Caller<'_, '_> {
    /// The command that a script asks for, if it may.
    fn check(&self, words: Args) -> Result<Command, Reply> {
        let refuse = |line| Err(Reply::error(line));
        let Some(spec) = find(&words) else { return refuse("ERR Unknown Redis command called from script") };
        if !spec.arity.allows(words.len()) {
            return refuse("ERR Wrong number of args calling Redis command from script");
        }
        if spec.flags.has(Flag::NoScript) {
            return refuse("ERR This Redis command is not allowed from script");
        }
        if spec.is_write() && !self.writes {
            return refuse("ERR Write commands are not allowed from read-only scripts.");
        }
        let command = Command::parse(words)?;
        if self.sharded {
            self.check_slots(&command)?;
        }
        if self.ctx.effects_bytes() > EFFECTS_LIMIT_BYTES {
            return refuse("ERR the effects of the script exceed 64 MiB; this command was not run");
        }
        Ok(command)
    }

    fn check_slots(&self, command: &Command) -> Result<(), Reply> {
        for key in command.keys() {
            match self.slot {
                Some(slot) if slot == slot_of(key) => {}
                Some(_) => {
                    return Err(Reply::error("ERR Script attempted to access keys that do not hash to the same slot"));
                }
                None => {
                    return Err(Reply::error("ERR Script attempted to access a non local key in a cluster node"));
                }
            }
        }
        Ok(())
    }

    /// The commands that need no shard outside of scripts.
    fn local(&self, command: &Command) -> Option<Reply> {
        let text = |n: u64| Reply::Bulk(n.to_string().into());
        Some(match command.name() {
            "time" => {
                // Time stands still while a script runs.
                let ms = self.ctx.env.now_ms;
                Reply::Array(vec![text(ms / 1000), text(ms % 1000 * 1000)])
            }
            "ping" => command.args.get(1).map_or(Reply::Simple("PONG".into()), |word| Reply::Bulk(word.clone())),
            "echo" => Reply::Bulk(command.args[1].clone()),
            _ => return None,
        })
    }
}

/// The row of what the words name; a container's subcommand by its second word.
fn find(words: &Args) -> Option<&'static Spec> {
    let spec = lookup(&words[0]).filter(|spec| spec.container.is_none())?;
    match words.get(1) {
        Some(sub) if !spec.subcommands().is_empty() => spec.subcommand(sub),
        _ => Some(spec),
    }
}

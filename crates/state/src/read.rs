//! Read-only commands over applied state.

use crate::ctx::{Access, Ctx};
use crate::directory::Directory;
use crate::dispatch;
use crate::env::Env;
use crate::reply::Stop;
use command::{Command, Reply};
use std::cell::Cell;
use stdx::Rng;
use storage::{EngineError, View};

/// Answers a command that writes nothing, from `view` alone. `directory` is the replica's, at the same applied index.
/// The caller has made sure that the view is recent enough for the level of consistency asked for.
///
/// `None` when the reply rests on a key's having expired at a time that the log does not prove yet: the next leader's
/// clock may be behind, and the key would come back; or when it needs what only a leader has (scripts), or may wait for what it did not
/// find. Then the command belongs
/// to the leader's `ProposalBuilder`.
///
/// # Errors
/// When the engine cannot read; the replica is then to be fenced.
pub fn evaluate_read(
    cmd: &Command,
    view: &dyn View,
    directory: &Directory,
    env: Env,
    rng: &mut Rng,
) -> Result<Option<Reply>, EngineError> {
    if dispatch::find(cmd).is_some_and(|row| row.led) {
        return Ok(None);
    }
    let access = Access::Read { view, directory };
    let mut ctx = Ctx { env, rng, access, scripts: None, unproven: Cell::new(false), wait: None };
    match dispatch::run(&mut ctx, cmd) {
        Ok(reply) | Err(Stop::Reply(reply)) => Ok((!ctx.unproven.get() && ctx.wait.is_none()).then_some(reply)),
        Err(Stop::Engine(e)) => Err(e),
    }
}

/// Whether the evaluator has this command, and if so whether it may write.
#[must_use]
pub fn serves(cmd: &Command) -> Option<bool> {
    dispatch::find(cmd).map(|row| row.writes)
}

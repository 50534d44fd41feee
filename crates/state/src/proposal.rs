//! Building the next log entry: commands that arrive together are evaluated one after another into one batch.

use crate::awaited::Awaited;
use crate::ctx::{Access, Ctx};
use crate::dispatch;
use crate::env::Env;
use crate::overlay::Overlay;
use crate::records::Type;
use crate::reply::Stop;
use crate::scripting::Scripts;
use crate::txn::{Draft, Txn};
use crate::wait::Wait;
use crate::watches::Watches;
use bytes::Bytes;
use command::{Command, Flag, Reply, SessionId};
use std::cell::Cell;
use stdx::Rng;
use storage::{Batch, EngineError, View};

/// What a shard's leader evaluates with. Entries may be applied to `base` between two calls, each together with
/// `Overlay::retire`, but not during one.
pub struct Leading<'a> {
    /// Applied state.
    pub base: &'a dyn View,
    /// What is proposed above it.
    pub overlay: &'a mut Overlay,
    /// Who watches which keys.
    pub watches: &'a mut Watches,
    /// Which keys are waited for.
    pub awaited: &'a mut Awaited,
    /// Randomness.
    pub rng: &'a mut Rng,
    /// What runs scripts.
    pub scripts: &'a mut Scripts,
}

/// One evaluated unit of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// What to tell the client, once the entry is applied.
    pub reply: Reply,
    /// Whether the entry under construction holds effects of this work.
    pub effects: bool,
    /// The newest proposal whose effects the reply depends on. A reply without effects of its own may leave once that
    /// proposal is applied; `None`: at once, if the leader's lease is valid.
    pub observed: Option<u64>,
    /// Whether the reply rests on a key's having expired at a time that no applied entry proves: it may leave only with
    /// an entry stamped no earlier. See `ProposalBuilder::prove_time`.
    pub unproven: bool,
    /// A blocking command found nothing: it may wait, or be answered `reply`, which stands for nothing.
    pub wait: Option<Wait>,
}

/// The commands of one EXEC.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// In order. SELECT among them changes the database of those after it.
    pub commands: &'a [Command],
}

/// The batch of proposal `sequence` as it grows.
///
/// Dropping a builder that is not empty without proposing its batch leaves the overlay wrong: `Overlay::clear` it.
#[derive(Debug)]
pub struct ProposalBuilder {
    draft: Draft,
}

impl ProposalBuilder {
    /// A builder for the proposal numbered `sequence`, greater than every earlier one of this reign. A number whose
    /// builder stayed empty may be used again.
    #[must_use]
    pub fn new(sequence: u64) -> ProposalBuilder {
        ProposalBuilder { draft: Draft::new(sequence) }
    }

    /// Whether there is nothing to propose: nothing was changed, and no time is to be proven.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.draft.is_empty()
    }

    /// Makes the entry worth proposing for its stamp alone: once it is applied, no leader's time is before that.
    pub fn prove_time(&mut self) {
        self.draft.proves_time = true;
    }

    /// About how many bytes the batch will take in the log; `finish` adds a few dozen per counted keyspace or slot.
    #[must_use]
    pub fn size(&self) -> usize {
        self.draft.size()
    }

    /// Evaluates one command.
    ///
    /// # Errors
    /// When the engine cannot read; the replica is then to be fenced and the builder dropped.
    pub fn evaluate(&mut self, on: &mut Leading<'_>, env: Env, cmd: &Command) -> Result<Evaluated, EngineError> {
        let evaluated = self.run(on, env, |ctx| dispatch::run(ctx, cmd))?;
        // A script does not wait, whatever it calls.
        let wait = evaluated.wait.filter(|_| cmd.spec.flags.has(Flag::Blocking));
        Ok(Evaluated { wait, ..evaluated })
    }

    /// Evaluates what EXEC runs: one unit at one time. A command that fails answers its error in its place and undoes
    /// nothing.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn execute(&mut self, on: &mut Leading<'_>, env: Env, txn: Transaction<'_>) -> Result<Evaluated, EngineError> {
        let evaluated = self.run(on, env, |ctx| dispatch::run_all(ctx, txn.commands))?;
        Ok(Evaluated { wait: None, ..evaluated })
    }

    /// The type of the value that a key holds, as far as it is proposed.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn kind_of(&mut self, on: &mut Leading<'_>, env: Env, key: &[u8]) -> Result<Option<Type>, EngineError> {
        let mut kind = None;
        self.run(on, env, |ctx| {
            let name = ctx.name(key)?;
            kind = ctx.read(&name)?.map(|record| record.head.kind);
            Ok(Reply::Null)
        })?;
        Ok(kind)
    }

    /// Files a session's watch on `keys`. The reply must wait for `observed`: a read that follows it must not see less
    /// than what the watch starts from.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn watch(
        &mut self,
        on: &mut Leading<'_>,
        env: Env,
        session: SessionId,
        keys: &[Bytes],
    ) -> Result<Evaluated, EngineError> {
        self.run(on, env, |ctx| {
            for key in keys {
                let name = ctx.name(key)?;
                let expire_ms = match ctx.get(name.record())? {
                    Some(v) => crate::records::Record::decode(&v)?.head.expire_ms,
                    None => None,
                };
                if let Err(refused) = ctx.txn()?.watches.add(session, env.db, key, expire_ms, env.now_ms) {
                    return Ok(Reply::Error(refused.to_string().into()));
                }
            }
            Ok(Reply::OK)
        })
    }

    /// Ends the entry: logs the numbers that changed and gives the batch.
    #[must_use]
    pub fn finish(mut self, on: &mut Leading<'_>) -> Batch {
        let mut txn = Txn {
            base: on.base,
            overlay: on.overlay,
            watches: on.watches,
            awaited: on.awaited,
            draft: &mut self.draft,
            observed: Cell::new(None),
        };
        txn.seal();
        txn.take_batch()
    }

    pub(crate) fn run(
        &mut self,
        on: &mut Leading<'_>,
        env: Env,
        work: impl FnOnce(&mut Ctx<'_>) -> Result<Reply, Stop>,
    ) -> Result<Evaluated, EngineError> {
        let before = self.draft.writes;
        let txn = Txn {
            base: on.base,
            overlay: on.overlay,
            watches: on.watches,
            awaited: on.awaited,
            draft: &mut self.draft,
            observed: Cell::new(None),
        };
        let access = Access::Write(txn);
        let mut ctx =
            Ctx { env, rng: on.rng, access, scripts: Some(on.scripts), unproven: Cell::new(false), wait: None };
        let reply = match work(&mut ctx) {
            Ok(reply) | Err(Stop::Reply(reply)) => reply,
            Err(Stop::Engine(e)) => return Err(e),
        };
        let observed = match &ctx.access {
            Access::Write(txn) => txn.observed.get(),
            Access::Read { .. } => None,
        };
        let unproven = ctx.unproven.get();
        let wait = ctx.wait;
        Ok(Evaluated { reply, effects: self.draft.writes > before, observed, unproven, wait })
    }
}

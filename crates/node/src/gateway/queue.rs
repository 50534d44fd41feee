//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Commands that the gateway answers itself may stand between those on data: they are carried out at EXEC, and their
//! replies are put in their places (`Finish::Exec`). The commands on data run on one shard as one step.

use super::action::{Action, Finish};
use super::context::Context;
use super::session::{By, Session, Watching, served_by};
use cluster::Slot;
use command::{Command, Flag, Reply, Work};

/// Most commands of a transaction: each holds memory until EXEC, and EXEC holds the shard while it runs.
const QUEUE_COMMANDS_MAX: usize = 65_536;
/// Most bytes of the words of a transaction: its effects must fit into one log entry.
const QUEUE_BYTES_MAX: usize = command::MAX_VALUE_BYTES;

/// Commands waiting for EXEC.
#[derive(Debug, Default)]
pub(super) struct Queue {
    commands: Vec<Command>,
    bytes: usize,
    /// A command was refused: EXEC will abort.
    spoilt: bool,
    /// The database in which the next command will run, when SELECT stands in the queue.
    db: Option<u16>,
    /// The database of the commands on data.
    data_db: Option<u16>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn spoil(&mut self) {
        self.spoilt = true;
    }

    fn push(&mut self, command: Command) -> Result<(), Reply> {
        self.bytes += command.size_bytes();
        if self.commands.len() == QUEUE_COMMANDS_MAX || self.bytes > QUEUE_BYTES_MAX {
            self.spoilt = true;
            self.commands.clear();
            return Err(Reply::error("ERR transaction exceeds the limit of 65536 commands or 64 MiB"));
        }
        self.commands.push(command);
        Ok(())
    }

    /// All commands on data must run in one database, because the shard runs them as one step.
    fn note_db(&mut self, command: &Command, selected: u16) -> Result<(), Reply> {
        if command.spec.name == "select" {
            // A bad number is answered by SELECT itself when EXEC runs it.
            self.db = command.args.get(1).and_then(|a| std::str::from_utf8(a).ok()?.parse().ok()).or(self.db);
            return Ok(());
        }
        if !served_by(command.spec).is_data() {
            return Ok(());
        }
        let db = self.db.unwrap_or(selected);
        if *self.data_db.get_or_insert(db) == db {
            Ok(())
        } else {
            Err(Reply::error("ERR Polder does not serve transactions over several databases"))
        }
    }
}

impl Session {
    pub(super) fn transaction(&mut self, command: Command, cx: Context<'_>) -> Action {
        match command.spec.name {
            "multi" if self.queue.is_some() => Action::Reply(Reply::error("ERR MULTI calls can not be nested")),
            "multi" => {
                self.queue = Some(Queue::default());
                self.profile_changed = true;
                Action::Reply(Reply::OK)
            }
            "exec" => self.exec(&command, cx),
            "discard" => match self.queue.take() {
                None => Action::Reply(Reply::error("ERR DISCARD without MULTI")),
                Some(_) => self.unwatch(cx),
            },
            "watch" => self.watch(command, cx),
            _ => self.unwatch(cx),
        }
    }

    /// Takes a command into the queue.
    pub(super) fn enqueue(&mut self, command: Command, cx: Context<'_>) -> Action {
        let refused = if command.spec.flags.has(Flag::NoMulti) {
            Err(Reply::error("ERR Command not allowed inside a transaction"))
        } else {
            self.check_queueable(&command, cx)
        };
        let db = self.profile.db;
        let Some(queue) = &mut self.queue else { return Action::Reply(Reply::error("ERR EXEC without MULTI")) };
        let taken = refused.and_then(|()| queue.note_db(&command, db)).and_then(|()| queue.push(command));
        self.profile_changed = true;
        Action::Reply(match taken {
            Ok(()) => {
                // It is counted when EXEC runs it.
                self.call = None;
                Reply::Simple("QUEUED".into())
            }
            Err(reply) => {
                self.spoil();
                self.refused = true;
                reply
            }
        })
    }

    fn check_queueable(&self, command: &Command, cx: Context<'_>) -> Result<(), Reply> {
        match served_by(command.spec) {
            By::Shard => self.route(command, cx).map(|_| ()),
            By::Turn => self.route_channels(command, cx),
            By::AllShards if self.layout() == cluster::Layout::Sharded => Err(Reply::error(
                "ERR Polder does not serve commands on all keys in a transaction of a sharded namespace",
            )),
            _ => Ok(()),
        }
    }

    fn exec(&mut self, command: &Command, cx: Context<'_>) -> Action {
        let Some(queue) = self.queue.take() else { return Action::Reply(Reply::error("ERR EXEC without MULTI")) };
        self.profile_changed = true;
        if !queue.spoilt {
            queue.commands.iter().for_each(|command| self.show(command, cx));
        }
        self.show(command, cx);
        if queue.spoilt {
            let reply = Reply::error("EXECABORT Transaction discarded because of previous errors.");
            return self.forget_watches(reply, cx);
        }
        let shard = match self.shard_of_transaction(&queue, cx) {
            Ok(shard) => shard,
            Err(reply) => return self.forget_watches(reply, cx),
        };
        if let Some(w) = self.watching
            && cx.table.shards.get(&w.shard).is_some_and(|s| s.term() != w.term)
        {
            // Leadership changed since the first WATCH: what was watched before is not known any more.
            return self.forget_watches(Reply::NullArray, cx);
        }
        if let Some(call) = &mut self.call {
            call.runs(queue.commands.iter().map(|c| c.spec).collect());
        }
        let watched = self.watching.take().is_some();
        self.profile.watching = 0;
        let mut local = Vec::with_capacity(queue.commands.len());
        let mut commands = Vec::with_capacity(queue.commands.len());
        for command in queue.commands {
            let own = match served_by(command.spec) {
                By::Gateway => self.local(&command, cx),
                By::Turn => self.in_turn(Some(local.len()), command),
                _ => {
                    local.push(None);
                    commands.push(command);
                    continue;
                }
            };
            local.push(Some(match own {
                Action::Reply(reply) => reply,
                _ => Reply::error("ERR Polder does not serve this command in a transaction"),
            }));
        }
        let Some(shard) = shard.filter(|_| watched || !commands.is_empty()) else {
            return Action::Reply(Reply::Array(local.into_iter().flatten().collect()));
        };
        let mut request = self.request(shard, Work::Transaction { commands, watched }, false, cx);
        request.db = queue.data_db.unwrap_or(request.db);
        Action::Dispatch(request, Finish::Exec(local))
    }

    /// The one shard that all keys of a transaction and its watches live in; `None` when it touches no data.
    fn shard_of_transaction(&self, queue: &Queue, cx: Context<'_>) -> Result<Option<stdx::ShardId>, Reply> {
        let mut shard = self.watching.map(|w| w.shard);
        let mut slot: Option<Slot> = self.watching.and_then(|w| w.slot);
        for command in queue.commands.iter().filter(|c| served_by(c.spec).is_data()) {
            let routed = self.route(command, cx)?;
            match (slot, routed.slot) {
                (Some(a), Some(b)) if a != b => return Err(super::route::cross_slot()),
                (None, b) => slot = b,
                _ => {}
            }
            shard = Some(routed.shard.id);
        }
        Ok(shard)
    }

    fn watch(&mut self, command: Command, cx: Context<'_>) -> Action {
        if self.queue.is_some() {
            return Action::Reply(Reply::error("ERR WATCH inside MULTI is not allowed"));
        }
        let (shard, slot, term) = match self.route(&command, cx) {
            Ok(routed) => (routed.shard.id, routed.slot, routed.shard.term()),
            Err(reply) => return Action::Reply(reply),
        };
        if self.watching.is_some_and(|w| w.slot != slot) {
            return Action::Reply(super::route::cross_slot());
        }
        let continues = self.watching.is_some();
        let term = self.watching.map_or(term, |w| w.term);
        self.watching = Some(Watching { shard, slot, term });
        self.profile.watching += command.args.len() - 1;
        self.profile_changed = true;
        if !self.touched.contains(&shard) {
            self.touched.push(shard);
        }
        let keys = command.args.into_iter().skip(1).collect();
        Action::Dispatch(self.request(shard, Work::Watch { keys, continues }, false, cx), Finish::Plain)
    }

    fn unwatch(&mut self, cx: Context<'_>) -> Action {
        self.profile_changed = true;
        self.forget_watches(Reply::OK, cx)
    }

    /// Answers `reply`, after telling the shard to forget the watches if there are any. Should that fail, they are
    /// gone with the leader that kept them, or make one later EXEC abort: never more than that.
    pub(super) fn forget_watches(&mut self, reply: Reply, cx: Context<'_>) -> Action {
        self.profile.watching = 0;
        match self.watching.take() {
            None => Action::Reply(reply),
            Some(w) => Action::Dispatch(self.request(w.shard, Work::Unwatch, false, cx), Finish::Always(reply)),
        }
    }
}

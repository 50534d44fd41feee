//! What a command works on: located keys, decoded records, and the bookkeeping every change of a key entails (counts,
//! expiry index, garbage, watches), so that no command can forget it.

use crate::directory::Directory;
use crate::env::{Env, Layout};
use crate::records::{self, Flags, Head, KeyBuf, Name, Record, Type};
use crate::reply::{Outcome, Stop, WRONG_TYPE, fail};
use crate::scripting::Scripts;
use crate::txn::{Txn, decode_number};
use crate::wait::Wait;
use bytes::Bytes;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use stdx::Rng;
use storage::{EngineError, View};

/// Effects of one command or one EXEC, in bytes: one log entry holds all of them.
pub(crate) const EFFECTS_LIMIT_BYTES: usize = command::MAX_VALUE_BYTES;

/// What the change of a sub-record costs in an entry besides its name and value, in bytes: its key's prefix and lengths.
pub(crate) const EFFECT_BYTES: u64 = 40;

/// One command's world.
pub(crate) struct Ctx<'a> {
    pub(crate) env: Env,
    pub(crate) rng: &'a mut Rng,
    pub(crate) access: Access<'a>,
    /// What runs scripts; a leader has it, except while a script runs.
    pub(crate) scripts: Option<&'a mut Scripts>,
    /// Whether a key was found expired at a time that the log does not prove yet.
    pub(crate) unproven: Cell<bool>,
    /// What a blocking command that found nothing waits for.
    pub(crate) wait: Option<Wait>,
}

pub(crate) enum Access<'a> {
    /// Applied state only.
    Read { view: &'a dyn View, directory: &'a Directory },
    /// A leader's state with everything proposed.
    Write(Txn<'a>),
}

// Raw records.
impl<'a> Ctx<'a> {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match &self.access {
            Access::Read { view, .. } => view.get(key),
            Access::Write(txn) => txn.get(key),
        }
    }

    pub(crate) fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        match &self.access {
            Access::Read { view, .. } => view.scan(start, end, visit),
            Access::Write(txn) => txn.scan(start, end, visit),
        }
    }

    pub(crate) fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        match &self.access {
            Access::Read { view, .. } => view.scan_reverse(start, end, visit),
            Access::Write(txn) => txn.scan_reverse(start, end, visit),
        }
    }

    /// Bytes of effects so far, of all commands of the entry.
    pub(crate) fn effects_bytes(&self) -> usize {
        match &self.access {
            Access::Read { .. } => 0,
            Access::Write(txn) => txn.draft.size(),
        }
    }

    /// Whether a script calls the command that is evaluated.
    pub(crate) fn in_script(&self) -> bool {
        self.scripts.is_none() && matches!(self.access, Access::Write(_))
    }

    /// The writing side. Dispatch never runs a writing command on a reader; if it did, the client would get this error.
    pub(crate) fn txn(&mut self) -> Outcome<&mut Txn<'a>> {
        match &mut self.access {
            Access::Write(txn) => Ok(txn),
            Access::Read { .. } => fail("ERR Polder cannot write on a read-only path"),
        }
    }
}

// Keys.
impl Ctx<'_> {
    pub(crate) fn keyspace(&mut self, db: u16) -> Outcome<u32> {
        match &mut self.access {
            Access::Read { directory, .. } => Ok(directory.keyspace(db)),
            Access::Write(txn) => Ok(txn.keyspace(db)?),
        }
    }

    /// Locates a key of the connection's database.
    pub(crate) fn name(&mut self, user: &[u8]) -> Outcome<Name> {
        self.name_in(self.env.db, user)
    }

    /// Locates a key of any database.
    pub(crate) fn name_in(&mut self, db: u16, user: &[u8]) -> Outcome<Name> {
        Ok(Name::new(db, self.keyspace(db)?, user))
    }

    /// Whether a key has expired, for a reply that says so.
    pub(crate) fn is_gone(&self, record: &Record) -> bool {
        let gone = record.expired(self.env.now_ms);
        if gone && !record.expired(self.env.proven_ms) {
            self.unproven.set(true);
        }
        gone
    }

    /// The record of a key as a reader sees it: expired keys are hidden.
    pub(crate) fn read(&self, name: &Name) -> Outcome<Option<Record>> {
        let Some(value) = self.get(name.record())? else { return Ok(None) };
        let record = Record::decode(&value)?;
        Ok((!self.is_gone(&record)).then_some(record))
    }

    /// The record of a key for a command that may write it: the remains of an expired key are removed first.
    pub(crate) fn open(&mut self, name: &Name) -> Outcome<Option<Record>> {
        let Some(value) = self.get(name.record())? else { return Ok(None) };
        let record = Record::decode(&value)?;
        if !record.expired(self.env.now_ms) {
            return Ok(Some(record));
        }
        self.remove_expired(name, &record)?;
        Ok(None)
    }

    fn counted_slot(&self, name: &Name) -> Option<u16> {
        (self.env.layout == Layout::Sharded).then(|| name.slot())
    }

    /// Writes a key, whatever was there; sub-records of the old value become garbage.
    pub(crate) fn replace(&mut self, name: &Name, old: Option<&Record>, head: Head, body: &[&[u8]]) -> Outcome<()> {
        if let Some(old) = old {
            self.discard(name, old)?;
        }
        self.update(name, old, head, body)
    }

    /// Writes a key whose sub-records, if any, stay its own.
    pub(crate) fn update(&mut self, name: &Name, old: Option<&Record>, head: Head, body: &[&[u8]]) -> Outcome<()> {
        let slot = self.counted_slot(name);
        let txn = self.txn()?;
        if old.is_none() {
            txn.adjust(name.keyspace(), slot, 1)?;
        }
        index_expiry(txn, name, old.and_then(|r| r.head.expire_ms), head.expire_ms);
        // Key and value share one allocation: both live exactly as long as the overlay and the batch need them.
        let key_len = name.record().len();
        let mut buf = Vec::with_capacity(key_len + HEAD_BYTES_MAX + body.iter().map(|b| b.len()).sum::<usize>());
        buf.extend_from_slice(name.record());
        records::write_value(&mut buf, head, body);
        let mut key = Bytes::from(buf);
        let value = key.split_off(key_len);
        txn.put(key, value);
        txn.touch(name.db(), name.user());
        Ok(())
    }

    /// Tells watchers that a key changed which is otherwise written in sub-records alone.
    pub(crate) fn touch(&mut self, name: &Name) -> Outcome<()> {
        self.txn()?.touch(name.db(), name.user());
        Ok(())
    }

    /// Removes a key and everything of it.
    pub(crate) fn remove(&mut self, name: &Name, record: &Record) -> Outcome<()> {
        self.discard(name, record)?;
        self.detach(name, record)
    }

    /// Removes a key but leaves its sub-records, which another key has taken over.
    pub(crate) fn detach(&mut self, name: &Name, record: &Record) -> Outcome<()> {
        self.erase(name, record)?;
        self.txn()?.touch(name.db(), name.user());
        Ok(())
    }

    /// Removes what is left of an expired key.
    pub(crate) fn remove_expired(&mut self, name: &Name, record: &Record) -> Outcome<()> {
        self.discard(name, record)?;
        self.erase(name, record)?;
        self.txn()?.touch_expired(name.db(), name.user());
        Ok(())
    }

    fn erase(&mut self, name: &Name, record: &Record) -> Outcome<()> {
        let slot = self.counted_slot(name);
        let txn = self.txn()?;
        txn.adjust(name.keyspace(), slot, -1)?;
        index_expiry(txn, name, record.head.expire_ms, None);
        txn.delete(Bytes::copy_from_slice(name.record()));
        Ok(())
    }

    fn discard(&mut self, name: &Name, record: &Record) -> Outcome<()> {
        if let Some(home) = record.home()? {
            let prefix = records::sub_prefix(name.keyspace(), home.slot, home.version);
            self.txn()?.put_garbage(records::garbage_collection(&prefix));
        }
        Ok(())
    }

    /// How many keys a database holds, expired ones that were not removed yet included.
    pub(crate) fn count_keys(&mut self, db: u16) -> Outcome<u64> {
        let keyspace = self.keyspace(db)?;
        if self.env.layout == Layout::Colocated {
            return self.count(keyspace, None);
        }
        let (start, end) = records::count_range(keyspace);
        let mut slots = BTreeMap::new();
        let mut bad = None;
        self.scan(&start, &end, &mut |key, value| {
            match decode_number(value) {
                Ok(n) => drop(slots.insert(key.get(5..7).map_or(0, |s| u16::from_be_bytes([s[0], s[1]])), n)),
                Err(e) => bad = Some(e),
            }
            ControlFlow::Continue(())
        })?;
        if let Some(e) = bad {
            return Err(Stop::Engine(e));
        }
        if let Access::Write(txn) = &self.access {
            slots.extend(txn.known_counts(keyspace));
        }
        Ok(slots.values().sum())
    }

    /// How many keys a keyspace, or one slot of it, holds.
    pub(crate) fn count(&mut self, keyspace: u32, slot: Option<u16>) -> Outcome<u64> {
        match &mut self.access {
            Access::Write(txn) => Ok(txn.count(keyspace, slot)?),
            Access::Read { view, .. } => match view.get(&records::count_key(keyspace, slot))? {
                Some(v) => Ok(decode_number(&v)?),
                None => Ok(0),
            },
        }
    }
}

/// The longest head of a META value: tag and expiry, bytes.
const HEAD_BYTES_MAX: usize = 9;

/// Moves a key's record in the expiry index.
fn index_expiry(txn: &mut Txn<'_>, name: &Name, old: Option<u64>, fresh: Option<u64>) {
    if old == fresh {
        return;
    }
    if let Some(at) = old {
        txn.delete(Bytes::copy_from_slice(&name.expiry_key(at)));
    }
    if let Some(at) = fresh {
        let key = Bytes::copy_from_slice(&name.expiry_key(at));
        let head = &mut txn.overlay.numbers.expiry_head;
        if key < *head {
            *head = key.clone();
        }
        txn.put(key, Bytes::new());
    }
}

// Strings, which almost every command group touches.
impl Ctx<'_> {
    /// The bytes of a string key; `WRONGTYPE` for another type.
    pub(crate) fn read_string(&mut self, user: &[u8]) -> Outcome<Option<Bytes>> {
        let name = self.name(user)?;
        string_of(self.read(&name)?)
    }
}

/// The bytes of a string record; `WRONGTYPE` for another type.
pub(crate) fn string_of(record: Option<Record>) -> Outcome<Option<Bytes>> {
    record.map(|r| typed(r, Type::String).map(|r| r.body)).transpose()
}

/// The record if it is of type `kind`; `WRONGTYPE` otherwise.
pub(crate) fn typed(record: Record, kind: Type) -> Outcome<Record> {
    if record.head.kind == kind { Ok(record) } else { fail(WRONG_TYPE) }
}

/// The head of a plain string.
pub(crate) fn string_head(expire_ms: Option<u64>) -> Head {
    Head { kind: Type::String, flags: Flags::NONE, expire_ms }
}

/// A key copied for keeping.
pub(crate) fn owned(key: &KeyBuf) -> Bytes {
    Bytes::copy_from_slice(key)
}

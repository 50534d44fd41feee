//! Reading consumer groups, their consumers and pending entries.

use super::record::{Consumer, Group, Pending};
use crate::ctx::Ctx;
use crate::records::{KeyBuf, Part, successor};
use crate::reply::{Outcome, Stop};
use crate::streams::id::Id;
use crate::streams::stream::{Stream, each_id};
use bytes::Bytes;
use std::ops::ControlFlow;

impl Stream {
    pub(in crate::streams) fn group(&self, ctx: &Ctx<'_>, name: &[u8]) -> Outcome<Option<Group>> {
        ctx.get(&self.key(Part::Group, &[name]))?.map(|v| Group::decode(&v)).transpose()
    }

    /// All groups in the order of their names.
    pub(in crate::streams) fn groups(&self, ctx: &Ctx<'_>) -> Outcome<Vec<(Bytes, Group)>> {
        named(ctx, &self.key(Part::Group, &[]), Group::decode)
    }

    /// How many groups there are.
    pub(in crate::streams) fn group_count(&self, ctx: &Ctx<'_>) -> Outcome<u64> {
        let (prefix, mut count) = (self.key(Part::Group, &[]), 0);
        ctx.scan(&prefix, &successor(&prefix), &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    pub(in crate::streams) fn consumer(&self, ctx: &Ctx<'_>, group: &Group, name: &[u8]) -> Outcome<Option<Consumer>> {
        ctx.get(&self.consumer_key(group, name))?.map(|v| Consumer::decode(&v)).transpose()
    }

    /// All consumers of a group in the order of their names.
    pub(in crate::streams) fn consumers(&self, ctx: &Ctx<'_>, group: &Group) -> Outcome<Vec<(Bytes, Consumer)>> {
        named(ctx, &self.consumer_key(group, b""), Consumer::decode)
    }

    pub(in crate::streams) fn pending(&self, ctx: &Ctx<'_>, group: &Group, id: Id) -> Outcome<Option<Pending>> {
        ctx.get(&self.pending_key(group, id))?.map(|v| Pending::decode(&v)).transpose()
    }

    /// Visits the pending entries of a group between two IDs, both included, in order.
    pub(in crate::streams) fn each_pending(
        &self,
        ctx: &Ctx<'_>,
        group: &Group,
        (from, to): (Id, Id),
        backwards: bool,
        mut visit: impl FnMut(Id, Pending) -> ControlFlow<()>,
    ) -> Outcome<()> {
        if group.pending == 0 {
            return Ok(());
        }
        let prefix = self.key(Part::Pending, &[&group.number.to_be_bytes()]);
        let mut bad = None;
        each_id(ctx, &prefix, (from.max(group.first_pending), to), backwards, |id, value| {
            match Pending::decode(value) {
                Ok(pending) => visit(id, pending),
                Err(stop) => {
                    bad = Some(stop);
                    ControlFlow::Break(())
                }
            }
        })?;
        bad.map_or(Ok(()), Err)
    }

    /// The IDs of a consumer's pending entries between two, both included, at most `count`.
    pub(in crate::streams) fn owned(
        &self,
        ctx: &Ctx<'_>,
        group: &Group,
        consumer: &Consumer,
        (from, to): (Id, Id),
        count: u64,
    ) -> Outcome<Vec<Id>> {
        let mut ids = Vec::new();
        if consumer.pending == 0 || count == 0 {
            return Ok(ids);
        }
        let prefix = self.owned_prefix(group, consumer);
        each_id(ctx, &prefix, (from.max(group.first_pending), to), false, |id, _| {
            ids.push(id);
            if (ids.len() as u64) < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(ids)
    }

    pub(super) fn consumer_key(&self, group: &Group, name: &[u8]) -> KeyBuf {
        self.key(Part::Consumer, &[&group.number.to_be_bytes(), name])
    }

    pub(super) fn pending_key(&self, group: &Group, id: Id) -> KeyBuf {
        self.key(Part::Pending, &[&group.number.to_be_bytes(), &id.bytes()])
    }

    fn owned_prefix(&self, group: &Group, consumer: &Consumer) -> KeyBuf {
        self.key(Part::Owned, &[&group.number.to_be_bytes(), &consumer.number.to_be_bytes()])
    }

    pub(super) fn owned_key(&self, group: &Group, consumer: &Consumer, id: Id) -> KeyBuf {
        let mut key = self.owned_prefix(group, consumer);
        key.extend_from_slice(&id.bytes());
        key
    }
}

/// The records behind a prefix, by what follows it.
fn named<T>(ctx: &Ctx<'_>, prefix: &KeyBuf, decode: fn(&Bytes) -> Outcome<T>) -> Outcome<Vec<(Bytes, T)>> {
    let mut all = Vec::new();
    let mut bad: Option<Stop> = None;
    ctx.scan(prefix, &successor(prefix), &mut |key, value| match decode(value) {
        Ok(record) => {
            all.push((Bytes::copy_from_slice(key.get(prefix.len()..).unwrap_or_default()), record));
            ControlFlow::Continue(())
        }
        Err(stop) => {
            bad = Some(stop);
            ControlFlow::Break(())
        }
    })?;
    bad.map_or(Ok(all), Err)
}

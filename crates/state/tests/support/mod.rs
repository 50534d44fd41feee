//! A shard in memory: the leader's side with its overlay, the log of batches, and two replicas that apply it.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod integrity;
pub mod model;
pub mod peer;
pub mod streams;
pub mod text;

use bytes::Bytes;
use command::{Command, Reply, SessionId};
use state::{
    Awaited, Directory, Env, Evaluated, Layout, Leading, Overlay, ProposalBuilder, ScriptLimits, Scripts, Transaction,
    WatchOutcome, Watches, evaluate_read,
};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};
use stdx::codec::Reader;
use stdx::{NodeId, Rng};
use storage::{Batch, EngineError, Op, View};

/// A view over a map.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct MapView(pub BTreeMap<Bytes, Bytes>);

thread_local! {
    /// Records that this thread looked at in views.
    pub static LOOKED_AT: Cell<u64> = const { Cell::new(0) };
}

type Visit<'a> = &'a mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>;

impl MapView {
    pub fn apply(&mut self, batch: &Batch) {
        for op in &batch.ops {
            match op {
                Op::Put(k, v) => drop(self.0.insert(k.clone(), v.clone())),
                Op::Delete(k) => drop(self.0.remove(k)),
                Op::DeleteRange(s, e) => self.0.retain(|k, _| k < s || k >= e),
            }
        }
    }

    fn range(&self, start: &[u8], end: &[u8]) -> impl DoubleEndedIterator<Item = (&Bytes, &Bytes)> {
        self.0.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end.max(start))))
    }
}

impl View for MapView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        LOOKED_AT.set(LOOKED_AT.get() + 1);
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        let _ =
            self.range(start, end).inspect(|_| LOOKED_AT.set(LOOKED_AT.get() + 1)).try_for_each(|(k, v)| visit(k, v));
        Ok(())
    }

    fn scan_reverse(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        let backwards = self.range(start, end).rev();
        let _ = backwards.inspect(|_| LOOKED_AT.set(LOOKED_AT.get() + 1)).try_for_each(|(k, v)| visit(k, v));
        Ok(())
    }
}

/// How the log keeps up with the evaluator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Units of work per entry.
    pub group: usize,
    /// Entries that may be proposed and not applied.
    pub lag: usize,
}

pub struct Shard {
    pub env: Env,
    pub pace: Pace,
    pub base: MapView,
    pub follower: MapView,
    pub directory: Directory,
    overlay: Overlay,
    watches: Watches,
    awaited: Awaited,
    rng: Rng,
    scripts: Scripts,
    sequence: u64,
    open: Option<(ProposalBuilder, usize)>,
    proposed: VecDeque<(u64, Batch)>,
}

/// The epoch of test clocks.
pub const START_MS: u64 = 1_700_000_000_000;

impl Shard {
    pub fn new(layout: Layout, pace: Pace, seed: u64) -> Shard {
        Shard {
            // One clock for all: what it says needs no proof.
            env: Env { db: 0, now_ms: START_MS, proven_ms: u64::MAX, layout, resp3: false },
            pace,
            base: MapView::default(),
            follower: MapView::default(),
            directory: Directory::new(),
            overlay: Overlay::new(),
            watches: Watches::new(),
            awaited: Awaited::default(),
            rng: Rng::new(seed),
            scripts: Scripts::new(ScriptLimits { instructions: 300_000, memory_bytes: 4 << 20, time: None }),
            sequence: 0,
            open: None,
            proposed: VecDeque::new(),
        }
    }

    fn lead<T>(&mut self, work: impl FnOnce(&mut ProposalBuilder, &mut Leading<'_>, Env) -> T) -> T {
        if self.open.is_none() {
            self.sequence += 1;
            self.open = Some((ProposalBuilder::new(self.sequence), 0));
        }
        let Some((builder, units)) = self.open.as_mut() else { unreachable!() };
        *units += 1;
        let full = *units >= self.pace.group;
        let mut on = Leading {
            base: &self.base,
            overlay: &mut self.overlay,
            watches: &mut self.watches,
            awaited: &mut self.awaited,
            rng: &mut self.rng,
            scripts: &mut self.scripts,
        };
        let out = work(builder, &mut on, self.env);
        if full {
            self.propose();
            self.apply(self.pace.lag);
        }
        out
    }

    fn propose(&mut self) {
        let Some((builder, _)) = self.open.take() else { return };
        if builder.is_empty() {
            self.sequence -= 1;
            return;
        }
        let size = builder.size();
        let mut on = Leading {
            base: &self.base,
            overlay: &mut self.overlay,
            watches: &mut self.watches,
            awaited: &mut self.awaited,
            rng: &mut self.rng,
            scripts: &mut self.scripts,
        };
        let batch = builder.finish(&mut on);
        assert!(
            size >= batch.size().saturating_sub(4096) || batch.size() < 4096,
            "size {size}, batch {}",
            batch.size()
        );
        self.proposed.push_back((self.sequence, batch));
    }

    /// Applies entries until at most `lag` are outstanding.
    pub fn apply(&mut self, lag: usize) {
        while self.proposed.len() > lag {
            let Some((sequence, batch)) = self.proposed.pop_front() else { return };
            self.base.apply(&batch);
            self.directory.observe(&batch);
            self.overlay.retire(sequence);
            let mut bytes = Vec::new();
            batch.encode(&mut bytes);
            let again = Batch::decode(&mut Reader::new(bytes.into())).unwrap();
            self.follower.apply(&again);
            // An entry that is applied twice, as after a crash, changes nothing.
            self.follower.apply(&again);
        }
    }

    /// Proposes and applies everything.
    pub fn settle(&mut self) {
        self.propose();
        self.apply(0);
        assert!(self.overlay.is_empty(), "everything is applied, so nothing is outstanding");
        assert_eq!(self.overlay.bytes(), 0);
        assert!(self.base == self.follower, "replicas differ");
    }

    /// Another leader takes over; everything proposed was committed.
    pub fn failover(&mut self) {
        self.settle();
        self.overlay.clear();
        self.watches.clear();
        self.directory = Directory::new();
        self.directory.load(&self.base).unwrap();
    }

    /// Another leader takes over; what was not applied is lost.
    pub fn lose(&mut self) {
        self.open = None;
        self.proposed.clear();
        self.overlay.clear();
        self.failover();
    }

    pub fn run(&mut self, cmd: &Command) -> Reply {
        if state::serves(cmd) == Some(false) && self.overlay.is_empty() && self.open.is_none() {
            // Nothing is outstanding, so the reading path must answer the same (but for chance).
            let chance = self.rng.clone();
            let read = self.read(cmd);
            self.rng = chance;
            let led = self.lead(|b, on, env| b.evaluate(on, env, cmd)).unwrap();
            assert!(!led.effects, "{} is a read", cmd.name());
            assert_eq!(led.reply, read, "{:?}", cmd.args);
            return read;
        }
        self.evaluate(cmd).reply
    }

    pub fn evaluate(&mut self, cmd: &Command) -> Evaluated {
        self.lead(|b, on, env| b.evaluate(on, env, cmd)).unwrap()
    }

    pub fn read(&mut self, cmd: &Command) -> Reply {
        let read = evaluate_read(cmd, &self.base, &self.directory, self.env, &mut self.rng);
        read.unwrap().expect("every time is proven")
    }

    pub fn execute(&mut self, commands: &[Command]) -> Reply {
        self.lead(|b, on, env| b.execute(on, env, Transaction { commands })).unwrap().reply
    }

    pub fn watch(&mut self, client: u64, keys: &[Bytes]) -> Evaluated {
        self.lead(|b, on, env| b.watch(on, env, session(client), keys)).unwrap()
    }

    pub fn take(&mut self, client: u64) -> WatchOutcome {
        self.watches.take(session(client), self.env.now_ms)
    }

    pub fn expire(&mut self, max: usize) -> state::Expired {
        self.lead(|b, on, env| b.expire_due(on, env, max)).unwrap()
    }

    pub fn collect(&mut self, max: usize) -> state::Collected {
        self.lead(|b, on, env| b.collect_garbage(on, env, max)).unwrap()
    }

    pub fn last_batch(&self) -> Option<&Batch> {
        self.proposed.back().map(|(_, b)| b)
    }
}

fn session(client: u64) -> SessionId {
    SessionId { node: NodeId(1), client }
}

/// A command from words.
pub fn command<W: AsRef<[u8]>>(words: &[W]) -> Result<Command, Reply> {
    Command::parse(words.iter().map(|w| Bytes::copy_from_slice(w.as_ref())).collect())
}

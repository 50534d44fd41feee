//! How long the evaluator takes for one SET and one GET, without log, engine or network:
//! `cargo run --release -p state --example hot_path`.

use bytes::Bytes;
use command::Command;
use state::{Awaited, Directory, Env, Layout, Leading, Overlay, ProposalBuilder, Scripts, Watches, evaluate_read};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Instant;
use stdx::Rng;
use storage::{EngineError, Op, View};

const KEYS: usize = 100_000;
const OPERATIONS: usize = 2_000_000;
/// Commands per entry, and entries on their way.
const GROUP: usize = 64;
const LAG: u64 = 4;

/// A hash map: as cheap as a base can be, so that the evaluator's own cost shows. It cannot scan.
#[derive(Default)]
struct Base(HashMap<Bytes, Bytes>);

type Visit<'a> = &'a mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>;

impl View for Base {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, _: &[u8], _: &[u8], _: Visit<'_>) -> Result<(), EngineError> {
        Ok(())
    }

    fn scan_reverse(&self, _: &[u8], _: &[u8], _: Visit<'_>) -> Result<(), EngineError> {
        Ok(())
    }
}

fn commands(make: impl Fn(usize) -> Vec<Bytes>) -> Vec<Command> {
    (0..KEYS).filter_map(|i| Command::parse(make(i).into()).ok()).collect()
}

fn main() -> Result<(), EngineError> {
    let value = Bytes::from(vec![b'x'; 128]);
    let key = |i: usize| Bytes::from(format!("key:{i:012}"));
    let sets = commands(|i| vec!["SET".into(), key(i), value.clone()]);
    let gets = commands(|i| vec!["GET".into(), key(i)]);
    let env = Env { db: 0, now_ms: 1_700_000_000_000, proven_ms: 0, layout: Layout::Colocated, resp3: false };
    let (mut base, mut overlay, mut watches) = (Base::default(), Overlay::new(), Watches::new());
    let (directory, mut rng, mut scripts) = (Directory::new(), Rng::new(1), Scripts::default());
    let mut awaited = Awaited::default();
    let mut pending = std::collections::VecDeque::new();

    let start = Instant::now();
    let mut evaluating = std::time::Duration::ZERO;
    for sequence in 1..=(OPERATIONS / GROUP) as u64 {
        let began = Instant::now();
        let mut builder = ProposalBuilder::new(sequence);
        let mut on = Leading {
            base: &base,
            overlay: &mut overlay,
            watches: &mut watches,
            awaited: &mut awaited,
            rng: &mut rng,
            scripts: &mut scripts,
        };
        for _ in 0..GROUP {
            let i = on.rng.below(KEYS as u64) as usize;
            builder.evaluate(&mut on, env, &sets[i])?;
        }
        let batch = builder.finish(&mut on);
        evaluating += began.elapsed();
        pending.push_back(batch);
        if sequence > LAG
            && let Some(batch) = pending.pop_front()
        {
            for op in batch.ops {
                if let Op::Put(k, v) = op {
                    base.0.insert(k, v);
                }
            }
            let began = Instant::now();
            overlay.retire(sequence - LAG);
            evaluating += began.elapsed();
        }
    }
    println!(
        "SET {:>5} ns in the evaluator, {:>5} ns with a hash map as base",
        per_op(evaluating),
        per_op(start.elapsed())
    );

    let start = Instant::now();
    let mut found = 0;
    for _ in 0..OPERATIONS {
        let i = rng.below(KEYS as u64) as usize;
        found += usize::from(evaluate_read(&gets[i], &base, &directory, env, &mut rng)? != Some(command::Reply::Null));
    }
    println!("GET {:>5} ns with a hash map as base ({found} found)", per_op(start.elapsed()));

    let start = Instant::now();
    let mut found = 0;
    for _ in 0..OPERATIONS {
        let i = rng.below(KEYS as u64) as usize;
        let name = state::records::Name::new(0, 0, &gets[i].args[1]);
        found += usize::from(base.get(name.record())?.is_some());
    }
    println!("    {:>5} ns of it the key and the hash map ({found} found)", per_op(start.elapsed()));
    Ok(())
}

fn per_op(total: std::time::Duration) -> u128 {
    total.as_nanos() / OPERATIONS as u128
}

//! Measures the applied-state store on a real disk:
//! `cargo run --release -p storage --example engine_bench -- [directory] [keys] [part]`.
//!
//! Each part runs in a process of its own, so that its memory is its own. Times of single calls are CPU time of the thread.
//!
//! Keys are 35 bytes as `state` lays them out (kind, keyspace, slot, hash, user key), values 128 random bytes, which do not
//! compress. The figures in docs/internals/engine.md come from here.

use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stdx::{Rng, ShardId};
use storage::{Applied, Batch, Engine, FjallEngine, FjallOptions, Op, Replica, Store, StoreOptions, View};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VALUE_BYTES: usize = 128;
const LOOKUPS: u64 = 200_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PARTS: [&str; 6] = ["sorted", "load", "reads", "fill", "reopen", "small"];

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "target/engine-bench".into());
    let keys: u64 = args.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let dir = Path::new(&name);
    match args.next().as_deref() {
        Some("sorted") => sorted_ingest(&dir.join("sorted"), keys),
        Some("load") => replica_load(&dir.join("replica"), keys),
        Some("reads") => replica_reads(&dir.join("replica"), keys),
        Some("fill") => fill(&dir.join("large"), keys * 5),
        Some("reopen") => reopen(&dir.join("large"), keys * 5),
        Some("small") => small_ingests(&dir.join("small")),
        Some(other) => Err(format!("no part is called {other}").into()),
        None => {
            let _ = std::fs::remove_dir_all(dir);
            println!("{keys} keys of 35 bytes, values of {VALUE_BYTES} random bytes");
            for part in PARTS {
                let keys = keys.to_string();
                std::process::Command::new(std::env::current_exe()?).args([&name, &keys, part]).status()?;
            }
            Ok(std::fs::remove_dir_all(dir)?)
        }
    }
}

fn key(n: u64) -> Bytes {
    let user = format!("key:{n:020}");
    let mut key = vec![1, 0, 0, 0, 0];
    key.extend((stdx::crc::crc16_xmodem(user.as_bytes()) & 16383).to_be_bytes());
    key.extend(stdx::crc::crc32c(user.as_bytes()).to_be_bytes());
    key.extend(user.as_bytes());
    Bytes::from(key)
}

fn value(rng: &mut Rng) -> Bytes {
    (0..VALUE_BYTES / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect::<Vec<u8>>().into()
}

fn engine(dir: &Path) -> Outcome<Arc<FjallEngine>> {
    std::fs::create_dir_all(dir)?;
    Ok(Arc::new(FjallEngine::open(dir, &FjallOptions::default())?))
}

fn sorted_ingest(dir: &Path, keys: u64) -> Outcome<()> {
    let engine = engine(dir)?;
    let mut all: Vec<Bytes> = (0..keys).map(key).collect();
    all.sort();
    let mut rng = Rng::new(1);
    let pairs: Vec<_> = all.into_iter().map(|k| (k, Some(value(&mut rng)))).collect();
    let start = Instant::now();
    engine.ingest(&mut pairs.into_iter())?;
    let took = start.elapsed();
    println!("sorted ingest of all at once: {took:.2?}, disk {}", mib(engine.disk_bytes()));
    Ok(())
}

/// Applies all keys in random order, eight to a batch, while another thread flushes.
fn replica_load(dir: &Path, keys: u64) -> Outcome<()> {
    let engine = engine(dir)?;
    let store = Store::open(engine.clone(), StoreOptions::default())?;
    let replica = store.create_replica(ShardId(1), Applied::default())?;
    let written = io_bytes();
    let mut applying = 0;
    let mut peak = 0;
    let mut most_tables = 0;
    let done = AtomicBool::new(false);
    let start = Instant::now();
    std::thread::scope(|scope| -> Outcome<()> {
        let flusher = scope.spawn(|| -> Result<(), storage::EngineError> {
            while !done.load(Ordering::Relaxed) {
                if store.needs_flush() {
                    store.flush()?;
                } else {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            store.flush().map(drop)
        });
        let mut rng = Rng::new(2);
        for first in (0..keys).step_by(8) {
            let ops = (first..first + 8).map(|n| Op::Put(key(scatter(n, keys)), value(&mut rng))).collect();
            let applied = Applied { index: first + 1, ..Applied::default() };
            let batch = [Batch { ops }];
            let begin = cpu_ns();
            replica.apply(&batch, applied)?;
            applying += cpu_ns() - begin;
            if first % 8192 == 0 {
                peak = peak.max(rss());
                most_tables = most_tables.max(engine.first_level_tables());
            }
            while store.must_wait() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        done.store(true, Ordering::Relaxed);
        flusher.join().map_err(|_| "the flusher panicked")??;
        Ok(())
    })?;
    let took = start.elapsed();
    while engine.first_level_tables() >= 4 {
        std::thread::sleep(Duration::from_millis(50));
    }
    engine.close()?;
    let user_bytes = keys * (35 + VALUE_BYTES as u64);
    println!(
        "applied through a replica: {took:.2?}, {:.0} ns per put applying, memory peak {} now {} ({:?})",
        applying as f64 / keys as f64,
        mib(peak),
        mib(rss()),
        store.memory(),
    );
    println!(
        "  write amplification {:.2}, disk {} for {} of data, at most {most_tables} tables in the first level",
        (io_bytes() - written) as f64 / user_bytes as f64,
        mib(engine.disk_bytes()),
        mib(user_bytes),
    );
    Ok(())
}

fn replica_reads(dir: &Path, keys: u64) -> Outcome<()> {
    let start = Instant::now();
    let engine = engine(dir)?;
    let store = Store::open(engine.clone(), StoreOptions::default())?;
    let opened = start.elapsed();
    let replica = store.replica(ShardId(1)).ok_or("no replica")?;
    let mut rng = Rng::new(3);
    let mut random = |_| key(rng.next_u64() % keys);
    let cold: Vec<Bytes> = (0..LOOKUPS).map(&mut random).collect();
    // What this program itself needs is out of the way before memory is read.
    let before = rss();
    println!("reopened in {opened:.1?}");
    lookups("get, any key, through the engine", &replica, &cold)?;
    lookups("get, the same again, partly cached", &replica, &cold)?;
    println!("  memory grew by {} ({:?})", mib(rss() - before), store.memory());
    let missing: Vec<Bytes> = (0..LOOKUPS).map(|n| key(keys + n)).collect();
    lookups("get, absent key", &replica, &missing)?;
    let hot: Vec<Bytes> = (0..LOOKUPS).map(|n| cold[n as usize % 10_000].clone()).collect();
    lookups("get, 10,000 keys, first round", &replica, &hot[..10_000])?;
    lookups("get, 10,000 keys, cached", &replica, &hot)?;
    lookups("get, one key, cached", &replica, &vec![hot[0].clone(); LOOKUPS as usize])?;
    calibrate(&cold);
    let mut rng = Rng::new(4);
    for n in 0..45_000u64 {
        let ops = vec![Op::Put(cold[n as usize].clone(), value(&mut rng))];
        replica.apply(&[Batch { ops }], Applied { index: keys + n, ..Applied::default() })?;
    }
    let active: Vec<Bytes> = (0..LOOKUPS).map(|n| cold[(n as usize * 7919) % 45_000].clone()).collect();
    lookups("get, 45,000 keys in the active table", &replica, &active)?;
    lookups("get, one key in the active table", &replica, &vec![active[0].clone(); LOOKUPS as usize])?;
    lookups("get, 10,000 keys, cached, beside a full active table", &replica, &cold[50_000..60_000])?;
    lookups("get, the same again", &replica, &cold[50_000..60_000])?;
    let start = Instant::now();
    let mut seen = 0u64;
    for first in (0..keys).step_by(keys as usize / 1000) {
        let from = key(first);
        replica.read().scan(&from, &[2], &mut |_, _| {
            seen += 1;
            if seen.is_multiple_of(10) { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        })?;
    }
    println!("scan of 10 pairs: {:.1?}", start.elapsed() / 1000);
    let start = Instant::now();
    let checksum = replica.snapshot()?.checksum()?;
    println!("checksum of everything: {:.2?} ({checksum:x}), memory {}", start.elapsed(), mib(rss()));
    let start = Instant::now();
    let report = store.flush()?;
    println!("flush of {} keys, {}: {:.1?}", report.keys, mib(report.bytes), start.elapsed());
    println!(
        "memory at the end {} ({:?}), approximate bytes {}",
        mib(rss()),
        store.memory(),
        mib(replica.approximate_bytes())
    );
    Ok(())
}

/// What the machine needs for standard maps of the same keys, to compare with.
fn calibrate(keys: &[Bytes]) {
    let pairs = || keys[..45_000].iter().map(|k| (Bytes::copy_from_slice(k), Bytes::from(vec![1; VALUE_BYTES])));
    let hashed: std::collections::HashMap<Bytes, Bytes> = pairs().take(10_000).collect();
    let ordered: std::collections::BTreeMap<Bytes, Bytes> = pairs().collect();
    let mut found = 0;
    let start = cpu_ns();
    for n in 0..LOOKUPS as usize {
        found += usize::from(hashed.get(&keys[n % 10_000]).cloned().is_some());
    }
    let middle = cpu_ns();
    for n in 0..LOOKUPS as usize {
        found += usize::from(ordered.get(&keys[(n * 7919) % 45_000]).cloned().is_some());
    }
    let (hash, tree) = ((middle - start) / LOOKUPS, (cpu_ns() - middle) / LOOKUPS);
    println!("  calibration: HashMap of 10,000 {hash} ns, BTreeMap of 45,000 {tree} ns ({found} found)");
}

fn lookups(what: &str, replica: &Replica, keys: &[Bytes]) -> Outcome<()> {
    let mut found = 0;
    let start = cpu_ns();
    for key in keys {
        found += usize::from(replica.read().get(key)?.is_some());
    }
    let each = (cpu_ns() - start) as f64 / keys.len() as f64;
    println!("{what}: {each:.0} ns ({found} of {} found)", keys.len());
    Ok(())
}

fn fill(dir: &Path, keys: u64) -> Outcome<()> {
    let engine = engine(dir)?;
    let store = Store::open(engine.clone(), StoreOptions::default())?;
    let replica = store.create_replica(ShardId(1), Applied::default())?;
    let mut rng = Rng::new(5);
    let mut peak = 0;
    for n in 0..keys {
        let ops = vec![Op::Put(key(scatter(n, keys)), value(&mut rng))];
        replica.apply(&[Batch { ops }], Applied { index: n + 1, ..Applied::default() })?;
        if store.needs_flush() {
            store.flush()?;
            peak = peak.max(rss());
        }
    }
    store.flush()?;
    let (disk, tables) = (mib(engine.disk_bytes()), engine.first_level_tables());
    println!("{keys} keys: disk {disk}, {tables} tables in the first level, memory peak {}", mib(peak));
    Ok(())
}

fn reopen(dir: &Path, keys: u64) -> Outcome<()> {
    let before = rss();
    let start = Instant::now();
    let store = Store::open(engine(dir)?, StoreOptions::default())?;
    let opened = start.elapsed();
    let replica = store.replica(ShardId(1)).ok_or("no replica")?;
    replica.read().get(&key(7))?.ok_or("a key is missing")?;
    println!(
        "reopened {keys} keys in {opened:.1?}, first read after {:.1?}, memory {} more",
        start.elapsed(),
        mib(rss().saturating_sub(before))
    );
    Ok(())
}

fn small_ingests(dir: &Path) -> Outcome<()> {
    let engine = engine(dir)?;
    let (rounds, mut most) = (1000u64, 0);
    let mut rng = Rng::new(6);
    let start = Instant::now();
    for round in 0..rounds {
        let mut keys: Vec<Bytes> = (0..100).map(|n| key((round * 100 + n) % 20_000)).collect();
        keys.sort();
        engine.ingest(&mut keys.into_iter().map(|k| (k, Some(value(&mut rng)))))?;
        most = most.max(engine.first_level_tables());
    }
    println!(
        "{rounds} ingestions of 100 keys: {:.1?} each, at most {most} tables in the first level",
        start.elapsed() / rounds as u32
    );
    Ok(())
}

/// A permutation of `0..keys` in no order.
fn scatter(n: u64, keys: u64) -> u64 {
    (n * 7_368_787) % keys
}

/// CPU time of this thread in nanoseconds.
fn cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

fn rss() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn io_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|l| l.strip_prefix("write_bytes: ")).and_then(|n| n.parse().ok()).unwrap_or(0)
}

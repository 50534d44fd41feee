//! The load generator of the benchmarks where redis-benchmark does not do: the same closed loop for the Redis protocol and
//! for etcd's, and filling a server with exact numbers of keys.
//!
//! Each client has a connection of its own and sends its next request when the last one is answered. Everything runs on one
//! thread, so that the generator takes the same share of a small machine whatever it measures. Results are one line of JSON.

mod etcd;
mod histogram;
mod keys;
mod resp;

use clap::{Args, Parser, Subcommand};
use histogram::Histogram;
use keys::Keys;
use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Why a client gave up: the words for the person who reads the result.
pub type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// SET over the Redis protocol
    RedisSet(Run),
    /// Put over etcd's gRPC API
    EtcdPut(Run),
    /// Write every key of the key space once, over the Redis protocol
    RedisFill(Fill),
    /// Write every key of the key space once, in etcd transactions
    EtcdFill(Fill),
}

#[derive(Args)]
struct Target {
    /// Ports on 127.0.0.1; clients take them in turn
    #[arg(long, value_delimiter = ',', required = true)]
    ports: Vec<u16>,
    /// Keys in the key space
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Bytes of a value; they do not compress
    #[arg(long, default_value_t = 128)]
    value: usize,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    target: Target,
    /// Clients, each with a connection of its own
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seconds before, that are not
    #[arg(long, default_value_t = 1)]
    warmup: u64,
}

#[derive(Args)]
struct Fill {
    #[command(flatten)]
    target: Target,
    /// Keys in one write: a pipeline, or an etcd transaction (which takes at most 128)
    #[arg(long, default_value_t = 100)]
    batch: u64,
    /// Clients, each with a connection of its own
    #[arg(long, default_value_t = 8)]
    clients: usize,
}

/// What the clients share while they run.
struct Measured {
    histogram: RefCell<Histogram>,
    from: Instant,
    until: Instant,
}

impl Measured {
    /// Counts an answer if it came in the measured time; whether to go on.
    fn count(&self, began: Instant) -> bool {
        let now = Instant::now();
        if now >= self.from && now < self.until {
            self.histogram.borrow_mut().record(now - began);
        }
        now < self.until
    }
}

fn main() -> ExitCode {
    let job = Cli::parse().job;
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| tokio::task::LocalSet::new().block_on(&runtime, perform(job)));
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(job: Job) -> Result<serde_json::Value, Failure> {
    match job {
        Job::RedisSet(run) => measure(run, false).await,
        Job::EtcdPut(run) => measure(run, true).await,
        Job::RedisFill(fill) => fill_all(fill, false).await,
        Job::EtcdFill(fill) => fill_all(fill, true).await,
    }
}

async fn measure(run: Run, is_etcd: bool) -> Result<serde_json::Value, Failure> {
    let from = Instant::now() + Duration::from_secs(run.warmup);
    let until = from + Duration::from_secs(run.seconds);
    let measured = Rc::new(Measured { histogram: RefCell::new(Histogram::new()), from, until });
    let mut clients = Vec::new();
    for client in 0..run.clients {
        let port = run.target.ports[client % run.target.ports.len()];
        let keys = Keys::new(run.target.keys, run.target.value, client as u64);
        let measured = measured.clone();
        clients.push(tokio::task::spawn_local(async move {
            let done = if is_etcd {
                etcd::put_until(port, keys, &measured).await
            } else {
                resp::set_until(port, keys, &measured).await
            };
            done.map_err(|e| e.to_string())
        }));
    }
    for client in clients {
        client.await??;
    }
    let histogram = measured.histogram.borrow();
    let rate = histogram.count() as f64 / run.seconds as f64;
    Ok(serde_json::json!({
        "requests": histogram.count(),
        "rate": rate,
        "p50_ms": histogram.quantile(0.50).as_secs_f64() * 1e3,
        "p99_ms": histogram.quantile(0.99).as_secs_f64() * 1e3,
        "max_ms": histogram.quantile(1.0).as_secs_f64() * 1e3,
    }))
}

async fn fill_all(fill: Fill, is_etcd: bool) -> Result<serde_json::Value, Failure> {
    let began = Instant::now();
    let mut clients = Vec::new();
    for client in 0..fill.clients as u64 {
        let port = fill.target.ports[client as usize % fill.target.ports.len()];
        let share = |n: u64| fill.target.keys * n / fill.clients as u64;
        let range = share(client)..share(client + 1);
        let keys = Keys::new(fill.target.keys, fill.target.value, client);
        let batch = fill.batch.clamp(1, 128);
        clients.push(tokio::task::spawn_local(async move {
            let done = if is_etcd {
                etcd::fill(port, keys, range, batch).await
            } else {
                resp::fill(port, keys, range, batch).await
            };
            done.map_err(|e| e.to_string())
        }));
    }
    for client in clients {
        client.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(serde_json::json!({ "requests": fill.target.keys, "rate": fill.target.keys as f64 / seconds }))
}

//! One run after the other: set up, faults under load, heal, conclude, judge.

use crate::cluster::{Cluster, Plan};
use crate::driver::{Clock, Driver, Subject};
use crate::faults::{Fault, KINDS, Kind};
use crate::net::Net;
use crate::preload::Preload;
use crate::report::{Fired, story};
use crate::schedule::{self, Planned};
use crate::tools::Outcome;
use crate::{Options, Summary};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stdx::{Mono, Rng};
use workload::{Namespace, Workload};

/// How often nodes and faults are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long clients go on once all faults have ended: what is broken for good shows here.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// Farthest that wall clocks are off: within the first a checker can still tell what has expired, the second is plain wrong.
const CLOCK_ERRORS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(86_400)];

/// Nodes of every other run.
const NODES_OF_LARGE_RUNS: usize = 5;

/// All runs; figures and failures go to the summary.
///
/// # Errors
/// The machine refused, or a run could not be judged.
pub fn all(options: &Options, asked: &AtomicBool, summary: &mut Summary) -> Outcome {
    let directory = std::env::temp_dir().join("polder-nemesis");
    fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let lock = File::create(directory.join("lock")).map_err(|e| format!("{}: {e}", directory.display()))?;
    lock.try_lock().map_err(|_| "another run of these tests is going on".to_owned())?;
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let first = options.seed.unwrap_or_else(drawn);
    let mut refused = BTreeMap::new();
    for number in 0..options.runs {
        if asked.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        let nodes = if number % 2 == 1 { NODES_OF_LARGE_RUNS } else { options.nodes };
        let seed = first + number;
        let run = Run { options, asked, directory: &directory, nodes, seed };
        println!("── run {} of {}: seed {seed}, {nodes} nodes", number + 1, options.runs);
        run.go(summary, &mut refused).map_err(|error| format!("seed {seed}, {nodes} nodes: {error}"))?;
    }
    summary.skipped.extend(refused.iter().map(|(kind, why)| format!("{kind}: {why}")));
    let wanted = KINDS.iter().filter(|kind| wanted(options, kind) && !refused.contains_key(kind.name));
    for kind in wanted {
        if summary.figures.faults.get(kind.name).is_none_or(|figures| figures.bit == 0) {
            summary.failures.push(format!("{}: no such fault had an effect", kind.name));
        } else {
            summary.passed += 1;
        }
    }
    Ok(())
}

fn wanted(options: &Options, kind: &Kind) -> bool {
    options.faults.is_empty() || options.faults.iter().any(|name| name == kind.name)
}

/// The workloads of a run: all of the crate that are wanted, each on keys of its own in both namespaces.
fn workloads(options: &Options, clock_error: Duration, rng: &mut Rng) -> Vec<Box<dyn Workload>> {
    let named = |name: &&&str| options.workloads.is_empty() || options.workloads.iter().any(|n| n == **name);
    let make = |name: &&'static str| {
        let options = workload::Options {
            clients: options.clients,
            keys: options.keys,
            namespaces: vec![Namespace::Plain, Namespace::Cluster],
            prefix: format!("{name}:"),
            think: Duration::from_millis(options.pace_ms),
            clock_error,
        };
        workload::by_name(name, &options, rng.next_u64())
    };
    workload::names().iter().filter(named).filter_map(make).collect()
}

struct Run<'a> {
    options: &'a Options,
    asked: &'a AtomicBool,
    directory: &'a Path,
    nodes: usize,
    seed: u64,
}

/// A fault that goes on.
struct Active {
    fault: Box<dyn Fault>,
    until: Mono,
    place: usize,
}

impl Run<'_> {
    fn go(&self, summary: &mut Summary, refused: &mut BTreeMap<&'static str, String>) -> Outcome {
        let mut rng = Rng::new(self.seed);
        let preload = Preload::find();
        let mut net = Net::set_up(self.nodes)?;
        for kind in KINDS.iter().filter(|kind| wanted(self.options, kind)) {
            if let Some(why) = kind.refused(&mut net, preload) {
                refused.insert(kind.name, why);
            }
        }
        let kinds = KINDS.iter().filter(|kind| wanted(self.options, kind) && !refused.contains_key(kind.name));
        let plan =
            schedule::draw(&kinds.collect::<Vec<_>>(), self.options.seconds * 1000, self.options.overlap, &mut rng);
        self.print(&plan);
        let clock_error = CLOCK_ERRORS[usize::from(rng.one_in(2))];
        let shape = Plan { binary: &self.options.binary, directory: self.directory, workers: 2, preload, clock_error };
        let mut cluster = Cluster::start(net, &shape)?;
        let clock = Clock::new();
        let workloads = workloads(self.options, clock_error, &mut rng);
        let mut driver = Driver::start(workloads, self.nodes, self.options.clients, clock, &mut rng)?;
        let mut faults = Vec::new();
        let done = self.faults(&mut cluster, plan, clock, &mut faults);
        let done = done.and_then(|()| self.afterwards(&mut cluster, clock));
        driver.stop()?;
        let healed = done.and_then(|()| cluster.wait_until_whole(&mut || self.asked.load(Ordering::Relaxed)));
        let concluded = healed.and_then(|time| {
            println!("whole {:.1} s after the last client; {} operations", time.as_secs_f64(), driver.operations());
            driver.conclude()
        });
        let subjects = driver.finish();
        summary.figures.add(&subjects, &faults);
        if self.asked.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        self.judge(&subjects, &faults, summary, concluded.is_ok());
        concluded.map_err(|error| format!("{error}\n{}", cluster.logs()))
    }

    fn print(&self, plan: &[Planned]) {
        for Planned { kind, at_ms, lasts_ms, .. } in plan {
            println!("   plan: {:>7.1} s  {} for {:.1} s", *at_ms as f64 / 1e3, kind.name, *lasts_ms as f64 / 1e3);
        }
    }

    /// Does what is planned; when it ends, however it does, no fault is left.
    fn faults(&self, cluster: &mut Cluster, plan: Vec<Planned>, clock: Clock, fired: &mut Vec<Fired>) -> Outcome {
        let mut active: Vec<Active> = Vec::new();
        let mut plan = plan.into_iter().peekable();
        let mut done = Ok(());
        while done.is_ok() && (plan.peek().is_some() || !active.is_empty()) {
            if self.asked.load(Ordering::Relaxed) {
                done = Err("interrupted".to_owned());
                break;
            }
            done = cluster.tend();
            let now = clock.now();
            let mut still = Vec::new();
            let mut over = Vec::new();
            for mut going in active {
                let busy = done.is_ok() && tend(&mut going, cluster, &mut done);
                if busy || now < going.until { still.push(going) } else { over.push(going) }
            }
            active = still;
            done = done.and_then(|()| end_all(over, cluster, clock, fired));
            if done.is_ok()
                && let Some(planned) = plan.next_if(|p| now >= Mono(p.at_ms * 1_000_000))
            {
                done = begin(&planned, cluster, clock, fired).map(|begun| active.extend(begun));
            }
            std::thread::sleep(LOOK);
        }
        done.and(end_all(active, cluster, clock, fired))
    }

    /// Lets clients go on without faults.
    fn afterwards(&self, cluster: &mut Cluster, clock: Clock) -> Outcome {
        let until = clock.now() + AFTERWARDS;
        while clock.now() < until && !self.asked.load(Ordering::Relaxed) {
            cluster.tend()?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn judge(&self, subjects: &[Subject], faults: &[Fired], summary: &mut Summary, concluded: bool) {
        for subject in subjects {
            let name = subject.workload.name();
            // Without its conclusion a history says less, but what it says is still true.
            match subject.check() {
                Ok(()) if concluded => summary.passed += 1,
                Ok(()) => {}
                Err(violation) if violation.undecided => println!("UNDECIDED    seed {}: {violation}", self.seed),
                Err(violation) => {
                    println!("{}", story(&violation, &subject.history, faults));
                    summary.failures.push(format!("seed {}, {} nodes: {name}: {violation}", self.seed, self.nodes));
                }
            }
        }
    }
}

/// Goes on with a fault; whether it has more to do.
fn tend(going: &mut Active, cluster: &mut Cluster, done: &mut Outcome) -> bool {
    match going.fault.tend(cluster) {
        Ok(busy) => busy,
        Err(error) => {
            *done = Err(error);
            false
        }
    }
}

fn begin(planned: &Planned, cluster: &mut Cluster, clock: Clock, fired: &mut Vec<Fired>) -> Outcome<Option<Active>> {
    let name = planned.kind.name;
    let mut fault = (planned.kind.make)();
    let began = clock.now();
    let begun = fault.begin(cluster, &mut Rng::new(planned.seed)).map_err(|error| format!("{name}: {error}"))?;
    let now = clock.now();
    let at = now.since(Mono(0)).as_secs_f64();
    let Some(what) = begun else {
        println!("{at:>9.3} s {name}: no node to do it to");
        return Ok(None);
    };
    println!("{at:>9.3} s {name}: {what}");
    fired.push(Fired { kind: name, what, began, ended: now, bit: false });
    Ok(Some(Active { fault, until: now + Duration::from_millis(planned.lasts_ms), place: fired.len() - 1 }))
}

/// Ends faults; all are tried, and the first error is told.
fn end_all(over: Vec<Active>, cluster: &mut Cluster, clock: Clock, fired: &mut [Fired]) -> Outcome {
    let mut done = Ok(());
    for mut active in over {
        let ended = active.fault.end(cluster);
        let fault = &mut fired[active.place];
        fault.ended = clock.now();
        match ended {
            Ok(bit) => fault.bit = bit,
            Err(error) => done = done.and(Err(format!("{}: {error}", fault.kind))),
        }
    }
    done
}

//! Seeds decide what happens; the checkers decide whether it may. A failure prints its seed: set `POLDER_SEED` to repeat it.

use super::cluster::{Cluster, Weather};
use crate::{ChangeKind, Config, MembershipChange, Role};
use bytes::Bytes;
use std::time::Duration;
use stdx::{NodeId, Rng};

/// Milliseconds of trouble per seed.
const STEPS: u64 = 4000;

fn fuzz_config(rng: &mut Rng) -> Config {
    let mut config = Config::new(NodeId(1));
    if rng.one_in(2) {
        // Entries travel in several messages and are refused while too many wait.
        (config.max_message_bytes, config.max_uncommitted_bytes, config.max_inflight) = (64, 2000, 3);
    }
    if rng.one_in(3) {
        config.tick = Duration::from_millis(10);
        config.heartbeat = Duration::from_millis(50);
        config.lease = Duration::from_millis(200);
        config.vote_guard = Duration::from_millis(230);
        config.election_timeout = Duration::from_millis(300);
    }
    config
}

/// Runs one history and returns it.
fn history(seed: u64) -> Cluster {
    let mut rng = Rng::new(seed);
    let (voters, spares) = [(3, 0), (3, 1), (5, 0), (1, 2), (2, 1)][rng.below(5) as usize];
    let mut cluster = Cluster::new(voters, spares, fuzz_config(&mut rng), seed);
    for id in cluster.ids() {
        cluster.replica(id).clock = (rng.below(1 << 40), rng.below(6000) as i64 - 3000);
    }
    cluster.write_max = Duration::from_millis([0, 2, 20][rng.below(3) as usize]);
    cluster.apply_max = [1, 5, usize::MAX][rng.below(3) as usize];
    cluster.weather =
        Weather { drop: rng.below(40), duplicate: rng.below(40), late: [3, 60, 0][rng.below(3) as usize] };
    // The clocks were set after the start: begin again with them.
    for id in cluster.ids() {
        cluster.crash(id);
        cluster.start(id);
    }
    // A replica that was cut off can be elected only if it missed nothing.
    let quiet = rng.one_in(2);
    // Disks are lost where a majority can do without, which changes of membership might not leave.
    let wipes = voters >= 3 && spares == 0 && rng.one_in(2);
    for _ in 0..STEPS {
        cluster.step();
        for _ in 0..rng.below(3) {
            let id = 1 + rng.below(voters + spares);
            trouble(&mut cluster, id, quiet, wipes, &mut rng);
        }
    }
    heal(&mut cluster);
    cluster
}

fn trouble(cluster: &mut Cluster, id: u64, quiet: bool, wipes: bool, rng: &mut Rng) {
    let now = cluster.time(id);
    let running = cluster.replica(id).group.is_some() && !cluster.replica(id).paused;
    match rng.below(400) {
        0..200 if running && (!quiet || rng.one_in(100)) => propose(cluster, id, rng),
        200..230 if running => read(cluster, id),
        230..240 if running => cluster.replica(id).flush(),
        240..250 if running => cluster.replica(id).compact(),
        250 if rng.one_in(3) => cluster.crash(id),
        251..256 => cluster.start(id),
        256 => cluster.replica(id).paused = true,
        257..261 => cluster.replica(id).paused = false,
        265 => {
            let other = 1 + rng.below(cluster.ids().len() as u64);
            cluster.cut.insert((id, other));
        }
        // Trouble lasts: a vote guard is long.
        268..270 => {
            cluster.cut.pop_last();
        }
        275 if rng.one_in(4) => cluster.replica(id).disk_stalled = true,
        276..280 => cluster.replica(id).disk_stalled = false,
        280..284 if running && !wipes => change_membership(cluster, id, rng),
        284..310 if running => command_group(cluster, id, now, rng),
        310..313 => trouble_leader(cluster, rng),
        313..315 if rng.one_in(2) => {
            cluster.crash(id);
            cluster.start(id);
        }
        315 if wipes => wipe(cluster, id),
        _ => {}
    }
}

/// A disk is lost, one at a time: the next one when what the last one held is there again.
fn wipe(cluster: &mut Cluster, id: u64) {
    let complete = |r: &super::replica::Replica| !r.wiped || r.disk.0.borrow().flushed.applied > 0;
    if cluster.replicas.values().all(complete) && cluster.replicas[&id].disk.0.borrow().flushed.applied > 0 {
        cluster.wipe(id);
    }
}

/// The leader crashes, stops or is cut off from some, who notice that their connections broke.
fn trouble_leader(cluster: &mut Cluster, rng: &mut Rng) {
    let Some(leader) = cluster.leader() else { return };
    let mut others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    match rng.below(4) {
        0 => cluster.crash(leader),
        1 => cluster.replica(leader).paused = true,
        _ => {
            others.retain(|_| rng.one_in(2));
            for other in &others {
                cluster.cut.insert((leader, *other));
                if rng.one_in(2) {
                    cluster.cut.insert((*other, leader));
                }
            }
        }
    }
    for other in others {
        let now = cluster.time(other);
        if let Some(group) = &mut cluster.replica(other).group {
            group.suspect_leader(now);
        }
    }
}

fn propose(cluster: &mut Cluster, id: u64, rng: &mut Rng) {
    let length = 1 + rng.below(40) as usize;
    let data = Bytes::from(format!("{:0length$}", rng.below(1000)));
    let accepted = cluster.replica(id).group.as_mut().is_some_and(|g| g.propose(data).is_ok());
    if accepted {
        cluster.checker.count("proposed");
    }
    if rng.one_in(2) {
        cluster.collect(id);
    }
}

fn read(cluster: &mut Cluster, id: u64) {
    let (now, decided) = (cluster.time(id), cluster.checker.decided_index);
    let replica = cluster.replica(id);
    if let Some(Ok(barrier)) = replica.group.as_mut().map(|g| g.read_barrier(now)) {
        assert!(replica.barriers.insert(barrier, decided).is_none(), "no barrier is used twice");
    }
}

fn change_membership(cluster: &mut Cluster, id: u64, rng: &mut Rng) {
    let ids = cluster.ids();
    let change = |rng: &mut Rng| {
        let kind =
            [ChangeKind::Voter, ChangeKind::Learner, ChangeKind::Learner, ChangeKind::Remove][rng.below(4) as usize];
        (kind, NodeId(ids[rng.below(ids.len() as u64) as usize]))
    };
    let mut changes = vec![change(rng)];
    if rng.one_in(2) {
        changes.push(change(rng));
    }
    let group = cluster.replica(id).group.as_mut().expect("it runs");
    if group.role() == Role::Leader && group.propose_membership(MembershipChange::new(changes)).is_ok() {
        cluster.checker.count("membership");
    }
}

fn command_group(cluster: &mut Cluster, id: u64, now: stdx::Mono, rng: &mut Rng) {
    let others = cluster.ids();
    let other = NodeId(others[rng.below(others.len() as u64) as usize]);
    let group = cluster.replica(id).group.as_mut().expect("it runs");
    match rng.below(28) {
        0 => group.transfer_leader(other, now),
        1 => group.request_leadership(now),
        2 => group.step_down(now),
        3..8 => group.allow_campaign(),
        8..12 => group.suspect_leader(now),
        12..18 => group.report_unreachable(other),
        18..24 if group.can_hibernate() => {
            group.hibernate();
            cluster.checker.count("hibernated");
        }
        _ => group.wake(now),
    }
}

/// Ends all trouble: the group must become available and its replicas equal.
fn heal(cluster: &mut Cluster) {
    cluster.weather = Weather::default();
    cluster.cut.clear();
    cluster.apply_max = usize::MAX;
    for id in cluster.ids() {
        cluster.start(id);
        let now = cluster.time(id);
        let replica = cluster.replica(id);
        (replica.paused, replica.disk_stalled) = (false, false);
        if let Some(group) = &mut replica.group {
            group.allow_campaign();
            group.wake(now);
        }
    }
    cluster.run(Duration::from_secs(6));
    let Some(leader) = cluster.leader() else { panic!("a group without trouble has no leader: {}", cluster.status()) };
    let before = cluster.checker.decided_index;
    cluster.replica(leader).group.as_mut().expect("it leads").propose(Bytes::from_static(b"end")).expect("it leads");
    cluster.run(Duration::from_secs(2));
    assert!(cluster.checker.decided_index > before, "a group without trouble decides");
    cluster.assert_converged();
}

/// Seeds per test, unless `POLDER_SEEDS` says otherwise.
const SEEDS: u64 = 50;

fn check_seeds(first: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let seeds = match number("POLDER_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("POLDER_SEEDS").unwrap_or(SEEDS),
    };
    let mut counts = std::collections::BTreeMap::new();
    for seed in seeds {
        let cluster = std::panic::catch_unwind(|| history(seed)).unwrap_or_else(|cause| {
            eprintln!("repeat with: POLDER_SEED={seed} cargo nextest run -p consensus fuzz");
            std::panic::resume_unwind(cause)
        });
        for (what, count) in &cluster.checker.counts {
            *counts.entry(*what).or_insert(0u64) += count;
        }
    }
    println!("{counts:?}");
    for what in
        ["decided", "barriers", "lease", "dropped", "installs", "overwrites", "membership", "hibernated", "wiped"]
    {
        assert!(
            counts.get(what).is_some_and(|n| *n > 0) || std::env::var("POLDER_SEED").is_ok(),
            "no {what} was tested"
        );
    }
}

#[test]
fn fuzz_a() {
    check_seeds(0);
}

#[test]
fn fuzz_b() {
    check_seeds(1000000);
}

#[test]
fn fuzz_c() {
    check_seeds(2000000);
}

#[test]
fn fuzz_d() {
    check_seeds(3000000);
}

#[test]
fn same_seed_same_trace() {
    for seed in [1, 7, 42] {
        let (one, two) = (history(seed), history(seed));
        assert_eq!(one.trace, two.trace, "seed {seed} has two histories");
        assert_eq!(one.checker.counts, two.checker.counts);
    }
}

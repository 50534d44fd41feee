"""The rows of the table: what runs, beside what, and what should be reached."""

import signal
import subprocess
import time
from dataclasses import dataclass, field

from e2e.harness import cluster, proc

from . import generators
from .generators import redis_benchmark
from .systems import Etcd, Polder, Redis, serving

MIB = 1 << 20
MEMORY_KEYS = 1_000_000
REOPEN_KEYS = 5_000_000
# Written again before the kill, so that there is a log to replay.
REPLAYED_KEYS = 100_000
LOAD_SECONDS = 5
IDLE_SECONDS = 10
IDLE_SHARDS = 1_000
# A group without traffic for ten seconds sleeps.
HIBERNATION_SECONDS = 15


@dataclass
class Result:
    """One line of the table. `reached` compares with the issue's least; `None` where it sets none."""

    work: str
    ours: str
    beside: str
    ratio: str
    least: str
    reached: bool | None
    details: list[str] = field(default_factory=list)


class Bench:
    """How often and how much."""

    def __init__(self, runs, scale=1.0):
        self.runs = runs
        self.scale = scale

    def size(self, number):
        """A number of requests or keys, scaled."""
        return max(1000, int(number * self.scale))

    def alternate(self, ours, beside, body):
        """Runs both sides in turn; the medians of each."""
        mine, theirs = [], []
        for run in range(self.runs):
            for system, samples in ((ours, mine), (beside, theirs)):
                samples.append(body(system))
                s = samples[-1]
                print(f"    {run + 1} {system.name}: {s.rate:.0f}/s, p50 {s.p50:.2f} ms, {s.cpu:.1f} µs CPU", flush=True)
        return generators.median(mine), generators.median(theirs)


def _rate(sample):
    return f"{sample.rate:,.0f}/s · p50 {sample.p50:.2f} · p99 {sample.p99:.2f} ms · {sample.cpu:.1f} µs CPU"


def _rates(work, pair, least, cpu_most=None):
    """A row that compares rates, and CPU per request with a bound."""
    mine, theirs = pair
    ratio = mine.rate / theirs.rate
    reached = ratio >= least and (cpu_most is None or mine.cpu <= cpu_most)
    wanted = f"{least:g} ×" + (f", ≤ {cpu_most:g} µs CPU" if cpu_most else "")
    return Result(work, _rate(mine), _rate(theirs), f"{ratio:.2f} ×", wanted, reached)


def plain(bench):
    """SET and GET over 50 connections, with and without pipelining, and one connection, on three nodes."""
    with Polder() as ours, Redis() as theirs:

        def compare(test, clients, requests, pipeline=1):
            return bench.alternate(
                ours, theirs, lambda s: redis_benchmark(s, test, clients, bench.size(requests), pipeline)
            )

        # One unmeasured run each, so that the key space is there.
        for system in (ours, theirs):
            redis_benchmark(system, "set", 50, bench.size(300_000), 16)
            system.settle()
        yield _rates("SET, 50 connections, three nodes", compare("set", 50, 200_000), 0.40, 45)
        yield _rates("SET, 50 connections, pipeline 16, three nodes", compare("set", 50, 1_000_000, 16), 0.40, 12)
        for system in (ours, theirs):
            system.settle()
        yield _rates("GET, linearizable, 50 connections", compare("get", 50, 400_000), 1.0, 8)
        yield _rates("GET, linearizable, pipeline 16", compare("get", 50, 2_000_000, 16), 0.7)
        mine, other = compare("set", 1, 10_000)
        factor = mine.p50 / other.p50
        yield Result("SET, one connection: p50", _rate(mine), _rate(other), f"{factor:.2f} × the p50", "≤ 2.5 ×", factor <= 2.5)


def one(bench):
    """SET over 50 connections on one node."""
    with Polder(nodes=1) as ours, Redis() as theirs:
        pair = bench.alternate(ours, theirs, lambda s: redis_benchmark(s, "set", 50, bench.size(200_000)))
        yield _rates("SET, 50 connections, one node", pair, 0.9)


def sharded(bench):
    """SET and GET over the sharded ports, beside Redis Cluster."""
    with Polder() as ours, Redis(fsync="everysec", sharded=True) as theirs:
        # redis-benchmark ends within a quarter of a second of the last reply in this mode: runs have to be long.
        for test, requests, least in (("set", 300_000, 0.5), ("get", 800_000, 1.0)):
            for system in (ours, theirs):
                system.settle()
            pair = bench.alternate(
                ours, theirs, lambda s, t=test, n=requests: redis_benchmark(s, t, 64, bench.size(n), sharded=True)
            )
            yield _rates(f"{test.upper()}, 64 clients, sharded port", pair, least)


def etcd(bench):
    """SET beside etcd's put, 64 clients, three nodes each."""
    with Polder() as ours, Etcd() as theirs:
        jobs = {ours: "redis-set", theirs: "etcd-put"}
        pair = bench.alternate(ours, theirs, lambda s: generators.load(s, jobs[s], LOAD_SECONDS))
        row = _rates("SET beside etcd put, 64 clients, three nodes", pair, 4)
        share = pair[0].cpu / pair[1].cpu
        row.least += ", ≤ 0.25 × its CPU"
        row.ratio += f", {share:.2f} × CPU"
        row.reached = row.reached and share <= 0.25
        yield row


def memory(bench):
    """What a million keys cost."""
    keys = bench.size(MEMORY_KEYS)
    costs = []
    for system in (Polder(), Redis(fsync="everysec")):
        with system:
            generators.fill(system.port, "redis-fill", keys)
            system.settle()
            costs.append((max(map(proc.rss_bytes, system.pids())) / MIB, system.disk() / MIB))
            print(f"    {system.name}: {costs[-1][0]:.0f} MiB RSS, {costs[-1][1]:.0f} MiB disk", flush=True)
    (rss, disk), (their_rss, their_disk) = costs
    texts = [f"{r:.0f} MiB RSS, {d:.0f} MiB disk" for r, d in costs]
    ratio = f"{rss / their_rss:.2f} × RSS, {disk / their_disk:.2f} × disk"
    reached = rss <= 0.5 * their_rss and disk <= 2 * their_disk
    yield Result(f"{keys:,} keys of 128 bytes, per replica", *texts, ratio, "≤ 0.5 × RSS, ≤ 2 × disk", reached)


def idle(_bench):
    """What a cluster costs that nobody uses: as it is by default, and with many shards."""
    with Polder() as ours:
        rss, share, shown = _idle(ours)
        yield Result("Idle, three nodes", shown, "", "", "≤ 150 MiB", rss <= 150)
    with Polder(shards=IDLE_SHARDS) as ours:
        rss, share, shown = _idle(ours)
        yield Result(f"Idle, three nodes, {IDLE_SHARDS:,} shards", shown, "", "", "≤ 3 % of a core", share <= 3)


def _idle(system):
    """RSS in MiB of the largest node and the share of a core per node in percent, also as text."""
    time.sleep(HIBERNATION_SECONDS)
    pids = system.pids()
    rss = max(map(proc.rss_bytes, pids)) / MIB
    before = sum(map(proc.cpu_seconds, pids))
    time.sleep(IDLE_SECONDS)
    share = (sum(map(proc.cpu_seconds, pids)) - before) / IDLE_SECONDS / len(pids) * 100
    return rss, share, f"{rss:.0f} MiB RSS, {share:.1f} % of a core per node"


def reopen(bench):
    """From the start of a process to its first answer, with five million keys."""
    keys = bench.size(REOPEN_KEYS)
    probe = f"key:{keys - 1:012}"
    ours = _reopen_polder(keys, probe)
    with Redis(fsync="everysec") as redis:
        generators.fill(redis.port, "redis-fill", keys)
        redis.servers.stop(signal.SIGTERM)
        began = time.monotonic()
        redis.servers.start()
        proc.wait_for("redis-server", lambda: serving(redis.port, probe), 600, every=0.005)
        theirs = time.monotonic() - began
    with Etcd(members=1) as etcd_server:
        generators.fill(etcd_server.port, "etcd-fill", keys)
        for process in etcd_server.processes:
            process.terminate()
            process.wait()
        began = time.monotonic()
        etcd_server.start()
        etcds = time.monotonic() - began
    shown = ", ".join(f"{how} {took:.2f} s" for how, took in ours.items())
    beside = f"redis-server {theirs:.2f} s, etcd {etcds:.2f} s"
    yield Result(f"Reopen a node with {keys:,} keys", shown, beside, "", "≤ 1 s", max(ours.values()) <= 1.0)


def _reopen_polder(keys, probe):
    """One node: filled and stopped, then started again, killed with something to replay, and started again."""
    with cluster.DevCluster(nodes=1) as dev:
        dev.start()
        port = dev.nodes[0].redis
        generators.fill(port, "redis-fill", keys)
        dev.stop()
        command = [str(cluster.BINARY), "start", "--config", str(dev.folder(0) / "polder.toml")]

        def open_again():
            began = time.monotonic()
            node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            proc.wait_for("the node", lambda: serving(port, probe), 600, every=0.005)
            return node, time.monotonic() - began

        node, after_stop = open_again()
        generators.fill(port, "redis-fill", min(keys, REPLAYED_KEYS))
        node.kill()
        node.wait()
        node, after_kill = open_again()
        node.kill()
        node.wait()
    return {"after a clean stop": after_stop, "after kill -9": after_kill}


ROWS = {"plain": plain, "one": one, "sharded": sharded, "etcd": etcd, "memory": memory, "idle": idle, "reopen": reopen}

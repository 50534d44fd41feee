"""Leader kills and leader pauses under concurrent writers and readers.

Twenty times the leader of the co-located shard is killed with kill -9, ten times it is stopped for five seconds. Twenty-four
writers (eight on the plain ports, one for each shard on the sharded ports) and sixteen readers go on throughout. Nothing
acknowledged may be lost, no read may be stale, and the time from a fault to the next acknowledged write is bounded: it is
the time until the first acknowledgement of a write that began after the fault, on a shard whose leader was hit.
"""

import os
import random
import signal
import statistics
import threading
import time
from dataclasses import dataclass

from .harness import cluster, proc
from .harness.client import SAFE, UNKNOWN, Client
from .harness.history import History
from .harness.report import main
from .harness.resp import Lost, NotSent, ReplyError
from .harness.slots import tag_for

KILLS = int(os.environ.get("E2E_KILLS", "20"))
PAUSES = int(os.environ.get("E2E_PAUSES", "10"))
PAUSE_SECONDS = 5.0

# Bounds on the time to the next acknowledged write: median and worst, in seconds.
KILL_BOUNDS = (0.5, 1.5)
PAUSE_BOUNDS = (1.5, 2.5)

PLAIN_WRITERS = 8
PLAIN_READERS = 8
SHARDED_READERS = 8
# Pauses between the operations of one client, in seconds: enough load to have something in flight at every fault,
# little enough to leave the two cores of a small machine to the cluster.
WRITE_PAUSE = 0.010
READ_PAUSE = 0.010
RETRY_PAUSE = 0.005
# A plain client waits long enough to notice a request that the cluster swallowed; a cluster client, which talks to
# the stopped leader itself, has to give up early.
PLAIN_TIMEOUT = 4.0
SHARDED_TIMEOUT = 0.5
# How long a shard may take before the test gives up on it.
GIVE_UP_SECONDS = 20.0
# Leadership has to rest this long before a leader is aimed at.
REST_SECONDS = 2.0


@dataclass
class Group:
    """One shard under test: where its keys live and what its writers achieved."""

    name: str
    tag: str
    sharded: bool
    index: int


class Load:
    """The writers and readers."""

    def __init__(self, system, groups):
        self.system = system
        self.groups = groups
        self.history = History()
        self.stop = threading.Event()
        self.acks = {group.name: [] for group in groups}
        self.live = {group.name: {} for group in groups}
        self.surprises = []
        self.slowest = 0.0
        self.threads = []

    def start(self):
        """Starts all clients."""
        plain = [g for g in self.groups if not g.sharded]
        sharded = [g for g in self.groups if g.sharded]
        jobs = [(self._write, plain[0], n) for n in range(PLAIN_WRITERS)]
        jobs += [(self._write, group, n) for n, group in enumerate(sharded)]
        jobs += [(self._read, plain, n) for n in range(PLAIN_READERS)]
        jobs += [(self._read, sharded, n) for n in range(SHARDED_READERS if sharded else 0)]
        for body, target, number in jobs:
            thread = threading.Thread(target=self._guard, args=(body, target, number), daemon=True)
            thread.start()
            self.threads.append(thread)

    def finish(self):
        """Stops all clients."""
        self.stop.set()
        for thread in self.threads:
            thread.join(PLAIN_TIMEOUT + 5)

    def _guard(self, body, target, number):
        try:
            body(target, number)
        except Exception as error:  # noqa: BLE001 - a client that dies is a finding
            self.surprises.append(f"client ended: {type(error).__name__}: {error}")

    def _client(self, sharded, number):
        nodes = self.system.nodes
        if sharded:
            return Client([n.cluster for n in nodes], number, SHARDED_TIMEOUT)
        # Spread over all nodes at every fault, so that some are not connected to the one that is hit.
        return Client([n.redis for n in nodes], number, PLAIN_TIMEOUT, faithful=True)

    def _open(self, group, writer, life):
        counter = self.history.open(f"{{{group.tag}}}:w{writer}:{life}")
        self.live[group.name][writer] = counter
        return counter

    def _write(self, group, writer):
        client = self._client(group.sharded, writer)
        life = 0
        counter = self._open(group, writer, life)
        while not self.stop.is_set():
            value = self.history.begin_write(counter)
            began = time.monotonic()
            try:
                client.call("SET", counter.key, value)
            except NotSent:
                time.sleep(RETRY_PAUSE)
                continue
            except (Lost, ReplyError) as error:
                code = getattr(error, "code", UNKNOWN)
                if code in SAFE:
                    self.history.refuse()
                else:
                    if code != UNKNOWN:
                        self.surprises.append(f"write: {error}")
                    self.history.give_up(counter)
                    life += 1
                    counter = self._open(group, writer, life)
                time.sleep(RETRY_PAUSE)
                continue
            finally:
                self.slowest = max(self.slowest, time.monotonic() - began)
            self.history.acknowledge(counter)
            self.acks[group.name].append((began, time.monotonic()))
            time.sleep(WRITE_PAUSE)

    def _read(self, groups, number):
        client = self._client(groups[0].sharded, number)
        while not self.stop.is_set():
            counters = list(self.live[random.choice(groups).name].values())
            if not counters:
                time.sleep(READ_PAUSE)
                continue
            counter = random.choice(counters)
            floor = self.history.begin_read(counter)
            try:
                value = client.call("GET", counter.key)
            except (NotSent, Lost):
                time.sleep(RETRY_PAUSE)
                continue
            except ReplyError as error:
                if error.code not in SAFE:
                    self.surprises.append(f"read: {error}")
                time.sleep(RETRY_PAUSE)
                continue
            self.history.end_read(counter, floor, value, f"at port {client.port}")
            time.sleep(READ_PAUSE)

    def next_ack(self, name, since):
        """Seconds from `since` to the first acknowledgement of a write that began after it; `None` until there is one."""
        after = [end for begin, end in self.acks[name][-2000:] if begin >= since]
        return min(after) - since if after else None


def led_by(system, groups, victim):
    """The groups whose leader is the node `victim`, each with its term."""
    shards = _by_group(system, groups)
    leads = {leader: system.index_of(leader) for leader in {shard["leader"] for shard in shards.values()}}
    return {name: shard["term"] for name, shard in shards.items() if leads[shard["leader"]] == victim}


def fault(system, load, groups, pause):
    """One kill or pause of the leader of the co-located shard: seconds to the next acknowledged write, by group.

    A group counts only if its term rose: then the fault did hit its leader, and not a node that led a moment before.
    """
    system.wait_ready()
    system.settle(REST_SECONDS)
    victim = proc.wait_for("a leader that all nodes agree on", lambda: _some(system.leader("default")), 30)[0]
    hit = led_by(system, groups, victim)
    pid = system.pid(victim)
    since = time.monotonic()
    os.kill(pid, signal.SIGSTOP if pause else signal.SIGKILL)
    gaps = {}
    try:
        while len(gaps) < len(hit) and time.monotonic() < since + GIVE_UP_SECONDS:
            for name in hit:
                gap = load.next_ack(name, since)
                if gap is not None:
                    gaps.setdefault(name, gap)
            time.sleep(0.01)
            if pause and time.monotonic() >= since + PAUSE_SECONDS:
                _resume(pid)
        time.sleep(max(0.0, since + PAUSE_SECONDS - time.monotonic()) if pause else 0)
    finally:
        if pause:
            _resume(pid)
    system.wait_ready()
    after = {name: shard["term"] for name, shard in _by_group(system, groups).items()}
    return {name: gaps.get(name, GIVE_UP_SECONDS) for name in hit if after[name] > hit[name] or cluster.against_redis()}


def _by_group(system, groups):
    shards = {"default": system.shards("default"), "cluster": system.shards("cluster")}
    return {group.name: shards["cluster" if group.sharded else "default"][group.index] for group in groups}


def _resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def _some(value):
    return None if value is None else [value]


def groups_of(system):
    """One group for the co-located shard, and one for each shard of the sharded namespace."""
    groups = [Group("default", "d", False, 0)]
    for index, shard in enumerate(system.shards("cluster")):
        first, last = shard["slots"]
        groups.append(Group(f"cluster-{index}", tag_for(first, last, f"s{index}-"), True, index))
    return groups


def final_values(system, groups, history):
    """The value of every key, read with patience."""
    values = {}
    clients = {False: Client([n.redis for n in system.nodes]), True: Client([n.cluster for n in system.nodes])}
    sharded = {group.tag: group.sharded for group in groups}
    for key in list(history.counters):
        client = clients[sharded[key[1 : key.index("}")]]]
        values[key] = proc.wait_for(f"a read of {key}", lambda c=client, k=key: _try_get(c, k), 20)[0]
    return values


def _try_get(client, key):
    try:
        return [client.call("GET", key)]
    except (NotSent, Lost, ReplyError):
        return None


def judge(report, what, series, bounds):
    """Prints one series of gaps and checks it against its bounds, in seconds: median, worst."""
    if not series:
        return
    median, worst = statistics.median(series), max(series)
    report.note(f"{what}: {len(series)} times, median {median:.2f} s, worst {worst:.2f} s")
    report.note("  each: " + " ".join(f"{gap:.2f}" for gap in series))
    if cluster.against_redis():
        return
    for name, value, bound in (("median", median, bounds[0]), ("worst", worst, bounds[1])):
        report.within(f"{what}: {name}", value, bound)


def body(report):
    """The part."""
    with cluster.start() as system:
        groups = groups_of(system)
        load = Load(system, groups)
        load.start()
        time.sleep(1.0)
        series = {"kill": ([], []), "pause": ([], [])}
        plan = ["kill"] * KILLS + ["pause"] * PAUSES
        misses = 0
        number = 0
        while number < len(plan):
            kind = plan[number]
            gaps = fault(system, load, groups, kind == "pause")
            plain = gaps.pop("default", None)
            if plain is None:
                # The leader moved while we aimed; the fault happened, but it measures nothing.
                misses += 1
                if misses > len(plan):
                    raise RuntimeError("leadership does not rest long enough to hit a leader")
                continue
            number += 1
            series[kind][0].append(plain)
            series[kind][1].extend(gaps.values())
            sharded = f", sharded worst {max(gaps.values()):.2f} s of {len(gaps)}" if gaps else ""
            print(f"        {kind} {number}/{len(plan)}: next acknowledged write after {plain:.2f} s{sharded}", flush=True)
        system.wait_ready()
        time.sleep(1.0)
        load.finish()
        history = load.history
        report.note(
            f"{history.writes} acknowledged writes, {history.reads} reads, {history.refused} refused, "
            f"{history.unknown} unknown outcomes, slowest write {load.slowest:.2f} s"
        )
        if misses:
            report.note(f"{misses} more faults hit a node that led no longer")
        report.check("writers and readers made progress", history.writes > 1000 and history.reads > 1000)
        report.equal("unexpected errors", load.surprises[:5], [])
        report.equal("stale reads", history.stale[:5], [])
        report.equal("reads of values never written", history.invented[:5], [])
        report.equal("acknowledged writes lost", history.lost(final_values(system, groups, history))[:5], [])
        for kind, bounds in (("kill", KILL_BOUNDS), ("pause", PAUSE_BOUNDS)):
            judge(report, f"plain port, write after a leader {kind}", series[kind][0], bounds)
            judge(report, f"sharded port, write after a leader {kind}", series[kind][1], bounds)
        code = system.stop()
        report.equal("stops cleanly", code, 0)
        system.start()
        report.equal("lost after a restart", history.lost(final_values(system, groups, history))[:5], [])


if __name__ == "__main__":
    main("kills", body)

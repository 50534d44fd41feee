"""Disks that fill up and disks that rot, and a replica that was away for longer than the log is kept.

Each node is a `polder start` of its own, so that one can stay down while its files are changed. Every value says which key
and version it belongs to and is checked byte by byte.
"""

import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .harness import cluster, proc
from .harness.nodes import REBUILD_SECONDS, Nodes
from .harness.report import main
from .harness.resp import Connection, Lost, NotSent, ReplyError
from .harness.versions import SEED, Model

KIB, MIB = 1 << 10, 1 << 20
LOG_MAX_BYTES = 64 * MIB

# Small enough that flushes, reclaimed segments and snapshots happen within seconds.
SETTINGS = {
    "limits.log.segment": "1MiB",
    "limits.log.max": f"{LOG_MAX_BYTES // MIB}MiB",
    "limits.log.reserve": "8MiB",
    "limits.memory.active_table": "1MiB",
    "limits.memory.cache": "1MiB",
}

DISK_BYTES = 256 * MIB
# Removing it must leave more than the reserve and the room that a node wants before it takes writes again.
BALLAST_BYTES = 104 * MIB
# What a filled disk keeps beyond the reserve: less than a node wants for taking writes.
LEFTOVER_BYTES = 4 * MIB
FULL_VALUE = 100 * KIB
# More writes than this fit on no disk of that size.
FULL_WRITES_MAX = DISK_BYTES // FULL_VALUE
FULL_SECONDS = 3.0
# A disk on which nothing was written for so long is full.
STEADY_SECONDS = 2.0
# Half of `limits.log.reserve`, which the engine leaves alone.
LEFT_MIN_MIB = 4.0
# How long a refusal may take, and how long until writes are taken again.
REFUSAL_SECONDS = 1.0
RETURN_SECONDS = 10.0
# How long until a node leads again when its disk has room: the balance is looked at every five seconds.
RELEAD_SECONDS = 15.0

VALUE = 8 * KIB
KEYS = 800
# While one node is away: well above `limits.log.max`, in more entries than a truncation leaves behind.
AWAY_WRITES = 900
AWAY_VALUE = 64 * KIB
# What the files of one log may come to beyond its limit: segments ahead of need and entries too few to truncate.
LOG_SLACK_BYTES = 24 * MIB
# Together far more than `limits.log.max`, in fewer entries than a truncation usually leaves behind.
LARGE_VALUE = 4 * MIB
LARGE_WRITES = 30
LARGE_SECONDS = 5.0
# A group that nobody wrote to for 10 s goes to sleep.
ASLEEP_SECONDS = 11.0
# How long the rebuilding of a few MiB may take.
QUIET_SECONDS = 10.0
# How long writes go on after tables were damaged: enough for flushes and merges.
WORK_SECONDS = 3.0
# Writes that two of three nodes take before one of the two is emptied, and how long the other two are left without the third.
EMPTIED_WRITES = 100
WITHOUT_SECONDS = 4.0
# What is damaged: its name, the offset in a table of some length, and the least length. Most of a large table is data;
# a small one has its index in the middle; every one ends with the places of its parts.
TABLE_DAMAGES = (
    ("a bit near the end of each table", lambda size: size - 40, 200),
    ("a bit in the middle of each table", lambda size: size // 2, 200),
    ("a bit in the data of each large table", lambda size: size // 2, 64 * KIB),
)


class SmallDisks:
    """One small tmpfs for each node."""

    def __init__(self, count):
        self.root = Path(tempfile.mkdtemp(prefix="polder-e2e-disks-"))
        self.mounts = [self.root / f"disk{n + 1}" for n in range(count)]
        self.mounted = []

    def __enter__(self):
        for path in self.mounts:
            path.mkdir()
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "polder-e2e", str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                self.__exit__()
                raise PermissionError(done.stderr.strip() or "mount failed")
            self.mounted.append(path)
        return self.mounts

    def __exit__(self, *_):
        for path in self.mounted:
            subprocess.run(["umount", "-l", str(path)], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


def free_bytes(path):
    """What the file system below a path has left."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def occupy(path, size):
    """A file of so many bytes, all of them taken from the disk."""
    with open(path, "wb") as out:
        os.posix_fallocate(out.fileno(), 0, size)


def disk_full(report):
    """All three disks fill up, and have room again."""
    if os.geteuid() != 0:
        report.skip("disk full", "mounting a small tmpfs needs root")
        return
    disks = SmallDisks(3)
    try:
        mounts = disks.__enter__()
    except (OSError, subprocess.SubprocessError) as error:
        report.skip("disk full", f"no tmpfs could be mounted: {error}")
        return
    try:
        for mount in mounts:
            occupy(mount / "ballast", BALLAST_BYTES)
        with Nodes(SETTINGS, disks=mounts) as system:
            system.start()
            _fill(report, system, mounts)
            report.run("one full disk of three", one_full, report, system, mounts)
    finally:
        disks.__exit__()


def _fill(report, system, mounts):
    pids = sorted(system.pids())
    model = Model(system, False, FULL_VALUE, "full")
    written, error, refused_at = 0, None, None
    # Flushes and freed segments make room a few times before the disk is full for good.
    while written < FULL_WRITES_MAX and (refused_at is None or time.monotonic() - refused_at < STEADY_SECONDS):
        error = model.write(written)
        if error is None:
            written, refused_at = written + 1, None
        else:
            refused_at = refused_at or time.monotonic()
            time.sleep(0.02)
    report.note(f"{written} writes of {FULL_VALUE // KIB} KiB were taken; then: {error}")
    report.check("some writes are taken before the disk is full", written > 100, written)
    refusals, slowest = _refusals(model, written)
    report.equal("a full disk refuses with", sorted(refusals), ["OOM the disk of a majority of replicas is full; writes are refused until space returns"])  # fmt: skip
    report.within("it refuses", slowest, REFUSAL_SECONDS)
    report.note(f"refused: {refusals}, the slowest after {slowest:.2f} s")
    keys = [model.key(n) for n in random.Random(SEED).sample(range(written), 100)]
    report.equal("full: reads are right", model.wrong(keys), [])
    report.equal("full: every process lives", (sorted(system.pids()), system.dead()), (pids, {}))
    left = [free_bytes(mount) / MIB for mount in mounts]
    report.note("left: " + ", ".join(f"{mib:.1f} MiB" for mib in left))
    report.check("full: no disk is filled to the last byte", min(left) >= LEFT_MIN_MIB, f"{min(left):.1f} MiB")
    for mount in mounts:
        (mount / "ballast").unlink()
    since = time.monotonic()
    model.write_patiently(written, RETURN_SECONDS)
    report.note(f"writes are taken again {time.monotonic() - since:.2f} s after there is room")
    for number in range(0, written, 20):
        model.write_patiently(number)
    report.check("room again: writes are taken without a restart", not system.dead() and sorted(system.pids()) == pids)
    system.wait_ready()
    system.kill_everything()
    system.start()
    report.equal("after kill -9 of all nodes: every acknowledged write is there", model.wrong()[:5], [])


def _refusals(model, number):
    """Goes on writing for a while: how often which answer came, and how long the slowest took."""
    answers, slowest = {}, 0.0
    end = time.monotonic() + FULL_SECONDS
    while time.monotonic() < end:
        began = time.monotonic()
        error = model.write(number)
        slowest = max(slowest, time.monotonic() - began)
        text = getattr(error, "text", repr(error))
        answers[text] = answers.get(text, 0) + 1
        time.sleep(0.02)
    return answers, slowest


def one_full(report, system, mounts):
    """The disk of one follower, then that of a leader fills up: two nodes of three have room."""
    # The first node is preferred for the co-located shard.
    leader, reserve = 0, 8 * MIB
    proc.wait_for("the preferred leader", lambda: system.leader() == leader, 30)
    system.settle(2.0)
    for what, victim in (("a follower", (leader + 1) % 3), ("the leader", leader)):
        name = f"the disk of {what} is full"
        model = Model(system, False, FULL_VALUE, f"one-{what}")
        mark = system.mark(victim)
        ballast = mounts[victim] / "ballast"
        occupy(ballast, max(0, free_bytes(mounts[victim]) - reserve - LEFTOVER_BYTES))
        proc.wait_for("the node to notice", lambda v=victim, m=mark: "disk is full" in system.log(v)[m:], 10)
        answers, slowest = {}, 0.0
        for number in range(60):
            began = time.monotonic()
            error = model.write(number)
            slowest = max(slowest, time.monotonic() - began)
            text = getattr(error, "text", "OK" if error is None else repr(error))
            answers[text] = answers.get(text, 0) + 1
        report.equal(f"{name}: writes are taken", answers, {"OK": 60})
        report.within(f"{name}: every write is answered", slowest, REFUSAL_SECONDS)
        report.equal(f"{name}: reads are right", model.wrong(), [])
        report.check(f"{name}: it leads nothing", _leads(system, victim) == 0, _leads(system, victim))
        ballast.unlink()
        system.wait_caught_up(victim, RETURN_SECONDS)
        report.check(f"{name}: it catches up when there is room", not system.dead(), system.dead())
        proc.wait_for("the node to lead again", lambda v=victim: _leads(system, v) > 0, RELEAD_SECONDS)
        report.check(f"{name}: it leads again when there is room", True)


def _leads(system, index):
    """How many shards a node leads."""
    return sum(shard["leader"] == index + 1 for name in ("default", "cluster") for shard in system.shards(name))


class Background:
    """Writes on both kinds of ports while something else happens."""

    def __init__(self, models):
        self.models = models
        self.stop = threading.Event()
        self.written = 0
        self.errors = {}
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        for model in self.models:
            model.reconnect()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(30)

    def _run(self):
        number = 0
        while not self.stop.is_set():
            for model in self.models:
                error = model.write(number)
                if error is None:
                    self.written += 1
                else:
                    text = str(error)
                    self.errors[text] = self.errors.get(text, 0) + 1
            number = (number + 1) % KEYS
            time.sleep(0.005)


def lagging(report, system, models):
    """A node is away while more is written than the log keeps: it catches up by snapshots."""
    victim = 2
    system.kill_node(victim)
    heavy = [Model(system, False, AWAY_VALUE, "away"), Model(system, True, AWAY_VALUE, "{away}")]
    for number in range(AWAY_WRITES):
        for model in heavy:
            model.write_patiently(number % 200)
    models += heavy
    sizes = [proc.disk_bytes(system.data_of(index) / "log-0") for index in (0, 1)]
    report.note("logs of the others: " + ", ".join(f"{size / MIB:.0f} MiB" for size in sizes))
    report.check("a node that is away does not hold the log back", max(sizes) <= LOG_MAX_BYTES + LOG_SLACK_BYTES, sizes)
    since = time.monotonic()
    system.start_node(victim)
    system.wait_caught_up(victim)
    report.note(f"it has everything {time.monotonic() - since:.1f} s after its start")
    report.check("a node that was away catches up", True)
    _rely_on(report, system, victim, models, "after being away")


def _rely_on(report, system, victim, models, what):
    """Reads everything from one node, and again with another node gone, so that this one is half of the majority."""
    for model in models:
        if model.sharded:
            with Connection(system.nodes[victim].cluster) as connection:
                connection.call("READONLY")
                report.equal(f"{what}: its own replicas of {model.prefix} are right", _firsts(model.wrong_at(connection)), ([], 0))
    other = (victim + 1) % 3
    system.kill_node(other)
    try:
        for model in models:
            model.reconnect()
            report.equal(f"{what}: {model.prefix} read through a majority with it", model.wrong()[:5], [])
            model.write_patiently(0)
    finally:
        system.start_node(other)
    system.wait_ready()


def _firsts(result):
    return result[0][:5], result[1]


def flip(path, offset):
    """Changes one bit of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def damaged_log(report, system, models):
    """One bit in the middle of an old, full log segment while others write, and of several while nobody does."""
    victim = 2
    since = _damage_log(system, victim, 1)
    with Background(models) as load:
        _rebuilt(report, system, victim, since, "damaged log")
        time.sleep(1.0)
    report.check("damaged log: the others serve meanwhile", load.written > 50 and not load.errors, (load.written, load.errors))
    system.wait_caught_up(victim)
    _rely_on(report, system, victim, models, "after a damaged log")
    time.sleep(ASLEEP_SECONDS)
    since = _damage_log(system, victim, 8)
    _rebuilt(report, system, victim, since, "damaged log, nobody writes")
    for model in models:
        for number in range(KEYS // 10):
            model.write_patiently(number)
    system.wait_caught_up(victim)


def _damage_log(system, victim, count):
    """Stops a node, changes its oldest log segments and starts it; where its messages begin, and when it was."""
    system.kill_node(victim)
    segments = sorted(system.data_of(victim).glob("log-0/*.log"), key=lambda path: int(path.stem))
    if len(segments) < count + 2:
        raise RuntimeError(f"too few segments for the oldest to be old: {segments}")
    for segment in segments[:count]:
        flip(segment, segment.stat().st_size // 2)
    _wait_for_leaders(system, victim)
    mark, began = system.mark(victim), time.monotonic()
    system.start_node(victim)
    return mark, began


def _rebuilt(report, system, victim, since, name):
    mark, began = since
    try:
        proc.wait_for("the node to be ready", lambda: system.ready(victim) or system.dead(), QUIET_SECONDS, every=0.01)
        ready = not system.dead()
    except TimeoutError:
        ready = False
    took = time.monotonic() - began
    said = system.log(victim)[mark:]
    reasons = "" if ready or system.dead() else system.get(victim, "/readyz")[1].decode()
    report.check(f"{name}: the node is ready within {QUIET_SECONDS:.0f} s", ready, reasons or system.dead())
    report.check(f"{name}: the node says that it rebuilds", "replica fenced" in said, said[-300:])
    report.note(f"{name}: {said.count('replica fenced')} replicas fenced, ready {took:.1f} s after its start")


def _wait_for_leaders(system, victim):
    """Waits until a node that was killed leads nothing any more."""
    names = ("default", "cluster")
    gone = [victim + 1, None]
    proc.wait_for("new leaders", lambda: all(s["leader"] not in gone for n in names for s in system.shards(n)), 30)


def damaged_tables(report, system, models, name, where, least):
    """One bit in each table file of the engine of at least so many bytes; `where` gives the offset for a length."""
    victim = 2
    system.kill_node(victim)
    _wait_for_leaders(system, victim)
    tables = [path for path in system.data_of(victim).glob("engine/keyspaces/*/tables/*") if path.stat().st_size >= least]
    offsets = [(path, where(path.stat().st_size)) for path in tables]
    for path, offset in offsets:
        flip(path, offset)
    mark = system.mark(victim)
    system.start_node(victim)
    wrong, errors, reads = _read_while_it_rebuilds(system, victim, [model for model in models if model.sharded])
    said = [line for line in system.log(victim)[mark:].splitlines() if any(word in line for word in ("ERROR", "WARN", "polder:"))]
    report.note(f"{len(tables)} tables changed; {reads} reads from its replicas, {errors} refused")
    for line in [*said[:2], *said[-1:]]:
        report.note("it says: " + line[:300])
    report.equal(f"{name}: no wrong value from its replicas", wrong[:5], [])
    if not report.equal(f"{name}: the node starts", system.dead(), {}):
        # With the bits as they were, it is the node it was; a table that it merged before it ended is gone.
        system.kill_node(victim)
        for path, offset in offsets:
            if path.exists():
                flip(path, offset)
        system.start_node(victim)
    with Background(models) as load:
        time.sleep(WORK_SECONDS)
    report.check(f"{name}: the cluster serves", load.written > 50 and not load.errors, (load.written, load.errors))
    for model in models:
        report.equal(f"{name}: {model.prefix} from the cluster", model.wrong()[:5], [])
    mark = system.mark(victim)
    time.sleep(2.0)
    report.check(f"{name}: the node flushes again", "could not be written" not in system.log(victim)[mark:])
    report.run(f"{name}: the node is whole again", _whole_again, report, system, victim, models, name)


def _read_while_it_rebuilds(system, victim, models):
    """Reads from the victim's own replicas until it is ready or dead: wrong values, refusals, reads."""
    wrong, errors, reads = [], 0, 0
    end = time.monotonic() + REBUILD_SECONDS
    while time.monotonic() < end and not system.dead():
        ready = system.ready(victim)
        try:
            with Connection(system.nodes[victim].cluster) as connection:
                connection.call("READONLY")
                for model in models:
                    found, refused = model.wrong_at(connection, behind=True)
                    wrong += found
                    errors += refused
                    reads += len(model.allowed)
        except (NotSent, Lost, ReplyError):
            time.sleep(0.05)
            continue
        if ready:
            break
    return wrong, errors, reads


def emptied(report, system, models):
    """One node comes back with an empty data directory after two of three took writes that the third has not seen."""
    away, lost, keeps = 0, 1, 2
    system.kill_node(away)
    _wait_for_leaders(system, away)
    for model in models:
        model.reconnect()
        for number in range(EMPTIED_WRITES):
            model.write_patiently(number)
    for index in (lost, keeps):
        system.kill_node(index)
    shutil.rmtree(system.data_of(lost))
    system.start_node(away)
    system.start_node(lost)
    # Together they are a majority, and neither has what was acknowledged.
    time.sleep(WITHOUT_SECONDS)
    ready = [system.ready(index) for index in (away, lost)]
    report.equal("emptied: without the node that has the writes nobody serves", ready, [False, False])
    began = time.monotonic()
    system.start_node(keeps)
    proc.wait_for("all nodes to be ready", lambda: all(map(system.ready, range(3))) or system.dead(), REBUILD_SECONDS)
    report.note(f"all nodes are ready {time.monotonic() - began:.1f} s after the third started")
    report.equal("emptied: every process lives", system.dead(), {})
    for model in models:
        model.reconnect()
        report.equal(f"emptied: nothing acknowledged to {model.prefix} is lost", model.wrong()[:5], [])
    system.wait_caught_up(lost)
    _rely_on(report, system, lost, models, "after being emptied")


def large_values(report, system):
    """A few large values, after which the log keeps no more than its limit."""
    model = Model(system, False, LARGE_VALUE, "large")
    for number in range(LARGE_WRITES):
        model.write_patiently(number)
    folders = [system.data_of(index) / "log-0" for index in range(system.count)]
    limit = LOG_MAX_BYTES + LOG_SLACK_BYTES
    try:
        proc.wait_for("the logs to shrink", lambda: max(map(proc.disk_bytes, folders)) <= limit, LARGE_SECONDS)
    except TimeoutError:
        pass
    sizes = [proc.disk_bytes(folder) // MIB for folder in folders]
    report.note(f"logs after {LARGE_WRITES} values of {LARGE_VALUE // MIB} MiB: {sizes} MiB")
    report.check("large values do not make the log outgrow its limit", max(sizes) * MIB <= limit, f"{sizes} MiB")
    report.equal("large values: right", model.wrong(), [])


def _whole_again(report, system, victim, models, name):
    system.wait_caught_up(victim)
    _rely_on(report, system, victim, models, f"after {name}")


def body(report):
    """The part."""
    if cluster.against_redis():
        report.skip("disks", "what a node does about its disk is Polder's own")
        return
    report.run("disk full", disk_full, report)
    with Nodes(SETTINGS) as system:
        system.start()
        models = [Model(system, False, VALUE, "plain"), Model(system, True, VALUE, "sharded")]
        for _ in range(2):
            for number in range(KEYS):
                for model in models:
                    model.write_patiently(number)
        report.run("a replica that lags", lagging, report, system, models)
        report.run("large values", large_values, report, system)
        report.run("a damaged log", damaged_log, report, system, models)
        for name, where, least in TABLE_DAMAGES:
            report.run(name, damaged_tables, report, system, models, name, where, least)
        report.run("an emptied data directory", emptied, report, system, models)
        if not system.dead() and len(system.processes) == system.count:
            report.equal("stops cleanly", system.stop(), 0)


if __name__ == "__main__":
    main("disks", body)

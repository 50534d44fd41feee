"""What a node does under pressure: a disk that stands still, and a node that is told to end while clients pipeline.

The disk is a file with a file system of its own, which `fsfreeze` stops: every write and sync waits until it is thawed.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .disks import MIB
from .harness import cluster, proc
from .harness.client import SAFE, UNKNOWN, Client
from .harness.nodes import Nodes
from .harness.report import main
from .harness.resp import Connection, Lost, NotSent, ReplyError, encode

SETTINGS = {"limits.log.segment": "4MiB", "limits.log.reserve": "8MiB"}

FREEZE_SECONDS = 10.0
# From the freeze to the next acknowledged write: two seconds until the stall is believed, and handing over.
STALL_SECONDS = 4.0
# Between the arrivals of clients that have nothing on its way yet.
ARRIVAL_PAUSE = 0.1
DISK_BYTES = 512 * MIB
WRITERS = 12
READERS = 4
WRITE_PAUSE = 0.01
# Clients of the rolling restart, the commands that each has on its way, and how long a node may take to end.
PIPELINES = 16
BATCH = 16
DRAIN_SECONDS = 5.0


class FreezableDisk:
    """An ext4 file system on a loop device."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="polder-e2e-freeze-"))
        self.image = self.root / "image"
        self.mount = self.root / "disk"
        self.mounted = False
        self.frozen = False

    def __enter__(self):
        self.mount.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(DISK_BYTES)
        try:
            for command in (["mkfs.ext4", "-q", str(self.image)], ["mount", "-o", "loop", str(self.image), str(self.mount)]):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise PermissionError(f"{command[0]}: {done.stderr.strip()}")
        except BaseException:
            self.__exit__()
            raise
        self.mounted = True
        return self

    def freeze(self):
        """Writes wait from here on."""
        subprocess.run(["fsfreeze", "-f", str(self.mount)], check=True)
        self.frozen = True

    def thaw(self):
        """Writes go on."""
        if self.frozen:
            subprocess.run(["fsfreeze", "-u", str(self.mount)], check=True)
            self.frozen = False

    def __exit__(self, *_):
        self.thaw()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.mount)], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


class Counters:
    """Writers that each count up keys of their own through the plain ports, and readers that look after them.

    A key ends with the first write whose outcome is unknown, so that one that takes effect late is no surprise.
    """

    def __init__(self, system, timeout=8.0):
        self.system = system
        self.timeout = timeout
        self.stop = threading.Event()
        self.acknowledged = {}
        self.began = []
        self.answers = {}
        self.wrong = []
        self.slowest = 0.0
        jobs = [(self._write, n) for n in range(WRITERS)] + [(self._read, n) for n in range(READERS)] + [(self._arrive, 0)]
        self.threads = [threading.Thread(target=job, args=(number,), daemon=True) for job, number in jobs]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(self.timeout + 5)

    def _client(self, number):
        return Client([node.redis for node in self.system.nodes], number, self.timeout)

    def _write(self, number):
        client, life, value = self._client(number), 0, 0
        while not self.stop.is_set():
            key = f"pressure:{number}:{life}"
            began = time.monotonic()
            try:
                client.call("SET", key, value + 1)
            except NotSent:
                time.sleep(WRITE_PAUSE)
                continue
            except (Lost, ReplyError) as error:
                text = getattr(error, "text", "no reply")
                self.answers[text] = self.answers.get(text, 0) + 1
                if getattr(error, "code", UNKNOWN) not in SAFE:
                    life, value = life + 1, 0
                time.sleep(WRITE_PAUSE)
                continue
            finally:
                self.slowest = max(self.slowest, time.monotonic() - began)
            value += 1
            self.acknowledged[key] = value
            self.began.append((began, time.monotonic()))
            time.sleep(WRITE_PAUSE)

    def _arrive(self, _):
        """New clients come at a steady rate, whatever became of those before them: those that wait for an answer from before a
        fault say nothing about when writes are taken again."""
        number, arrivals = 0, []
        while not self.stop.wait(ARRIVAL_PAUSE):
            arrivals.append(threading.Thread(target=self._write_once, args=(number,), daemon=True))
            arrivals[-1].start()
            number += 1
        for arrival in arrivals:
            arrival.join(self.timeout + 5)

    def _write_once(self, number):
        client, key, began = self._client(number), f"pressure:arrival:{number}", time.monotonic()
        try:
            client.call("SET", key, 1)
        except (NotSent, Lost, ReplyError) as error:
            text = getattr(error, "text", "no reply")
            self.answers[text] = self.answers.get(text, 0) + 1
        else:
            self.acknowledged[key] = 1
            self.began.append((began, time.monotonic()))
        finally:
            client.close()

    def _read(self, number):
        client = self._client(number)
        while not self.stop.is_set():
            floor = dict(list(self.acknowledged.items())[-WRITERS:])
            for key, wanted in floor.items():
                try:
                    value = int(client.call("GET", key) or 0)
                except (NotSent, Lost, ReplyError):
                    time.sleep(WRITE_PAUSE)
                    continue
                if value < wanted:
                    self.wrong.append(f"{key}: read {value} after {wanted} was acknowledged")
            time.sleep(WRITE_PAUSE)

    def next_write(self, since):
        """Seconds from a moment to the first acknowledgement of a write that began after it."""
        ends = [end for began, end in self.began if began > since]
        return min(ends) - since if ends else float("inf")

    def lost(self):
        """Keys that hold less than was acknowledged."""
        client, found = self._client(0), []
        for key, wanted in list(self.acknowledged.items()):
            value = proc.wait_for(f"a read of {key}", lambda k=key: _attempt(client, "GET", k), 20)[0]
            if int(value or 0) < wanted:
                found.append(f"{key}: {value} of {wanted}")
        return found


def _attempt(client, *words):
    try:
        return [client.call(*words)]
    except (NotSent, Lost, ReplyError):
        return None


def leader_of(system):
    """The place of the node that leads the co-located shard."""
    return proc.wait_for("a leader", lambda: [place] if (place := system.leader()) is not None else None, 30)[0]


def stalled_disk(report):
    """The leader's disk stands still for ten seconds."""
    if os.geteuid() != 0 or not shutil.which("fsfreeze"):
        report.skip("a disk that stalls", "mounting a loop device and freezing it need root and fsfreeze")
        return
    folders = [Path(tempfile.mkdtemp(prefix="polder-e2e-disk-")) for _ in range(3)]
    try:
        with FreezableDisk() as disk:
            # The first node is the one that is preferred for the co-located shard.
            with Nodes(SETTINGS, disks=[disk.mount, *folders[1:]]) as system:
                try:
                    system.start()
                    proc.wait_for("the first node to lead", lambda: system.leader() == 0, 30)
                    system.settle(1.0)
                    _stall(report, system, disk)
                finally:
                    disk.thaw()
    except PermissionError as error:
        report.skip("a disk that stalls", str(error))
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _stall(report, system, disk):
    mark = system.mark(0)
    with Counters(system) as load:
        time.sleep(1.0)
        disk.freeze()
        frozen = time.monotonic()
        time.sleep(FREEZE_SECONDS)
        leader = system.leader()
        disk.thaw()
        time.sleep(2.0)
    took = load.next_write(frozen)
    report.note(f"next acknowledged write {took:.2f} s after the disk stood still; the slowest answer took {load.slowest:.2f} s")
    report.note(f"{sum(load.acknowledged.values())} writes; other answers: {load.answers}")
    report.within("a stalled disk: writes go on", took, STALL_SECONDS)
    report.check("a stalled disk: leadership is elsewhere", leader not in (0, None), leader)
    report.check("a stalled disk: the node says so", "the disk stalls" in system.log(0)[mark:])
    report.equal("a stalled disk: no stale read", load.wrong[:5], [])
    report.equal("a stalled disk: nothing is lost", load.lost(), [])
    report.equal("a stalled disk: every process lives", system.dead(), {})
    system.wait_caught_up(0)
    proc.wait_for("the first node to lead again", lambda: system.leader() == 0, 30)
    report.check("a stalled disk: the node is whole again and leads again", True)
    report.equal("a stalled disk: stops cleanly", system.stop(signal.SIGTERM), 0)


class Pipelines:
    """Clients that each count up a key of their own, many INCR at a time, and go to another node when theirs ends."""

    def __init__(self, system):
        self.ports = [node.redis for node in system.nodes]
        self.stop = threading.Event()
        self.done = [0] * PIPELINES
        self.unknown = 0
        self.unanswered = 0
        self.refused = {}
        self.disorder = []
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(PIPELINES)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(20)

    def _run(self, number):
        home, last = number, 0
        while not self.stop.is_set():
            try:
                with Connection(self.ports[home % len(self.ports)]) as connection:
                    while not self.stop.is_set():
                        last = self._batch(connection, number, last)
            except NotSent:
                pass
            except Lost:
                self.unanswered += 1
            home += 1
            time.sleep(0.02)

    def _batch(self, connection, number, last):
        """One batch; the greatest value seen. Leaves by `Lost` when the node ends."""
        connection.send(encode("INCR", f"drain:{number}") * BATCH)
        moved = False
        for _ in range(BATCH):
            reply = connection.read(raise_errors=False)
            if isinstance(reply, int):
                self.done[number] += 1
                if reply <= last:
                    self.disorder.append(f"drain:{number}: {reply} after {last}")
                last = reply
                continue
            self.refused[reply.text] = self.refused.get(reply.text, 0) + 1
            self.unknown += reply.code == UNKNOWN
            moved = moved or "shutting down" in reply.text
            if reply.code not in SAFE and reply.code != UNKNOWN:
                self.disorder.append(f"drain:{number}: {reply.text}")
        if moved:
            raise NotSent("the node ends")
        return last


def rolling_restart(report):
    """SIGTERM of each node in turn, the leader first, under clients that pipeline."""
    with Nodes(SETTINGS) as system:
        system.start()
        proc.wait_for("the first node to lead", lambda: system.leader() == 0, 30)
        codes, took = [], []
        with Pipelines(system) as load:
            for index in range(system.count):
                time.sleep(1.0)
                began = time.monotonic()
                codes.append(system.stop_node(index))
                took.append(time.monotonic() - began)
                time.sleep(0.5)
                system.start_node(index)
                system.wait_ready()
        report.note(f"{sum(load.done)} writes; nodes ended within " + ", ".join(f"{seconds:.2f} s" for seconds in took))
        report.note(f"refused: {load.refused}; connections that ended with a batch open: {load.unanswered}")
        report.equal("a rolling restart: every node exits with 0", codes, [0] * system.count)
        report.within("a rolling restart: each ends", max(took), DRAIN_SECONDS)
        report.equal("a rolling restart: no outcome is unknown", load.unknown, 0)
        report.equal("a rolling restart: replies come in order", load.disorder[:5], [])
        client = Client([node.redis for node in system.nodes], 0, 8.0)
        values = [int(client.call("GET", f"drain:{number}") or 0) for number in range(PIPELINES)]
        report.equal("a rolling restart: what was not answered was not done", values, load.done)
        report.equal("a rolling restart: stops cleanly", system.stop(signal.SIGTERM), 0)


def body(report):
    """The part."""
    if cluster.against_redis():
        report.skip("pressure", "what a node does under pressure is Polder's own")
        return
    report.run("a rolling restart", rolling_restart, report)
    report.run("a disk that stalls", stalled_disk, report)


if __name__ == "__main__":
    main("pressure", body)

"""Processes seen through /proc: who listens where, who is whose child, what they cost."""

import os
import random
import socket
import threading
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


# A shared build machine may stand still for as long as a bound on times: E2E_TIME_SCALE, which .ci/run sets, widens them.
TIME_SCALE = float(os.environ.get("E2E_TIME_SCALE", "1"))


def wait_for(what, condition, seconds, every=0.05):
    """Waits until `condition()` is true and returns its value; raises `TimeoutError` with `what` after `seconds`, which
    `TIME_SCALE` widens."""
    seconds *= TIME_SCALE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(every)


def port_is_free(port):
    """Whether a listener could be bound on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


_ports_given = set()
_ports_lock = threading.Lock()


def free_base_port(offsets):
    """A port number P below the ephemeral range such that P + o is free for each offset, and was not given to another cluster
    of this run."""
    for _ in range(500):
        base = random.randrange(15000, 32000 - max(offsets))
        wanted = {base + o for o in offsets}
        with _ports_lock:
            if _ports_given.isdisjoint(wanted) and all(map(port_is_free, wanted)):
                _ports_given.update(wanted)
                return base
    raise RuntimeError("no free port range was found")


def children(pid):
    """The direct children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def alive(pid):
    """Whether a process exists and is not a zombie. One whose first thread has ended is alive, with its sockets, while
    others have not."""
    try:
        ended = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
        return not ended or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def listening_inodes(port):
    """Inodes of TCP sockets that listen on the port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(fields[9])
    return found


def listener(port, among):
    """Which of the processes listens on the port; `None` when none does."""
    inodes = {f"socket:[{inode}]" for inode in listening_inodes(port)}
    for pid in among:
        try:
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                if os.readlink(fd) in inodes:
                    return pid
        except OSError:
            continue
    return None


def cpu_seconds(pid):
    """User plus system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def rss_bytes(pid):
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def disk_bytes(path):
    """Blocks that the files below a path occupy, in bytes."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total

"""Real input: every record of UnicodeData.txt as a hash, loaded with `redis-cli --pipe`, on both ports.

Then kill -9 of all nodes at once, a restart, and every record has to read back equal, from every node.
"""

import os
import subprocess
from pathlib import Path

from .harness import cluster
from .harness.client import Client
from .harness.report import main
from .harness.resp import Connection, ReplyError, ask, encode
from .harness.slots import slot_of

SOURCE = Path(os.environ.get("E2E_UNICODE_DATA", "/usr/share/unicode/UnicodeData.txt"))
FIELDS = (
    "code name category combining bidi decomposition decimal digit numeric mirrored old_name comment upper lower title"
).split()
RECORDS_LEAST = 30_000
BATCH = 500


def records():
    """Key and hash of every line of the file."""
    found = {}
    for line in SOURCE.read_text(encoding="ascii").splitlines():
        values = line.split(";")
        found[f"unicode:{values[0]}"] = dict(zip(FIELDS, values, strict=True))
    return found


def pipe(port, items):
    """Loads records through `redis-cli --pipe` and returns what it says at its end."""
    words = [["HSET", key, *(word for pair in fields.items() for word in pair)] for key, fields in items]
    data = b"".join(encode(*command) for command in words)
    done = subprocess.run(["redis-cli", "-p", str(port), "--pipe"], input=data, capture_output=True, timeout=300, check=False)
    return (done.stdout + done.stderr).decode().strip().splitlines()[-1]


def owners(system):
    """The sharded port that serves each slot, as CLUSTER SLOTS says."""
    ports = {}
    for first, last, master, *_ in ask(system.nodes[0].cluster, "CLUSTER", "SLOTS"):
        for slot in range(first, last + 1):
            ports[slot] = master[1]
    return ports


def by_owner(system, data):
    """The records grouped by the sharded port that serves them."""
    ports = owners(system)
    groups = {}
    for key, fields in data.items():
        groups.setdefault(ports[slot_of(key)], []).append((key, fields))
    return groups


def differences(port, items, fallback=None):
    """Keys whose hash, read through a port, is not the record's. `fallback` reads those that moved meanwhile."""
    wrong = []
    with Connection(port, timeout=30) as connection:
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            replies = connection.pipeline([("HGETALL", key) for key, _ in batch])
            for (key, fields), reply in zip(batch, replies, strict=True):
                if isinstance(reply, ReplyError) and fallback:
                    reply = fallback.call("HGETALL", key)
                if isinstance(reply, ReplyError) or _as_hash(reply) != fields:
                    wrong.append(f"{key}: {reply!r:.120}")
    return wrong


def _as_hash(flat):
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def verify(report, system, data, when):
    """Compares everything on both ports, the plain one through every node."""
    items = list(data.items())
    for node in system.nodes:
        report.equal(f"{when}: plain port of node {node.index} returns every record", differences(node.redis, items)[:3], [])
    report.equal(f"{when}: DBSIZE", ask(system.nodes[0].redis, "DBSIZE"), len(data))
    client = Client([node.cluster for node in system.nodes], timeout=30)
    wrong = []
    for port, group in by_owner(system, data).items():
        wrong += differences(port, group, client)
    report.equal(f"{when}: sharded port returns every record", wrong[:3], [])


def body(report):
    """The part."""
    data = records()
    report.check(f"{len(data)} records", len(data) > RECORDS_LEAST)
    with cluster.start() as system:
        system.settle()
        said = pipe(system.nodes[-1].redis, data.items())
        report.equal("redis-cli --pipe on a plain port", said, f"errors: 0, replies: {len(data)}")
        for port, group in by_owner(system, data).items():
            said = pipe(port, group)
            report.equal(f"redis-cli --pipe on sharded port {port}", said, f"errors: 0, replies: {len(group)}")
        verify(report, system, data, "after loading")
        system.kill_everything()
        system.start()
        system.settle()
        verify(report, system, data, "after kill -9 of all nodes")
        report.equal("stops cleanly", system.stop(), 0)


if __name__ == "__main__":
    main("unicode", body)

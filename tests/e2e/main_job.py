"""The first thing a user does: start, write and read on every node and both ports, lose a node, stop, start again."""

import json
import signal
import subprocess

from .harness import cluster, proc
from .harness.report import main
from .harness.resp import Connection, Lost, NotSent, ReplyError, ask

# What `cargo run --release` runs, with a folder and ports that disturb nobody.
COMMAND = ["cargo", "run", "--quiet", "--release", "--"]

WRITES_DURING_FAILURE = 200
READY_SECONDS = 10.0
BACK_SECONDS = 15.0


def cli(port, *words, cluster_mode=False):
    """redis-cli as a user types it; returns what it prints."""
    command = ["redis-cli", *(["-c"] if cluster_mode else []), "-p", str(port), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()


def set_and_get(report, system):
    """Each node takes a write on each port, and every other node returns it."""
    for node in system.nodes:
        report.equal(f"SET on plain port {node.redis}", cli(node.redis, "SET", f"plain:{node.index}", "one"), "OK")
        said = cli(node.cluster, "SET", f"sharded:{node.index}", "two", cluster_mode=True)
        report.equal(f"SET on sharded port {node.cluster}", said, "OK")
    read_back(report, system, "before")


def read_back(report, system, when):
    """Every node returns what was written through every other."""
    plain = {cli(n.redis, "GET", f"plain:{i}") for n in system.nodes for i in range(len(system.nodes))}
    report.equal(f"GET on every plain port, {when}", plain, {"one"})
    sharded = {cli(n.cluster, "GET", f"sharded:{i}", cluster_mode=True) for n in system.nodes for i in range(len(system.nodes))}
    report.equal(f"GET on every sharded port, {when}", sharded, {"two"})


def redirects(report, system):
    """A cluster client is redirected; one that does not route is served anyway on the plain port."""
    moved = 0
    for node in system.nodes:
        try:
            ask(node.cluster, "GET", "sharded:0")
        except ReplyError as error:
            moved += error.code == "MOVED"
    report.equal("all nodes but the owner answer MOVED", moved, len(system.nodes) - 1)
    slots = ask(system.nodes[0].cluster, "CLUSTER", "SLOTS")
    covered = sum(row[1] - row[0] + 1 for row in slots)
    report.equal("CLUSTER SLOTS covers all slots", covered, 16384)
    report.check("leaders are spread over the nodes", len({row[2][1] for row in slots}) == len(system.nodes), slots)


def writes_go_on(report, system, victim):
    """kill -9 of one child: writes through the others go on, and the child is started again."""
    others = [node for node in system.nodes if node.index != victim]
    pid = system.signal(victim, signal.SIGKILL)
    done, refused = 0, []
    while done < WRITES_DURING_FAILURE and len(refused) < 2000:
        try:
            with Connection(others[done % len(others)].redis) as connection:
                connection.call("SET", f"during:{victim}:{done}", done)
            done += 1
        except (ReplyError, NotSent, Lost) as error:
            refused.append(str(error))
    report.check(f"writes go on without node {victim}", done == WRITES_DURING_FAILURE, refused[-3:])
    report.note(f"{len(refused)} writes were refused while node {victim} was replaced as leader")
    proc.wait_for("the node to be started again", lambda: system.pid(victim) not in (None, pid), BACK_SECONDS)
    system.wait_ready(BACK_SECONDS)
    code, _ = system.get(victim, "/livez")
    report.equal(f"node {victim} is back", code, 200)
    keys = [("GET", f"during:{victim}:{n}") for n in range(WRITES_DURING_FAILURE)]
    with Connection(system.nodes[victim].redis) as connection:
        values = [int(value) for value in connection.pipeline(keys)]
    report.equal("it returns what was written without it", values, list(range(WRITES_DURING_FAILURE)))


def status_command(report, system):
    """What the node tells about itself."""
    status = system.status(0)
    report.equal("/status names every node", len(status["nodes"]), len(system.nodes))
    report.check("16 shards of the sharded namespace", len(system.shards("cluster")) == 16, json.dumps(status)[:300])
    report.check("INFO speaks of Redis 7.2", b"redis_version:7.2" in ask(system.nodes[0].redis, "INFO", "server"))


def body(report):
    """The part."""
    if cluster.against_redis():
        report.skip("the main job", "it asks for three nodes behind the plain ports, which redis-server does not have")
        return
    with cluster.DevCluster(command=COMMAND) as system:
        system.start()
        set_and_get(report, system)
        system.settle()
        redirects(report, system)
        status_command(report, system)
        leader = system.leader("default")
        writes_go_on(report, system, leader)
        writes_go_on(report, system, (leader + 1) % len(system.nodes))
        report.equal("Ctrl-C exits with 0", system.stop(), 0)
        system.start()
        read_back(report, system, "after a restart")
        report.equal("SIGTERM exits with 0 too", system.stop(signal.SIGTERM), 0)


if __name__ == "__main__":
    main("main-job", body)

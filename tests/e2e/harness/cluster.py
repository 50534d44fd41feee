"""The system under test: a development cluster of the real binary, or redis-server in its place.

`E2E_TARGET=redis` runs a part against Debian's redis-server and Redis Cluster. That run shows that a test asks for
what Redis does, not for what Polder happens to do; see docs/testing.md.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import proc
from .resp import Lost, NotSent, ReplyError, ask

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("E2E_BIN", ROOT / "target/release/polder"))

# Distances of the listeners from the base port; node i adds i.
CLUSTER_OFFSET = 1000
PEER_OFFSET = 2000
HTTP_OFFSET = 3000

READY_SECONDS = 60.0
# Connections that redis-server takes in the reference run.
CLIENTS_MAX = 11_000
STOP_SECONDS = 30.0
# Leaders are balanced every few seconds: leadership that has not moved for longer than that stays where it is.
REST_SECONDS = 6.0


@dataclass
class Node:
    """Where one node listens."""

    index: int
    redis: int
    cluster: int
    http: int
    peer: int


def against_redis():
    """Whether this run is the reference run."""
    return os.environ.get("E2E_TARGET") == "redis"


def start(**options):
    """A started, ready system under test; use it with `with`."""
    return (ReferenceRedis if against_redis() else DevCluster)(**options).start()


class _Owned:
    """A temporary data folder and the life of one process group."""

    def __init__(self, data=None):
        self.owns_data = data is None
        self.data = Path(data or tempfile.mkdtemp(prefix="polder-e2e-"))
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is not None:
                self.show_log()
        finally:
            self.destroy()

    def destroy(self):
        """Ends everything without ceremony and removes the data unless it was given."""
        self.kill_everything()
        if self.owns_data and not os.environ.get("E2E_KEEP_DATA"):
            shutil.rmtree(self.data, ignore_errors=True)

    def show_log(self, lines=40):
        """Prints the ends of the logs, for a failure's reader."""
        for log in [self.data / "output.log", *sorted(self.data.glob("data/n*/log.txt"))]:
            if log.exists():
                tail = log.read_text(errors="replace").splitlines()[-lines:]
                print(f"  ---- end of {log.relative_to(self.data)} ----\n  " + "\n  ".join(tail), flush=True)


class DevCluster(_Owned):
    """`polder dev` on a free port range with data in a temporary folder."""

    def __init__(self, nodes=3, data=None, command=None, arguments=(), environment=None):
        super().__init__(data)
        self.environment = {**os.environ, **(environment or {})}
        self.count = nodes
        self.command = command or [str(BINARY)]
        self.arguments = list(arguments)
        offsets = [kind + i for kind in (0, CLUSTER_OFFSET, PEER_OFFSET, HTTP_OFFSET) for i in range(nodes)]
        self.base = proc.free_base_port(offsets)
        self.nodes = [
            Node(
                i,
                self.base + i,
                self.base + CLUSTER_OFFSET + i,
                self.base + HTTP_OFFSET + i,
                self.base + PEER_OFFSET + i,
            )
            for i in range(nodes)
        ]

    def start(self, ready=True):
        """Starts it, and unless told otherwise waits until every node is ready."""
        command = [
            *self.command,
            "dev",
            "--nodes",
            str(self.count),
            "--base-port",
            str(self.base),
            "--data",
            str(self.data / "data"),
            *self.arguments,
        ]
        with open(self.data / "output.log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env=self.environment,
                start_new_session=True,
            )
        try:
            if ready:
                self.wait_ready()
        except BaseException:
            self.show_log()
            self.destroy()
            raise
        return self

    def stop(self, how=signal.SIGINT):
        """Ctrl-C, which a terminal sends to all processes, or another signal to the supervisor alone; returns the exit code."""
        if how == signal.SIGINT:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.kill_everything()

    def kill_everything(self):
        """kill -9 of the supervisor and all nodes at once; the data stays."""
        if self.process is None:
            return
        victims = proc.children(self.process.pid)
        for pid in [self.process.pid, *victims]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        proc.wait_for("the nodes to be gone", lambda: not any(map(proc.alive, victims)), 10)
        self.process = None

    def folder(self, index):
        """The folder of one node: its configuration, its log, its data."""
        return self.data / "data" / f"n{index + 1}"

    def log(self, index):
        """What one node has logged."""
        path = self.folder(index) / "log.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def pids(self):
        """The node processes."""
        return proc.children(self.process.pid)

    def pid(self, index):
        """The process of one node; `None` while it is down."""
        return proc.listener(self.nodes[index].redis, self.pids())

    def signal(self, index, how):
        """Sends a signal to one node and returns its pid."""
        pid = self.pid(index)
        if pid is None:
            raise ProcessLookupError(f"node {index} does not listen")
        os.kill(pid, how)
        return pid

    def get(self, index, path, timeout=2.0):
        """An HTTP GET: status code and body."""
        url = f"http://127.0.0.1:{self.nodes[index].http}{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def status(self, index):
        """`/status` as the node sees it; `None` when it does not answer."""
        try:
            code, body = self.get(index, "/status")
            return json.loads(body) if code == 200 else None
        except (OSError, ValueError):
            return None

    def ready(self, index):
        """Whether `/readyz` says yes."""
        try:
            return self.get(index, "/readyz")[0] == 200
        except (OSError, ValueError):
            return False

    def wait_ready(self, seconds=READY_SECONDS):
        """Waits until every node is ready, knows all of its peers alive, and every shard has a leader."""

        def settled():
            if self.process.poll() is not None:
                raise RuntimeError(f"the cluster ended with exit code {self.process.returncode}")
            return all(map(self._settled, range(self.count)))

        proc.wait_for("every node to be ready", settled, seconds)

    def settle(self, rest=REST_SECONDS):
        """Waits until leadership has not moved for `rest` seconds: after a start it is spread over the nodes first."""

        def rests():
            before = self._leaders()
            time.sleep(rest)
            return None not in before and before == self._leaders()

        proc.wait_for("leadership to rest", rests, READY_SECONDS)

    def _leaders(self):
        return [shard["leader"] for name in ("default", "cluster") for shard in self.shards(name)]

    def _settled(self, index):
        status = self.status(index) if self.ready(index) else None
        return (
            status
            and all(node["alive"] for node in status["nodes"])
            and len(status["shards"]) > 1
            and all(shard["leader"] is not None for shard in status["shards"])
        )

    def shards(self, namespace):
        """The shards of a namespace, each as the node sees it that knows its latest term."""
        latest = {}
        for index in range(self.count):
            status = self.status(index)
            for shard in status["shards"] if status else []:
                known = latest.get(shard["id"])
                if shard["namespace"] == namespace and (known is None or shard["term"] > known["term"]):
                    latest[shard["id"]] = shard
        if not latest:
            raise TimeoutError("no node answers /status")
        return [latest[shard] for shard in sorted(latest)]

    def index_of(self, node_id):
        """The index of a node id as `/status` names it."""
        for index in range(self.count):
            status = self.status(index)
            if status:
                ids = {n["id"]: self._index_by_port(n["redis"]) for n in status["nodes"]}
                return ids.get(node_id)
        return None

    def _index_by_port(self, endpoint):
        port = int(str(endpoint).rsplit(":", 1)[-1])
        return port - self.base

    def leader(self, namespace="default", shard=0):
        """The index of the node that leads a shard, agreed by all nodes that answer; `None` while they differ."""
        votes = set()
        for index in range(self.count):
            status = self.status(index)
            if status:
                shards = [s for s in status["shards"] if s["namespace"] == namespace]
                votes.add(shards[shard]["leader"])
        return self.index_of(votes.pop()) if len(votes) == 1 and None not in votes else None


class ReferenceRedis(_Owned):
    """redis-server with `appendfsync always` in place of the co-located port, Redis Cluster in place of the sharded one.

    One server stands behind all three nodes' plain ports. Servers that die are started again, as `polder dev` does.
    """

    def __init__(self, nodes=3, data=None, with_cluster=True, fsync="always", **_):
        super().__init__(data)
        self.count = nodes
        self.with_cluster = with_cluster
        self.fsync = fsync
        sharded = [CLUSTER_OFFSET + i for i in range(6)]
        self.base = proc.free_base_port([0, *sharded, *(10000 + s for s in sharded)])
        self.nodes = [Node(i, self.base, self.base + CLUSTER_OFFSET + i, 0, 0) for i in range(nodes)]
        self.ports = [self.base] + ([self.base + s for s in sharded] if with_cluster else [])
        self.servers = {}
        self.watching = threading.Event()

    def start(self, ready=True):
        """Starts the servers and forms the cluster if that was not done before."""
        fresh = not (self.data / str(self.base)).exists()
        for port in self.ports:
            self._spawn(port)
        for port in self.ports:
            proc.wait_for(f"redis-server on {port}", lambda port=port: self._answers(port), 300, every=0.01)
        if self.with_cluster:
            if fresh:
                endpoints = [f"127.0.0.1:{p}" for p in self.ports[1:]]
                subprocess.run(
                    ["redis-cli", "--cluster", "create", *endpoints, "--cluster-replicas", "1", "--cluster-yes"],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            proc.wait_for("the Redis Cluster", self._cluster_ok, 30)
        self.watching.set()
        threading.Thread(target=self._supervise, daemon=True).start()
        return self

    def _spawn(self, port):
        folder = self.data / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        extra = ["--cluster-enabled", "yes"] if port != self.base else []
        with open(self.data / "output.log", "ab") as log:
            self.servers[port] = subprocess.Popen(
                ["redis-server", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
                + ["--appendfsync", self.fsync, "--maxclients", str(CLIENTS_MAX), *extra],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _supervise(self):
        while self.watching.is_set():
            for port, server in list(self.servers.items()):
                if self.watching.is_set() and server.poll() is not None:
                    self._spawn(port)
            time.sleep(0.1)

    @staticmethod
    def _answers(port):
        try:
            return ask(port, "PING") == "PONG"
        except (NotSent, Lost, ReplyError):
            return False

    def _cluster_ok(self):
        try:
            return all(b"cluster_state:ok" in ask(p, "CLUSTER", "INFO") for p in self.ports[1:])
        except (NotSent, Lost, ReplyError):
            return False

    def stop(self, how=signal.SIGINT):
        """Stops the servers; returns 0 when each did so cleanly."""
        self.watching.clear()
        for server in self.servers.values():
            server.send_signal(how)
        return max(server.wait(STOP_SECONDS) for server in self.servers.values())

    def kill_everything(self):
        """kill -9 of every server; the data stays."""
        self.watching.clear()
        for server in self.servers.values():
            server.kill()
            server.wait()

    def pids(self):
        """The server processes."""
        return [server.pid for server in self.servers.values()]

    def pid(self, index):
        """The process behind one node's plain port."""
        return self.servers[self.nodes[index].redis].pid

    def signal(self, index, how):
        """Sends a signal to the server behind one node's plain port."""
        pid = self.pid(index)
        os.kill(pid, how)
        return pid

    def ready(self, index):
        """Whether the server behind one node answers."""
        return self._answers(self.nodes[index].redis)

    def wait_ready(self, seconds=READY_SECONDS):
        """Waits until every server answers."""
        proc.wait_for("every server", lambda: all(map(self._answers, self.ports)), seconds)

    def settle(self, rest=0):
        """Nothing moves here."""

    def leader(self, namespace="default", shard=0):
        """The one server behind the plain ports."""
        return 0 if namespace == "default" else None

    def shards(self, namespace):
        """The masters' slot ranges, in the shape of `/status`; the leader is not a node index here."""
        if namespace == "default":
            return [{"namespace": namespace, "slots": [0, 16383], "leader": 0, "term": 1}]
        rows = ask(self.nodes[0].cluster, "CLUSTER", "SLOTS")
        return [{"namespace": namespace, "slots": [row[0], row[1]], "leader": None, "term": 1} for row in rows]

    def index_of(self, node_id):
        """Ids are indices here."""
        return node_id

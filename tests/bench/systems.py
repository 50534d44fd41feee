"""What is measured: each system started the way its users start it, with the processes whose CPU and memory count."""

import subprocess
import tempfile
import time
from pathlib import Path

from e2e.harness import cluster, proc
from e2e.harness.resp import Lost, NotSent, ReplyError, ask


class Polder:
    """A development cluster. Clients of the co-located namespace connect to the node that leads it."""

    def __init__(self, nodes=3, shards=None):
        self.cluster = cluster.DevCluster(nodes=nodes, arguments=["--shards", str(shards)] if shards else [])
        self.name = f"Polder, {nodes} nodes" if nodes > 1 else "Polder, one node"

    def __enter__(self):
        self.cluster.start()
        self.settle()
        return self

    def __exit__(self, *_):
        self.cluster.destroy()

    @property
    def port(self):
        """The plain port of the leader, as `polder status` shows it."""
        leader = proc.wait_for("a leader", lambda: _some(self.cluster.leader("default")), 30)[0]
        return self.cluster.nodes[leader].redis

    @property
    def cluster_port(self):
        """A sharded port; cluster clients find the rest."""
        return self.cluster.nodes[0].cluster

    def pids(self):
        """The node processes."""
        return self.cluster.pids()

    def disk(self):
        """Bytes on disk of one replica: the largest of the nodes' data folders."""
        return max(proc.disk_bytes(self.cluster.folder(n.index) / "data") for n in self.cluster.nodes)

    def settle(self):
        """Waits until background work of what was done before is over."""
        quiet(self.pids)


class Redis:
    """redis-server alone, or Redis Cluster with three masters and three replicas."""

    def __init__(self, fsync="always", sharded=False):
        self.servers = cluster.ReferenceRedis(with_cluster=sharded, fsync=fsync)
        self.sharded = sharded
        self.name = "Redis Cluster, 3 masters, 3 replicas" if sharded else "redis-server"

    def __enter__(self):
        self.servers.start()
        return self

    def __exit__(self, *_):
        self.servers.destroy()

    @property
    def port(self):
        """The server's port."""
        return self.servers.base

    @property
    def cluster_port(self):
        """The first master's port."""
        return self.servers.nodes[0].cluster

    def pids(self):
        """The processes that serve."""
        plain = self.servers.pid(0)
        return [pid for pid in self.servers.pids() if pid != plain] if self.sharded else [plain]

    def disk(self):
        """Bytes on disk."""
        return proc.disk_bytes(self.servers.data / str(self.servers.base))

    def settle(self):
        """Waits until background work is over."""
        quiet(self.pids)


class Etcd:
    """etcd, by default three members."""

    def __init__(self, members=3):
        self.folder = tempfile.TemporaryDirectory(prefix="polder-bench-etcd-")
        self.base = proc.free_base_port(range(2 * members))
        self.members = members
        self.name = f"etcd, {members} nodes" if members > 1 else "etcd, one node"
        self.processes = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        self.folder.cleanup()

    def start(self):
        """Starts all members; returns when each answers."""
        peers = ",".join(f"m{i}=http://127.0.0.1:{self.base + self.members + i}" for i in range(self.members))
        self.processes = [self._spawn(i, peers) for i in range(self.members)]
        for i in range(self.members):
            proc.wait_for("etcd", lambda i=i: self.healthy(i), 60, every=0.01)

    def _spawn(self, i, peers):
        client, peer = f"http://127.0.0.1:{self.base + i}", f"http://127.0.0.1:{self.base + self.members + i}"
        command = ["etcd", "--name", f"m{i}", "--data-dir", f"{self.folder.name}/m{i}", "--log-level", "error"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", peers]
        # The default quota of 2 GiB is too small for five million keys.
        command += ["--quota-backend-bytes", str(8 << 30)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def healthy(self, i=0):
        """Whether a member answers a linearizable read: /health does one."""
        done = subprocess.run(
            ["curl", "-s", "-m", "5", f"http://127.0.0.1:{self.base + i}/health"], capture_output=True, text=True, check=False
        )
        return '"true"' in done.stdout

    @property
    def port(self):
        """The client port of the leader."""
        for i in range(self.members):
            done = subprocess.run(
                ["curl", "-s", f"http://127.0.0.1:{self.base + i}/metrics"], capture_output=True, text=True, check=False
            )
            if "\netcd_server_is_leader 1" in done.stdout:
                return self.base + i
        raise RuntimeError("etcd has no leader")

    def pids(self):
        """The members' processes."""
        return [process.pid for process in self.processes]

    def settle(self):
        """Waits until background work is over."""
        quiet(self.pids)


def quiet(pids, share=0.10, seconds=90):
    """Waits until the processes together use less than a share of a core for a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = sum(map(proc.cpu_seconds, pids()))
        time.sleep(1.0)
        if sum(map(proc.cpu_seconds, pids())) - before < share:
            return


def serving(port, key):
    """Whether a server answers a GET of a key with a value."""
    try:
        return ask(port, "GET", key, timeout=1.0) is not None
    except (NotSent, Lost, ReplyError):
        return False


def _some(value):
    return None if value is None else [value]


def version(command):
    """The first line that a program prints about its version."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else Path(command[0]).name

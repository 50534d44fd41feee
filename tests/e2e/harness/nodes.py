"""A cluster whose nodes are processes of their own, so that one can stay down while its files are changed."""

import signal
import subprocess

from . import proc
from .cluster import READY_SECONDS, STOP_SECONDS, DevCluster

# How long a node may take to be whole again.
REBUILD_SECONDS = 25.0


class Nodes(DevCluster):
    """Three nodes with given settings, each a process of its own that stays down once it is killed."""

    def __init__(self, settings, disks=None):
        super().__init__()
        self.settings = settings
        self.disks = disks
        self.processes = {}

    def data_of(self, index):
        """The data directory of one node."""
        return (self.disks[index] if self.disks else self.folder(index)) / "data"

    def start(self, ready=True):
        """Starts all nodes."""
        try:
            for index in range(self.count):
                self.start_node(index)
            if ready:
                self.wait_ready()
        except BaseException:
            self.show_log()
            self.destroy()
            raise
        return self

    def start_node(self, index):
        """Starts one node and does not wait for it."""
        self.folder(index).mkdir(parents=True, exist_ok=True)
        config = self.folder(index) / "polder.toml"
        config.write_text(self._config(index), encoding="utf-8")
        words = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        with open(self.folder(index) / "log.txt", "ab") as log:
            self.processes[index] = subprocess.Popen(
                [*self.command, "start", "--config", str(config), *words],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
            )

    def _config(self, index):
        lines = [f"node = {index + 1}", 'cluster = "disks"', f'data_dir = "{self.data_of(index)}"', "workers = 1"]
        lines += ["[listen]", *self._endpoints(self.nodes[index])]
        for node in self.nodes:
            lines += [f"[peers.{node.index + 1}]", *self._endpoints(node)]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _endpoints(node):
        ports = {"redis": node.redis, "redis_cluster": node.cluster, "peer": node.peer, "http": node.http}
        return [f'{name} = "127.0.0.1:{port}"' for name, port in ports.items()]

    def stop_node(self, index):
        """SIGTERM to one node, which stays down; its exit code."""
        process = self.processes.pop(index)
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def kill_node(self, index):
        """kill -9 of one node, which stays down."""
        process = self.processes.pop(index)
        process.kill()
        process.wait()

    def kill_everything(self):
        """kill -9 of all nodes; the data stays."""
        for process in self.processes.values():
            process.kill()
        for index in list(self.processes):
            self.processes.pop(index).wait()

    def stop(self, how=signal.SIGTERM):
        """A signal to every node; returns the highest exit code."""
        for process in self.processes.values():
            process.send_signal(how)
        code = max(process.wait(STOP_SECONDS) for process in self.processes.values())
        self.processes.clear()
        return code

    def pids(self):
        """The node processes."""
        return [process.pid for process in self.processes.values()]

    def dead(self):
        """Nodes that ended without being told to."""
        return {index: process.poll() for index, process in self.processes.items() if process.poll() is not None}

    def wait_ready(self, seconds=READY_SECONDS):
        """Waits until every node is ready, knows all of its peers alive, and every shard has a leader."""

        def settled():
            if self.dead():
                raise RuntimeError(f"nodes ended, with their exit codes: {self.dead()}")
            return all(map(self._settled, range(self.count)))

        proc.wait_for("every node to be ready", settled, seconds)

    def mark(self, index):
        """How much one node has logged so far."""
        return len(self.log(index))

    def applied(self, index):
        """What each shard's replica on one node has applied."""
        status = self.status(index)
        return {shard["id"]: shard["applied"] for shard in status["shards"]} if status else None

    def wait_caught_up(self, index, seconds=REBUILD_SECONDS):
        """Waits until one node is ready and has applied what the others have."""
        others = [other for other in range(self.count) if other != index]

        def caught_up():
            if self.dead():
                raise RuntimeError(f"nodes ended, with their exit codes: {self.dead()}")
            mine = self.applied(index)
            return self.ready(index) and mine and all(self.applied(other) == mine for other in others)

        proc.wait_for(f"node {index + 1} to have applied what the others have", caught_up, seconds, every=0.1)

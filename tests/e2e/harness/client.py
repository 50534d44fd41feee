"""A client that spreads over the nodes as applications do, on top of connections that never retry by themselves."""

import random
import time

from .resp import Connection, Lost, NotSent, ReplyError

# Errors that promise that nothing was written; docs/errors.md.
SAFE = {"CLUSTERDOWN", "TRYAGAIN", "BUSY", "OOM", "LOADING"}
# The error that says that nobody knows.
UNKNOWN = "UNKNOWNOUTCOME"

# A node that let a request time out is not asked for this long, even when another node points to it.
SUSPECT_SECONDS = 1.0
MOVED_MAX = 6


class Client:
    """Talks to one of `ports` and moves on to another when it fails; follows MOVED on the sharded ports."""

    def __init__(self, ports, home=0, timeout=3.0, faithful=False):
        """`faithful`: goes back to the port it began with as soon as that is not suspect any more. Without that, clients
        that fail gather over time at a node that did not."""
        self.ports = list(ports)
        self.port = self.ports[home % len(self.ports)]
        self.home = self.port if faithful else None
        self.timeout = timeout
        self.connections = {}
        self.suspects = {}

    def call(self, *words):
        """One attempt, with redirects. `ReplyError`, `NotSent` and `Lost` mean what they mean in `resp`."""
        if self.home is not None and self.suspects.get(self.home, 0) < time.monotonic():
            self.port = self.home
        for _ in range(MOVED_MAX):
            connection = self._connection()
            try:
                return connection.call(*words)
            except ReplyError as error:
                if error.code != "MOVED":
                    raise
                self._follow(int(error.text.rsplit(":", 1)[1]))
            except Lost:
                self._drop(suspect=True)
                raise
        raise ReplyError("CLUSTERDOWN the redirects go in circles")

    def _connection(self):
        connection = self.connections.get(self.port)
        if connection is None:
            try:
                connection = Connection(self.port, timeout=self.timeout)
            except NotSent:
                self._drop(suspect=True)
                raise
            self.connections[self.port] = connection
        return connection

    def _follow(self, port):
        if self.suspects.get(port, 0) > time.monotonic():
            self._elsewhere(avoid=port)
            raise ReplyError("TRYAGAIN the node that is said to lead does not answer")
        self.port = port

    def _drop(self, suspect):
        connection = self.connections.pop(self.port, None)
        if connection:
            connection.close()
        if suspect:
            self.suspects[self.port] = time.monotonic() + SUSPECT_SECONDS
        self._elsewhere(avoid=self.port)

    def _elsewhere(self, avoid):
        others = [p for p in self.ports if p != avoid] or self.ports
        self.port = random.choice(others)

    def close(self):
        """Closes all connections."""
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()

"""Keys whose values say which key and version they belong to, so that every read can be judged byte by byte."""

import random

from . import proc
from .client import UNKNOWN, Client
from .resp import Lost, NotSent, ReplyError

SEED = 20_261_122


class Model:
    """What was written through one kind of port: per key the versions that a read may return."""

    def __init__(self, system, sharded, size, prefix):
        self.system = system
        self.sharded = sharded
        self.size = size
        self.prefix = prefix
        self.versions = {}
        self.allowed = {}
        self.client = None

    def key(self, number):
        """The name of a key."""
        return f"{self.prefix}:{number}"

    def value(self, key, version):
        """The one right value of a version; it does not compress."""
        head = f"{key} {version} ".encode()
        return head + random.Random(f"{SEED} {key} {version}").randbytes(self.size - len(head))

    def write(self, number):
        """Writes the next version of a key once: `None`, or the error that came back."""
        key = self.key(number)
        version = self.versions.get(key, 0) + 1
        self.versions[key] = version
        before = self.allowed.setdefault(key, {0})
        try:
            self._connected().call("SET", key, self.value(key, version))
        except ReplyError as error:
            if error.code == UNKNOWN:
                before.add(version)
            return error
        except NotSent as error:
            return error
        except Lost as error:
            before.add(version)
            return error
        self.allowed[key] = {version}
        return None

    def write_patiently(self, number, seconds=20):
        """Writes the next version of a key until it is acknowledged."""

        def attempt():
            done = self.write(number) is None
            if not done:
                # Another node may know better.
                self.reconnect()
            return done

        proc.wait_for(f"a write of {self.key(number)}", attempt, seconds)

    def reconnect(self):
        """Forgets connections to nodes that were killed."""
        if self.client:
            self.client.close()
            self.client = None

    def _connected(self):
        if self.client is None:
            running = [self.system.nodes[index] for index in sorted(self.system.processes)]
            ports = [node.cluster if self.sharded else node.redis for node in running]
            self.client = Client(ports, timeout=8.0)
        return self.client

    def wrong(self, keys=None, call=None):
        """Reads keys and returns those whose value is none of those allowed; errors are asked again for a while."""
        call = call or self._connected().call
        found = []
        for key in keys or list(self.allowed):
            value = proc.wait_for(f"a read of {key}", lambda k=key: _attempt(call, "GET", k), 20)[0]
            found += self._judge(key, value)
        return found

    def wrong_at(self, connection, behind=False):
        """Reads all keys once from one node: the wrong ones, and the number of errors. A replica that may be behind may
        return older versions."""
        found, errors = [], 0
        for key in list(self.allowed):
            try:
                found += self._judge(key, connection.call("GET", key), behind)
            except ReplyError:
                errors += 1
        return found, errors

    def _judge(self, key, value, behind=False):
        versions = set(range(1, self.versions[key] + 1)) if behind else self.allowed[key]
        right = any(value == (self.value(key, v) if v else None) for v in versions)
        shown = "nothing" if value is None else repr(value[:40])
        return [] if right else [f"{key}: {shown}, wanted version {sorted(self.allowed[key])}"]


def _attempt(call, *words):
    try:
        return [call(*words)]
    except (NotSent, Lost, ReplyError):
        return None

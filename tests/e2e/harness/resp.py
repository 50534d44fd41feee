"""A small RESP2/RESP3 client that never retries by itself and says exactly what is known after a failure.

Three outcomes of a request matter to a test of durability: it was answered (a value or an error reply), it was never
sent, or nobody knows. Client libraries hide the difference behind retries; this one does not.
"""

import socket


class ReplyError(Exception):
    """An error reply; `code` is its first word."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text
        self.code = text.split(" ", 1)[0]


class NotSent(Exception):
    """No connection could be made: nothing was sent."""


class Lost(Exception):
    """The connection broke or the deadline passed after something was sent: the outcome is unknown."""


def encode(*words):
    """One command as a RESP array of bulk strings."""
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, str):
            word = word.encode()
        elif isinstance(word, int):
            word = b"%d" % word
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


class Connection:
    """One TCP connection. `timeout` in seconds bounds connecting, and each wait for bytes."""

    def __init__(self, port, host="127.0.0.1", timeout=5.0):
        try:
            self.sock = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise NotSent(str(error)) from error
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection; harmless when it is closed already."""
        self.sock.close()

    def send(self, data):
        """Sends raw bytes."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Lost(f"send: {error}") from error

    def call(self, *words):
        """Sends a command and returns its reply; an error reply is raised as `ReplyError`."""
        self.send(encode(*words))
        return self.read()

    def pipeline(self, commands):
        """Sends all commands, then reads one reply for each; error replies are returned, not raised."""
        self.send(b"".join(encode(*c) for c in commands))
        return [self.read(raise_errors=False) for _ in commands]

    def read(self, raise_errors=True):
        """Reads one reply."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind in (b"-", b"!"):
            text = self._exact(int(rest)) if kind == b"!" else rest
            error = ReplyError(text.decode(errors="replace"))
            if raise_errors:
                raise error
            return error
        if kind == b":":
            return int(rest)
        if kind in (b"$", b"="):
            return None if rest == b"-1" else self._exact(int(rest))
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind in (b",", b"("):
            return float(rest) if kind == b"," else int(rest)
        if kind in (b"*", b"~", b">"):
            return None if rest == b"-1" else [self.read(False) for _ in range(int(rest))]
        if kind == b"%":
            return {_key(self.read(False)): self.read(False) for _ in range(int(rest))}
        raise Lost(f"not a reply: {line[:60]!r}")

    def closed_by_peer(self, within=5.0):
        """Whether the peer closes the connection within so many seconds; what it sends before is discarded."""
        self.sock.settimeout(within)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def _line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._more()
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line

    def _exact(self, size):
        while len(self.buffer) < size + 2:
            self._more()
        data = bytes(self.buffer[:size])
        del self.buffer[: size + 2]
        return data

    def _more(self):
        try:
            data = self.sock.recv(1 << 16)
        except OSError as error:
            raise Lost(f"receive: {error or 'timed out'}") from error
        if not data:
            raise Lost("closed by the peer")
        self.buffer += data


def _key(value):
    return tuple(value) if isinstance(value, list) else value


def ask(port, *words, timeout=5.0):
    """One command on a connection of its own."""
    with Connection(port, timeout=timeout) as connection:
        return connection.call(*words)

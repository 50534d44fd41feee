"""What a server must survive: malformed frames, absurd sizes, clients that misbehave, peers that are none, foreign data.

Each case ends in a typed error or a closed connection, and after each the rest of the node serves as before.
"""

import random
import resource
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from .harness import cluster, proc
from .harness.report import main
from .harness.resp import Connection, Lost, ReplyError, ask, encode

SEED = 20_261_122
RANDOM_CONNECTIONS = 300
MUTATED_CONNECTIONS = 300
IDLE_CONNECTIONS = 10_000
# Descriptors that the test needs for other things.
SPARE_DESCRIPTORS = 200
PIPELINED_COMMANDS = 100_000
MIB = 1 << 20
# What a client that never reads asks for, and what the node may grow by because of it: its output limit is 128 MiB.
UNREAD_REPLIES = 500
UNREAD_GROWTH_MAX = 256 * MIB
KEY_MAX = 65_000
VALUE_MAX = 64 * MIB

MALFORMED = {
    "bulk length is no number": b"*1\r\n$abc\r\n",
    "array length is no number": b"*abc\r\n",
    "array length is absurd": b"*99999999999\r\n",
    "bulk length is absurd": b"*2\r\n$3\r\nGET\r\n$99999999999\r\n",
    "bulk length is negative": b"*1\r\n$-2\r\n",
    "an integer where a string is due": b"*1\r\n:1\r\n",
    "an inline command without end": b"x" * (2 * MIB),
    "unbalanced quotes": b'SET key "value\r\n',
    "a length line without end": b"*" + b"1" * (2 * MIB),
}

# Commands that change the connection or the server so much that the next check would say nothing.
NOT_SWEPT = {
    "shutdown", "quit", "monitor", "sync", "psync", "subscribe", "psubscribe", "ssubscribe", "replicaof", "slaveof",
    "failover", "debug", "reset", "hello", "client", "flushall", "flushdb", "bgsave", "bgrewriteaof", "save", "exec", "multi",
}  # fmt: skip


class Case:
    """Runs cases on one system and checks after each that every node serves."""

    def __init__(self, report, system):
        self.report = report
        self.system = system
        self.port = system.nodes[0].redis
        self.number = 0

    def __call__(self, body, name=None):
        name = name or body.__doc__.strip().rstrip(".")
        self.report.run(name, body, self, name)
        self.report.run(f"{name}: all nodes serve", self._serves, name)

    def _serves(self, name):
        self.number += 1
        for node in self.system.nodes:
            value = f"{self.number}:{node.index}".encode()
            ask(node.redis, "SET", "still", value)
            if ask(self.system.nodes[0].redis, "GET", "still") != value:
                self.report.check(f"{name}: node {node.index} serves", False)
                return
        self.report.check(f"{name}: all nodes serve", True)


def malformed(case, _):
    """Malformed frames are answered with a protocol error, then the connection is closed."""
    for name, data in MALFORMED.items():
        with Connection(case.port) as connection:
            try:
                connection.sock.sendall(data)
                error = connection.read(raise_errors=False)
            except (Lost, OSError):
                error = None  # closed while we still wrote: the error line may be gone with it
            said = error is None or isinstance(error, ReplyError) and "Protocol error" in error.text
            case.report.check(f"malformed: {name}: a protocol error", said, error)
            case.report.check(f"malformed: {name}: closed", connection.closed_by_peer())


def truncated(case, name):
    """A frame cut at any byte, then silence or the end of the connection."""
    whole = encode("SET", "cut", "x" * 20)
    for end in range(1, len(whole)):
        with Connection(case.port) as connection:
            connection.send(whole[:end])
            if end % 2:
                connection.sock.shutdown(socket.SHUT_WR)
    case.report.equal(name, ask(case.port, "EXISTS", "cut"), 0)


def random_bytes(case, name):
    """Random bytes end in errors or a closed connection."""
    rng = random.Random(SEED)
    stuck = 0
    for _ in range(RANDOM_CONNECTIONS):
        stuck += not _swallow(case.port, rng.randbytes(rng.randrange(1, 4096)))
    case.report.equal(f"{name} (connections left hanging)", stuck, 0)


def mutated(case, name):
    """Valid commands with flipped, lost and doubled bytes."""
    rng = random.Random(SEED + 1)
    words = [("SET", "m", "1"), ("HSET", "h", "f", "v"), ("MGET", "a", "b", "c"), ("SCAN", "0"), ("EXPIRE", "m", "100")]
    stuck = 0
    for _ in range(MUTATED_CONNECTIONS):
        data = bytearray(b"".join(encode(*rng.choice(words)) for _ in range(5)))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            kind = rng.randrange(3)
            if kind == 0:
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del data[at]
            else:
                data.insert(at, data[at])
        stuck += not _swallow(case.port, bytes(data))
    case.report.equal(f"{name} (connections left hanging)", stuck, 0)


def _swallow(port, data):
    """Sends bytes and our end of the stream; whether the peer then closes too."""
    with Connection(port) as connection:
        try:
            connection.sock.sendall(data)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return True
        return connection.closed_by_peer()


def arity(case, name):
    """Every command of the table without arguments is answered, and the connection goes on."""
    silent = []
    with Connection(case.port) as connection:
        for row in connection.call("COMMAND"):
            command = row[0].decode()
            if command.split("|")[0] in NOT_SWEPT:
                continue
            try:
                reply = connection.pipeline([(command,), ("ECHO", command)])
                wrong = isinstance(reply[0], ReplyError) and "wrong number of arguments" not in reply[0].text
                if reply[1] != command.encode() or (abs(row[1]) > 1 and not isinstance(reply[0], ReplyError)):
                    silent.append((command, reply))
                elif wrong and abs(row[1]) > 1 and reply[0].code not in ("ERR", "NOSCRIPT", "NOAUTH"):
                    silent.append((command, reply))
            except Lost as error:
                silent.append((command, str(error)))
                connection.__init__(case.port)
    case.report.equal(name, silent[:5], [])


def types(case, _):
    """Wrong types and wrong numbers are Redis's own errors."""
    wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value"
    no_integer = "ERR value is not an integer or out of range"
    table = [
        (("HGET", "text", "f"), wrong_type),
        (("HSET", "text", "f", "v"), wrong_type),
        (("GET", "hash"), wrong_type),
        (("APPEND", "hash", "x"), wrong_type),
        (("INCR", "hash"), wrong_type),
        (("INCR", "text"), no_integer),
        (("INCRBY", "number", "1.5"), no_integer),
        (("EXPIRE", "text", "soon"), no_integer),
        (("SET", "text", "x", "EX", "-1"), "ERR invalid expire time in 'set' command"),
        (("SET", "text", "x", "EX"), "ERR syntax error"),
        (("SET", "text", "x", "NX", "XX"), "ERR syntax error"),
        (("HINCRBY", "hash", "f", "1"), "ERR hash value is not an integer"),
        (("SCAN", "nowhere"), "ERR invalid cursor"),
        (("SELECT", "99"), "ERR DB index is out of range"),
        (("GET",), "ERR wrong number of arguments for 'get' command"),
        (("HSET", "hash", "f"), "ERR wrong number of arguments for 'hset' command"),
        (("NOSUCHCOMMAND", "a"), "ERR unknown command 'NOSUCHCOMMAND', with args beginning with: 'a' "),
    ]
    with Connection(case.port) as connection:
        connection.call("DEL", "text", "hash", "number")
        connection.pipeline([("SET", "text", "words"), ("HSET", "hash", "f", "v"), ("SET", "number", 1)])
        for command, wanted in table:
            reply = connection.pipeline([command])[0]
            case.report.equal(" ".join(command), getattr(reply, "text", reply), wanted)


def inline(case, _):
    """Inline commands, as typed into telnet."""
    with Connection(case.port) as connection:
        connection.send(b"PING\r\n\r\n  \r\nSET inline \"two \\x77ords\"\r\nget inline\nSET it's wrong\r\n")
        case.report.equal("inline PING", connection.read(), "PONG")
        case.report.equal("inline SET with quotes", connection.read(), "OK")
        case.report.equal("inline GET, no carriage return", connection.read(), b"two words")
        last = connection.read(raise_errors=False)
        case.report.check("inline with a quote inside", isinstance(last, ReplyError), last)


def limits(case, _):
    """Keys and values up to the limits work; beyond is a typed error and the connection survives or is closed."""
    with Connection(case.port, timeout=30) as connection:
        case.report.equal("a key of 65,000 bytes", connection.call("SET", b"k" * KEY_MAX, "v"), "OK")
        value = bytes(range(256)) * (VALUE_MAX // 256)
        case.report.equal("a value of 64 MiB", connection.call("SET", "large", value), "OK")
        case.report.check("it reads back equal", connection.call("GET", "large") == value)
        connection.call("DEL", "large", b"k" * KEY_MAX)
    for what, words in (("a longer key", (b"k" * (KEY_MAX + 1), "v")), ("a value over 64 MiB", ("large", b"v" * (VALUE_MAX + 1)))):
        with Connection(case.port, timeout=30) as connection:
            try:
                reply = connection.pipeline([("SET", *words)])[0]
            except Lost:
                reply = ReplyError("closed")
            case.report.check(f"{what} is refused", isinstance(reply, ReplyError), reply)


def idle(case, _):
    """Ten thousand idle connections; one more client is served."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE_CONNECTIONS, hard - SPARE_DESCRIPTORS)
    if count < IDLE_CONNECTIONS:
        case.report.skip(f"{IDLE_CONNECTIONS} idle connections", f"this machine allows {hard} descriptors; {count} are used")
    before = proc.rss_bytes(case.system.pid(0))
    held = []
    try:
        for _ in range(count):
            held.append(socket.create_connection(("127.0.0.1", case.port), timeout=10))
        began = time.monotonic()
        case.report.equal(f"served beside {count} idle connections", ask(case.port, "PING"), "PONG")
        case.report.check("at once", time.monotonic() - began < 1.0, f"{time.monotonic() - began:.2f} s")
        held[-1].sendall(b"PING\r\n")
        case.report.equal("the last of them is served", held[-1].recv(100), b"+PONG\r\n")
        grown = proc.rss_bytes(case.system.pid(0)) - before
        case.report.note(f"{count} idle connections: {grown / count / 1024:.1f} KiB each")
    finally:
        for connection in held:
            connection.close()


def never_reads(case, name):
    """A client that asks for much and never reads."""
    leader = case.system.leader("default")
    other = (leader + 1) % len(case.system.nodes)
    ask(case.port, "SET", "unread", b"x" * MIB)
    for index, role in ((leader, "the shard's leader"), (other, "another node")):
        grown = _unread(case.system, index)
        case.report.note(f"{name}, on {role}: it grew by {grown / MIB:.0f} MiB for {UNREAD_REPLIES} MiB of replies")
        if not cluster.against_redis():
            case.report.check(f"{name}: what {role} keeps is bounded", grown < UNREAD_GROWTH_MAX, f"{grown / MIB:.0f} MiB")
    ask(case.port, "DEL", "unread")


def _unread(system, index):
    """How much one node grows while a client does not read what it asked for; others have to be served meanwhile."""
    port, pid = system.nodes[index].redis, system.pid(index)
    before = proc.rss_bytes(pid)
    most = 0
    with Connection(port) as connection:
        connection.sock.settimeout(1.0)
        try:
            connection.sock.sendall(encode("GET", "unread") * UNREAD_REPLIES)
        except OSError:
            pass
        for _ in range(30):
            most = max(most, proc.rss_bytes(pid) - before)
            if ask(port, "PING") != "PONG":
                raise RuntimeError("a client beside it is not served")
            time.sleep(0.1)
    return most


def pipelines(case, name):
    """A client that pipelines 100,000 commands."""
    ask(case.port, "DEL", "pipelined")
    with Connection(case.port, timeout=60) as connection:
        data = encode("INCR", "pipelined") * PIPELINED_COMMANDS
        sender = threading.Thread(target=connection.send, args=(data,))
        sender.start()
        replies = [connection.read() for _ in range(PIPELINED_COMMANDS)]
        sender.join()
    case.report.check(f"{name}: every reply, in order", replies == list(range(1, PIPELINED_COMMANDS + 1)), replies[-3:])


def foreign_peers(case, name):
    """Whoever is not a peer is shown out on the peer port."""
    rng = random.Random(SEED + 2)
    openings = {
        "silence, then the end": b"",
        "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "RESP": encode("PING"),
        "TLS": bytes.fromhex("16030100c8010000c40303") + rng.randbytes(200),
        "an absurd length": b"\xff" * 64,
        "zeros": bytes(4096),
        **{f"random {n}": rng.randbytes(rng.randrange(1, 2000)) for n in range(40)},
    }
    for what, data in openings.items():
        with Connection(case.system.nodes[0].peer) as connection:
            try:
                connection.sock.sendall(data)
                connection.sock.shutdown(socket.SHUT_WR)
            except OSError:
                continue
            if not connection.closed_by_peer(within=10):
                case.report.check(f"peer port, {what}: closed", False)
    case.report.check(name, True)


def foreign_data(report):
    """A data directory of another cluster is refused, and the other two nodes serve without it."""
    with cluster.DevCluster() as other, cluster.DevCluster() as system:
        other.start()
        other.stop()
        system.start()
        ask(system.nodes[0].redis, "SET", "mine", "1")
        system.stop()
        theirs, mine = other.folder(2) / "data", system.folder(2) / "data"
        mine.rename(mine.with_name("kept"))
        shutil.copytree(theirs, mine)
        _refused(report, system, "a data directory of another cluster", "cluster")
        shutil.rmtree(mine)
        mine.with_name("kept").rename(mine)
        newer_format(mine)
        _refused(report, system, "a data directory of a newer format", "format")


def newer_format(folder):
    """Raises the format number in the data directory's identity file."""
    identity = identity_file(folder)
    text = identity.read_text(encoding="utf-8")
    changed = text.replace('"format": 1', '"format": 99').replace("format = 1", "format = 99")
    if changed == text:
        raise RuntimeError(f"{identity} names no format this test knows: {text!r}")
    identity.write_text(changed, encoding="utf-8")


def identity_file(folder):
    """The file that says whose data a directory holds."""
    for path in sorted(Path(folder).iterdir()):
        if path.is_file() and path.suffix in (".json", ".toml"):
            return path
    raise FileNotFoundError(f"no identity file in {folder}")


def _refused(report, system, what, word):
    system.start(ready=False)
    proc.wait_for("two nodes to be ready", lambda: system.ready(0) and system.ready(1), 30)
    proc.wait_for("the third to say why not", lambda: word in system.log(2).lower(), 20)
    report.equal(f"{what}: the others serve", _patiently(system.nodes[0].redis), b"1")
    report.check(f"{what}: the node does not", not system.ready(2))
    lines = [line for line in system.log(2).splitlines() if word in line.lower()]
    report.note(f"it says: {lines[-1].strip()[:200]}")
    system.stop()


def _patiently(port):
    def attempt():
        try:
            return ask(port, "GET", "mine")
        except (ReplyError, Lost):
            return None

    return proc.wait_for("a read", attempt, 20)


FIVE_MISTAKES = """\
node = 0
cluster = "Upper Case"
[listen]
redis = "127.0.0.1"
[raft]
heartbeat = "fast"
[limits]
no_such_limit = 3
"""


def configuration(report, scratch):
    """A file with five mistakes: all five are reported, each with its line, and nothing starts."""
    path = scratch / "five.toml"
    path.write_text(FIVE_MISTAKES, encoding="utf-8")
    for command in (["config", "check"], ["start"]):
        done = subprocess.run(
            [str(cluster.BINARY), *command, "--config", str(path)], capture_output=True, text=True, timeout=20, check=False
        )
        output = done.stdout + done.stderr
        name = " ".join(command)
        report.check(f"polder {name} refuses", done.returncode != 0, done.returncode)
        missing = [line for line in (1, 2, 4, 6, 8) if f"five.toml:{line}" not in output]
        report.equal(f"polder {name} names every line", missing, [])


def start():
    """A system that takes a few more clients than the ten thousand idle ones."""
    if cluster.against_redis():
        return cluster.start(with_cluster=False)
    return cluster.start(environment={"POLDER_LIMITS_MAX_CLIENTS": str(cluster.CLIENTS_MAX)})


def body(report):
    """The part."""
    with start() as system:
        case = Case(report, system)
        for one in (malformed, truncated, random_bytes, mutated, arity, types, inline, pipelines, idle, never_reads):
            case(one)
        if not cluster.against_redis():
            case(limits)
            case(foreign_peers)
        report.run("configuration", configuration, report, system.data) if not cluster.against_redis() else None
        report.equal("stops cleanly", system.stop(), 0)
    if cluster.against_redis():
        report.skip("limits, peers, data directories, configuration", "they are Polder's own")
    else:
        report.run("foreign data directories", foreign_data, report)


if __name__ == "__main__":
    main("bad-input", body)

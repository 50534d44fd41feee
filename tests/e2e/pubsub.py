"""Channels across nodes: redis-py in both protocols, order, transactions, shard channels, and a subscriber that does not read."""

import time

import redis

from .harness import cluster
from .harness.report import main
from .harness.resp import Connection, ReplyError, ask

WAIT_SECONDS = 5.0
ORDERED = 500
# Beyond 8 MB at once, and within what one test may send.
PAYLOAD = b"x" * 100_000
FLOOD = 1_000


def messages(channel, count):
    """The next messages of a subscription, as (channel, data)."""
    found, until = [], time.monotonic() + WAIT_SECONDS
    while len(found) < count and time.monotonic() < until:
        message = channel.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message:
            found.append((message["channel"], message["data"]))
    return found


def confirmed(channel, count):
    """Waits until so many subscriptions are confirmed."""
    until = time.monotonic() + WAIT_SECONDS
    while count and time.monotonic() < until:
        message = channel.get_message(timeout=0.1)
        count -= bool(message) and message["type"].endswith("subscribe")
    return count == 0


def across_nodes(report, ports, protocol):
    """Whoever subscribes anywhere hears what is published anywhere, each in order."""
    name = f"RESP{protocol}"
    nodes = [redis.Redis(port=port, protocol=protocol, decode_responses=True) for port in ports]
    heard = [node.pubsub() for node in nodes]
    for channel in heard:
        channel.subscribe("news", "other")
        channel.psubscribe("n*s")
    report.check(f"{name}: subscriptions are confirmed", all(confirmed(channel, 3) for channel in heard))
    counts = [node.publish("news", f"from {i}") for i, node in enumerate(nodes)]
    report.equal(f"{name}: PUBLISH counts the receivers of its node", counts, [2] * len(nodes))
    said = sorted(("news", f"from {i}") for i in range(len(nodes)) for _ in range(2))
    for i, channel in enumerate(heard):
        report.equal(f"{name}: node {i} hears all nodes", sorted(messages(channel, len(said))), said)
        channel.punsubscribe()
        report.check(f"{name}: the pattern is gone", confirmed(channel, 1))
    with nodes[0].pipeline(transaction=False) as pipe:
        for n in range(ORDERED):
            pipe.set("pubsub:n", n)
            pipe.publish("news", n)
        pipe.execute()
    wanted = [("news", str(n)) for n in range(ORDERED)]
    report.equal(f"{name}: a publisher's messages keep their order", [messages(c, ORDERED) == wanted for c in heard], [True] * len(heard))
    with nodes[1].pipeline(transaction=True) as pipe:
        pipe.set("pubsub:told", "yes").publish("other", "done").get("pubsub:told")
        report.equal(f"{name}: a transaction publishes", pipe.execute()[::2], [True, "yes"])
    report.equal(f"{name}: and all hear it", [messages(c, 1) for c in heard], [[("other", "done")]] * len(heard))
    for channel in heard:
        channel.close()


def resp3_on_one_connection(report, port):
    """In RESP3 a connection that subscribes may send any command; what it publishes itself comes behind the reply."""
    with Connection(port) as c:
        c.call("HELLO", "3")
        report.equal("SUBSCRIBE", c.call("SUBSCRIBE", "self"), [b"subscribe", b"self", 1])
        c.call("SET", "pubsub:k", "v")
        got = c.pipeline([("PUBLISH", "self", "a"), ("GET", "pubsub:k")])
        got.append(c.read())
        report.equal("the message stands behind the reply to PUBLISH", got, [1, [b"message", b"self", b"a"], b"v"])
        got = c.pipeline([("SET", "pubsub:k", "w"), ("UNSUBSCRIBE", "self"), ("PUBLISH", "self", "b"), ("PING",)])
        report.equal("nothing is heard after the end", got, ["OK", [b"unsubscribe", b"self", 0], 0, "PONG"])


def refusals(report, port):
    """RESP2 has a mode for subscribers."""
    with Connection(port) as c:
        c.call("SUBSCRIBE", "a")
        try:
            c.call("GET", "a")
            report.check("GET is refused while subscribed", False)
        except ReplyError as error:
            report.check("GET is refused while subscribed", error.text.startswith("ERR Can't execute 'get': only"), error.text)
        report.equal("PING in the mode of subscribers", c.call("PING"), [b"pong", b""])
        report.equal("RESET ends it", c.call("RESET"), "RESET")
        report.equal("PING after it", c.call("PING"), "PONG")


def shard_channels(report, system):
    """On the sharded port a shard channel lives with its slot; on the plain port it is heard everywhere."""
    slot = ask(system.nodes[0].cluster, "CLUSTER", "KEYSLOT", "channel")
    rows = ask(system.nodes[0].cluster, "CLUSTER", "SLOTS")
    owner = next(row[2][1] for row in rows if row[0] <= slot <= row[1])
    other = next(node.cluster for node in system.nodes if node.cluster != owner)
    with Connection(owner) as here, Connection(other) as there:
        report.equal("SSUBSCRIBE at the owner", here.call("SSUBSCRIBE", "channel"), [b"ssubscribe", b"channel", 1])
        for words in (("SSUBSCRIBE", "channel"), ("SPUBLISH", "channel", "x")):
            try:
                there.call(*words)
                report.check(f"{words[0]} elsewhere is redirected", False)
            except ReplyError as error:
                report.equal(f"{words[0]} elsewhere is redirected", error.text, f"MOVED {slot} 127.0.0.1:{owner}")
        report.equal("SPUBLISH at the owner", ask(owner, "SPUBLISH", "channel", "x"), 1)
        report.equal("is heard", here.read(), [b"smessage", b"channel", b"x"])
        report.equal("PUBLISH on the sharded port", ask(other, "PUBLISH", "channel", "y"), 0)
    with Connection(system.nodes[1].redis) as c:
        c.call("SSUBSCRIBE", "channel")
        ask(system.nodes[0].redis, "SPUBLISH", "channel", "z")
        report.equal("a shard channel on the plain port", c.read(), [b"smessage", b"channel", b"z"])


def slow_subscriber(report, port):
    """One that never reads is closed at its limit; the publisher and the others never wait for it."""
    with Connection(port) as slow, Connection(port) as quick, Connection(port) as publisher:
        slow.call("SUBSCRIBE", "flood")
        quick.call("SUBSCRIBE", "flood")
        began, heard = time.monotonic(), 0
        for _ in range(FLOOD):
            publisher.call("PUBLISH", "flood", PAYLOAD)
            heard += quick.read() == [b"message", b"flood", PAYLOAD]
        report.equal("who reads hears everything", heard, FLOOD)
        report.equal("who does not is closed", ask(port, "PUBSUB", "NUMSUB", "flood"), [b"flood", 1])
        report.within("100 MB through one channel", time.monotonic() - began, 10.0)


def body(report):
    """The part."""
    with cluster.start() as system:
        system.settle()
        ports = [node.redis for node in system.nodes]
        for protocol in (2, 3):
            across_nodes(report, ports, protocol)
        resp3_on_one_connection(report, ports[0])
        refusals(report, ports[0])
        shard_channels(report, system)
        slow_subscriber(report, ports[2])
        report.equal("stops cleanly", system.stop(), 0)


if __name__ == "__main__":
    main("pubsub", body)

"""Polder with redis-py, as an application uses it: `python redis_py_standalone.py [PORT]`."""

import sys

import redis

port = int(sys.argv[1]) if len(sys.argv) > 1 else 6379

for protocol in (2, 3):
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    r.flushdb()

    # Strings, numbers and expiry.
    assert r.set("greeting", "hello", ex=60)
    assert r.get("greeting") == "hello"
    assert 0 < r.ttl("greeting") <= 60
    assert r.set("greeting", "other", nx=True) is None
    assert [r.incr("visits") for _ in range(3)] == [1, 2, 3]
    assert r.incrbyfloat("ratio", 0.1) == 0.1 and r.incrbyfloat("ratio", 0.2) == 0.3
    assert r.mset({"a": 1, "b": 2}) and r.mget("a", "b", "nothing") == ["1", "2", None]

    # Hashes.
    assert r.hset("user:1", mapping={"name": "Ada", "born": 1815}) == 2
    assert r.hgetall("user:1") == {"name": "Ada", "born": "1815"}
    assert r.hincrby("user:1", "born", 1) == 1816

    # A pipeline is one round trip; with transaction=True it is also one atomic step.
    with r.pipeline(transaction=True) as pipe:
        pipe.set("x", 1).incr("x").get("x")
        assert pipe.execute() == [True, 2, "2"]

    # Optimistic locking: the transaction is dropped when a watched key changes.
    with r.pipeline() as pipe:
        pipe.watch("x")
        r.set("x", 10)
        pipe.multi()
        pipe.set("x", 11)
        try:
            pipe.execute()
            raise AssertionError("the transaction should have been dropped")
        except redis.WatchError:
            assert r.get("x") == "10"

    # Scripts: EVALSHA, and EVAL's text where the server does not know it yet.
    add = r.register_script("redis.call('HSET', KEYS[1], 'n', ARGV[1]) return {redis.call('HGET', KEYS[1], 'n'), cjson.encode({1, 'x'})}")
    r.script_flush()
    assert add(keys=["scripted"], args=[7]) == ["7", '[1,"x"]']
    assert r.script_exists(add.sha) == [True]
    assert r.eval_ro("return redis.call('HGET', KEYS[1], 'n')", 1, "scripted") == "7"
    assert r.delete("scripted") == 1

    # A lock releases itself by a script that compares the owner.
    with r.lock("lock", timeout=10):
        assert r.exists("lock")
    assert not r.exists("lock")

    # Iteration.
    r.mset({f"item:{n}": n for n in range(500)})
    assert {key for key in r.scan_iter(match="item:*", count=50)} == {f"item:{n}" for n in range(500)}
    assert r.dbsize() == 500 + 7

    # Databases are apart.
    other = redis.Redis(port=port, db=3, protocol=protocol, decode_responses=True)
    assert other.get("greeting") is None
    other.close()
    r.close()

print("redis-py, standalone client: fine")

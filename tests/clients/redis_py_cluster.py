"""Polder's sharded namespace with redis-py's cluster client: `python redis_py_cluster.py [PORT]`."""

import sys

from redis.cluster import RedisCluster

port = int(sys.argv[1]) if len(sys.argv) > 1 else 7379

for protocol in (2, 3):
    r = RedisCluster(host="127.0.0.1", port=port, protocol=protocol, decode_responses=True)

    # The client learns which node owns which slot and talks to the owner.
    assert len(r.get_primaries()) >= 3
    keys = [f"session:{n}" for n in range(1000)]
    for n, key in enumerate(keys):
        assert r.set(key, n, ex=600)
    assert [r.get(key) for key in keys] == [str(n) for n in range(1000)]

    # Keys with the same hash tag live together, so commands over several keys work.
    assert r.mset({"{user:7}:name": "Grace", "{user:7}:born": "1906"})
    assert r.mget("{user:7}:name", "{user:7}:born") == ["Grace", "1906"]
    assert r.hset("{user:7}:card", mapping={"rank": "rear admiral"}) in (0, 1)

    # A pipeline is split by owner and put together again.
    pipe = r.pipeline()
    for key in keys[:100]:
        pipe.get(key)
    assert pipe.execute() == [str(n) for n in range(100)]

    # SCAN visits every owner.
    assert set(r.scan_iter(match="session:*", count=100)) == set(keys)
    assert r.delete(*keys) == len(keys)
    r.close()

print("redis-py, cluster client: fine")

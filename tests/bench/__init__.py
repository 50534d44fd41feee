"""The benchmarks: Polder beside redis-server, Redis Cluster and etcd, on loopback. Run them with `cargo xtask bench`."""

"""Real clients: redis-benchmark, redis-py and the Rust crate `redis`, on both ports."""

import os
import subprocess
import sys
from pathlib import Path

from .harness import cluster
from .harness.report import main

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
RUST_CLIENT = os.environ.get("E2E_RUST_CLIENT")

BENCHMARKS = "ping,set,get,incr,hset,mset"
# Few enough to take seconds, many enough that each of 50 connections goes through its buffers repeatedly.
REQUESTS_PLAIN = 20_000
REQUESTS_PIPELINED = 100_000
TIMEOUT_SECONDS = 240


def run(report, name, command):
    """Runs a client to its end; what it prints matters only when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    output = done.stdout + done.stderr
    clean = done.returncode == 0 and "Error" not in output
    report.check(name, clean, f"exit {done.returncode}: {output[-600:]}")
    return output


def benchmark(report, name, port, pipeline, *extra):
    """redis-benchmark's usual tests; it ends with an error at the first error reply."""
    requests = REQUESTS_PIPELINED if pipeline > 1 else REQUESTS_PLAIN
    command = ["redis-benchmark", "-p", str(port), "-t", BENCHMARKS, "-n", str(requests), "-P", str(pipeline)]
    output = run(report, name, [*command, "-r", "100000", "-d", "128", "--csv", *extra])
    for row in output.splitlines():
        cells = [cell.strip('"') for cell in row.split(",")]
        if len(cells) == 8 and cells[0] != "test":
            print(f"        {cells[0]:<12.12} {float(cells[1]):>9.0f}/s  p50 {cells[4]} ms  p99 {cells[6]} ms", flush=True)


def body(report):
    """The part."""
    with cluster.start() as system:
        system.settle()
        plain, sharded = system.nodes[0].redis, system.nodes[0].cluster
        for port, client in ((plain, "redis_py_standalone.py"), (sharded, "redis_py_cluster.py")):
            run(report, client, [sys.executable, str(CLIENTS / client), str(port)])
        if RUST_CLIENT:
            run(report, "Rust crate redis, standalone", [RUST_CLIENT, "standalone", str(plain)])
            run(report, "Rust crate redis, cluster", [RUST_CLIENT, "cluster", str(sharded)])
        else:
            report.skip("Rust crate redis", "the example was not built (E2E_RUST_CLIENT is not set)")
        benchmark(report, "redis-benchmark", plain, 1)
        benchmark(report, "redis-benchmark -P 16", plain, 16)
        benchmark(report, "redis-benchmark --cluster", sharded, 1, "--cluster")
        benchmark(report, "redis-benchmark --cluster -P 16", sharded, 16, "--cluster")
        report.check("every node is still ready", all(system.ready(node.index) for node in system.nodes))
        report.equal("stops cleanly", system.stop(), 0)


if __name__ == "__main__":
    main("clients", body)

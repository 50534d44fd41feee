"""The load: redis-benchmark for what it can do, the project's own closed loop for the rest. Both sides get the same."""

import json
import os
import statistics
import subprocess
from dataclasses import dataclass

from e2e.harness import proc

VALUE_BYTES = 128
KEYS = 100_000
LOAD = os.environ.get("E2E_LOAD", "target/release/load")


@dataclass
class Sample:
    """One run of one side: requests per second, latencies in milliseconds, CPU microseconds per request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def median(samples):
    """The median of each figure."""
    return Sample(*(statistics.median(getattr(s, name) for s in samples) for name in ("rate", "p50", "p99", "cpu")))


def _with_cpu(system, body):
    pids = system.pids()
    before = sum(map(proc.cpu_seconds, pids))
    rate, p50, p99, requests = body()
    used = sum(map(proc.cpu_seconds, pids)) - before
    return Sample(rate, p50, p99, used / requests * 1e6)


def redis_benchmark_words(test, clients, requests, pipeline=1, sharded=False):
    """The arguments after the port."""
    words = ["-t", test, "-c", str(clients), "-n", str(requests), "-P", str(pipeline), "-d", str(VALUE_BYTES)]
    return [*words, "-r", str(KEYS), *(["--cluster"] if sharded else []), "--csv"]


def redis_benchmark(system, test, clients, requests, pipeline=1, sharded=False):
    """redis-benchmark against a system."""

    def body():
        port = system.cluster_port if sharded else system.port
        words = ["redis-benchmark", "-p", str(port), *redis_benchmark_words(test, clients, requests, pipeline, sharded)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
        for line in done.stdout.splitlines():
            cells = [cell.strip('"') for cell in line.split(",")]
            if cells[0].lower() == test and len(cells) == 8:
                return float(cells[1]), float(cells[4]), float(cells[6]), requests
        raise RuntimeError(f"redis-benchmark: {done.stdout[-300:]}{done.stderr[-300:]}")

    return _with_cpu(system, body)


def load(system, job, seconds, clients=64):
    """The project's closed loop. The CPU of its unmeasured second is paid for by the requests of that second."""
    warmup = 1

    def body():
        words = [LOAD, job, "--ports", str(system.port), "--clients", str(clients), "--seconds", str(seconds)]
        words += ["--warmup", str(warmup), "--keys", str(KEYS), "--value", str(VALUE_BYTES)]
        result = json.loads(subprocess.run(words, capture_output=True, text=True, timeout=600, check=True).stdout)
        return result["rate"], result["p50_ms"], result["p99_ms"], result["rate"] * (seconds + warmup)

    return _with_cpu(system, body)


def fill(port, job, keys):
    """Writes every key of a key space once."""
    words = [LOAD, job, "--ports", str(port), "--keys", str(keys), "--value", str(VALUE_BYTES)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=3600)

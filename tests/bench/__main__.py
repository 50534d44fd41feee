"""Runs the rows and writes the table into docs/benchmarks.md."""

import argparse
import datetime
import os
import platform
import subprocess
from pathlib import Path

from .generators import redis_benchmark_words
from .rows import ROWS, Bench
from .systems import version

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- measured: written by `cargo xtask bench` -->", "<!-- end of what is measured -->"
QUICK_SCALE = 0.1


def machine():
    """What it ran on."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}"


def commit():
    """What was measured."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def table(results):
    """The results as markdown."""
    lines = ["| work | Polder | beside | ratio | at least | |", "|---|---|---|---|---|---|"]
    for r in results:
        mark = {True: "reached", False: "**falls short**", None: ""}[r.reached]
        lines.append(f"| {r.work} | {r.ours} | {r.beside} | {r.ratio} | {r.least} | {mark} |")
    return "\n".join(lines)


def measured(results, runs, scale):
    """The part of the document that is written by this program."""
    facts = [
        f"Measured {datetime.date.today().isoformat()} at commit `{commit()}` on {machine()}.",
        f"Peers: {version(['redis-server', '--version'])}; {version(['etcd', '--version'])}.",
        f"Medians of {runs} alternating runs; values of 128 bytes; keys drawn from 100,000.",
        f"`redis-benchmark -p PORT {' '.join(redis_benchmark_words('set', 50, 200_000))}` and the like.",
    ]
    if scale != 1:
        facts.append(f"A quick run, with {scale:g} of the requests and keys: good for a look, not for a claim.")
    return "\n".join([BEGIN, "", *facts, "", table(results), "", END])


def main():
    """The program."""
    parser = argparse.ArgumentParser(prog="cargo xtask bench")
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], help="all without any")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--print", action="store_true", dest="only_print")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    bench = Bench(options.runs, QUICK_SCALE if options.quick else 1)
    results = []
    for name in options.rows or ROWS:
        print(f"── {name}", flush=True)
        for result in ROWS[name](bench):
            print(f"  {result.work}: {result.ours}  |  {result.beside}  |  {result.ratio}", flush=True)
            results.append(result)
    text = measured(results, options.runs, bench.scale)
    print("\n" + table(results))
    if options.only_print or options.rows or options.quick:
        return
    document = DOCUMENT.read_text(encoding="utf-8")
    before, rest = document.split(BEGIN)
    DOCUMENT.write_text(before + text + rest.split(END)[1], encoding="utf-8")
    print(f"\nwritten to {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""Redis 7.0's own tests, from Debian's source package, run as an external client of one node.

What is left out stands in tests/tcl/skip.txt with its reason.
"""

import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .harness import cluster, proc
from .harness.report import main

# Units by how they run, each run with a cluster of its own, the longest first. Hashes come last in their run: their unit leaves
# encoding thresholds behind that the scan unit does not expect. Lists and sets have the encodings of Redis 7.2, whose names 7.0's
# tests do not know, and all thresholds are fixed.
RUNS = (
    (("--ignore-encoding",), ("type/zset",)),
    ((), "type/string type/incr bitops bitfield expire scan multi quit type/hash".split()),
    (("--ignore-encoding",), "type/list type/list-3".split()),
    (("--ignore-encoding",), "type/list-2 type/set".split()),
    (("--ignore-encoding",), "type/stream type/stream-cgroups".split()),
    ((), "scripting functions slowlog latency-monitor introspection-2 info-command protocol dump".split()),
    (("--ignore-encoding",), ("keyspace",)),
)
# A run waits for replies most of the time, so several share the cores well.
RUNS_AT_ONCE = 3
SKIPS = Path(__file__).resolve().parents[1] / "tcl/skip.txt"
SOURCE = os.environ.get("E2E_REDIS_SOURCE")
TIMEOUT_SECONDS = 600

# What is changed in the copy of the test tree: file, text, what stands there instead.
CHANGES = (
    # Several clients begin to wait one after the other, each on a connection of its own, and the tests expect them to be served in
    # that order. One thread reads connections in the order in which they were written; several do not, so a client that begins to
    # wait gets the time to arrive.
    (
        "support/redis.tcl",
        "        if {!$deferred} {\n",
        "        if {$deferred && [regexp -nocase {^(b[lrz].*|xread.*)$} $method]} {after 30}\n        if {!$deferred} {\n",
    ),
)

ANSI = re.compile(r"\x1b\[[0-9;]*m")
RESULT = re.compile(r"^\[(ok|err|skip|ignore|exception)\]: (.*)$")


def skips():
    """Test names and tags to leave out, each with its reason."""
    found = {}
    for line in SKIPS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            what, _, reason = line.partition("\t")
            if not reason:
                raise ValueError(f"{SKIPS}: no reason for {what!r}")
            found[what] = reason
    return found


def names(what, name):
    """Whether a line of skip.txt means a test: its name, or a pattern behind a slash."""
    return re.search(what[1:], name) is not None if what.startswith("/") else what == name


def prepare(folder):
    """A copy of the test tree with the changes that an outside server needs."""
    shutil.copytree(Path(SOURCE) / "tests", folder / "tests")
    for name, old, new in CHANGES:
        path = folder / "tests" / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise RuntimeError(f"{path} is not the one this runner knows")
        path.write_text(text.replace(old, new, 1), encoding="utf-8")


def run_units(folder, port, left_out, options, units):
    """Runs some units in one go; returns the result lines as (verdict, text) and the whole output."""
    names = [name for name in left_out if not name.startswith("tag:")]
    (folder / "skip").write_text("\n".join(names) + "\n", encoding="utf-8")
    tags = " ".join(f"-{name[4:]}" for name in left_out if name.startswith("tag:"))
    command = ["tclsh", "tests/test_helper.tcl", "--host", "127.0.0.1", "--port", str(port), "--durable"]
    # Where its own parts talk to each other: 32 below what is given.
    command += ["--baseport", str(proc.free_base_port([0]) + 32)]
    command += ["--skipfile", str(folder / "skip"), *options]
    if tags:
        command += ["--tags", tags]
    for unit in units:
        command += ["--single", f"unit/{unit}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
        code, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        code, said = -1, (error.stdout or b"") + b"\nkilled: the tests hung here\n"
    output = ANSI.sub("", said.decode(errors="replace"))
    results = [match.groups() for line in output.splitlines() if (match := RESULT.match(line))]
    return code, results, output


def run_alone(folder, left_out, options, units):
    """Runs some units against a cluster of their own; returns also with which code that stopped."""
    folder.mkdir()
    prepare(folder)
    with cluster.start() as system:
        return *run_units(folder, system.nodes[0].redis, left_out, options, units), system.stop()


def body(report):
    """The part."""
    if not SOURCE:
        report.skip("Redis's own tests", "their source is not there (E2E_REDIS_SOURCE is not set)")
        return
    left_out = skips()
    with tempfile.TemporaryDirectory(prefix="polder-tcl-") as scratch, ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        runs = list(pool.map(lambda run: run_alone(Path(scratch) / run[1][0].replace("/", "-"), left_out, *run), RUNS))
        results, output = [], ""
        for (_, units), (code, some, said, stopped) in zip(RUNS, runs):
            ended = all(f"done]: unit/{unit} " in said for unit in units)
            failed = any(verdict in ("err", "exception") for verdict, _ in some)
            report.check(f"every unit ran to its end: {' '.join(units)}", ended and (code == 0 or failed), said[-800:])
            report.equal(f"the cluster of {units[0]} stops cleanly", stopped, 0)
            results += some
            output += said
        by_verdict = {verdict: [t for v, t in results if v == verdict] for verdict in ("ok", "err", "skip", "ignore", "exception")}
        report.count(len(by_verdict["ok"]), "Redis's own tests passed")
        for failure in re.findall(r"^\[(?:err|exception)\]: (.*(?:\n(?!\[).*){0,3})", output, re.MULTILINE):
            report.check(failure.splitlines()[0], False, " ".join(failure.splitlines()[1:]))
        for name in by_verdict["skip"]:
            report.skip(name, next((why for what, why in left_out.items() if names(what, name)), "?"))
        report.note(f"{len(by_verdict['ignore'])} left out by the suite's own tags (external servers) or by skip.txt's")
        unused = [n for n in left_out if not n.startswith("tag:") and not any(names(n, name) for name in by_verdict["skip"])]
        report.equal("lines of skip.txt that match no test", unused, [])


if __name__ == "__main__":
    main("tcl", body)

"""Named checks with a verdict, printed as they happen and handed to `cargo xtask test` as JSON at the end."""

import json
import os
import signal
import sys
import time
import traceback

from .proc import TIME_SCALE


class Report:
    """The checks of one part."""

    def __init__(self, part):
        self.part = part
        self.passed = 0
        self.failures = []
        self.skips = []
        self.notes = []
        self.began = time.monotonic()

    def check(self, name, holds, detail=""):
        """Records whether `name` holds and goes on either way."""
        if holds:
            self.passed += 1
            print(f"  ok    {name}", flush=True)
        else:
            self.failures.append(f"{name}: {detail}" if detail else name)
            print(f"  FAIL  {name}  {detail}", flush=True)
        return holds

    def equal(self, name, got, wanted):
        """Records whether two values are equal."""
        return self.check(name, got == wanted, f"got {_short(got)}, wanted {_short(wanted)}")

    def within(self, name, seconds, bound):
        """Records whether something took at most `bound` seconds, widened by `TIME_SCALE`; what exceeds the bound as it
        stands is printed either way."""
        if seconds > bound:
            self.note(f"{name}: ABOVE THE BOUND, {seconds:.2f} s where {bound} s is promised")
        return self.check(f"{name} within {bound * TIME_SCALE:g} s", seconds <= bound * TIME_SCALE, f"{seconds:.2f} s")

    def count(self, passed, name=""):
        """Adds checks that another runner did."""
        self.passed += passed
        if name:
            print(f"  ok    {name} ({passed})", flush=True)

    def skip(self, name, reason):
        """Says loudly that something did not run."""
        self.skips.append(f"{name}: {reason}")
        print(f"  SKIP  {name}: {reason}", flush=True)

    def note(self, text):
        """A figure worth keeping in the summary."""
        self.notes.append(text)
        print(f"        {text}", flush=True)

    def run(self, name, body, *args):
        """Runs one case; an exception is a failure of that case only."""
        try:
            return body(*args)
        except Exception as error:  # noqa: BLE001 - a case may fail in any way; the others still run
            traceback.print_exc(limit=6)
            self.check(name, False, f"{type(error).__name__}: {error}")
            return None

    def finish(self):
        """Prints the summary, writes it where `E2E_RESULT` says, and returns the exit code."""
        seconds = time.monotonic() - self.began
        line = f"{self.part}: {self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped in {seconds:.1f} s"
        print(line, flush=True)
        path = os.environ.get("E2E_RESULT")
        if path:
            result = {
                "passed": self.passed,
                "failed": len(self.failures),
                "failures": self.failures,
                "skipped": self.skips,
                "notes": self.notes,
            }
            with open(path, "w", encoding="utf-8") as out:
                json.dump(result, out)
        return 1 if self.failures or not (self.passed or self.skips) else 0


def _short(value):
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "..."


def main(part, body):
    """Runs `body(report)` and exits with the verdict."""
    # Told to end, unwind as after an error, so that no cluster is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report(part)
    try:
        body(report)
    except Exception as error:  # noqa: BLE001 - reported as the part's failure
        traceback.print_exc()
        report.check("the part ran to its end", False, f"{type(error).__name__}: {error}")
    sys.exit(report.finish())

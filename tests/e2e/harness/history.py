"""Histories of per-key counters, each written by one writer, and the two promises checked on them.

Every key holds a number that its only writer raises by one. A write that was answered is *acknowledged*. A write whose
outcome is unknown ends the key's life: the writer goes on with another key, so that a write which takes effect late is
never mistaken for an old value. Then two sentences can be checked without search:

* no stale read: a read returns at least what was acknowledged, or returned by another read, before it began;
* nothing lost: the last read of a key returns at least its last acknowledged value.

And both: a read returns no more than the writer ever sent.
"""

import threading
from dataclasses import dataclass


@dataclass
class Counter:
    """One key: what its writer sent and knows to be safe, and what readers were told."""

    key: str
    sent: int = 0
    acknowledged: int = 0
    seen: int = 0
    retired: bool = False


class History:
    """All counters, shared by writers and readers."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counters = {}
        self.stale = []
        self.invented = []
        self.reads = 0
        self.writes = 0
        self.unknown = 0
        self.refused = 0

    def open(self, key):
        """Starts the life of a key."""
        with self.lock:
            counter = self.counters[key] = Counter(key)
            return counter

    def begin_write(self, counter):
        """The next value to write; it may be sent again only while it is known not to have happened."""
        with self.lock:
            counter.sent = counter.acknowledged + 1
            return counter.sent

    def acknowledge(self, counter):
        """The value last sent was answered."""
        with self.lock:
            counter.acknowledged = counter.sent
            self.writes += 1

    def refuse(self):
        """A write was answered with an error that promises that nothing happened."""
        with self.lock:
            self.refused += 1

    def give_up(self, counter):
        """The outcome of the value last sent is unknown: nobody writes this key any more."""
        with self.lock:
            counter.retired = True
            self.unknown += 1

    def begin_read(self, counter):
        """The least value that a read which begins at this moment may return."""
        with self.lock:
            return max(counter.acknowledged, counter.seen)

    def end_read(self, counter, floor, value, who=""):
        """Checks what a read returned."""
        value = 0 if value is None else int(value)
        with self.lock:
            self.reads += 1
            if value < floor:
                self.stale.append(f"{counter.key}: read {value} after {floor} was known {who}")
            if value > counter.sent:
                self.invented.append(f"{counter.key}: read {value}, only {counter.sent} was sent {who}")
            counter.seen = max(counter.seen, value)

    def lost(self, final):
        """Keys whose final value, from the map `final`, is below what was acknowledged or read."""
        found = []
        for key, counter in self.counters.items():
            value = int(final.get(key) or 0)
            if value < max(counter.acknowledged, counter.seen):
                found.append(f"{key}: {value} at the end, {counter.acknowledged} acknowledged, {counter.seen} read")
            if value > counter.sent:
                found.append(f"{key}: {value} at the end, only {counter.sent} sent")
        return found

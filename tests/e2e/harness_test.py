"""The tests' own tests: the checkers find what they are there to find."""

import unittest

from .harness.history import History
from .harness.report import main
from .harness.resp import encode
from .harness.slots import slot_of, tag_for


class Histories(unittest.TestCase):
    """Each promise of `history`, once kept and once broken."""

    def setUp(self):
        self.history = History()
        self.counter = self.history.open("k")

    def write(self, acknowledged=True):
        self.history.begin_write(self.counter)
        if acknowledged:
            self.history.acknowledge(self.counter)

    def test_a_read_of_the_last_acknowledged_value_is_fine(self):
        self.write()
        self.history.end_read(self.counter, self.history.begin_read(self.counter), b"1")
        self.assertEqual((self.history.stale, self.history.invented), ([], []))

    def test_a_read_below_an_acknowledged_value_is_stale(self):
        self.write()
        self.history.end_read(self.counter, self.history.begin_read(self.counter), None)
        self.assertEqual(len(self.history.stale), 1)

    def test_a_read_below_an_earlier_read_is_stale(self):
        self.write(acknowledged=False)
        self.history.end_read(self.counter, self.history.begin_read(self.counter), b"1")
        self.history.end_read(self.counter, self.history.begin_read(self.counter), b"0")
        self.assertEqual(len(self.history.stale), 1)

    def test_a_write_acknowledged_during_the_read_may_be_missed(self):
        floor = self.history.begin_read(self.counter)
        self.write()
        self.history.end_read(self.counter, floor, None)
        self.assertEqual(self.history.stale, [])

    def test_a_value_nobody_sent_is_invented(self):
        self.history.end_read(self.counter, 0, b"7")
        self.assertEqual(len(self.history.invented), 1)

    def test_an_acknowledged_value_missing_at_the_end_is_lost(self):
        self.write()
        self.assertEqual(len(self.history.lost({})), 1)
        self.assertEqual(self.history.lost({"k": b"1"}), [])

    def test_an_unknown_outcome_may_be_there_or_not(self):
        self.write()
        self.write(acknowledged=False)
        self.history.give_up(self.counter)
        self.assertEqual(self.history.lost({"k": b"1"}), [])
        self.assertEqual(self.history.lost({"k": b"2"}), [])
        self.assertEqual(len(self.history.lost({"k": b"3"})), 1)


class Slots(unittest.TestCase):
    """The slot rule, against values that Redis Cluster's documents give."""

    def test_known_slots(self):
        self.assertEqual(slot_of("123456789"), 0x31C3)
        self.assertEqual(slot_of("foo"), 12182)
        self.assertEqual(slot_of("{user1000}.following"), slot_of("{user1000}.followers"))
        self.assertEqual(slot_of("foo{}{bar}"), slot_of("foo{}{bar}"))
        self.assertNotEqual(slot_of("foo{}{bar}"), slot_of("bar"))

    def test_a_tag_lies_in_its_range(self):
        self.assertTrue(1024 <= slot_of("{" + tag_for(1024, 2047) + "}:x") <= 2047)


class Encoding(unittest.TestCase):
    """The request encoding."""

    def test_words(self):
        self.assertEqual(encode("SET", b"k", 1), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n")


def body(report):
    """The part."""
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName(__name__))
    report.count(result.testsRun - len(result.failures) - len(result.errors))
    for test, trace in result.failures + result.errors:
        report.check(str(test), False, trace)


if __name__ == "__main__":
    main("harness", body)

"""Counting py-spy's stacks."""

from unittest import TestCase

from benchmarks.profile import aggregate, table

STACKS = [
    "run (a.py:1);send (b.py:10) 6",
    "run (a.py:2);send (b.py:11) 3",
    "run (a.py:2);send (b.py:11);send (b.py:10) 1",
    "_bootstrap (threading.py:1);wait (threading.py:327) 90",
    "",
]


class AggregateTests(TestCase):
    """`aggregate`: self, total, recursion, and threads that wait."""

    def test_counts(self) -> None:
        """A function counts once per stack in total, and a waiting pool thread not at all."""
        hot = aggregate(STACKS)
        self.assertEqual(hot.samples, 10)
        self.assertEqual(hot.self_counts, {"send (b.py)": 10})
        self.assertEqual(hot.total_counts, {"run (a.py)": 10, "send (b.py)": 10})

    def test_lines(self) -> None:
        """With `lines` every line counts for itself."""
        self.assertEqual(aggregate(STACKS, lines=True).self_counts, {"send (b.py:10)": 7, "send (b.py:11)": 3})

    def test_table(self) -> None:
        """Shares are of all samples that count."""
        self.assertIn("100.0% 100.0%  send (b.py)", table(aggregate(STACKS), 5))

"""Tests of edgegw.upstream.budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.runtime.wheel import Wheel
from edgegw.upstream.budget import WINDOW_S, RetryBudget


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        # In the middle of a second: sums of tenths are not whole.
        self.clock.advance(0.5)
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.budget = RetryBudget(self.wheel)

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds * 10):
            self.clock.advance(0.1)

    def begin(self, count: int) -> None:
        for _ in range(count):
            self.budget.begun()

    def taken(self, tries: int = 1000, share: float = 0.2, floor: float = 0) -> int:
        return sum(self.budget.take(share, floor) for _ in range(tries))


class BudgetTests(Case):
    def test_a_share_of_the_exchanges(self) -> None:
        self.begin(100)
        self.assertEqual(self.taken(), 20)

    def test_the_floor(self) -> None:
        self.assertEqual(self.taken(floor=10), 10)
        self.begin(40)
        self.assertEqual(self.taken(floor=10), 0, "the larger of both, not their sum")
        self.begin(60)
        self.assertEqual(self.taken(floor=10), 10)

    def test_none_at_all(self) -> None:
        self.begin(100)
        self.assertEqual(self.taken(share=0.0), 0)

    def test_it_forgets(self) -> None:
        self.begin(100)
        self.assertEqual(self.taken(), 20)
        self.pass_time(WINDOW_S - 1)
        self.begin(10)
        self.assertEqual((self.taken(), self.budget.exchanges, self.budget.added), (2, 110, 22))
        self.pass_time(1)
        self.assertEqual((self.taken(), self.budget.exchanges, self.budget.added), (0, 10, 2))
        self.pass_time(WINDOW_S)
        self.assertEqual((self.taken(), self.budget.exchanges, self.budget.added), (0, 0, 0))

    def test_a_long_silence(self) -> None:
        self.begin(100)
        self.clock.advance(3600)
        self.assertEqual(self.taken(), 0)
        self.assertEqual(self.budget.describe(), {"exchanges": 0, "added": 0, "window_s": 10})
        self.assertEqual(repr(self.budget), "<RetryBudget 0 added to 0 exchanges>")

    def test_give_back(self) -> None:
        self.begin(5)
        self.assertEqual(self.taken(), 1)
        self.budget.give_back()
        self.assertEqual(self.taken(), 1)

    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(0, 3)), max_size=40))
    def test_never_more_than_the_share_of_a_window(self, script: list[tuple[int, int, int]]) -> None:
        """Against a list of everything that happened."""
        self.setUp()
        happened: list[tuple[int, str]] = []
        for begun, tries, seconds in script:
            at = int(self.wheel.now_s)
            self.begin(begun)
            happened += [(at, "begun")] * begun
            for _ in range(tries):
                recent = [what for when, what in happened if when > at - WINDOW_S]
                allowed = recent.count("added") + 1 <= 0.2 * recent.count("begun")
                self.assertEqual(self.budget.take(0.2, 0), allowed)
                happened += [(at, "added")] * allowed
            self.pass_time(seconds)

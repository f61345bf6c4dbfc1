"""Tests of edgegw.discovery.refusals."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.refusals import Refusals


class RefusalsTests(SynchronousTestCase):
    """An operator reads them."""

    def setUp(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.now_s = 0.0
        self.refusals = Refusals(lambda what, reason: self.told.append((what, reason)), lambda: self.now_s)

    def test_each_once(self) -> None:
        for _ in range(5):
            self.refusals.add("a", "x")
        self.refusals.add("a", "y")
        self.assertEqual(self.told, [("a", "x"), ("a", "y")])

    def test_again_when_it_comes_back(self) -> None:
        self.refusals.add("a", "x")
        self.refusals.keep(["b"])
        self.refusals.add("a", "x")
        self.assertEqual(len(self.told), 2)

    def test_ten_a_minute(self) -> None:
        for number in range(1000):
            self.refusals.add(str(number), "x")
        self.assertEqual((len(self.told), self.refusals.untold), (10, 990))
        self.now_s += 60
        self.refusals.add("later", "x")
        self.assertEqual((len(self.told), self.refusals.last), (11, "later: x"))

    def test_bounded(self) -> None:
        for number in range(5000):
            self.now_s += 60
            self.refusals.add(str(number), "x")
        self.assertEqual(len(self.refusals._known), 1000)

    def test_text_of_others(self) -> None:
        self.refusals.add("a\x1b[31m\n" + "b" * 1000, "x\r")
        what, reason = self.told[0]
        self.assertEqual((len(what), what[:8], reason), (200, "a?[31m?b", "x?"))

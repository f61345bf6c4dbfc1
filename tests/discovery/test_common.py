"""Tests of edgegw.discovery.common."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.common import Common


class Thing:
    """What can be held."""


class CommonTests(SynchronousTestCase):
    def test_as_long_as_somebody_holds_it(self) -> None:
        common = Common()
        one = common.get("a", Thing)
        self.assertIs(common.get("a", Thing), one)
        self.assertIsNot(common.get("b", Thing), one)
        first = repr(common)
        del one
        self.assertEqual((first, repr(common)), ("<Common 1>", "<Common 0>"))

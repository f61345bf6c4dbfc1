"""Tests of edgegw.upstream.balance.interfaces."""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.interfaces import Observing, Succeeding, hand_over, observers_of
from edgegw.upstream.balance.peak_ewma import PeakEwma
from edgegw.upstream.balance.random import ByChance
from edgegw.upstream.balance.round_robin import RoundRobin
from tests.upstream.balance.balancing import endpoints, turns


class InterfacesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.members = endpoints(1, 1, 1)

    def test_only_those_that_can_are_handed_over_to(self) -> None:
        before, after, other = RoundRobin(self.members), RoundRobin(self.members), ByChance(self.members, Random(1))
        turns(before, 2)
        hand_over(before, after)
        hand_over(before, other)
        after.allow(self.members)
        self.assertEqual(turns(after, 1), "c")
        self.assertIsInstance(after, Succeeding)
        self.assertNotIsInstance(other, Succeeding)

    def test_only_those_that_want_it_are_told_of_attempts(self) -> None:
        told = PeakEwma(self.members, Random(1), Clock().seconds)
        self.assertIsInstance(told, Observing)
        self.assertEqual(observers_of(told), (told.observer,))
        self.assertEqual(observers_of(RoundRobin(self.members)), ())

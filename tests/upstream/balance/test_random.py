"""Tests of edgegw.upstream.balance.random."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.random import ByChance
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import chi_square, counted, crowd, endpoints
from tests.upstream.balance.contract import Contract


class ByChanceTests(Contract, SynchronousTestCase):
    def build(self, members: Sequence[Endpoint], seed: int = 1) -> ByChance:
        return ByChance(members, Random(seed))

    def test_in_proportion_to_weights(self) -> None:
        members = endpoints(1, 2, 3, 4, 10)
        counts = counted(self.build(members), 20_000)
        self.assertLess(chi_square([counts[each] for each in members], [1, 2, 3, 4, 10]), 1)
        # What the test can tell: even odds are not these.
        self.assertGreater(chi_square([counts[each] for each in members], [1, 1, 1, 1, 1]), 10)

    def test_a_thousand(self) -> None:
        members = crowd(1000)
        counts = counted(self.build(members, seed=3), 100_000)
        self.assertLess(chi_square([counts[each] for each in members], [1] * 1000), 1)

    def test_a_cold_one_gets_its_part(self) -> None:
        members = endpoints(2, 2, 2, 2)
        balancer = self.build(members)
        counted(balancer, 5)
        members[3].weigh(warmth=0.1)
        balancer.reweigh(members[3])
        counts = counted(balancer, 20_000)
        self.assertLess(chi_square([counts[each] for each in members], [1, 1, 1, 0.1]), 1)

    def test_not_the_same_every_time(self) -> None:
        members = endpoints(1, 1, 1)
        first, second = (counted(self.build(members, seed), 99) for seed in (1, 2))
        self.assertNotEqual(first, second)

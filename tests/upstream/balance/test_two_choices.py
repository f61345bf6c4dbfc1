"""Tests of edgegw.upstream.balance.two_choices."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.balance.random import ByChance
from edgegw.upstream.balance.two_choices import TwoChoices
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, chi_square, counted, crowd, endpoints
from tests.upstream.balance.contract import Contract


def loaded(balancer: Balancer, count: int) -> None:
    """Begin so many exchanges and end none."""
    for _ in range(count):
        found = balancer.choose(EXCHANGE, ())
        assert found is not None
        found.in_flight += 1


class TwoChoicesTests(Contract, SynchronousTestCase):
    def build(self, members: Sequence[Endpoint], seed: int = 1) -> TwoChoices:
        return TwoChoices(members, Random(seed))

    def test_idle_ones_in_proportion_to_weights(self) -> None:
        members = endpoints(1, 2, 3, 4, 10)
        counts = counted(self.build(members), 20_000)
        self.assertLess(chi_square([counts[each] for each in members], [1, 2, 3, 4, 10]), 1)

    def test_busy_ones_in_proportion_to_weights(self) -> None:
        members = endpoints(1, 2, 3, 4, 10)
        loaded(self.build(members), 2000)
        for each, weight in zip(members, (1, 2, 3, 4, 10), strict=True):
            self.assertLess(abs(each.in_flight / 100 - weight), 0.15)

    def test_the_less_busy_of_two(self) -> None:
        a, b = pair = endpoints(1, 1)
        balancer = self.build(pair)
        a.in_flight = 1
        self.assertEqual(set(counted(balancer, 50)), {b})
        b.in_flight = 2
        self.assertEqual(set(counted(balancer, 50)), {a})

    def test_a_crowd_is_far_more_even_than_by_chance(self) -> None:
        """n exchanges on n endpoints: the busiest has about log log n, not log n / log log n."""
        two, one = crowd(1000), crowd(1000)
        loaded(self.build(two), 1000)
        loaded(ByChance(one, Random(1)), 1000)
        self.assertLessEqual(max(each.in_flight for each in two), 3)
        self.assertGreaterEqual(max(each.in_flight for each in one), 5)

    def test_never_the_busiest(self) -> None:
        a, b, c = members = endpoints(1, 1, 1)
        c.in_flight = 5
        self.assertEqual(set(counted(self.build(members), 200)), {a, b})

    def test_a_cold_one_gets_its_part(self) -> None:
        members = endpoints(1, 1, 1, 1)
        balancer = self.build(members)
        members[3].weigh(warmth=0.1)
        balancer.reweigh(members[3])
        counts = counted(balancer, 20_000)
        self.assertLess(chi_square([counts[each] for each in members], [1, 1, 1, 0.1]), 1)

"""Tests of edgegw.upstream.balance.interfaces."""

from __future__ import annotations

from random import Random
from time import process_time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.builtins import BALANCERS
from edgegw.testing.origin import Origin, environment
from edgegw.upstream.balance.consistent_hash import ConsistentHash
from edgegw.upstream.balance.interfaces import Observing, Succeeding, hand_over, observers_of
from edgegw.upstream.balance.peak_ewma import PeakEwma
from edgegw.upstream.balance.random import ByChance
from edgegw.upstream.balance.round_robin import RoundRobin
from edgegw.upstream.balance.settings import Algorithm, BalanceSettings
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, crowd, endpoints, turns


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


class CostTests(SynchronousTestCase):
    def test_a_choice_costs_the_same_among_ten_and_ten_thousand(self) -> None:
        """A scan would cost a thousand times as much; a heap of a thousand times the size costs three times."""
        for by in Algorithm.__args__:  # type: ignore[attr-defined]
            few, many = self.cost_s(by, 10), self.cost_s(by, 10_000)
            self.assertLess(many, 12 * few + 0.002, by)

    def cost_s(self, by: str, count: int) -> float:
        """The best of several rounds of choices, with exchanges in flight."""
        members = crowd(count)
        balancer = BALANCERS[by](members, BalanceSettings.model_validate({"by": by}), environment(Origin()))
        balancer.allow(members)
        balancer.choose(EXCHANGE, ())
        if isinstance(balancer, ConsistentHash):
            while not balancer._step():
                pass
        running: list[Endpoint] = []
        best_s = 1e9
        for _ in range(6):
            began_s = process_time()
            for _ in range(200):
                found = balancer.choose(EXCHANGE, ())
                assert found is not None
                found.in_flight += 1
                running.append(found)
                if len(running) > 20:
                    running.pop(0).in_flight -= 1
            best_s = min(best_s, process_time() - began_s)
        return best_s

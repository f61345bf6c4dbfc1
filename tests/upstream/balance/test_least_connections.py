"""Tests of edgegw.upstream.balance.least_connections."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.least_connections import LeastConnections
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, SHARES, counted, crowd, endpoints, shared, turns
from tests.upstream.balance.contract import Contract


def load(endpoint: Endpoint) -> float:
    return (endpoint.in_flight + 1) / endpoint.share


class LeastConnectionsTests(Contract, SynchronousTestCase):
    def build(self, members: Sequence[Endpoint], seed: int = 1) -> LeastConnections:
        return LeastConnections(members)

    def test_idle_ones_in_turn(self) -> None:
        self.assertEqual(turns(LeastConnections(endpoints(1, 1, 1)), 7), "abcabca")

    def test_the_least_busy(self) -> None:
        a, b, c = members = endpoints(1, 1, 1)
        balancer = LeastConnections(members)
        a.in_flight, b.in_flight, c.in_flight = 3, 1, 2
        self.assertEqual(turns(balancer, 3), "bbb")
        b.in_flight = 5
        self.assertEqual(turns(balancer, 2), "cc")
        a.in_flight = 0
        self.assertEqual(turns(balancer, 2), "aa")

    def test_by_weight(self) -> None:
        members = endpoints(1, 2, 5)
        balancer = LeastConnections(members)
        for _ in range(800):
            found = balancer.choose(EXCHANGE, ())
            assert found is not None
            found.in_flight += 1
        self.assertEqual([each.in_flight for each in members], [100, 200, 500])

    @settings(max_examples=150, deadline=None)
    @given(SHARES, st.integers(0, 2**32), st.booleans())
    def test_the_true_minimum_and_equals_in_turn(self, shares: list[float], seed: int, even: bool) -> None:
        """Whoever else begins and ends exchanges, changes shares, or who is eligible."""
        chance = Random(seed)
        members = shared([1.0] * len(shares) if even else shares)
        balancer = LeastConnections(members)
        eligible = members
        chosen = {each: at - len(members) for at, each in enumerate(members)}
        for moment in range(150):
            what = chance.random()
            each = chance.choice(members)
            if what < 0.1:
                eligible = [other for other in members if chance.random() < 0.7]
                balancer.allow(eligible)
            elif what < 0.2 and not even:
                each.share = chance.choice([0.1, 1.0, 3.0])
                balancer.reweigh(each)
            elif what < 0.6:
                each.in_flight = max(0, each.in_flight + chance.choice([-2, -1, -1, 1]))
            else:
                tried = [other for other in members if chance.random() < 0.2]
                among = [other for other in eligible if other not in tried] or eligible
                wanted = min(among, key=lambda other: (load(other), chosen[other]), default=None)
                self.assertIs(balancer.choose(EXCHANGE, tried), wanted)
                if wanted is not None:
                    chosen[wanted] = moment
                    wanted.in_flight += 1

    def test_a_choice_costs_little_among_many(self) -> None:
        """In loads looked at, which is what a scan would have a thousand of for each choice."""
        members = crowd(1000)
        balancer = LeastConnections(members)
        looked = 0
        heap = LeastConnections._least

        def counting(self: LeastConnections) -> int:
            nonlocal looked
            before = len(self._heap)
            place = heap(self)
            looked += 1 + before - len(self._heap)
            return place

        self.patch(LeastConnections, "_least", counting)
        chance = Random(1)
        running: list[Endpoint] = []
        for _ in range(20_000):
            found = balancer.choose(EXCHANGE, ())
            assert found is not None
            found.in_flight += 1
            running.append(found)
            if len(running) > 3000:
                running.pop(chance.randrange(len(running))).in_flight -= 1
        self.assertLess(looked, 3 * 20_000)
        self.assertLessEqual(len(balancer._heap), 2 * 1000 + 16)

    def test_endless_falls_take_no_memory(self) -> None:
        members = endpoints(1, 1, 1)
        balancer = LeastConnections(members)
        members[0].in_flight = 10_000
        balancer.reweigh(members[0])
        counted(balancer, 10)
        for count in range(9_999, 0, -1):
            members[0].in_flight = count
        self.assertLess(len(balancer._heap), 30)

    def test_one_that_is_no_longer_used_is_told_no_more(self) -> None:
        (a,) = endpoints(1)
        for _ in range(50):
            LeastConnections([a])
        gc.collect()
        kept = LeastConnections([a])
        self.assertEqual(len(a._followers), 1)
        self.assertEqual(repr(kept), "<LeastConnections of 1>")

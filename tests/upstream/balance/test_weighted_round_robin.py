"""Tests of edgegw.upstream.balance.weighted_round_robin."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.weighted_round_robin import WeightedRoundRobin
from tests.upstream.balance.balancing import EXCHANGE, endpoints, turns

WEIGHTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


class WeightedRoundRobinTests(SynchronousTestCase):
    def test_spread_and_not_bunched(self) -> None:
        self.assertEqual(turns(WeightedRoundRobin(endpoints(5, 1, 1)), 14), "aaabaac" * 2)
        self.assertEqual(turns(WeightedRoundRobin(endpoints(2, 1)), 6), "aabaab")
        self.assertEqual(turns(WeightedRoundRobin(endpoints(1, 1, 1)), 6), "abcabc")

    @settings(max_examples=150, deadline=None)
    @given(WEIGHTS, st.integers(1, 4))
    def test_exact_over_whole_rounds(self, weights: list[int], rounds: int) -> None:
        balancer = WeightedRoundRobin(endpoints(*weights))
        for _ in range(rounds):
            counts = Counter(turns(balancer, sum(weights)))
            self.assertEqual([counts[chr(97 + at)] for at in range(len(weights))], weights)

    @settings(max_examples=150, deadline=None)
    @given(WEIGHTS)
    def test_never_far_from_the_share(self, weights: list[int]) -> None:
        """Smooth: at any moment each has had what is due to it, give or take a turn and its part of one turn of each other."""
        total = sum(weights)
        balancer = WeightedRoundRobin(endpoints(*weights))
        counts = [0] * len(weights)
        for made in range(1, 2 * total + 1):
            counts[ord(turns(balancer, 1)) - 97] += 1
            for weight, count in zip(weights, counts, strict=True):
                self.assertLessEqual(abs(count - made * weight / total), 1 + len(weights) * weight / total)

    def test_light_ones_do_not_come_all_together(self) -> None:
        made = turns(WeightedRoundRobin(endpoints(8, 1, 1, 1, 1)), 36)
        self.assertEqual(made, "aaabacaadaae" * 3)

    def test_tried_ones_are_passed_over_and_keep_their_turn(self) -> None:
        a, b, c = endpoints(3, 2, 1)
        balancer = WeightedRoundRobin([a, b, c])
        self.assertNotIn("a", turns(balancer, 5, (a,)))
        self.assertIs(balancer.choose(EXCHANGE, ()), a)

    def test_a_tried_one_rather_than_none(self) -> None:
        pair = endpoints(2, 1)
        balancer = WeightedRoundRobin(pair)
        self.assertIn(balancer.choose(EXCHANGE, tuple(pair)), pair)
        self.assertEqual(Counter(turns(balancer, 3)), Counter("aab"))

    def test_none(self) -> None:
        self.assertIsNone(WeightedRoundRobin([]).choose(EXCHANGE, ()))
        self.assertEqual(repr(WeightedRoundRobin([])), "<WeightedRoundRobin of 0>")

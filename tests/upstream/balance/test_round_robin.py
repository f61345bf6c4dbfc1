"""Tests of edgegw.upstream.balance.round_robin."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.round_robin import RoundRobin
from tests.upstream.balance.balancing import EXCHANGE, endpoints, turns


class RoundRobinTests(SynchronousTestCase):
    def test_in_turn_whatever_the_weight(self) -> None:
        self.assertEqual(turns(RoundRobin(endpoints(1, 5, 1)), 7), "abcabca")

    def test_tried_ones_are_passed_over(self) -> None:
        a, b, c = endpoints(1, 1, 1)
        balancer = RoundRobin([a, b, c])
        self.assertEqual(turns(balancer, 3, (a,)), "bcb")
        self.assertEqual(turns(balancer, 2, (a, c)), "bb")

    def test_a_tried_one_rather_than_none(self) -> None:
        (a,) = endpoints(1)
        self.assertIs(RoundRobin([a]).choose(EXCHANGE, (a,)), a)
        pair = endpoints(1, 1)
        self.assertIn(RoundRobin(pair).choose(EXCHANGE, tuple(pair)), pair)

    def test_none(self) -> None:
        self.assertIsNone(RoundRobin([]).choose(EXCHANGE, ()))
        self.assertEqual(repr(RoundRobin([])), "<RoundRobin of 0>")

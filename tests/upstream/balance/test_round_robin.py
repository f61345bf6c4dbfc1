"""Tests of edgegw.upstream.balance.round_robin."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.interfaces import hand_over
from edgegw.upstream.balance.random import ByChance
from edgegw.upstream.balance.round_robin import RoundRobin
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, counted, crowd, endpoint, endpoints, turns
from tests.upstream.balance.contract import Contract


class RoundRobinTests(Contract, SynchronousTestCase):
    def build(self, members: Sequence[Endpoint], seed: int = 1) -> RoundRobin:
        return RoundRobin(members)

    def test_in_turn_whatever_the_weight(self) -> None:
        self.assertEqual(turns(RoundRobin(endpoints(1, 5, 1)), 7), "abcabca")

    def test_exactly_even(self) -> None:
        members = crowd(1000)
        self.assertEqual(set(counted(RoundRobin(members), 3000).values()), {3})

    def test_another_attempt_takes_nobodys_turn(self) -> None:
        """Of two, one of which fails, the other gets every second first attempt."""
        pair = endpoints(1, 1)
        balancer, first = RoundRobin(pair), []
        for _ in range(8):
            found = balancer.choose(EXCHANGE, ())
            first.append(found)
            if found is pair[0]:
                self.assertIs(balancer.choose(EXCHANGE, (found,)), pair[1])
        self.assertEqual([first.count(each) for each in pair], [4, 4])

    def test_tried_ones_are_passed_over(self) -> None:
        a, b, c = endpoints(1, 1, 1)
        balancer = RoundRobin([a, b, c])
        self.assertEqual(turns(balancer, 3, (a,)), "bcb")
        self.assertEqual(turns(balancer, 2, (a, c)), "bb")

    def test_a_tried_one_rather_than_none(self) -> None:
        pair = endpoints(1, 1)
        balancer = RoundRobin(pair)
        self.assertEqual(turns(balancer, 4, tuple(pair)), "abab")

    def test_who_goes_and_comes_does_not_move_the_turn_of_others(self) -> None:
        a, b, c, d = members = endpoints(1, 1, 1, 1)
        balancer = RoundRobin(members)
        self.assertEqual(turns(balancer, 2), "ab")
        balancer.allow([a, b, d])
        self.assertEqual(turns(balancer, 2), "da")
        balancer.allow(members)
        self.assertEqual(turns(balancer, 3), "bcd")
        balancer.allow([])
        balancer.allow([b, c])
        self.assertEqual(turns(balancer, 1), "b")

    def test_another_roster_goes_on_where_it_was(self) -> None:
        """Or else those that are listed first would get more, with every change."""
        a, _, c = members = endpoints(1, 1, 1)
        before = RoundRobin(members)
        turns(before, 1)
        new = endpoint("n")
        after = RoundRobin([new, a, c])
        hand_over(before, after)
        after.allow([new, a, c])
        self.assertEqual(turns(after, 4), "cnac")
        hand_over(ByChance(members, None), other := RoundRobin(members))  # type: ignore[arg-type]
        self.assertIs(other.choose(EXCHANGE, ()), a)
        self.assertEqual(repr(after), "<RoundRobin of 3>")

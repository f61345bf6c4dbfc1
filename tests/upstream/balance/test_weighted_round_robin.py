"""Tests of edgegw.upstream.balance.weighted_round_robin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.interfaces import hand_over
from edgegw.upstream.balance.weighted_round_robin import WeightedRoundRobin
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, SHARES, counted, crowd, endpoint, endpoints, shared, turns
from tests.upstream.balance.contract import Contract

WEIGHTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


class WeightedRoundRobinTests(Contract, SynchronousTestCase):
    def build(self, members: Sequence[Endpoint], seed: int = 1) -> WeightedRoundRobin:
        return WeightedRoundRobin(members)

    def test_spread_and_not_bunched(self) -> None:
        self.assertEqual(turns(WeightedRoundRobin(endpoints(5, 1, 1)), 14), "aaabaac" * 2)
        self.assertEqual(turns(WeightedRoundRobin(endpoints(2, 1)), 6), "aabaab")
        self.assertEqual(turns(WeightedRoundRobin(endpoints(1, 1, 1)), 6), "abcabc")

    def test_light_ones_do_not_come_all_together(self) -> None:
        made = turns(WeightedRoundRobin(endpoints(8, 1, 1, 1, 1)), 36)
        self.assertEqual(made, "aaabacaadaae" * 3)

    @settings(max_examples=150, deadline=None)
    @given(WEIGHTS, st.integers(1, 4))
    def test_exact_over_whole_rounds(self, weights: list[int], rounds: int) -> None:
        balancer = WeightedRoundRobin(endpoints(*weights))
        for _ in range(rounds):
            counts = Counter(turns(balancer, sum(weights)))
            self.assertEqual([counts[chr(97 + at)] for at in range(len(weights))], weights)

    @settings(max_examples=200, deadline=None)
    @given(WEIGHTS, st.data())
    def test_exact_again_after_changes(self, weights: list[int], data: st.DataObject) -> None:
        """Whatever was waited before, any window of a round's length has every weight once, the first one within a turn."""
        members = endpoints(*weights)
        balancer = WeightedRoundRobin(members)
        for _ in range(3):
            turns(balancer, data.draw(st.integers(0, 60)))
            each = data.draw(st.sampled_from(members))
            each.weigh(data.draw(st.integers(1, 40)))
            balancer.reweigh(each)
            balancer.allow([other for other in members if other is not data.draw(st.sampled_from(members))])
        balancer.allow(members)
        total = sum(each.weight for each in members)
        counts = counted(balancer, total)
        self.assertLessEqual(max(abs(counts[each] - each.weight) for each in members), 1)
        turns(balancer, data.draw(st.integers(0, 60)))
        for _ in range(3):
            counts = counted(balancer, total)
            self.assertEqual([counts[each] for each in members], [each.weight for each in members])

    def test_a_thousand_different_weights(self) -> None:
        members = crowd(1000)
        for weight, each in enumerate(members, 1):
            each.weigh(weight)
        counts = counted(WeightedRoundRobin(members), 500_500)
        self.assertEqual([counts[each] for each in members], list(range(1, 1001)))

    @settings(max_examples=150, deadline=None)
    @given(SHARES)
    def test_never_far_from_the_share(self, shares: list[float]) -> None:
        """Smooth: at any moment each has had what is due to it, give or take a turn and its part of one turn of each other."""
        members = shared(shares)
        total = sum(shares)
        balancer = WeightedRoundRobin(members)
        counts = dict.fromkeys(members, 0)
        for made in range(1, 200):
            found = balancer.choose(EXCHANGE, ())
            assert found is not None
            counts[found] += 1
            for each, count in counts.items():
                bound = 1 + len(members) * each.share / total
                self.assertLessEqual(abs(count - made * each.share / total), bound + 1e-6)

    def test_a_cold_one_gets_its_part(self) -> None:
        a, b, c = members = endpoints(1, 1, 1)
        balancer = WeightedRoundRobin(members)
        c.weigh(warmth=0.1)
        balancer.reweigh(c)
        counts = counted(balancer, 2100)
        self.assertEqual([counts[a], counts[b], counts[c]], [1000, 1000, 100])
        c.weigh(warmth=1.0)
        balancer.reweigh(c)
        self.assertEqual(counted(balancer, 300)[c], 100)

    def test_changes_do_not_begin_the_round_anew(self) -> None:
        """Or else, with one a second, those that are listed first would get it all."""
        members = endpoints(1, 1, 1, 1)
        balancer = WeightedRoundRobin(members)
        made = ""
        for _ in range(8):
            balancer.allow(members)
            balancer.reweigh(members[0])
            made += turns(balancer, 1)
        self.assertEqual(made, "abcdabcd")

    def test_who_was_away_does_not_catch_up(self) -> None:
        a, b = members = endpoints(1, 1)
        balancer = WeightedRoundRobin(members)
        balancer.allow([a])
        self.assertEqual(turns(balancer, 50), "a" * 50)
        balancer.allow([a, b])
        self.assertLessEqual(turns(balancer, 10).count("b"), 6)

    def test_another_roster_goes_on_where_it_was(self) -> None:
        a, b, c = endpoints(1, 1, 1)
        made = ""
        before = WeightedRoundRobin([a, b, c])
        for _ in range(9):
            made += turns(before, 1)
            after = WeightedRoundRobin([a, b, c])
            hand_over(before, after)
            after.allow([a, b, c])
            before = after
        self.assertEqual(made, "abcabcabc")
        hand_over(before, grown := WeightedRoundRobin([a, b, c, endpoint("d")]))
        self.assertEqual(Counter(turns(grown, 8)), Counter("abcd" * 2))

    def test_another_attempt_takes_nobodys_turn(self) -> None:
        """Of two, one of which fails, the other gets every second first attempt."""
        pair = endpoints(1, 1)
        balancer, first = WeightedRoundRobin(pair), []
        for _ in range(8):
            found = balancer.choose(EXCHANGE, ())
            first.append(found)
            if found is pair[0]:
                self.assertIs(balancer.choose(EXCHANGE, (found,)), pair[1])
        self.assertEqual([first.count(each) for each in pair], [4, 4])

    def test_tried_ones_are_passed_over_and_keep_their_turn(self) -> None:
        a, b, c = endpoints(3, 2, 1)
        balancer = WeightedRoundRobin([a, b, c])
        self.assertNotIn("a", turns(balancer, 5, (a,)))
        self.assertIs(balancer.choose(EXCHANGE, ()), a)

    def test_tried_ones_take_turns_if_there_are_no_others(self) -> None:
        pair = endpoints(2, 1)
        self.assertEqual(Counter(turns(WeightedRoundRobin(pair), 6, tuple(pair))), Counter("aab" * 2))

    def test_repr(self) -> None:
        self.assertEqual(repr(WeightedRoundRobin([])), "<WeightedRoundRobin of 0>")

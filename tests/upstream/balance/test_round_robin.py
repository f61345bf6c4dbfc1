"""Tests of edgegw.upstream.balance.round_robin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.interfaces import hand_over
from edgegw.upstream.balance.random import ByChance
from edgegw.upstream.balance.round_robin import RoundRobin
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, SHARES, counted, crowd, endpoint, endpoints, shared, turns
from tests.upstream.balance.contract import Contract

WEIGHTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


class RoundRobinTests(Contract, SynchronousTestCase):
    def build(self, members: Sequence[Endpoint], seed: int = 1) -> RoundRobin:
        return RoundRobin(members)

    def test_spread_and_not_bunched(self) -> None:
        self.assertEqual(turns(RoundRobin(endpoints(5, 1, 1)), 14), "aaabaac" * 2)
        self.assertEqual(turns(RoundRobin(endpoints(2, 1)), 6), "aabaab")
        self.assertEqual(turns(RoundRobin(endpoints(1, 1, 1)), 6), "abcabc")

    def test_light_ones_do_not_come_all_together(self) -> None:
        made = turns(RoundRobin(endpoints(8, 1, 1, 1, 1)), 36)
        self.assertEqual(made, "aaabacaadaae" * 3)

    @settings(max_examples=150, deadline=None)
    @given(WEIGHTS, st.integers(1, 4))
    def test_exact_over_whole_rounds(self, weights: list[int], rounds: int) -> None:
        balancer = RoundRobin(endpoints(*weights))
        for _ in range(rounds):
            counts = Counter(turns(balancer, sum(weights)))
            self.assertEqual([counts[chr(97 + at)] for at in range(len(weights))], weights)

    @settings(max_examples=200, deadline=None)
    @given(WEIGHTS, st.data())
    def test_exact_again_after_changes(self, weights: list[int], data: st.DataObject) -> None:
        """Whatever was waited before, any window of a round's length has every weight once, the first one, too."""
        members = endpoints(*weights)
        balancer = RoundRobin(members)
        for _ in range(3):
            turns(balancer, data.draw(st.integers(0, 60)))
            each = data.draw(st.sampled_from(members))
            each.weigh(data.draw(st.integers(1, 40)))
            balancer.reweigh(each)
            balancer.allow([other for other in members if other is not data.draw(st.sampled_from(members))])
        balancer.allow(members)
        total = sum(each.weight for each in members)
        for _ in range(3):
            counts = counted(balancer, total)
            self.assertEqual([counts[each] for each in members], [each.weight for each in members])
            turns(balancer, data.draw(st.integers(0, 60)))

    def test_who_had_its_turn_just_now_comes_last(self) -> None:
        """After those that are due at the same time, also a round later: else one of them would have its turn."""
        members = endpoints(1, 3, 3)
        balancer = RoundRobin(members)
        turns(balancer, 1)
        balancer.allow([members[0], members[2]])
        turns(balancer, 2)
        balancer.allow(members)
        counts = counted(balancer, 7)
        self.assertEqual([counts[each] for each in members], [1, 3, 3])

    def test_a_thousand_different_weights(self) -> None:
        members = crowd(1000)
        for weight, each in enumerate(members, 1):
            each.weigh(weight)
        counts = counted(RoundRobin(members), 500_500)
        self.assertEqual([counts[each] for each in members], list(range(1, 1001)))

    @settings(max_examples=150, deadline=None)
    @given(SHARES)
    def test_never_far_from_the_share(self, shares: list[float]) -> None:
        """Smooth: at any moment each has had what is due to it, give or take a turn and its part of one turn of each other."""
        members = shared(shares)
        total = sum(shares)
        balancer = RoundRobin(members)
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
        balancer = RoundRobin(members)
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
        balancer = RoundRobin(members)
        made = ""
        for _ in range(8):
            balancer.allow(members)
            balancer.reweigh(members[0])
            made += turns(balancer, 1)
        self.assertEqual(made, "abcdabcd")

    def test_who_was_away_does_not_catch_up(self) -> None:
        a, b = members = endpoints(1, 1)
        balancer = RoundRobin(members)
        balancer.allow([a])
        self.assertEqual(turns(balancer, 50), "a" * 50)
        balancer.allow([a, b])
        self.assertLessEqual(turns(balancer, 10).count("b"), 6)

    def test_another_roster_goes_on_where_it_was(self) -> None:
        a, b, c = endpoints(1, 1, 1)
        made = ""
        before = RoundRobin([a, b, c])
        for _ in range(9):
            made += turns(before, 1)
            after = RoundRobin([a, b, c])
            hand_over(before, after)
            after.allow([a, b, c])
            before = after
        self.assertEqual(made, "abcabcabc")
        hand_over(before, grown := RoundRobin([a, b, c, endpoint("d")]))
        self.assertEqual(Counter(turns(grown, 8)), Counter("abcd" * 2))

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

    def test_tried_ones_are_passed_over_and_keep_their_turn(self) -> None:
        a, b, c = endpoints(3, 2, 1)
        balancer = RoundRobin([a, b, c])
        self.assertNotIn("a", turns(balancer, 5, (a,)))
        self.assertIs(balancer.choose(EXCHANGE, ()), a)

    def test_tried_ones_take_turns_if_there_are_no_others(self) -> None:
        pair = endpoints(2, 1)
        self.assertEqual(Counter(turns(RoundRobin(pair), 6, tuple(pair))), Counter("aab" * 2))

    def test_repr(self) -> None:
        self.assertEqual(repr(RoundRobin([])), "<RoundRobin of 0 by share>")


class EqualTests(SynchronousTestCase):
    """Shares that are equal: turns without a heap."""

    def test_exactly_even(self) -> None:
        for weight in (1, 7):
            members = crowd(1000, weight)
            balancer = RoundRobin(members)
            self.assertEqual(set(counted(balancer, 3000).values()), {3})
            self.assertEqual(repr(balancer), "<RoundRobin of 1000>")

    def test_who_goes_and_comes_does_not_move_the_turn_of_others(self) -> None:
        a, b, c, d = members = endpoints(1, 1, 1, 1)
        balancer = RoundRobin(members)
        self.assertEqual(turns(balancer, 2), "ab")
        balancer.allow([a, b, d])
        self.assertEqual(turns(balancer, 2), "da")
        balancer.allow(members)
        self.assertEqual(turns(balancer, 4), "cbda")
        balancer.allow([])
        self.assertIsNone(balancer.choose(EXCHANGE, ()))
        balancer.allow([b, c])
        self.assertEqual(turns(balancer, 3), "cbc")

    def test_another_roster_goes_on_where_it_was(self) -> None:
        """Or else those that are listed first would get more, with every change."""
        a, _, c = members = endpoints(1, 1, 1)
        before = RoundRobin(members)
        turns(before, 1)
        new = endpoint("n")
        after = RoundRobin([c, a, new])
        hand_over(before, after)
        after.allow([c, a, new])
        self.assertEqual(turns(after, 6), "cancan")
        hand_over(ByChance(members, None), other := RoundRobin(members))  # type: ignore[arg-type]
        self.assertIs(other.choose(EXCHANGE, ()), a)

    def test_tried_ones_are_passed_over(self) -> None:
        a, b, c = endpoints(1, 1, 1)
        balancer = RoundRobin([a, b, c])
        self.assertEqual(turns(balancer, 3, (a,)), "bcb")
        self.assertEqual(turns(balancer, 2, (a, c)), "bb")
        self.assertEqual(turns(balancer, 3), "abc")


class ChangeTests(SynchronousTestCase):
    """Between equal shares and others, while it serves."""

    def test_an_operators_weight(self) -> None:
        members = endpoints(1, 1, 1)
        b = members[1]
        balancer = RoundRobin(members)
        self.assertEqual(turns(balancer, 4), "abca")
        b.weigh(4)
        balancer.reweigh(b)
        self.assertEqual(Counter(turns(balancer, 12)), {"a": 2, "b": 8, "c": 2})
        self.assertIn("by share", repr(balancer))
        b.weigh(1)
        balancer.reweigh(b)
        self.assertEqual(Counter(turns(balancer, 9)), {"a": 3, "b": 3, "c": 3})
        self.assertNotIn("by share", repr(balancer))

    def test_one_whose_weight_differs_comes_and_goes(self) -> None:
        members = endpoints(1, 1, 2)
        light = members[:2]
        balancer = RoundRobin(members)
        self.assertEqual(Counter(turns(balancer, 8)), {"a": 2, "b": 2, "c": 4})
        balancer.allow(light)
        self.assertEqual(Counter(turns(balancer, 8)), {"a": 4, "b": 4})
        balancer.allow(members)
        self.assertEqual(Counter(turns(balancer, 8)), {"a": 2, "b": 2, "c": 4})

    def test_slow_start(self) -> None:
        """One that warms up over ten seconds beside three others gets what its warmth says, second by second."""
        *_, cold = members = endpoints(1, 1, 1, 1)
        balancer = RoundRobin(members)
        for tenths in range(1, 11):
            cold.weigh(warmth=tenths / 10)
            balancer.reweigh(cold)
            made = counted(balancer, 300 + 10 * tenths)[cold]
            self.assertLessEqual(abs(made - 10 * tenths), 1, tenths)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 2), st.integers(0, 7)), max_size=12))
    def test_nobody_is_owed_a_turn(self, changes: list[tuple[int, int, int]]) -> None:
        """Whatever the weights were, once they are equal any window of a round has everybody once."""
        members = endpoints(1, 1, 1, 1, 1)
        balancer = RoundRobin(members)
        for at, weight, count in changes:
            turns(balancer, count)
            members[at].weigh(weight)
            balancer.reweigh(members[at])
        for each in members:
            each.weigh(1)
            balancer.reweigh(each)
        made = turns(balancer, 20)
        for at in range(15):
            self.assertEqual(len(set(made[at : at + 5])), 5, made)

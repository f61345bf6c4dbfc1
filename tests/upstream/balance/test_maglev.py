"""Tests of edgegw.upstream.balance.maglev."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.maglev import SIZES, Maglev, _turns, build_maglev, quotas
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import crowd, endpoint, endpoints
from tests.upstream.balance.tables import KEYS, moved, owners, whole


def slots(table: object) -> Counter[Endpoint]:
    """How many slots each has."""
    assert isinstance(table, Maglev)
    members = tuple(table.weights)
    return Counter(members[at] for at in table.slots)


class QuotaTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=40))
    def test_all_slots_are_given_away_and_nobody_gets_none(self, weights: list[int]) -> None:
        made = quotas(weights, 4093)
        self.assertEqual(sum(made), 4093)
        self.assertGreaterEqual(min(made), 1)
        if min(weights) * 4093 >= sum(weights):
            for quota, weight in zip(made, weights, strict=True):
                self.assertLess(abs(quota - weight * 4093 / sum(weights)), 1)

    def test_the_light_beside_the_heavy(self) -> None:
        self.assertEqual(quotas([1, 1000, 1000], 101), [1, 50, 50])
        self.assertEqual(quotas([1] * 3 + [1000], 101), [1, 1, 1, 98])

    def test_the_turns_of_the_light_are_spread(self) -> None:
        """Or else they would take the slots they like best before the heavy ones do, and fewer would stay whose they are."""
        building = _turns([6, 3, 1])
        with self.assertRaises(StopIteration) as caught:
            next(building)
        self.assertEqual(caught.exception.value, [0, 1, 2, 0, 0, 1, 0, 0, 1, 0])


class MaglevTests(SynchronousTestCase):
    def test_exactly_even(self) -> None:
        counts = slots(whole(build_maglev, crowd(1000)))
        self.assertEqual(len(counts), 1000)
        self.assertEqual({*counts.values()}, {65, 66})

    def test_exactly_by_weight(self) -> None:
        members = endpoints(1, 2, 5, 100)
        counts = slots(whole(build_maglev, members))
        for each in members:
            self.assertLess(abs(counts[each] - each.weight * 4093 / 108), 1)

    def test_sizes(self) -> None:
        for count, size in ((40, 4093), (41, 65_537)):
            self.assertEqual(slots(whole(build_maglev, crowd(count))).total(), size)
        for _, size in SIZES:
            self.assertTrue(all(size % number for number in range(2, int(size**0.5) + 1)), f"{size} is no prime")

    def test_one_of_a_thousand_goes(self) -> None:
        """Its own keys move, and of the others less than 2 %."""
        members = crowd(1000)
        before = owners(whole(build_maglev, members))
        for gone in (0, 500, 999):
            after = owners(whole(build_maglev, members[:gone] + members[gone + 1 :]))
            self.assertNotIn(members[gone], after)
            self.assertLess(moved(before, after), 1 / 1000 + 0.02)

    def test_one_comes_to_a_thousand(self) -> None:
        members = crowd(1000)
        before = owners(whole(build_maglev, members))
        after = owners(whole(build_maglev, [endpoint("new:9000"), *members]))
        self.assertLess(moved(before, after), 1 / 1001 + 0.02)
        self.assertIn("http://new:9000", {each.name for each in after})

    def test_a_weight_changes(self) -> None:
        members = crowd(1000)
        before = owners(whole(build_maglev, members))
        members[7].weigh(3)
        self.assertLess(moved(before, owners(whole(build_maglev, members))), 2 / 1002 + 0.02)

    def test_the_order_of_members_is_nothing(self) -> None:
        """Gateways that learn of endpoints in another order must agree."""
        members = crowd(30)
        before = owners(whole(build_maglev, members))
        self.assertEqual(owners(whole(build_maglev, members[::-1])), before)

    def test_who_comes_next_is_spread_and_endless(self) -> None:
        """The keys of one go to all others, or else these would fall one after the other."""
        members = endpoints(*[1] * 8)
        table = whole(build_maglev, members)
        first = [point for point in KEYS if next(table.owners(point)) is members[0]]
        after = Counter(next(each for each in table.owners(point) if each is not members[0]) for point in first)
        self.assertEqual(len(after), 7)
        self.assertLess(max(after.values()), 1.5 * min(after.values()))
        self.assertEqual(set(islice(table.owners(KEYS[0]), 4093)), set(members))
        self.assertEqual([*islice(table.owners(9), 50)], [*islice(table.owners(9), 50)])

    def test_no_step_takes_long(self) -> None:
        """A table of 65,537 slots looks at some 770,000 to be built; in steps of about equal length these are 20,000 each."""
        self.assertGreater(sum(1 for _ in build_maglev(crowd(1000))), 35)

    def test_repr(self) -> None:
        self.assertEqual(repr(whole(build_maglev, endpoints(1, 1))), "<Maglev 2 in 4093 slots>")

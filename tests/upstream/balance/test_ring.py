"""Tests of edgegw.upstream.balance.ring."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.ring import TOKENS, build_ring
from tests.upstream.balance.balancing import crowd, endpoint, endpoints
from tests.upstream.balance.tables import KEYS, moved, owners, whole


class RingTests(SynchronousTestCase):
    def test_about_even(self) -> None:
        """As even as 64 tokens make it: a standard deviation of an eighth."""
        counts = Counter(owners(whole(build_ring, crowd(20))))
        self.assertEqual(len(counts), 20)
        for count in counts.values():
            self.assertLess(abs(count / 1000 - 1), 0.5)

    def test_about_by_weight(self) -> None:
        a, b, c = members = endpoints(1, 4, 16)
        counts = Counter(owners(whole(build_ring, members)))
        self.assertLess(abs(counts[b] / counts[a] / 4 - 1), 0.6)
        self.assertLess(abs(counts[c] / counts[b] / 4 - 1), 0.6)

    def test_when_one_of_a_thousand_goes_only_its_keys_move(self) -> None:
        members = crowd(1000)
        before = owners(whole(build_ring, members))
        after = owners(whole(build_ring, members[:500] + members[501:]))
        for was, now in zip(before, after, strict=True):
            self.assertTrue(was is now or was is members[500])
        self.assertLess(moved(before, after), 1 / 1000 + 0.02)

    def test_when_one_comes_no_keys_move_but_to_it(self) -> None:
        members = crowd(1000)
        new = endpoint("new:9000")
        before = owners(whole(build_ring, members))
        after = owners(whole(build_ring, [*members, new]))
        for was, now in zip(before, after, strict=True):
            self.assertTrue(was is now or now is new)
        self.assertLess(moved(before, after), 1 / 1001 + 0.02)
        self.assertIn(new, after)

    def test_a_weight_changes(self) -> None:
        members = crowd(1000)
        before = owners(whole(build_ring, members))
        members[7].weigh(3)
        self.assertLess(moved(before, owners(whole(build_ring, members))), 2 / 1002 + 0.02)

    def test_the_order_of_members_is_nothing(self) -> None:
        members = crowd(30)
        before = owners(whole(build_ring, members))
        self.assertEqual(owners(whole(build_ring, members[::-1])), before)

    def test_round_and_round(self) -> None:
        """Also from behind the last token."""
        members = endpoints(1, 1, 1)
        table = whole(build_ring, members)
        count = 3 * TOKENS
        for point in (0, KEYS[0], (1 << 64) - 1):
            round_ = [*islice(table.owners(point), count)]
            self.assertEqual(Counter(round_), Counter(dict.fromkeys(members, TOKENS)))
            self.assertEqual([*islice(table.owners(point), count, 2 * count)], round_)
        self.assertIs(next(table.owners(0)), next(table.owners((1 << 64) - 1)))

    def test_built_in_steps(self) -> None:
        self.assertGreater(sum(1 for _ in build_ring(crowd(1000))), 15)
        self.assertEqual(repr(whole(build_ring, crowd(2))), "<Ring 2 with 128 tokens>")

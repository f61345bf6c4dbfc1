"""Tests of edgegw.upstream.balance.shares."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.shares import Shares
from tests.upstream.balance.balancing import SHARES, chi_square, shared


class SharesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.members = shared([1.0, 2.0, 3.0, 0.5, 6.0])
        self.shares = Shares(self.members, Random(7))

    def test_in_proportion(self) -> None:
        counts = Counter(self.shares.one(()) for _ in range(20_000))
        self.assertLess(chi_square([counts[each] for each in self.members], [1, 2, 3, 0.5, 6]), 1)

    def test_the_odds_among_the_others_stay(self) -> None:
        """Passing over those tried by taking the next in order would give their whole share to the neighbour."""
        a, b, c, d, e = self.members
        counts = Counter(self.shares.one((b, e)) for _ in range(20_000))
        self.assertEqual(set(counts), {a, c, d})
        self.assertLess(chi_square([counts[a], counts[c], counts[d]], [1, 3, 0.5]), 1)

    def test_two_are_drawn_without_putting_back(self) -> None:
        draws = [pair for _ in range(30_000) if (pair := self.shares.two(()))]
        firsts = Counter(first for first, _ in draws)
        self.assertLess(chi_square([firsts[each] for each in self.members], [1, 2, 3, 0.5, 6]), 1)
        a, b, c, d, e = self.members
        behind = Counter(second for first, second in draws if first is e)
        self.assertLess(chi_square([behind[a], behind[b], behind[c], behind[d]], [1, 2, 3, 0.5]), 1)
        self.assertNotIn(e, behind)

    def test_two_of_what_is_left(self) -> None:
        a, b, c, d, e = self.members
        self.assertEqual(self.shares.two((a, b, c, d)), (e, e))
        self.assertEqual({*(self.shares.two((a, b, c)) or ())}, {d, e})
        first, second = self.shares.two(self.members) or (a, a)
        self.assertIsNot(first, second)

    @settings(max_examples=100, deadline=None)
    @given(SHARES, st.integers(0, 2**32), st.data())
    def test_edges(self, shares: list[float], seed: int, data: st.DataObject) -> None:
        """Whatever is drawn, also the last number below 1."""
        members = shared(shares)
        chance = Random(seed)
        made = Shares(members, chance)
        tried = data.draw(st.lists(st.sampled_from(members), max_size=4))
        if data.draw(st.booleans()):
            chance.random = lambda: 1.0 - 2.0**-53  # type: ignore[method-assign]
        found = made.one(tried)
        self.assertIn(found, members)
        if not set(members) <= set(tried):
            self.assertNotIn(found, tried)
            first, second = made.two(tried) or (None, None)
            self.assertFalse({first, second} & set(tried))

    def test_a_change_of_shares(self) -> None:
        a = self.members[0]
        a.share = 1e9
        self.shares.reweigh(a)
        self.assertEqual({self.shares.one(()) for _ in range(50)}, {a})
        self.assertAlmostEqual(self.shares.mean, (1e9 + 11.5) / 5)

    def test_none(self) -> None:
        self.shares.allow([])
        self.assertIsNone(self.shares.one(()))
        self.assertIsNone(self.shares.two(()))
        self.assertEqual(repr(self.shares), "<Shares of 0>")

"""Tests of edgegw.upstream.balance.rendezvous."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.rendezvous import draw, rendezvous
from tests.upstream.balance.balancing import chi_square, endpoints
from tests.upstream.balance.tables import KEYS


class RendezvousTests(SynchronousTestCase):
    def test_by_share(self) -> None:
        members = endpoints(1, 2, 3, 4, 10)
        counts = Counter(rendezvous(members, point) for point in KEYS)
        self.assertLess(chi_square([counts[each] for each in members], [1, 2, 3, 4, 10]), 1)

    def test_only_the_keys_of_who_goes_move(self) -> None:
        members = endpoints(1, 2, 3, 4)
        for point in KEYS[:2000]:
            was, now = rendezvous(members, point), rendezvous(members[1:], point)
            self.assertTrue(was is now or was is members[0])

    def test_nobody(self) -> None:
        self.assertIsNone(rendezvous([], 1))

    def test_draws_are_even_and_can_be_divided_by(self) -> None:
        (member,) = endpoints(1)
        draws = [draw(member, point) for point in KEYS]
        self.assertTrue(all(0 < each <= 1 for each in draws))
        counts = Counter(min(9, int(10 * each)) for each in draws)
        self.assertLess(chi_square([counts[at] for at in range(10)], [1] * 10), 1)
        self.assertEqual(draw(member, 5), draw(member, 5))

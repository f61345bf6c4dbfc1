"""Tests of edgegw.upstream.panic."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.panic import Census
from edgegw.upstream.standing import Hold
from tests.upstream.choosing import Choosing


class CensusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.choosing = Choosing()
        self.census = Census()

    def test_the_share_below_which(self) -> None:
        members = [self.choosing.make(f"e{number}") for number in range(10)]
        self.census.roster(members)
        for count in range(1, 11):
            endpoint = members[count - 1]
            endpoint.standing.hold(Hold.EJECTED, "x")
            self.assertTrue(self.census.changed(endpoint))
            self.assertEqual(self.census.panics(0.5, 1.4), count > 5, str(count))
            self.assertEqual(self.census.panics(0.2, 1.4), count > 8, str(count))
            self.assertFalse(self.census.panics(0.0, 1.4))

    def test_new_ones_do_not_make_it(self) -> None:
        members = [self.choosing.make(f"e{number}") for number in range(10)]
        for endpoint in members[2:]:
            endpoint.standing.hold(Hold.PENDING, "not probed yet")
        self.census.roster(members)
        self.assertFalse(self.census.panics(0.5, 1.4))
        # Two of the three that were judged are free.
        late = self.choosing.make("late")
        late.standing.hold(Hold.EJECTED, "x")
        self.census.roster([*members, late])
        self.assertFalse(self.census.panics(0.5, 1.4))
        # Unless there is nobody else.
        self.census.roster(members[2:])
        self.assertTrue(self.census.panics(0.5, 1.4))

    def test_nobody_there(self) -> None:
        self.assertFalse(self.census.panics(0.5, 1.4))
        member = self.choosing.make("a")
        member.standing.hold(Hold.DRAINED, "x")
        self.census.roster([member])
        self.assertFalse(self.census.panics(0.5, 1.4))

    def test_a_stranger_does_not_count(self) -> None:
        self.assertFalse(self.census.changed(self.choosing.make("a")))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(Hold)), st.booleans()), max_size=30))
    def test_changes_add_up_to_a_count(self, changes: list[tuple[int, Hold, bool]]) -> None:
        members = [self.choosing.make(f"e{number}", tier=number % 3) for number in range(6)]
        self.census.roster(members)
        for at, hold, holds in changes:
            standing = members[at].standing
            if holds:
                standing.hold(hold, "x")
            else:
                standing.release(hold)
            self.census.changed(members[at])
        fresh = Census()
        fresh.roster(members)
        self.assertEqual(
            (self.census.free, self.census.usable, self.census.judged, self.census._tiers),
            (fresh.free, fresh.usable, fresh.judged, fresh._tiers),
        )

"""What holds for every algorithm, whatever it goes by: a mixin that its tests take in."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, SHARES, shared


class Contract:
    """The tests of `Balancer`. The class that takes it in has assertions, and `build`."""

    assertIn: Any
    assertIs: Any
    assertNotIn: Any
    assertIsNone: Any
    assertIsNotNone: Any

    def build(self, members: Sequence[Endpoint], seed: int = 1) -> Balancer:
        """The algorithm over these."""
        raise NotImplementedError

    def test_anything_may_happen(self) -> None:
        """Never one that is not eligible, none only if nobody is, one that was tried only if everybody was."""

        # Of each class its own: hypothesis keeps what it found by the test.
        @settings(max_examples=60, deadline=None, database=None)
        @given(SHARES, st.integers(0, 2**32))
        def anything(shares: list[float], seed: int) -> None:
            self._anything(shares, seed)

        anything()

    def _anything(self, shares: list[float], seed: int) -> None:
        chance = Random(seed)
        members = shared(shares)
        balancer = self.build(members)
        eligible = members
        balancer.allow(members)
        for _ in range(60):
            what = chance.random()
            if what < 0.2:
                eligible = [each for each in members if chance.random() < 0.6]
                balancer.allow(eligible)
            elif what < 0.4:
                each = chance.choice(members)
                each.share = chance.choice([0.1, 1.0, 7.0, 40.0])
                balancer.reweigh(each)
            elif what < 0.6:
                each = chance.choice(members)
                each.in_flight = max(0, each.in_flight + chance.choice([-3, -1, 1, 2]))
            else:
                self._choice(balancer, eligible, [each for each in members if chance.random() < 0.4])

    def _choice(self, balancer: Balancer, eligible: Sequence[Endpoint], tried: Sequence[Endpoint]) -> None:
        found = balancer.choose(EXCHANGE, tried)
        if not eligible:
            self.assertIsNone(found)
            return
        self.assertIn(found, eligible)
        if not set(eligible) <= set(tried):
            self.assertNotIn(found, tried)
        if found is not None:
            found.in_flight += 1

    def test_a_single_one_is_chosen_again(self) -> None:
        (member,) = shared([0.5])
        balancer = self.build([member])
        for tried in ((), (member,), ()):
            self.assertIs(balancer.choose(EXCHANGE, tried), member)

    def test_nobody(self) -> None:
        self.assertIsNone(self.build([]).choose(EXCHANGE, ()))
        balancer = self.build(shared([1.0, 2.0]))
        balancer.allow([])
        self.assertIsNone(balancer.choose(EXCHANGE, ()))
        self.assertIsNotNone(repr(balancer))

"""Draws in proportion to shares."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Container, Sequence
from itertools import accumulate
from random import Random

from edgegw.upstream.endpoint import Endpoint


class Shares:
    """Endpoints, each drawn as often as its share of the sum. A draw is O(log n); after a change the next one is O(n).

    Balancers that draw are made of it: what is missed is `choose`.

    Args:
        members: what is drawn from. chance: what is drawn by.
    """

    def __init__(self, members: Sequence[Endpoint], chance: Random) -> None:
        self._chance = chance
        self.allow(members)

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """Draw from these."""
        self.endpoints = tuple(eligible)
        self._sums: list[float] = []

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""
        self._sums = []

    @property
    def mean(self) -> float:
        """The mean share; there must be an endpoint."""
        return self._up_to_date()[-1] / len(self.endpoints)

    def one(self, tried: Container[Endpoint]) -> Endpoint | None:
        """One of those that were not tried, else one of all; None if there is none."""
        if not self.endpoints:
            return None
        at = self._draw(tried, [])
        return self.endpoints[at if at >= 0 else self._draw((), [])]

    def two(self, tried: Container[Endpoint]) -> tuple[Endpoint, Endpoint] | None:
        """Two different ones that were not tried; the only one there is twice; None if there is none.

        The first is drawn as `one` is, the second in proportion among the rest.
        """
        if not self.endpoints:
            return None
        passed: list[int] = []
        at = self._draw(tried, passed)
        if at < 0:
            tried, passed = (), []
            at = self._draw(tried, passed)
        insort(passed, at)
        other = self._draw(tried, passed)
        return self.endpoints[at], self.endpoints[other if other >= 0 else at]

    def _up_to_date(self) -> list[float]:
        if not self._sums:
            self._sums = list(accumulate(endpoint.share for endpoint in self.endpoints))
        return self._sums

    def _draw(self, tried: Container[Endpoint], passed: list[int]) -> int:
        """A position that is not in `passed`, which is sorted, and was not tried: those drawn that were join it. -1: none left."""
        sums, endpoints = self._up_to_date(), self.endpoints
        at = min(bisect_right(sums, self._chance.random() * sums[-1]), len(sums) - 1)
        while True:
            if at not in passed:
                if not tried or endpoints[at] not in tried:
                    return at
                insort(passed, at)
            if len(passed) == len(endpoints):
                return -1
            at = self._draw_without(passed)

    def _draw_without(self, passed: Sequence[int]) -> int:
        """As if those in `passed` had no share, so that the odds among the others stay what they are."""
        sums, endpoints = self._sums, self.endpoints
        point = self._chance.random() * (sums[-1] - sum(endpoints[at].share for at in passed))
        for at in passed:
            if point < sums[at] - endpoints[at].share:
                break
            point += endpoints[at].share
        at = min(bisect_right(sums, point), len(sums) - 1)
        while at in passed:
            # Rounding put it beyond its edge.
            at = (at + 1) % len(sums)
        return at

    def __len__(self) -> int:
        return len(self.endpoints)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.endpoints)}>"

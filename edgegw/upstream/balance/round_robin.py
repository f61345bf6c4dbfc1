"""Equal turns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Sequence

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.endpoint import Endpoint


class RoundRobin:
    """One endpoint after the other, weights and shares ignored. Whoever comes or goes, the others keep their turn."""

    def __init__(self, members: Sequence[Endpoint]) -> None:
        self._places = {endpoint: place for place, endpoint in enumerate(members)}
        self._endpoints: tuple[Endpoint, ...] = ()
        self._next = 0
        self._again = 0
        # The place of whoever is next, while nobody is eligible.
        self._due = 0
        self.allow(members)

    def succeed(self, before: Balancer) -> None:
        """Go on with whoever would have been next there, or the first after it that is still a member."""
        if isinstance(before, RoundRobin):
            turns = before._endpoints[before._next :] + before._endpoints[: before._next]
            self._due = next((self._places[each] for each in turns if each in self._places), 0)
            self._endpoints = ()

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """Choose among these."""
        if self._endpoints:
            self._due = self._places[self._endpoints[self._next]]
        self._endpoints = tuple(eligible)
        after = bisect_left([self._places[endpoint] for endpoint in eligible], self._due)
        self._next = after if after < len(self._endpoints) else 0

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The next in turn. Another attempt (some were tried) goes by turns of its own: else, of two endpoints one of which fails,
        the other would give its turn for each failure, and every first attempt would meet the one that fails.
        """
        endpoints = self._endpoints
        count = len(endpoints)
        if not count:
            return None
        if not tried:
            at = self._next
            self._next = at + 1 if at + 1 < count else 0
            return endpoints[at]
        for _ in range(count):
            at = self._again % count
            self._again = at + 1
            if endpoints[at] not in tried:
                return endpoints[at]
        at = self._again % count
        self._again = at + 1
        return endpoints[at]

    def __repr__(self) -> str:
        return f"<RoundRobin of {len(self._endpoints)}>"

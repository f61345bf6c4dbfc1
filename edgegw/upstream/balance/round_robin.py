"""Equal turns."""

from __future__ import annotations

from collections.abc import Container, Sequence

from edgegw.exchange.model import Exchange
from edgegw.upstream.endpoint import Endpoint


class RoundRobin:
    """One endpoint after the other, weights ignored."""

    def __init__(self, members: Sequence[Endpoint]) -> None:
        self.allow(members)

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""

    def allow(self, endpoints: Sequence[Endpoint]) -> None:
        """Choose among these."""
        self._endpoints = tuple(endpoints)
        self._next = 0

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The next in turn. Passes over those tried already, at most once around."""
        count = len(self._endpoints)
        for _ in range(count):
            at = self._next
            self._next = at + 1 if at + 1 < count else 0
            endpoint = self._endpoints[at]
            if not tried or endpoint not in tried:
                return endpoint
        return self._endpoints[self._next] if count else None

    def __repr__(self) -> str:
        return f"<RoundRobin of {len(self._endpoints)}>"

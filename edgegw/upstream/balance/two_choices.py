"""The less busy of two drawn (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001)."""

from __future__ import annotations

from collections.abc import Container

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.shares import Shares
from edgegw.upstream.endpoint import Endpoint


class TwoChoices(Shares):
    """Draws two in proportion to shares and takes the one with fewer exchanges for its share, the first if they are level.

    Idle endpoints are so chosen in proportion to their shares, and several gateways do not all go for the same least busy one.
    """

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The less busy of two that were not tried."""
        pair = self.two(tried)
        if pair is None:
            return None
        first, second = pair
        return second if second.in_flight * first.share < first.in_flight * second.share else first

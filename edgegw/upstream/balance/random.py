"""By chance."""

from __future__ import annotations

from collections.abc import Container

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.shares import Shares
from edgegw.upstream.endpoint import Endpoint


class ByChance(Shares):
    """Draws in proportion to shares: no state that several gateways would have to agree on."""

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """Any that was not tried."""
        return self.one(tried)

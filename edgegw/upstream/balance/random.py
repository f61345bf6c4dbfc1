"""By chance."""

from __future__ import annotations

from collections.abc import Container, Sequence
from random import Random

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.shares import Shares
from edgegw.upstream.endpoint import Endpoint


class ByChance:
    """Draws in proportion to shares: no state that several gateways would have to agree on."""

    def __init__(self, members: Sequence[Endpoint], chance: Random) -> None:
        self._shares = Shares(chance)
        self.allow(members)

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """Choose among these."""
        self._shares.allow(eligible)

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""
        self._shares.stale()

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """Any that was not tried."""
        return self._shares.one(tried)

    def __repr__(self) -> str:
        return f"<ByChance of {len(self._shares)}>"

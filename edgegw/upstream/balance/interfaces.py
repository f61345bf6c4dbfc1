"""The contract of a balancer."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from edgegw.exchange.model import Exchange
from edgegw.upstream.endpoint import Endpoint


class Balancer(Protocol):
    """Chooses among a fixed set of endpoints; built anew when the set changes. O(log n) at most."""

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The endpoint for the next attempt; one that was tried only if the algorithm finds no other; None without endpoints."""

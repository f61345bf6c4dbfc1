"""The contract of a balancer."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Protocol

from edgegw.exchange.model import Exchange
from edgegw.upstream.endpoint import Endpoint


class Balancer(Protocol):
    """Chooses among the members of one group, who are fixed for its life; which of them may be chosen is not.

    A choice is O(1) or O(log n). Shares (`Endpoint.share`) are floats above 0, relative to each other.
    """

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """From now on choose among these members only, which come in the order of the members. Called once before the first
        choice, then whenever it changes. May be O(n); whoever builds tables goes by the members, so that it is cheap.
        """

    def reweigh(self, endpoint: Endpoint) -> None:
        """The share of this member is another one: O(log n), or O(n) at the next choice at most."""

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The endpoint for the next attempt; one that was tried only if the algorithm finds no other; None if none is eligible."""

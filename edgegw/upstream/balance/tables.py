"""The contract of what consistent hashing looks keys up in."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Protocol

from edgegw.upstream.endpoint import Endpoint

POINTS = 1 << 64
"""Keys are hashed to a point from 0 to this, not included."""


class Table(Protocol):
    """Whose a point is. Built once for a set of members, whatever their order; never changed.

    weights: of the members, that it was built for.
    """

    weights: Mapping[Endpoint, int]

    def owners(self, point: int) -> Iterator[Endpoint]:
        """Without an end: whose the point is, and who comes next in case that one cannot be had. Goes by the point only."""


Building = Generator[None, None, Table]
"""A table in the making: each step takes a few milliseconds at most; the last one returns the table."""


def weights_of(members: Sequence[Endpoint]) -> dict[Endpoint, int]:
    """The members with their weights, in an order that is the same in every gateway that knows the same endpoints."""
    return {endpoint: endpoint.weight for endpoint in sorted(members, key=lambda endpoint: endpoint.name)}


def step(building: Building) -> Table | None:
    """Take the next step. The table, once it is complete."""
    try:
        next(building)
    except StopIteration as end:
        table: Table = end.value
        return table
    return None

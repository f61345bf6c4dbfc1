"""What the tests of tables share: whole tables, and how many keys move from one to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from edgegw.upstream.balance.tables import POINTS, Building, Table, step
from edgegw.upstream.endpoint import Endpoint

_CHANCE = Random(5)
KEYS = [_CHANCE.randrange(POINTS) for _ in range(20_000)]
"""Points of that many keys."""


def whole(build: Callable[[Sequence[Endpoint]], Building], members: Sequence[Endpoint]) -> Table:
    """The table, at once."""
    building = build(members)
    while (table := step(building)) is None:
        pass
    return table


def owners(table: Table) -> list[Endpoint]:
    """Whose each of the keys is."""
    return [next(table.owners(point)) for point in KEYS]


def moved(before: Sequence[Endpoint], after: Sequence[Endpoint]) -> float:
    """The part of the keys that belong to another one, by name."""
    return sum(one.name != other.name for one, other in zip(before, after, strict=True)) / len(before)

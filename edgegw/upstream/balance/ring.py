"""A ring of tokens (Karger et al., "Consistent Hashing and Random Trees", STOC 1997)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from xxhash import xxh3_64_intdigest

from edgegw.upstream.balance.tables import POINTS, Building, weights_of
from edgegw.upstream.endpoint import Endpoint

TOKENS = 64
"""Of a member of mean weight. That does not go by how many there are: a member more would move everybody's."""

_MEMBERS_PER_STEP = 128


class Ring:
    """Every member has tokens on a circle, by its weight; a point belongs to the token that follows it.

    When a member comes or goes no other keys move than those it gets or had. Shares are as even as chance makes them.
    """

    def __init__(self, weights: Mapping[Endpoint, int], owners: Mapping[float, Endpoint]) -> None:
        self.weights = weights
        # Floats, from 0 to 1: they sort five times as fast as whole numbers of 64 bits.
        self._tokens = sorted(owners)
        self._owners = [owners[token] for token in self._tokens]

    def owners(self, point: int) -> Iterator[Endpoint]:
        """`Table`: clockwise from the point."""
        owners = self._owners
        at = bisect_right(self._tokens, point / POINTS)
        yield from islice(owners, at, None)
        while True:
            yield from owners

    def __repr__(self) -> str:
        return f"<Ring {len(self.weights)} with {len(self._tokens)} tokens>"


def build_ring(members: Sequence[Endpoint]) -> Building:
    """A ring for these members, at least one."""
    weights = weights_of(members)
    mean = sum(weights.values()) / len(weights)
    owners: dict[float, Endpoint] = {}
    for number, (endpoint, weight) in enumerate(weights.items(), 1):
        name = endpoint.name.encode("utf-8")
        count = max(1, round(TOKENS * weight / mean))
        # The first tokens are the same whatever the weight is.
        owners.update((xxh3_64_intdigest(name, seed) / POINTS, endpoint) for seed in range(count))
        if number % _MEMBERS_PER_STEP == 0:
            yield
    yield
    return Ring(weights, owners)

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

_MEMBERS_PER_STEP = 64


class Ring:
    """Every member has tokens on a circle, by its weight; a point belongs to the token that follows it.

    When a member comes or goes no other keys move than those it gets or had. Shares are as even as chance makes them.
    """

    def __init__(self, weights: Mapping[Endpoint, int], tokens: Sequence[float], owners: Sequence[Endpoint]) -> None:
        """tokens: from 0 to 1, in order. owners: of each."""
        self.weights = weights
        self._tokens = tokens
        self._owners = owners

    def owners(self, point: int) -> Iterator[Endpoint]:
        """`Table`: clockwise from the point."""
        owners = self._owners
        at, count = bisect_right(self._tokens, point / POINTS), len(owners)
        while True:
            if at >= count:
                at = 0
            yield owners[at]
            at += 1

    def __repr__(self) -> str:
        return f"<Ring {len(self.weights)} with {len(self._tokens)} tokens>"


def build_ring(members: Sequence[Endpoint]) -> Building:
    """A ring for these members, at least one."""
    weights = weights_of(members)
    mean = sum(weights.values()) / len(weights)
    owners: dict[float, Endpoint] = {}
    # Floats sort several times as fast as whole numbers of 64 bits.
    tokens: list[float] = []
    each = iter(weights.items())
    while some := list(islice(each, _MEMBERS_PER_STEP)):
        # The first tokens of a member are the same whatever its weight is.
        made = {
            xxh3_64_intdigest(name, seed) / POINTS: endpoint
            for endpoint, weight in some
            for name in (endpoint.name.encode("utf-8"),)
            for seed in range(max(1, round(TOKENS * weight / mean)))
        }
        owners.update(made)
        # In the end sorted runs are only merged.
        tokens += sorted(made)
        yield
    tokens.sort()
    yield
    return Ring(weights, tokens, [owners[token] for token in tokens])

"""When so few endpoints are free that the doubts about the others are more likely wrong than right."""

from __future__ import annotations

from collections.abc import Iterable

from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.groups import counts
from edgegw.upstream.standing import Hold

_Standing = tuple[int, bool, bool, bool, bool]
"""Tier; free; usable; usable and judged before; counts for its tier."""


class Census:
    """Counts how the endpoints of one set stand; a change costs O(1).

    free, usable: how many endpoints nobody holds, and how many nothing but doubts hold. judged: usable ones that are not new.
    """

    def __init__(self) -> None:
        self.free = self.usable = self.judged = 0
        self._known: dict[Endpoint, _Standing] = {}
        self._tiers: dict[int, list[int]] = {}

    def roster(self, members: Iterable[Endpoint]) -> None:
        """Count these, from the beginning."""
        self.free = self.usable = self.judged = 0
        self._tiers = {}
        self._known = {endpoint: _standing(endpoint) for endpoint in members}
        for standing in self._known.values():
            self._add(standing, 1)

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint in self._known

    def changed(self, endpoint: Endpoint) -> bool:
        """The standing of one of them may be another one. Returns whether it is one of them."""
        before = self._known.get(endpoint)
        if before is None:
            return False
        self._add(before, -1)
        self._known[endpoint] = now = _standing(endpoint)
        self._add(now, 1)
        return True

    def _add(self, standing: _Standing, one: int) -> None:
        tier, free, usable, judged, counted = standing
        self.free += one * free
        self.usable += one * usable
        self.judged += one * judged
        in_tier = self._tiers.setdefault(tier, [0, 0])
        in_tier[0] += one * free
        in_tier[1] += one * counted

    def panics(self, below: float, spill: float) -> bool:
        """Whether doubts are to be ignored: too few are free, and the tiers together cannot take everything by what is free.

        below: share of those judged that must be free; 0 is never. spill: of `tiers`.
        """
        if below <= 0 or not self.usable:
            return False
        if not self.free:
            return True
        if self.free >= below * self.judged:
            return False
        able = sum(min(1.0, spill * free / counted) for free, counted in self._tiers.values() if counted)
        return able < 1.0 - 1e-9

    def __repr__(self) -> str:
        return f"<Census {self.free} free and {self.usable} usable of {len(self._known)}>"


def _standing(endpoint: Endpoint) -> _Standing:
    standing = endpoint.standing
    judged = standing.usable and Hold.PENDING not in standing.reasons
    return endpoint.tier, standing.free, standing.usable, judged, counts(endpoint)

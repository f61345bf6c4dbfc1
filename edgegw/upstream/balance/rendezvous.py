"""Highest random weight: consistent without a table, but O(n)."""

from __future__ import annotations

from collections.abc import Iterable
from math import log

from xxhash import xxh3_64_intdigest

from edgegw.upstream.balance.tables import POINTS
from edgegw.upstream.endpoint import Endpoint


def rendezvous(candidates: Iterable[Endpoint], point: int) -> Endpoint | None:
    """Whose the point is, by shares; None if there is nobody (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables")."""
    return min(candidates, key=lambda endpoint: -log(draw(endpoint, point)) / endpoint.share, default=None)


def draw(endpoint: Endpoint, point: int) -> float:
    """A number above 0, at most 1, that is always the same for this endpoint and point."""
    return (xxh3_64_intdigest(endpoint.name.encode("utf-8"), point) + 1) / POINTS

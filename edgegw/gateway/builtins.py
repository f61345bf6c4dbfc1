"""Everything that ships, by name, and what third parties brought. Nothing registers itself by being imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from edgegw.middleware.header_rules import HEADER_RULES
from edgegw.middleware.interfaces import ENTRY_POINTS, MiddlewarePart
from edgegw.middleware.request_caps import REQUEST_CAPS
from edgegw.middleware.security_headers import SECURITY_HEADERS
from edgegw.middleware.timeouts import TOTAL_TIMEOUT
from edgegw.upstream.balance.round_robin import RoundRobin
from edgegw.upstream.balance.weighted_round_robin import WeightedRoundRobin

BALANCERS: Mapping[str, Callable[..., Any]] = {
    "round_robin": RoundRobin,
    "weighted_round_robin": WeightedRoundRobin,
}

MIDDLEWARE: tuple[MiddlewarePart, ...] = (SECURITY_HEADERS, REQUEST_CAPS, TOTAL_TIMEOUT, HEADER_RULES)


class Parts:
    """Middleware by name: what ships, and the entry points of `edgegw.middleware`, loaded when a configuration names them."""

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self._known: dict[str, MiddlewarePart] = {part.name: part for part in MIDDLEWARE}
        points = entry_points(group=ENTRY_POINTS) if found is None else found
        self._points = {point.name: point for point in points if point.name not in self._known}

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._known, *self._points})

    def middleware(self, name: str) -> MiddlewarePart:
        """The part of this name.

        Raises:
            LookupError: there is none. TypeError: the entry point is not a `MiddlewarePart`. Whatever importing it raises.
        """
        part = self._known.get(name)
        if part is None:
            if name not in self._points:
                raise LookupError(name)
            part = self._points[name].load()
            if not isinstance(part, MiddlewarePart):
                raise TypeError(f"{self._points[name].value} is not a MiddlewarePart")
            self._known[name] = part
        return part

"""Everything that ships, by name, and what third parties brought. Nothing registers itself by being imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from edgegw.config.model import Settings
from edgegw.middleware.grpc import GRPC_CALLS
from edgegw.middleware.grpc_web import GRPC_WEB
from edgegw.middleware.header_rules import HEADER_RULES
from edgegw.middleware.interfaces import ENTRY_POINTS, MiddlewarePart
from edgegw.middleware.request_caps import REQUEST_CAPS
from edgegw.middleware.security_headers import SECURITY_HEADERS
from edgegw.middleware.shedding import SHEDDING
from edgegw.middleware.timeouts import TOTAL_TIMEOUT
from edgegw.middleware.transcode.transcode import TRANSCODE
from edgegw.upstream.balance.consistent_hash import ConsistentHash
from edgegw.upstream.balance.keys import compile_key
from edgegw.upstream.balance.least_connections import LeastConnections
from edgegw.upstream.balance.maglev import build_maglev
from edgegw.upstream.balance.peak_ewma import PeakEwma
from edgegw.upstream.balance.random import ByChance
from edgegw.upstream.balance.ring import build_ring
from edgegw.upstream.balance.round_robin import RoundRobin
from edgegw.upstream.balance.two_choices import TwoChoices
from edgegw.upstream.selection import BuildBalancer

BALANCERS: Mapping[str, BuildBalancer] = {
    "round_robin": lambda members, settings, environment: RoundRobin(members),
    "weighted_round_robin": lambda members, settings, environment: RoundRobin(members),
    "least_connections": lambda members, settings, environment: LeastConnections(members),
    "random": lambda members, settings, environment: ByChance(members, environment.chance),
    "two_choices": lambda members, settings, environment: TwoChoices(members, environment.chance),
    "peak_ewma": lambda members, settings, environment: PeakEwma(members, environment.chance, environment.seconds),
    "consistent_hash": lambda members, settings, environment: ConsistentHash(
        members,
        compile_key(settings.key),
        build_ring if settings.table == "ring" else build_maglev,
        environment,
        settings.bound,
    ),
}

MIDDLEWARE: tuple[MiddlewarePart, ...] = (
    SHEDDING,
    SECURITY_HEADERS,
    GRPC_WEB,
    REQUEST_CAPS,
    TOTAL_TIMEOUT,
    GRPC_CALLS,
    HEADER_RULES,
    TRANSCODE,
)


class Parts:
    """Middleware by name: what ships, and the entry points of `edgegw.middleware`, loaded when a configuration names them.

    The names of what ships can't be taken by others. Entry points are found once: a package installed later needs a restart.
    """

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self._known: dict[str, MiddlewarePart] = {part.name: part for part in MIDDLEWARE}
        self._points: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=ENTRY_POINTS) if found is None else found:
            same = self._points.setdefault(point.name, [])
            # A package may be found twice, installed and in the working folder.
            if all(point.value != other.value for other in same):
                same.append(point)

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._known, *self._points})

    def middleware(self, name: str) -> MiddlewarePart:
        """The part of this name.

        Raises:
            LookupError: there is none. TypeError: what it leads to can't be used; the text says why. Whatever importing it raises.
        """
        part = self._known.get(name)
        if part is None:
            points = self._points.get(name)
            if not points:
                raise _NoSuchPart(name)
            part = self._known[name] = _loaded(points)
        return part


class _NoSuchPart(LookupError):
    """Not to be mixed up with a KeyError in the code of others."""


def _loaded(points: list[EntryPoint]) -> MiddlewarePart:
    if len(points) > 1:
        raise TypeError(f"{' and '.join(_origin(point) for point in points)} both bring one of this name")
    point = points[0]
    try:
        part = point.load()
    except (LookupError, TypeError) as error:
        # Theirs, not ours: importing failed.
        raise ImportError(f"{point.value}: {type(error).__name__}: {error}") from error
    if not isinstance(part, MiddlewarePart):
        raise TypeError(f"{point.value} is of type {type(part).__name__}, not MiddlewarePart")
    if part.name != point.name:
        # The name decides which step of the canonical order it replaces.
        raise TypeError(f'{point.value} calls itself "{part.name}", its entry point "{point.name}"')
    if not (isinstance(part.settings, type) and issubclass(part.settings, Settings)):
        raise TypeError(f"the settings of {point.value} are no edgegw.config.model.Settings")
    if not callable(part.build):
        raise TypeError(f"the factory of {point.value} is of type {type(part.build).__name__}, which cannot be called")
    return part


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist is not None else point.value

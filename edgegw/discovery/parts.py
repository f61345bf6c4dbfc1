"""Kinds of sources by name, and how an upstream's `discovery` becomes a feed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgegw.config.model import Settings
from edgegw.config.problems import Problems, quoted
from edgegw.config.wording import advice, predicate
from edgegw.discovery.common import Common
from edgegw.discovery.connections import ConnectionSettings
from edgegw.discovery.consul.source import CONSUL
from edgegw.discovery.dns import DNS
from edgegw.discovery.feed import Feed, Outlet, Update
from edgegw.discovery.file import FILE
from edgegw.discovery.interfaces import ENTRY_POINTS, DiscoveryPart, Source, Surroundings
from edgegw.discovery.kubernetes.source import K8S
from edgegw.discovery.nats.source import NATS
from edgegw.discovery.policy import EndpointPolicy, Own
from edgegw.discovery.settings import COMMON, DiscoverySettings, written
from edgegw.discovery.snapshots import SnapshotFile
from edgegw.discovery.threads import in_thread
from edgegw.upstream.environment import Environment

PARTS: tuple[DiscoveryPart, ...] = (FILE, DNS, K8S, CONSUL, NATS)

_COMPARED = 100
"""Connections that a wrong name may be a slip of; with so many, a message lists no more."""
FOREIGN = (Exception, SystemExit)
"""What the code of others may raise on being imported or called."""


class Kinds:
    """Sources by kind: what ships, and what third parties brought. The names of what ships can't be taken by others.

    common: what the sources of one configuration after another share.
    """

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self._known = {part.kind: part for part in PARTS}
        points = entry_points(group=ENTRY_POINTS) if found is None else found
        self.common = Common()
        self._points = {point.name: point for point in points if point.name not in self._known}

    @property
    def names(self) -> list[str]:
        """All kinds, sorted."""
        return sorted({*self._known, *self._points})

    def ships(self, kind: str) -> bool:
        """Whether it is ours."""
        return kind not in self._points

    def part(self, kind: str) -> DiscoveryPart | None:
        """The part of this kind; None: there is none.

        Raises:
            TypeError: what it leads to can't be used. Whatever importing it raises.
        """
        part = self._known.get(kind)
        if part is None and kind in self._points:
            part = self._points[kind].load()
            if not isinstance(part, DiscoveryPart) or part.kind != kind:
                raise TypeError(f"{self._points[kind].value} is no DiscoveryPart of that kind")
            self._known[kind] = part
        return part


@dataclass(frozen=True, eq=False)
class Feeds:
    """Builds the feeds of a gateway.

    environment: as of its upstreams. state_dir: of the configuration; None: nothing is kept on disk. base_dir: the folder that
    relative paths start from. own: the gateway's listeners, as they are at any time. kinds: by default what ships and is installed.
    """

    environment: Environment
    state_dir: Path | None
    base_dir: Path
    own: Own
    kinds: Kinds

    def build(
        self,
        upstream: str,
        settings: DiscoverySettings,
        connections: Mapping[str, ConnectionSettings],
        update: Update,
        counted: Callable[[str], None],
        problems: Problems,
    ) -> Feed | None:
        """The feed of one upstream, not started; None after reporting why there is none.

        Args:
            connections: the top-level `discovery`. update: such as `Cluster.update`. counted: takes the outcome of each answer.
            problems: of the whole configuration.
        """
        source = self._source(upstream, settings, connections, problems)
        if source is None:
            return None
        policy = EndpointPolicy(settings.allow, self.own)
        outlet = Outlet(update, counted, self._memory(upstream))
        return Feed(upstream, source, settings, policy, self.environment, outlet)

    def _memory(self, upstream: str) -> SnapshotFile | None:
        if self.state_dir is None:
            return None
        return SnapshotFile(self.state_dir / "discovery", upstream, partial(in_thread, self.environment.reactor))

    def _source(
        self,
        upstream: str,
        settings: DiscoverySettings,
        connections: Mapping[str, ConnectionSettings],
        problems: Problems,
    ) -> Source | None:
        mine = problems.under("upstreams", upstream, "discovery")
        given = connections.get(settings.from_)
        kind = settings.from_ if given is None else given.kind
        try:
            part = self.kinds.part(kind)
        except FOREIGN as error:
            mine.add(("from",), f"source {quoted(kind)} cannot be used: {type(error).__name__}: {error}")
            return None
        if part is None:
            known = [*list(connections)[:_COMPARED], *self.kinds.names]
            near = get_close_matches(kind, known, 1)
            hint = f"did you mean {quoted(near[0])}?" if near else None
            words = f"source {quoted(kind)} is not known; known: {', '.join(dict.fromkeys(known))}"
            problems.add(("upstreams", upstream, "discovery", "from"), words, hint, absent=("discovery", kind))
            return None
        foreign = not self.kinds.ships(kind)
        if not _check_keys(settings, part, part.keys | {"with_"} if foreign else part.keys, mine):
            return None
        connection, proper = _connection(part, settings.with_ or {} if foreign else None, given, mine)
        if not proper:
            return None
        about = problems.under("discovery", settings.from_, kind) if given is not None else mine.under("from")
        around = Surroundings(self.environment, self.base_dir, mine, about, self.kinds.common)
        try:
            return part.build(settings, connection, around)
        except FOREIGN as error:
            mine.add((), f"source {quoted(kind)} cannot be built: {type(error).__name__}: {error}")
            return None


def _connection(
    part: DiscoveryPart, own: dict[str, Any] | None, given: ConnectionSettings | None, problems: Problems
) -> tuple[Settings | None, bool]:
    """The settings of the connection, and whether they could be had. own: of a third party's part, what `with` says."""
    if given is not None:
        return given.settings, True
    if part.connection is None:
        return None, True
    try:
        return part.connection.model_validate(own or {}), True
    except ValidationError as error:
        for each in error.errors(include_url=False):
            key = ".".join(str(piece) for piece in each["loc"])
            if own is None:
                hint = (
                    f"define one in the top-level `discovery`, and write its name here: {{{part.kind}: {{{key}: ...}}}}"
                )
                problems.add(("from",), f"{part.kind} needs a connection with {quoted(key)}", hint)
            else:
                problems.add(("with",), f"{quoted(key)} of source {quoted(part.kind)} {predicate(each)}", advice(each))
        return None, False


def _check_keys(settings: DiscoverySettings, part: DiscoveryPart, keys: frozenset[str], problems: Problems) -> bool:
    """Reports keys that this kind does not have, and those it misses."""
    proper = True
    for key in sorted(settings.model_fields_set - COMMON - keys):
        homes = " and ".join(sorted(each.kind for each in PARTS if key in each.keys))
        mine = ", ".join(sorted(written(each) for each in keys)) or "only those of every source"
        hint = f"it is for {homes}; {part.kind} has {mine}" if homes else f"{part.kind} has {mine}"
        problems.add((written(key),), f"a {part.kind} source has no {quoted(written(key))}", hint, at="key")
        proper = False
    for key in sorted(part.needs):
        if getattr(settings, key) is None:
            problems.add((), f"a {part.kind} source needs the key {quoted(written(key))}")
            proper = False
    return proper

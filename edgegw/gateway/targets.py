"""What finishes the exchanges of a route: its target, and what goes around one that has upstreams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from edgegw.config.problems import Problems, quoted
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.predicates import compile_when
from edgegw.gateway.parts import FOREIGN, told
from edgegw.gateway.settings import RouteSettings, merged
from edgegw.gateway.telemetry import Telemetry
from edgegw.observe.cells import Counter, Family
from edgegw.targets.fallback import Fallback, FallbackSettings
from edgegw.targets.files import Files
from edgegw.targets.mirror import Mirror, Mirrors
from edgegw.targets.proxy import Proxy
from edgegw.targets.redirect import Redirect
from edgegw.targets.resource import ResourceTarget
from edgegw.targets.respond import Respond
from edgegw.targets.split import Destination, Split
from edgegw.targets.websocket import Upgrading, WebSocketTarget, websocket_off
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.environment import Environment
from edgegw.upstream.retry import RetrySettings


class Said(NamedTuple):
    """A route: its name, what it says itself, and that with the defaults filled in."""

    name: str
    own: RouteSettings
    whole: RouteSettings


class Targets:
    """Builds the targets of one configuration.

    Args:
        environment: time and chance. telemetry: metrics. clusters: by name. base_dir: for paths.
    """

    def __init__(
        self, environment: Environment, telemetry: Telemetry, clusters: Mapping[str, Cluster], base_dir: Path
    ) -> None:
        self._with = environment
        self._telemetry = telemetry
        self._clusters = clusters
        self._base_dir = base_dir

    def build(self, said: Said, problems: Problems, captures: frozenset[str]) -> Responder | None:
        """The target of a route; None after reporting why there is none.

        Args:
            problems: a view of the route. captures: what its match captures.
        """
        route, reactor = said.whole, self._with.reactor
        if route.to is not None:
            return self._of_upstreams(said, problems)
        if route.respond is not None:
            return Respond.compile(route.respond, problems.under("respond"))
        if route.redirect is not None:
            return Redirect.compile(route.redirect, problems.under("redirect"), captures)
        if route.files is not None:
            return Files.compile(route.files, problems.under("files"), self._base_dir, reactor)
        assert route.resource is not None
        try:
            return ResourceTarget.compile(route.resource, problems.under("resource"), reactor, route.body_limit)
        except FOREIGN as error:
            # A script without a guard ends the process when it is imported.
            problems.add(("resource",), f"{quoted(route.resource)} cannot be imported: {told(error)}")
            return None

    def _of_upstreams(self, said: Said, problems: Problems) -> Responder | None:
        # One of the destinations.
        target = self._destination(said, problems)
        if target is None:
            return None
        # Beside it: copies of what goes there.
        if said.whole.mirror is not None:
            target = self._mirrored(target, said)
        # In its place, when it cannot answer.
        if said.whole.fallback is not None:
            target = self._with_fallback(target, said, said.whole.fallback, problems.under("fallback"))
        return target

    def _destination(self, said: Said, problems: Problems) -> Responder | None:
        route = said.whole
        found: list[Destination] = []
        for index, each in enumerate(route.destinations):
            here = problems.under("to", index, "when") if isinstance(route.to, tuple) else problems.under("to", "when")
            when = compile_when(each.when, here)
            responder = self._upgrading(said, each.upstream, each.meta)
            if responder is not None:
                found.append(Destination(str(each), responder, each.weight, when))
        if len(found) != len(route.destinations) or not any(each.weight for each in found if each.when is None):
            # What refers to nothing, or has no share, is reported by the checks of references.
            return None
        if len(found) == 1:
            return found[0].responder
        return Split(found, route.split, self._with.chance, self._with.secret)

    def _mirrored(self, target: Responder, said: Said) -> Responder:
        wheel, counted = self._with.wheel, self._telemetry.registry.mirrored
        mirrors = []
        for each in said.whole.mirrors:
            cluster = self._clusters.get(each.to)
            if cluster is not None:
                # A copy that fails is not worth another.
                copies = self._proxy(said, cluster, each.meta, RetrySettings(attempts=0), each.timeout)
                count = _counter(counted, said.name)
                mirrors.append(Mirror(copies, each, self._with.reactor, wheel, self._with.chance, count))
        return Mirrors(target, mirrors)

    def _with_fallback(
        self, target: Responder, said: Said, settings: FallbackSettings, problems: Problems
    ) -> Responder | None:
        if settings.respond is not None:
            other: Responder | None = Respond.compile(settings.respond, problems.under("respond"))
        else:
            other = self._upgrading(said, settings.to or "", settings.meta)
        count = _counter(self._telemetry.registry.fallbacks, said.name)
        return Fallback(target, other, settings, count) if other is not None else None

    def _upgrading(self, said: Said, name: str, meta: Mapping[str, str]) -> Responder | None:
        """An upstream for everything that may be asked of it; None if there is no such upstream."""
        cluster = self._clusters.get(name)
        if cluster is None:
            return None
        retry, sockets = _retry(said, cluster), said.whole.websocket
        proxy = self._proxy(said, cluster, meta, retry)
        if sockets.mode == "off":
            return Upgrading(proxy, websocket_off)
        metrics = self._telemetry.upstream(name)
        times, part = _times(said, cluster), cluster.selection(meta)
        wheel = self._with.wheel
        return Upgrading(proxy, WebSocketTarget(cluster, sockets, times, wheel, metrics, retry=retry, selection=part))

    def _proxy(
        self, said: Said, cluster: Cluster, meta: Mapping[str, str], retry: RetrySettings, head_s: float | None = None
    ) -> Proxy:
        head, idle = _times(said, cluster)
        if head_s is not None:
            head = min(head, head_s)
        metrics = self._telemetry.upstream(cluster.name)
        return Proxy(cluster, head, idle, self._with.seconds, metrics, retry, cluster.selection(meta))


def _counter(family: Family[Counter], route: str) -> Callable[[str], None]:
    def count(what: str) -> None:
        family.at((route, what)).inc()

    return count


def _times(said: Said, cluster: Cluster) -> tuple[float, float]:
    """What is said closest to the exchange holds: the route, then its upstream, then the defaults of routes."""
    times = cluster.settings.timeouts
    limits = []
    for name in ("head", "idle"):
        of_upstream = getattr(times, name) if name in times.model_fields_set else None
        named = (getattr(said.own.timeout, name), of_upstream, getattr(said.whole.timeout, name))
        limits.append(next((limit for limit in named if limit is not None), getattr(times, name)))
    head, idle = limits
    return head, idle


def _retry(said: Said, cluster: Cluster) -> RetrySettings:
    """As `_times`, key by key."""
    settings: RetrySettings = merged(merged(said.own.retry, cluster.settings.retry), said.whole.retry)
    return settings

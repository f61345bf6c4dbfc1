"""Settings to a snapshot. The order of the pipeline is written here, once, and reads from top to bottom as an exchange goes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.internet.task import Clock

from edgegw.config.model import Settings
from edgegw.config.problems import Problems
from edgegw.config.source import Document
from edgegw.config.wording import predicate
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.predicates import compile_when
from edgegw.gateway.builtins import BALANCERS, Parts
from edgegw.gateway.settings import GatewaySettings, RouteSettings, merged
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.telemetry import Telemetry
from edgegw.gateway.upstreams import Upstreams
from edgegw.middleware.access_record import AccessRecord
from edgegw.middleware.client_address import ClientAddress
from edgegw.middleware.header_rules import HEADER_RULES
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.middleware.pipeline import MiddlewareUse, Step, fold
from edgegw.middleware.request_caps import REQUEST_CAPS, RequestCapsSettings
from edgegw.middleware.request_id import RequestId
from edgegw.middleware.rescue import Rescue
from edgegw.middleware.security_headers import SECURITY_HEADERS
from edgegw.middleware.timeouts import TOTAL_TIMEOUT, TotalTimeoutSettings
from edgegw.net.addresses import CidrSet
from edgegw.net.listener import Terms
from edgegw.net.resolver import Resolver, ThreadedLookup
from edgegw.net.settings import ListenSettings
from edgegw.net.tls import CertificateStore, ServerTls
from edgegw.routing.entries import Entry
from edgegw.routing.match import compile_match
from edgegw.routing.rewrite import Rewrite
from edgegw.routing.router import Route, Router
from edgegw.routing.tree import Tree
from edgegw.runtime.wheel import Wheel
from edgegw.targets.files import Files
from edgegw.targets.proxy import Proxy
from edgegw.targets.redirect import Redirect
from edgegw.targets.resource import ResourceTarget
from edgegw.targets.respond import Respond
from edgegw.targets.to_https import ToHttps
from edgegw.upstream.cluster import Cluster
from edgegw.wire.http1_limits import Http1Limits


@dataclass(frozen=True, eq=False)
class Resources:
    """What one process shares among all its snapshots.

    reactor: sockets, threads, time. wheel: deadlines. resolver: names, by `lookup`. telemetry: metrics and records.
    parts: middleware by name.
    """

    reactor: Any
    wheel: Wheel
    resolver: Resolver
    telemetry: Telemetry
    parts: Parts
    lookup: ThreadedLookup | None = None

    @classmethod
    def offline(cls) -> Resources:
        """For building a snapshot that will not serve: `edgegw check`, tests."""
        clock = Clock()

        def no_lookup(name: str) -> Any:
            raise OSError(f"{name} is not looked up offline")

        return cls(clock, Wheel(clock), Resolver(clock, no_lookup), Telemetry(), Parts())

    def stop(self) -> None:
        """The process ends."""
        self.resolver.stop()
        if self.lookup is not None:
            self.lookup.stop()


class Assembly:
    """Builds snapshots."""

    def __init__(self, resources: Resources) -> None:
        self._with = resources
        self._upstreams = Upstreams(resources.reactor, resources.wheel, resources.resolver, BALANCERS)

    def build(
        self, document: Document, settings: GatewaySettings, base_dir: Path, problems: Problems, old: Snapshot | None = None
    ) -> Snapshot:
        """Everything that a configuration needs to serve, except bound sockets.

        Whatever can't be built is reported in `problems`; the snapshot is usable only if there are no errors.
        """
        clusters = self._upstreams.build(settings, old.clusters if old is not None else {}, base_dir, problems)
        routes, entries = self._routes(settings, clusters, base_dir, problems)
        tree = Tree.build(entries, problems, lambda loc: str(document.position(loc)))
        terms = {
            listen.name: self._terms(listen, settings, base_dir, problems.under("listen", index))
            for index, listen in enumerate(settings.listen)
        }
        watched = tuple(_watched(settings, base_dir))
        return Snapshot(document, settings, tree, tuple(routes), clusters, terms, watched, datetime.now(UTC))

    # The edge stage, once per listener; no route can take it away.

    def _terms(self, listen: ListenSettings, settings: GatewaySettings, base_dir: Path, problems: Problems) -> Terms:
        trusted = CidrSet(str(network) for network in listen.trusted_proxies)
        telemetry = self._with.telemetry
        responder: Responder = ToHttps(_https_port(settings)) if listen.redirect == "https" else Router()
        # Who asks: predicates of routes and every policy behind them need it.
        responder = ClientAddress(responder, trusted)
        # The id goes to the upstream and stands in the record.
        responder = RequestId(responder, trusted)
        # Whatever happens from here on is counted and recorded.
        responder = AccessRecord(responder, telemetry.ended, telemetry.begun)
        # Outermost: an error anywhere below becomes an answer.
        responder = Rescue(responder, telemetry.rejected)
        tls: ServerTls | None = None
        if listen.tls is not None:
            store = CertificateStore.load(listen.tls, problems.under("tls"), base_dir)
            tls = ServerTls(store) if store is not None else None
        caps = listen.caps
        limits = Http1Limits(
            head=caps.head, target=caps.target, fields=caps.fields, escaped_slashes=listen.escaped_slashes
        )
        return Terms(caps, limits, responder, tls, trusted)

    # The route stage, folded per route.

    def _routes(
        self, settings: GatewaySettings, clusters: dict[str, Cluster], base_dir: Path, problems: Problems
    ) -> tuple[list[Route], list[Entry]]:
        routes: list[Route] = []
        entries: list[Entry] = []
        names: dict[str, int] = {}
        for index, own in enumerate(settings.routes):
            here = problems.under("routes", index)
            route = merged(own, settings.defaults)
            match = compile_match(route.match, here.under("match"))
            when = compile_when(route.when, here.under("when")) if route.when is not None else None
            captures = match.parameters if match is not None else frozenset()
            target = self._target(route, clusters, base_dir, here, captures)
            steps = self._own_steps(route.middleware, base_dir, here.under("middleware"))
            if match is None or target is None:
                continue
            name = route.name or str(match)
            names[name] = names.get(name, 0) + 1
            if names[name] > 1:
                # Routes that differ in `when:` alone have the same match.
                name = f"{name} #{names[name]}"
            canonical = self._canonical_steps(route, base_dir, here)
            # Outside everything a route may reorder: what is in flight is the gateway's own account.
            responder = self._with.telemetry.in_flight(name)(fold(canonical, steps, target))
            compiled = Route(name, responder, str(match), ("routes", index))
            routes.append(compiled)
            entries.append(Entry(match, when, route.priority, compiled, ("routes", index)))
        return routes, entries

    def _canonical_steps(self, route: RouteSettings, base_dir: Path, problems: Problems) -> list[Step]:
        def step(part: MiddlewarePart, settings: Any) -> Step:
            return Step(part.name, part.build(settings, self._around(base_dir, problems)))

        steps: list[Step] = []
        # On every answer, so outermost.
        if route.security_headers:
            steps.append(step(SECURITY_HEADERS, route.security_headers))
        # Before anything reads the body.
        steps.append(step(REQUEST_CAPS, RequestCapsSettings(body_limit=route.body_limit)))
        # Covers everything below that may wait.
        if isinstance(route.timeout.total, float):
            steps.append(step(TOTAL_TIMEOUT, TotalTimeoutSettings(total=route.timeout.total)))
        # Transforms: what the target sees. Header rules first, so that a rewrite's own fields win.
        if "headers" in route.model_fields_set:
            steps.append(step(HEADER_RULES, route.headers))
        if route.rewrite is not None:
            rewrite = Rewrite.compile(route.rewrite, problems.under("rewrite"))
            if rewrite is not None:
                steps.append(Step("rewrite", rewrite))
        # The route's own middleware, then the target.
        return steps

    def _around(self, base_dir: Path, problems: Problems) -> Surroundings:
        return Surroundings(self._with.reactor, self._with.wheel, base_dir, problems)

    def _own_steps(self, uses: Sequence[MiddlewareUse], base_dir: Path, problems: Problems) -> list[Step]:
        steps = []
        for index, use in enumerate(uses):
            step = own_step(use, self._with.parts, self._around(base_dir, problems.under(index, "with")), problems.under(index))
            if step is not None:
                steps.append(step)
        return steps

    def _target(
        self,
        route: RouteSettings,
        clusters: dict[str, Cluster],
        base_dir: Path,
        problems: Problems,
        captures: frozenset[str],
    ) -> Responder | None:
        if route.to is not None:
            cluster = clusters.get(route.to)
            return self._proxy(route, cluster) if cluster is not None else None
        if route.respond is not None:
            return Respond.compile(route.respond, problems.under("respond"))
        if route.redirect is not None:
            return Redirect.compile(route.redirect, problems.under("redirect"), captures)
        if route.files is not None:
            return Files.compile(route.files, problems.under("files"), base_dir, self._with.reactor)
        assert route.resource is not None
        return ResourceTarget.compile(route.resource, problems.under("resource"), self._with.reactor, route.body_limit)

    def _proxy(self, route: RouteSettings, cluster: Cluster) -> Proxy:
        times = cluster.settings.timeouts
        head = times.head if route.timeout.head is None else route.timeout.head
        idle = times.idle if route.timeout.idle is None else route.timeout.idle
        metrics = self._with.telemetry.upstream(cluster.name)
        return Proxy(cluster, head, idle, self._with.reactor.seconds, metrics)


def validate_part(part: MiddlewarePart, given: dict[str, Any], problems: Problems) -> Settings | None:
    """The settings of a middleware; None after reporting what is wrong with them."""
    try:
        return part.settings.model_validate(given)
    except ValidationError as error:
        known = ", ".join(part.settings.model_fields)
        for each in error.errors(include_url=False):
            key = ".".join(str(piece) for piece in each["loc"])
            if each["type"] == "extra_forbidden":
                problems.add(each["loc"], f'unknown key "{key}" of middleware "{part.name}"', f"known here: {known}", at="key")
            elif each["type"] == "missing":
                problems.add((), f'middleware "{part.name}" needs the key "{key}"')
            else:
                problems.add(each["loc"], f'"{key}" of middleware "{part.name}" {predicate(each)}')
        return None


def own_step(use: MiddlewareUse, parts: Parts, around: Surroundings, problems: Problems) -> Step | None:
    """One entry of a `middleware:` list; None after reporting why it can't be."""
    try:
        part = parts.middleware(use.use)
    except LookupError:
        problems.add(("use",), f'middleware "{use.use}" is not known; known: {", ".join(parts.names)}')
        return None
    except Exception as error:
        problems.add(("use",), f'middleware "{use.use}" cannot be imported: {type(error).__name__}: {error}')
        return None
    settings = validate_part(part, use.with_, around.problems)
    if settings is None:
        return None
    when = compile_when(use.when, problems.under("when")) if use.when is not None else None
    try:
        return Step(part.name, part.build(settings, around), when)
    except Exception as error:
        problems.add(("use",), f'middleware "{use.use}" cannot be built: {type(error).__name__}: {error}')
        return None


def numbered(snapshot: Snapshot, number: int) -> Snapshot:
    """The snapshot with its place in the history."""
    return replace(snapshot, number=number)


def _https_port(settings: GatewaySettings) -> int:
    return next((listen.port for listen in settings.listen if listen.tls and listen.port), 443)


def _watched(settings: GatewaySettings, base_dir: Path) -> list[Path]:
    """Files beside the configuration whose change is a reload."""
    files: list[Path] = []
    for listen in settings.listen:
        if listen.tls is not None:
            files.extend(listen.tls.paths(base_dir))
    for upstream in settings.upstreams.values():
        files.extend(merged(upstream, settings.defaults.upstream).tls.paths(base_dir))
    return files

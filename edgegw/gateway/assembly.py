"""Settings to a snapshot. The order of the pipeline is written here, once, and reads from top to bottom as an exchange goes in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from edgegw.config.mask import Mask
from edgegw.config.problems import Loc, Problem, Problems
from edgegw.config.source import Document, at
from edgegw.discovery.policy import Own
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.predicates import compile_when
from edgegw.gateway.builtins import BALANCERS, Parts
from edgegw.gateway.feeding import Feeding, Update, nobody
from edgegw.gateway.parts import own_step
from edgegw.gateway.settings import GatewaySettings, RouteSettings, merged
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.targets import Said, Targets
from edgegw.gateway.telemetry import Telemetry
from edgegw.gateway.upstreams import Upstreams, files_digest
from edgegw.middleware.access_record import AccessRecord
from edgegw.middleware.client_address import ClientAddress
from edgegw.middleware.grpc import GRPC_CALLS
from edgegw.middleware.grpc_web import GRPC_WEB, cors_of
from edgegw.middleware.header_rules import HEADER_RULES
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.middleware.pipeline import MiddlewareUse, Step, fold
from edgegw.middleware.request_caps import REQUEST_CAPS, RequestCapsSettings
from edgegw.middleware.request_id import RequestId
from edgegw.middleware.rescue import Rescue
from edgegw.middleware.security_headers import SECURITY_HEADERS
from edgegw.middleware.shedding import SHEDDING, SheddingSettings
from edgegw.middleware.timeouts import TOTAL_TIMEOUT, TotalTimeoutSettings
from edgegw.middleware.transcode.transcode import TRANSCODE
from edgegw.middleware.websocket_origin import websocket_origin
from edgegw.net.addresses import CidrSet
from edgegw.net.listener import Terms
from edgegw.net.resolver import Resolver, ThreadedLookup
from edgegw.net.settings import ListenSettings
from edgegw.net.tls import CertificateStore, ServerTls
from edgegw.observe.events import Events
from edgegw.routing.entries import Entry
from edgegw.routing.match import compile_match
from edgegw.routing.rewrite import Rewrite
from edgegw.routing.router import Route, Router
from edgegw.routing.tree import Tree
from edgegw.runtime.overload import CALM, Overload
from edgegw.runtime.wheel import Wheel
from edgegw.targets.to_https import ToHttps
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.environment import Environment
from edgegw.wire.http1_limits import METHODS, Http1Limits
from edgegw.wire.http2_limits import Http2Limits
from edgegw.wire.origins import Origins

_ALPN = {"http1": b"http/1.1", "http2": b"h2"}


@dataclass(frozen=True, eq=False)
class Resources:
    """What one process shares among all its snapshots.

    reactor: sockets, threads, time. wheel: deadlines. resolver: names, by `lookup`. telemetry: metrics and records.
    parts: middleware by name. events: what happens to upstreams. overload: of the process, if somebody watches it.
    secret: signs cookies.
    """

    reactor: Any
    wheel: Wheel
    resolver: Resolver
    telemetry: Telemetry
    parts: Parts
    lookup: ThreadedLookup | None = None
    events: Events = field(default_factory=Events)
    overload: Overload | None = None
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    @classmethod
    def offline(cls) -> Resources:
        """For building a snapshot that will not serve: `edgegw check`, tests."""
        clock = Clock()

        def no_lookup(name: str) -> Any:
            raise OSError(f"{name} is not looked up offline")

        return cls(clock, Wheel(clock), Resolver(clock, no_lookup), Telemetry(), Parts())

    @cached_property
    def environment(self) -> Environment:
        """What upstreams work with."""
        return Environment(self.reactor, self.wheel, self.resolver, self.events, secret=self.secret)

    def stop(self) -> None:
        """The process ends."""
        self.resolver.stop()
        if self.lookup is not None:
            self.lookup.stop()


class Assembly:
    """Builds snapshots.

    Args:
        update: where discovery leads. own: the listeners of this gateway, which it may not lead to.
    """

    def __init__(self, resources: Resources, update: Update = nobody, own: Own = lambda: ()) -> None:
        registry = resources.telemetry.registry
        self._with = resources
        self._feeding = Feeding(resources.environment, registry, update, own)
        self._upstreams = Upstreams(resources.environment, BALANCERS, registry)

    def build(
        self,
        document: Document,
        settings: GatewaySettings,
        base_dir: Path,
        problems: Problems,
        old: Snapshot | None = None,
    ) -> Snapshot:
        """Everything that a configuration needs to serve, except bound sockets.

        Whatever can't be built is reported in `problems`; the snapshot is usable only if there are no errors.
        """
        found = Problems()
        feeds = self._feeding.build(settings, base_dir, found, (old.settings, old.feeds) if old is not None else None)
        clusters = self._upstreams.build(settings, feeds, base_dir, found, old.clusters if old is not None else None)
        routes, entries = self._routes(settings, clusters, base_dir, found)
        # One that is not whole may be meant for other requests than it seems.
        entries = [each for each in entries if not document.lacks(each.loc)]
        tree = Tree.build(entries, found, lambda loc: str(document.position(loc)))
        terms: dict[str, Terms] = {}
        marks: dict[str, object] = {}
        for index, listen in enumerate(settings.listen):
            mark = marks[listen.name] = tls_mark(listen, base_dir)
            same = old is not None and listen.name in old.terms and old.tls_marks.get(listen.name) == mark
            known = old.terms[listen.name].tls if old is not None and same else None
            terms[listen.name] = self._terms(listen, settings, base_dir, found.under("listen", index), known)
        watched = watched_files(settings, base_dir)
        problems.extend(placed_and_masked(found, document))
        return Snapshot(
            document, settings, tree, tuple(routes), clusters, feeds, terms, watched, datetime.now(UTC),
            tls_marks=marks, files_digest=files_digest(watched),
        )  # fmt: skip

    # The edge stage, once per listener; no route can take it away.

    def _terms(
        self,
        listen: ListenSettings,
        settings: GatewaySettings,
        base_dir: Path,
        problems: Problems,
        known: ServerTls | None,
    ) -> Terms:
        trusted = CidrSet(str(network) for network in listen.trusted_proxies)
        telemetry = self._with.telemetry
        responder: Responder = ToHttps(_https_port(settings)) if listen.redirect == "https" else Router()
        # Who asks: predicates of routes and every policy behind them need it.
        responder = ClientAddress(responder, trusted)
        # The id goes to the upstream and stands in the record.
        responder = RequestId(responder, trusted)
        # Whatever happens from here on is counted and recorded.
        responder = AccessRecord(responder, telemetry.ended)
        # Outermost: an error anywhere below becomes an answer.
        responder = Rescue(responder, telemetry.rejected)
        # The same certificates keep their contexts, and with them the sessions that clients may resume.
        tls = known
        if listen.tls is not None and tls is None:
            alpn = [_ALPN[protocol] for protocol in ("http2", "http1") if protocol in listen.protocols]
            store = CertificateStore.load(listen.tls, problems.under("tls"), base_dir, alpn=alpn)
            tls = ServerTls(store) if store is not None else None
        caps = listen.caps
        limits = Http1Limits(
            head=caps.head,
            target=caps.target,
            fields=caps.fields,
            field=max(caps.target, caps.head // 2),
            methods=METHODS.union(listen.methods),
            escaped_slashes=listen.escaped_slashes,
            trailers_allowed=frozenset(name.lower().encode("ascii") for name in listen.trailers),
        )
        http2 = Http2Limits(
            streams=caps.streams,
            list=caps.head,
            fields=caps.fields,
            noise=caps.glitches,
            requests=10 * caps.requests,
        )
        proxied = CidrSet(map(str, listen.proxy_protocol.trusted)) if listen.proxy_protocol is not None else None
        concessions = self._with.overload or CALM
        return Terms(caps, limits, responder, tls, trusted, listen.protocols, http2, proxied, concessions)

    # The route stage, folded per route.

    def _routes(
        self, settings: GatewaySettings, clusters: dict[str, Cluster], base_dir: Path, problems: Problems
    ) -> tuple[list[Route], list[Entry]]:
        routes: list[Route] = []
        entries: list[Entry] = []
        targets = Targets(self._with.environment, self._with.telemetry, clusters, base_dir)
        names = {route.name for route in settings.routes if route.name is not None}
        for index, own in enumerate(settings.routes):
            here = problems.under("routes", index)
            route = merged(own, settings.defaults)
            match = compile_match(route.match, here.under("match"))
            when = compile_when(route.when, here.under("when")) if route.when is not None else None
            captures = match.parameters if match is not None else frozenset()
            name = route.name or _free_name(str(match), names)
            target = targets.build(Said(name, own, route), here, captures)
            canonical = self._canonical_steps(route, base_dir, here)
            steps = self._own_steps(route.middleware, base_dir, here.under("middleware"))
            if match is None or target is None:
                continue
            # Outside everything a route may reorder: what is in flight is the gateway's own account.
            responder = self._with.telemetry.in_flight(name)(fold(canonical, steps, target))
            cors = cors_of(route.grpc.web) if route.to is not None else None
            preflight = cors.preflight if cors is not None else None
            compiled = Route(name, responder, str(match), ("routes", index), preflight=preflight)
            routes.append(compiled)
            entries.append(Entry(match, when, route.priority, compiled, ("routes", index)))
        return routes, entries

    def _canonical_steps(self, route: RouteSettings, base_dir: Path, problems: Problems) -> list[Step]:
        def step(part: MiddlewarePart, settings: Any) -> Step:
            return Step(part.name, part.build(settings, self._around(base_dir, problems)))

        steps: list[Step] = []
        # Outermost, before it costs anything: a process that cannot serve all serves what matters most.
        steps.append(step(SHEDDING, SheddingSettings(importance=route.importance)))
        # On every answer.
        if route.security_headers:
            steps.append(step(SECURITY_HEADERS, route.security_headers))
        # From here on there is one gRPC; whatever answers below is translated.
        if route.to is not None:
            steps.append(step(GRPC_WEB, route.grpc.web))
        # Cheaper than whatever comes, and before a transform may give the upstream another Origin.
        if route.to is not None and route.websocket.origins:
            steps.append(Step("websocket", websocket_origin(Origins(route.websocket.origins))))
        # Before anything reads the body.
        steps.append(step(REQUEST_CAPS, RequestCapsSettings(body_limit=route.body_limit)))
        # Covers everything below that may wait.
        if isinstance(route.timeout.total, float):
            steps.append(step(TOTAL_TIMEOUT, TotalTimeoutSettings.model_construct(total=route.timeout.total)))
        # The caller's deadline, if it is earlier still; and the messages, before anything else reads the body.
        if route.to is not None:
            steps.append(step(GRPC_CALLS, route.grpc))
        # Transforms: what the target sees. Header rules first, so that a rewrite's own fields win.
        if "headers" in route.model_fields_set:
            steps.append(step(HEADER_RULES, route.headers))
        if route.rewrite is not None:
            rewrite = Rewrite.compile(route.rewrite, problems.under("rewrite"))
            if rewrite is not None:
                steps.append(Step("rewrite", rewrite))
        # Of what all others have seen and changed as HTTP, the call is made.
        if route.to is not None and route.grpc.transcode is not None:
            around = self._around(base_dir, problems.under("grpc", "transcode"))
            transcode = TRANSCODE.build(route.grpc.transcode.within(route.grpc.max_message), around)
            steps.append(Step(TRANSCODE.name, transcode))
        # The route's own middleware, then the target.
        return steps

    def _around(self, base_dir: Path, problems: Problems) -> Surroundings:
        return Surroundings(self._with.reactor, self._with.wheel, base_dir, problems, self._with.overload)

    def _own_steps(self, uses: Sequence[MiddlewareUse], base_dir: Path, problems: Problems) -> list[Step]:
        steps = []
        for index, use in enumerate(uses):
            around = self._around(base_dir, problems.under(index, "with"))
            step = own_step(use, self._with.parts, around, problems.under(index))
            if step is not None:
                steps.append(step)
        return steps


def _free_name(match: str, taken: set[str]) -> str:
    """Routes that differ in `when:` alone have the same match: the second is `... #2`."""
    name, count = match, 1
    while name in taken:
        count += 1
        name = f"{match} #{count}"
    taken.add(name)
    return name


def numbered(snapshot: Snapshot, number: int) -> Snapshot:
    """The snapshot with its place in the history."""
    return replace(snapshot, number=number)


def _https_port(settings: GatewaySettings) -> int:
    return next((listen.port for listen in settings.listen if listen.tls and listen.port), 443)


def tls_mark(listen: ListenSettings, base_dir: Path) -> object:
    """What is equal as long as a listener's TLS is the same: what is said of it, and what is in its files."""
    tls = listen.tls
    return None if tls is None else (tls, sorted(listen.protocols), files_digest(tls.paths(base_dir)))


def watched_files(settings: GatewaySettings, base_dir: Path) -> tuple[Path, ...]:
    """Files beside the configuration whose change is a reload."""
    files: list[Path] = []
    for listen in settings.listen:
        if listen.tls is not None:
            files.extend(listen.tls.paths(base_dir))
    for upstream in settings.upstreams.values():
        files.extend(merged(upstream, settings.defaults.upstream).tls.paths(base_dir))
    for route in settings.routes:
        transcode = merged(route, settings.defaults).grpc.transcode
        if transcode is not None:
            files.extend(transcode.paths(base_dir))
    return tuple(dict.fromkeys(files))


def placed_and_masked(problems: Problems, document: Document) -> Iterable[Problem]:
    """Problems where a person finds them, and without the values of secrets.

    What a route or an upstream has from `defaults` is wrong there, and once, however many have it.
    """
    mask = Mask(document)
    found: dict[Problem, None] = {}
    for problem in problems:
        loc = _written(problem.loc, document)
        hint = None if mask.hides(loc) else problem.hint
        found[replace(problem, loc=loc, message=mask.text(loc, problem.message), hint=hint)] = None
    return found


def _written(loc: Loc, document: Document) -> Loc:
    """The place itself, or that of the default that it was filled from."""
    if len(loc) < 3 or loc[0] not in ("routes", "upstreams"):
        return loc
    top: Loc = ("defaults",) if loc[0] == "routes" else ("defaults", "upstream")
    data, default = document.data, (*top, *loc[2:])
    if at(data, loc[:3]) is None and at(data, (*top, loc[2])) is not None:
        return default
    return default if at(data, loc) is None and at(data, default) is not None else loc

"""Logs, metrics and probes of the process: opened, swapped on reload, flushed at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, Logger

import edgegw
from edgegw.config.problems import Problems
from edgegw.exchange.model import Exchange, Outcome
from edgegw.export.access_log import AccessLog, encoder_of, open_access_log
from edgegw.export.logs import application_log
from edgegw.export.prometheus import Exposition, in_threads
from edgegw.export.scrape import ScrapeSite
from edgegw.export.settings import ObserveSettings
from edgegw.gateway.logplace import LogPlace
from edgegw.gateway.places import observe_place, obstacle, placed
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.upkeep import Upkeep
from edgegw.net.accepting import Listening, listen
from edgegw.net.loop import name_of
from edgegw.net.sockets import TcpPlace
from edgegw.observe.metrics import Registry
from edgegw.observe.process import GarbagePauses, LoopLag, ProcessStats, build_info
from edgegw.runtime.supervise import Supervised
from edgegw.upstream.standing import Hold

_log = Logger("edgegw.gateway.observation")

LAG_EVERY_S = 1.0

STATES = ("ready", *(hold.value for hold in Hold if hold is not Hold.REMOVED))
BREAKER = {"admitting": 0, "probing": 1, "refusing": 2}
"""What the metrics say of endpoints and breakers."""


class Watched(Protocol):
    """What probes and scrapes ask about the gateway."""

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Why no traffic should be sent here."""

    @property
    def snapshot(self) -> Snapshot:
        """What serves."""

    @property
    def upkeep(self) -> Upkeep:
        """Discovery, among others."""


class Observation:
    """Everything by which the gateway is watched.

    Args:
        reactor: for sockets and time. registry: of metrics. settings: of the first configuration. base_dir: of relative paths.
        log: where the application log goes. wall: Unix time.
    """

    def __init__(
        self,
        reactor: Any,
        registry: Registry,
        settings: ObserveSettings,
        base_dir: Path,
        log: LogPlace | None = None,
        wall: Callable[[], float] = time.time,  # noqa: TID251 - the default of an injected clock.
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._registry = registry
        self._settings: ObserveSettings | None = None
        self._access_log: AccessLog | None = None
        self._encode = encoder_of(settings.access_log)
        self._leaving: dict[Deferred[None], None] = {}
        self._port: Listening | None = None
        self._next: _Prepared | None = None
        self._exposition = Exposition(registry, reactor.seconds, in_threads(reactor))
        self._watched: Watched | None = None
        self._lag = LoopLag(registry, reactor.seconds, LAG_EVERY_S)
        self._services: list[Service] = [Supervised("loop lag", self._lag.tick, LAG_EVERY_S, reactor)]
        self._pauses = GarbagePauses(registry)
        self._log_place = log or LogPlace()
        self._log = application_log(settings.log, self._log_place.fd)
        registry.refresh.append(ProcessStats(registry).refresh)
        registry.refresh.append(self._look_at_upstreams)
        build_info(registry, edgegw.__version__, name_of(reactor))

    @property
    def log_observer(self) -> ILogObserver:
        """Where the whole process logs to."""
        return self._log

    def record(self, exchange: Exchange, outcome: Outcome, duration_s: float) -> None:
        """One access record, on the path of every exchange."""
        if self._access_log is not None:
            self._access_log.write(self._encode(exchange, outcome, duration_s))

    # Reload.

    def prepare(self, settings: ObserveSettings, base_dir: Path, problems: Problems) -> None:
        """Open what a configuration asks for and is not open yet; `swap` takes it, `discard` closes it."""
        self.discard()
        old = self._settings
        settings = settings.model_copy(update={"access_log": placed(settings.access_log, base_dir)})
        prepared = self._next = _Prepared(settings)
        if old is None or old.access_log != settings.access_log:
            wanted = settings.access_log
            try:
                prepared.access_log = open_access_log(wanted, self._reactor, self._registry.access_log_dropped.only)
                prepared.swaps_log = True
            except OSError as error:
                why = error.strerror or str(error)
                problems.add(("access_log",), f"the access log {wanted.path} cannot be opened: {why.lower()}")
        if _site_of(old) != (wanted_site := _site_of(settings)):
            prepared.swaps_site = True
            if wanted_site is not None:
                self._open_site(prepared, wanted_site, problems.under("listen"))

    def _open_site(self, prepared: _Prepared, place: TcpPlace, problems: Problems) -> None:
        try:
            prepared.port = listen(self._reactor, place, ScrapeSite(self._exposition, self._not_ready, self._reactor))
            prepared.port.pause_accepting()
        except (CannotListenError, OSError) as error:
            found = obstacle(error, place)
            advice = found.advice
            own = _site_of(self._settings)
            if found.passing and own is not None and own.port == place.port:
                advice = "this gateway listens on that port itself; another address for it takes a restart"
            problems.add((), f"cannot listen on {prepared.settings.listen}: {found.reason}", advice)

    def discard(self) -> None:
        """The configuration that was prepared for is not taken."""
        prepared, self._next = self._next, None
        if prepared is not None:
            if prepared.port is not None:
                prepared.port.stop()
            if prepared.access_log is not None:
                prepared.access_log.stop(0)

    def swap(self) -> None:
        """Take what was prepared."""
        prepared, self._next = self._next, None
        assert prepared is not None
        self._settings = prepared.settings
        if prepared.swaps_log:
            before, self._access_log = self._access_log, prepared.access_log
            self._encode = encoder_of(prepared.settings.access_log)
            if self._access_log is not None:
                self._access_log.startService()
            if before is not None:
                self._leave(before)
        if prepared.swaps_site:
            before_port, self._port = self._port, prepared.port
            if before_port is not None:
                before_port.stop()
            if prepared.port is not None:
                prepared.port.resume_accepting()
        self._log.configure(prepared.settings.log)

    def _leave(self, log: AccessLog) -> None:
        """What was recorded before the swap is still written, also if the process ends soon."""
        leaving = log.stopService()
        self._leaving[leaving] = None
        leaving.addCallback(lambda _: self._leaving.pop(leaving))

    def retain(self, snapshot: Snapshot, listeners: Collection[str]) -> None:
        """Forget the metrics of what neither serves nor drains; building a configuration names things that may never do."""
        self._registry.retain_routes({route.name for route in snapshot.routes})
        self._registry.retain_upstreams(set(snapshot.clusters))
        self._registry.retain_listeners(listeners)

    def _not_ready(self) -> tuple[str, ...]:
        return self._watched.not_ready if self._watched is not None else ("starting",)

    def _look_at_upstreams(self) -> None:
        watched = self._watched
        if watched is None:
            return
        registry = self._registry
        for cluster in watched.snapshot.clusters.values():
            metrics = registry.upstream(cluster.name)
            pools = [endpoint.pool for endpoint in cluster.endpoints]
            metrics.idle.set(sum(pool.idle_count for pool in pools))
            metrics.leased.set(sum(pool.leased for pool in pools))
            metrics.queue.set(sum(pool.queued for pool in pools))
            states = Counter(endpoint.standing.state for endpoint in cluster.endpoints)
            for state in STATES:
                registry.upstream_endpoints.child(upstream=cluster.name, state=state).set(states[state])
            registry.upstream_panic.child(upstream=cluster.name).set(cluster.selection().panics)
            if cluster.breaker is not None:
                registry.breaker_state.child(upstream=cluster.name).set(BREAKER[cluster.breaker.state])
        for name, feed in watched.upkeep.feeds.items():
            registry.discovery_age.child(upstream=name).set(feed.age_s())

    def reloaded(self, outcome: Literal["ok", "unchanged", "rejected"]) -> None:
        """A reload ended."""
        self._registry.reloaded(outcome, self._wall())

    def reopen(self) -> None:
        """The log files were rotated away (SIGUSR1)."""
        if self._access_log is not None:
            self._access_log.reopen()
        try:
            self._log_place.reopen()
        except OSError as error:
            _log.error("the log {path} cannot be reopened: {error}", path=self._log_place.path, error=str(error))
        _log.info("the log files are opened anew")

    # The process's life.

    def started(self, watched: Watched) -> None:
        """The gateway serves: probes and scrapes may ask about it."""
        self._watched = watched
        self._pauses.start()
        for service in self._services:
            service.startService()

    def stop(self) -> Deferred[Any]:
        """Flush what is recorded, close everything."""
        self._pauses.stop()
        ending: list[Deferred[Any]] = [Deferred.fromCoroutine(_stopped(service)) for service in self._services]
        if self._port is not None:
            ending.append(self._port.stop())
        if self._access_log is not None:
            self._leave(self._access_log)
        return DeferredList([*ending, *self._leaving], consumeErrors=True)


class _Prepared:
    """What the next configuration needs, open already."""

    def __init__(self, settings: ObserveSettings) -> None:
        self.settings = settings
        self.access_log: AccessLog | None = None
        self.swaps_log = False
        self.port: Listening | None = None
        self.swaps_site = False


def _site_of(settings: ObserveSettings | None) -> TcpPlace | None:
    """Where metrics and probes are asked for, however it is written."""
    return observe_place(settings.listen) if settings is not None and settings.listen is not None else None


async def _stopped(service: Service) -> None:
    stopping = service.stopService()
    if stopping is not None:
        await stopping

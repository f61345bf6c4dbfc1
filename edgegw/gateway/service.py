"""The gateway as a Twisted service: start, reload, drain, stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.application.service import IServiceCollection, MultiService
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

import edgegw
from edgegw.config.diff import Change, diff
from edgegw.config.problems import ConfigError, Problem, Problems
from edgegw.config.report import render
from edgegw.config.source import Document
from edgegw.gateway.assembly import Assembly, Resources, numbered
from edgegw.gateway.control import ControlService
from edgegw.gateway.entrances import Entrances
from edgegw.gateway.history import History
from edgegw.gateway.loading import Loaded, accept, base_dir_of, read
from edgegw.gateway.observation import Observation
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.upstreams import retire
from edgegw.runtime.watch import Watch

_log = Logger("edgegw.gateway.service")

_RESTART = ("state",)
"""Keys that hold from start to end of a process."""


@dataclass(frozen=True)
class Verdict:
    """What became of a reload.

    ok: it serves (or would, for a dry run). number: of the configuration that serves now. problems: errors and warnings. sources:
    the texts they are in. changes: against what served before.
    """

    ok: bool
    number: int
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


class GatewayService(MultiService):
    """Everything that runs, under one parent.

    Args:
        config_path: file or folder of the configuration. loaded: what was read from it at start. resources: of the process.
        observation: logs, metrics and probes. most_connections: of all listeners together.
    """

    name = "edgegw"

    def __init__(
        self, config_path: Path, loaded: Loaded, resources: Resources, observation: Observation, most_connections: int
    ) -> None:
        super().__init__()
        self.config_path = config_path
        self._loaded = loaded
        self._with = resources
        self._assembly = Assembly(resources)
        self.observation = observation
        self.entrances = Entrances(
            resources.reactor, resources.wheel, self, most_connections, resources.telemetry.listener
        )
        self.state_dir = loaded.base_dir / loaded.settings.state
        self.history = History(self.state_dir)
        self.snapshot: Snapshot = None  # type: ignore[assignment]  # set by privilegedStartService, before anything serves
        self._lock = DeferredLock()
        self._watch = Watch(resources.reactor, [config_path], self._files_changed)
        self._started_s = resources.reactor.seconds()
        self.stopping = False

    # Start.

    def setServiceParent(self, parent: Any) -> None:
        """Twisted: joined to the application; the whole process logs through our observer from here on."""
        collection = IServiceCollection(parent, None)
        component = getattr(parent, "setComponent", None)
        if collection is not None and component is not None:
            component(ILogObserver, self.observation.log_observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Twisted: build and bind before privileges go. A configuration that can't serve ends the process, told in full."""
        problems = Problems()
        loaded = self._loaded
        try:
            self._take(*self._prepare(loaded, problems))
            ControlService(self, self.state_dir / "control.sock", self._with.reactor).setServiceParent(self)
        except ConfigError as error:
            sys.stderr.write(render(error.problems, error.sources) + "\nedgegw did not start.\n")
            raise SystemExit(1) from None
        except OSError as error:
            sys.stderr.write(f"edgegw: {error}\nedgegw did not start.\n")
            raise SystemExit(1) from None
        self._accepted("start")
        super().privilegedStartService()

    def startService(self) -> None:
        """Twisted: begin to serve."""
        super().startService()
        reactor = self._with.reactor
        self._with.wheel.start()
        self._watch.repaths(self._watched())
        self._watch.start()
        reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        """The reactor runs: only now may signal handlers of ours replace Twisted's."""
        for number, action in ((signal.SIGTERM, self._told_to_stop), (signal.SIGINT, self._told_to_stop)):
            self._on_signal(number, action)
        self._on_signal(signal.SIGHUP, lambda: self._reload_in_background("signal"))
        self._on_signal(signal.SIGUSR1, self.observation.reopen)
        self.observation.started(self)
        _log.info(
            "edgegw {version} serves {config}: {snapshot!r} on {listeners}",
            version=edgegw.__version__,
            config=str(self.config_path),
            snapshot=self.snapshot,
            listeners=", ".join(self.entrances.listeners),
        )

    def _on_signal(self, number: int, action: Any) -> None:
        reactor = self._with.reactor
        try:
            signal.signal(number, lambda *_: reactor.callFromThread(action))
        except ValueError:
            # Not the main thread: somebody embeds us and keeps the signals.
            pass

    # Reload.

    async def reload(self, source: str, *, document: Document | None = None, dry_run: bool = False) -> Verdict:
        """Read, validate, build, compare, swap. Whatever goes wrong, what served before goes on serving.

        Args:
            source: who asked, for history and log: file, signal, control, rollback N. document: instead of the configured path.
        """
        await self._lock.acquire()
        try:
            return await self._reload(source, document, dry_run)
        finally:
            self._lock.release()

    async def _reload(self, source: str, document: Document | None, dry_run: bool) -> Verdict:
        problems = Problems()
        now = self.snapshot
        try:
            loaded = await self._read(document)
            if dry_run:
                changes = self._try(loaded, problems)
                return Verdict(True, now.number, tuple(problems.located(loaded.document)), loaded.document.files, changes)
            changes = tuple(diff(now.settings, loaded.settings, now.document, loaded.document))
            self._take(*self._prepare(loaded, problems))
        except ConfigError as error:
            self.observation.reloaded("rejected")
            text = render(error.problems, error.sources)
            _log.error(
                "reload ({source}) refused; the running configuration was not changed\n{problems}", source=source, problems=text
            )
            return Verdict(False, now.number, error.problems, error.sources)
        except Exception as error:
            self.observation.reloaded("rejected")
            _log.failure("reload ({source}) failed; the running configuration was not changed", source=source)
            wrong = Problem((), f"the gateway could not build this configuration: {type(error).__name__}: {error}")
            return Verdict(False, now.number, (wrong,))
        self._accepted(source)
        _log.info("reload ({source}) done: {snapshot!r}, {count} changes", source=source, snapshot=self.snapshot, count=len(changes))
        return Verdict(
            True, self.snapshot.number, tuple(problems.located(loaded.document)), loaded.document.files, changes
        )

    async def _read(self, document: Document | None) -> Loaded:
        # Reading thousands of routes takes a good part of a second; the loop has better things to do.
        if document is None:
            return await deferToThread(read, self.config_path)
        return await deferToThread(accept, document, base_dir_of(self.config_path))

    def _try(self, loaded: Loaded, problems: Problems) -> tuple[Change, ...]:
        now = self.snapshot
        snapshot, opened = self._prepare(loaded, problems)
        self.entrances.discard(opened)
        retire(snapshot.clusters, now.clusters)
        return tuple(diff(now.settings, loaded.settings, now.document, loaded.document))

    def _prepare(self, loaded: Loaded, problems: Problems) -> tuple[Snapshot, list[Any]]:
        """Build everything first, sockets last.

        Raises:
            ConfigError: with everything that can't be built or bound.
        """
        document, settings, old = loaded.document, loaded.settings, self.snapshot
        problems.extend(loaded.warnings)
        if old is not None:
            for key in _RESTART:
                if getattr(settings, key) != getattr(old.settings, key):
                    problems.warn((key,), f'"{key}" changed; that takes a restart, until then the old value holds')
        snapshot = self._assembly.build(document, settings, loaded.base_dir, problems, old)
        problems.raise_if_errors(document)
        opened = self.entrances.open_new(settings, snapshot.terms, problems, loaded.base_dir)
        if not problems:
            self.observation.prepare(settings.observe, loaded.base_dir, problems.under("observe"))
        if problems:
            self.entrances.discard(opened)
        problems.raise_if_errors(document)
        return snapshot, opened

    def _take(self, snapshot: Snapshot, opened: list[Any]) -> None:
        """Swap: from here on nothing can fail."""
        old = self.snapshot
        self.snapshot = snapshot
        self.entrances.swap(opened, snapshot.terms)
        self.observation.swap(snapshot)
        if old is not None:
            retire(old.clusters, snapshot.clusters)

    def _accepted(self, source: str) -> None:
        number = self.history.add(self.snapshot.document, source)
        self.snapshot = numbered(self.snapshot, number)
        self.observation.reloaded("ok")
        if self.running:
            self._watch.repaths(self._watched())

    def _watched(self) -> list[Path]:
        return [self.config_path, *self.snapshot.document.watched_paths, *self.snapshot.watched]

    def _files_changed(self, changed: list[str]) -> None:
        _log.info("{changed} changed", changed=", ".join(changed))
        self._reload_in_background("file")

    def _reload_in_background(self, source: str) -> None:
        if not self.stopping:
            Deferred.fromCoroutine(self.reload(source)).addErrback(
                lambda failure: _log.failure("reload ({source}) failed", failure=failure, source=source)
            )

    # Stop.

    def _told_to_stop(self) -> None:
        """First signal: drain. Second: now."""
        if self.stopping:
            _log.warn("told to stop again: ending at once")
            self._finish()
            return
        Deferred.fromCoroutine(self.drain_and_stop()).addErrback(self._drain_failed)

    def _drain_failed(self, failure: Failure) -> None:
        _log.failure("draining failed; ending at once", failure=failure)
        self._finish()

    async def drain_and_stop(self) -> None:
        """Not ready; then accept nothing more; then finish what is in flight, within the grace; then end the process."""
        if self.stopping:
            return
        self.stopping = True
        times = self.snapshot.settings.shutdown
        _log.info("draining: lame duck {lame} s, grace {grace} s", lame=times.lame_duck, grace=times.grace)
        await self._sleep(times.lame_duck)
        await self.entrances.stop_accepting()
        drained = self.entrances.drain()
        timer = self._with.reactor.callLater(times.grace, self.entrances.abort)
        await drained
        if timer.active():
            timer.cancel()
        self._finish()

    def _sleep(self, seconds: float) -> Deferred[None]:
        slept: Deferred[None] = Deferred()
        self._with.reactor.callLater(seconds, slept.callback, None)
        return slept

    def _finish(self) -> None:
        self.stopping = True
        if self._with.reactor.running:
            self._with.reactor.stop()

    def stopService(self) -> Deferred[Any]:
        """Twisted: the reactor stops; whatever is still open ends now."""
        self.stopping = True
        self._watch.stop()
        self.entrances.stop_accepting()
        self.entrances.abort()
        for cluster in self.snapshot.clusters.values():
            for endpoint in cluster.endpoints:
                endpoint.pool.close()
        self._with.wheel.stop()
        done = maybeDeferred(super().stopService)
        done.addBoth(lambda _: self.observation.stop())
        done.addBoth(lambda _: self._with.stop())
        return done

    # What operators see.

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Why no traffic should be sent here; empty when it should."""
        if self.stopping:
            return ("draining",)
        return () if self.running else ("starting",)

    def status(self) -> dict[str, Any]:
        """One look at the process."""
        return {
            "version": edgegw.__version__,
            "uptime_s": round(self._with.reactor.seconds() - self._started_s, 1),
            "config": str(self.config_path),
            "number": self.snapshot.number,
            "digest": self.snapshot.document.digest,
            "since": self.snapshot.since.isoformat(),
            "ready": not self.not_ready,
            "not_ready": list(self.not_ready),
            "connections": self.entrances.connections,
            "listeners": [
                {"name": listener.name, "scheme": listener.scheme, "connections": len(listener.connections)}
                for listener in self.entrances.listeners.values()
            ],
            "routes": len(self.snapshot.routes),
            "upstreams": len(self.snapshot.clusters),
        }

    def __repr__(self) -> str:
        return f"<GatewayService {self.config_path} {self.snapshot!r}{' draining' if self.stopping else ''}>"

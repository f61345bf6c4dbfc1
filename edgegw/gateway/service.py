"""The gateway as a Twisted service: start, reload, drain, stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from twisted.application.service import IServiceCollection, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

import edgegw
from edgegw.config.diff import diff
from edgegw.config.problems import ConfigError, Problem, Problems
from edgegw.config.source import Document, restore
from edgegw.gateway.assembly import Assembly, Resources, numbered, watched_files
from edgegw.gateway.control import ControlService
from edgegw.gateway.entrances import Entrances
from edgegw.gateway.eventlog import EventLog
from edgegw.gateway.history import History
from edgegw.gateway.loading import Loaded, accept, read
from edgegw.gateway.messages import SOCKET
from edgegw.gateway.observation import Observation
from edgegw.gateway.parts import FOREIGN
from edgegw.gateway.places import obstacle
from edgegw.gateway.reloading import Reader, Turns, Verdict, tell
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.stage import Ready, Stage
from edgegw.gateway.upkeep import Upkeep
from edgegw.runtime.watch import Watch

__all__ = ["GatewayService", "Verdict"]

_log = Logger("edgegw.gateway.service")

_LAST_S = 2.0
"""How long connections that were cut may take to be gone."""


class GatewayService(MultiService):
    """Everything that runs, under one parent.

    Args:
        config_path: file or folder of the configuration. loaded: what was read from it at start. resources: of the process.
        observation: logs, metrics and probes. most_connections: of all listeners together.
        logs_all: the whole process logs through our observer; otherwise where twistd was told to.
    """

    name = "edgegw"

    def __init__(
        self,
        config_path: Path,
        loaded: Loaded,
        resources: Resources,
        observation: Observation,
        most_connections: int,
        logs_all: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.config_path = config_path
        self._loaded: Loaded | None = loaded
        self._base_dir = loaded.base_dir
        self._with = resources
        self._logs_all = logs_all
        self.observation = observation
        telemetry, reactor = resources.telemetry, resources.reactor
        self.entrances = Entrances(reactor, resources.wheel, self, most_connections, telemetry.listener, self._left)
        if resources.overload is not None:
            self.entrances.heed(resources.overload)
        self.state_dir = loaded.base_dir / loaded.settings.state
        self.history: History
        self.snapshot: Snapshot
        self._ready: Ready | None = None
        self._odd: tuple[Problem, ...] = ()
        self.event_log = EventLog(resources.events, telemetry.registry, reactor)
        self.upkeep = Upkeep(resources.overload, reactor)
        self.upkeep.setServiceParent(self)  # type: ignore[no-untyped-call]
        assembly = Assembly(resources, self.upkeep.update, self.entrances.places)
        self._stage = Stage(assembly, self.entrances, observation, self.upkeep)
        self._turns = Turns(self._reload)
        self._reader = Reader(reactor)
        self._rolled_back = False
        self._watch = Watch(reactor, [config_path], self._files_changed)
        self._started_s = reactor.seconds()
        self.stopping = False
        self._finished = False
        self._step: IDelayedCall | None = None

    # Start.

    def setServiceParent(self, parent: Any) -> None:
        """Twisted: joined to the application; the whole process logs through our observer from here on."""
        component = getattr(parent, "setComponent", None)
        if self._logs_all and IServiceCollection(parent, None) is not None and component is not None:
            component(ILogObserver, self.observation.log_observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def prepare(self) -> tuple[Problem, ...]:
        """Build and open everything, before the process becomes a daemon: only now can somebody be told that it can't be.

        Returns: what is odd about the configuration but does not stop it.

        Raises:
            ConfigError: the configuration can't serve here, with every reason and its place.
        """
        loaded = self._loaded
        assert loaded is not None
        problems = Problems()
        control = self._open_control(problems.under("state"))
        try:
            if control is None:
                # Whatever else is wrong should be told too; what another gateway listens on says nothing new.
                self._stage.build(loaded, problems, None)
                problems.raise_if_errors(loaded.document)
            self._ready = self._stage.prepare(loaded, problems, None)
        except BaseException:
            if control is not None:
                control.stopService()
            raise
        assert control is not None
        control.setServiceParent(self)  # type: ignore[no-untyped-call]
        self._loaded = None
        self._odd = problems.located(loaded.document)
        return self._odd

    def _open_control(self, problems: Problems) -> ControlService | None:
        path = self.state_dir / SOCKET
        try:
            control = ControlService(self, path, self._with.reactor)
            control.privilegedStartService()
        except OSError as error:
            problems.add((), str(error))
        except CannotListenError as error:
            problems.add((), f"cannot open the control socket {path}: {obstacle(error).reason}")
        else:
            return control
        return None

    def privilegedStartService(self) -> None:
        """Twisted: take what was prepared. Raises ConfigError as `prepare` does, if nobody has called it."""
        if self._ready is None:
            self.prepare()
        ready, self._ready = self._ready, None
        assert ready is not None
        # Made here, because becoming a daemon changed the process's number.
        self.history = History(self.state_dir)
        self.snapshot = ready.snapshot
        self._stage.take(ready, None)
        self._accepted("start", "ok")
        tell(self._odd, self.snapshot.document.files)
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Twisted: begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        reactor = self._with.reactor
        self._with.wheel.start()
        self._watch.repaths(self._watched())
        self._watch.start()
        # SIGHUP would end the process. What comes before the reactor runs waits for it.
        self._on_signal(signal.SIGHUP, lambda: self._reload_in_background("signal"))
        self._on_signal(signal.SIGUSR1, self.observation.reopen)
        reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        """The reactor runs: only now may signal handlers of ours replace Twisted's."""
        if self._finished:
            return
        self._on_signal(signal.SIGTERM, self._told_to_stop)
        self._on_signal(signal.SIGINT, self._told_to_stop)
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
        return await self._turns.take(source, document, dry_run)

    async def _reload(self, source: str, document: Document | None, dry_run: bool) -> Verdict:
        depends: list[Path] = []
        try:
            loaded = await self._reader(lambda: self._read(document, depends))
            if self.stopping:
                # Listeners that are opened now would never be closed.
                wrong = Problem((), "the gateway is stopping and takes no other configuration")
                return Verdict(False, self.snapshot.number, (wrong,))
            depends.extend(watched_files(loaded.settings, loaded.base_dir))
            verdict = self._try(loaded) if dry_run else self._serve(loaded, source)
        except ConfigError as error:
            verdict = Verdict(False, self.snapshot.number, error.problems, error.sources)
        except FOREIGN as error:
            _log.failure("reload ({source}) failed", source=source)
            wrong = Problem((), f"the gateway could not build this configuration: {type(error).__name__}: {error}")
            verdict = Verdict(False, self.snapshot.number, (wrong,))
        self._stage.settle(self.snapshot)
        if not dry_run:
            self._conclude(verdict, source, document is not None, depends)
        return verdict

    def _read(self, document: Document | None, depends: list[Path]) -> Loaded:
        """In a thread: reading thousands of routes takes a good part of a second, and the loop has better things to do."""
        if document is None:
            return read(self.config_path, depends=depends.extend, defer=True)
        return accept(document, self._base_dir, defer=True)

    def _try(self, loaded: Loaded) -> Verdict:
        problems, now = Problems(), self.snapshot
        self._stage.rehearse(loaded, problems, now)
        changes = tuple(diff(now.settings, loaded.settings, now.document, loaded.document))
        found = problems.located(loaded.document)
        return Verdict(True, now.number, found, loaded.document.files, changes)

    def _serve(self, loaded: Loaded, source: str) -> Verdict:
        problems, old = Problems(), self.snapshot
        changes = tuple(diff(old.settings, loaded.settings, old.document, loaded.document))
        ready = self._stage.prepare(loaded, problems, old)
        self.snapshot = ready.snapshot
        self._stage.take(ready, old)
        self._accepted(source, "unchanged" if ready.snapshot.is_same_as(old) else "ok")
        found = problems.located(loaded.document)
        return Verdict(True, self.snapshot.number, found, loaded.document.files, changes)

    def _accepted(self, source: str, outcome: Literal["ok", "unchanged"]) -> None:
        self.snapshot = numbered(self.snapshot, self.history.add(self.snapshot.document, source))
        self.observation.reloaded(outcome)

    def _conclude(self, verdict: Verdict, source: str, given: bool, depends: Iterable[Path]) -> None:
        """Say what became of a reload, and watch what the next one may depend on."""
        if verdict.ok:
            self._rolled_back = given
            count = len(verdict.changes)
            _log.info(
                "reload ({source}) done: {snapshot!r}, {count} changes",
                source=source,
                snapshot=self.snapshot,
                count=count,
            )
        else:
            self.observation.reloaded("rejected")
            _log.error("reload ({source}) refused; the running configuration was not changed", source=source)
        tell(verdict.problems, verdict.sources)
        if self.running:
            # Also the files of one that was refused: what is missing may still come.
            self._watch.repaths([*self._watched(), *depends])

    def _watched(self) -> list[Path]:
        return [self.config_path, *self.snapshot.document.watched_paths, *self.snapshot.watched]

    def _files_changed(self, changed: list[str]) -> None:
        _log.info("{changed} changed", changed=", ".join(changed))
        root = str(self.config_path)
        if self._rolled_back and not any(path == root or path.startswith(f"{root}/") for path in changed):
            # A certificate was renewed: that is no reason to take the file that somebody rolled back from.
            self._in_background("file", self._again())
        else:
            self._reload_in_background("file")

    def _again(self) -> Document:
        """What serves now, its secrets read anew."""
        return restore(self.snapshot.document.files, base=self._base_dir, defer=True)

    def _reload_in_background(self, source: str) -> None:
        if not self._turns.awaited:
            self._in_background(source)

    def _in_background(self, source: str, document: Document | None = None) -> None:
        if not self.stopping:
            Deferred.fromCoroutine(self.reload(source, document=document)).addErrback(
                lambda failure: _log.failure("reload ({source}) failed", failure=failure, source=source)
            )

    def _left(self) -> None:
        self._stage.settle(self.snapshot)

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
        self._later(times.grace, self._cut)
        await drained
        self._finish()

    def _cut(self) -> None:
        """The grace is over. Connections that will not go must not keep the process."""
        _log.warn("the grace is over; {count} connections are cut", count=self.entrances.connections)
        self.entrances.abort()
        self._later(_LAST_S, self._finish)

    def _sleep(self, seconds: float) -> Deferred[None]:
        slept: Deferred[None] = Deferred()
        self._later(seconds, lambda: slept.callback(None))
        return slept

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        """One step of the end after another; there is never more than one to come."""
        self._step = self._with.reactor.callLater(seconds, step)

    def _finish(self) -> None:
        """End the process. More than one way leads here."""
        self.stopping = True
        if not self._finished and self._with.reactor.running:
            self._finished = True
            self._end()

    def _end(self) -> None:
        self._with.reactor.stop()

    def stopService(self) -> Deferred[Any]:
        """Twisted: the reactor stops; whatever is still open ends now."""
        self.stopping = self._finished = True
        if self._step is not None and self._step.active():
            self._step.cancel()
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

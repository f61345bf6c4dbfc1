"""Events of upstreams, told to the log and counted. A change of a thousand endpoints is one change: the log has a bound."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from edgegw.observe.events import Event, Events
from edgegw.observe.metrics import Registry

LINES = 50
PERIOD_S = 10.0
"""So many lines in so many seconds; the rest is counted, and `edgegw events` has it."""

_BAD = frozenset({"endpoint_held", "source_stale", "source_refused"})

_log = Logger("edgegw.upstream")


class EventLog:
    """Follows the events of the process.

    Args:
        clock: monotonic seconds and `callLater`.
    """

    def __init__(self, events: Events, registry: Registry, clock: IReactorTime) -> None:
        self.events = events
        self._registry = registry
        self._clock = clock
        self._began_s = clock.seconds()
        self._lines = 0
        self.waiting = 0
        """How many wait for the next event."""
        events.follow(self._happened)

    def _happened(self, event: Event) -> None:
        self._registry.upstream_events.child(upstream=event.upstream, kind=event.kind).inc()
        if event.kind == "endpoint_added" and event.source == "config":
            return  # It says nothing that the configuration does not say.
        now_s = self._clock.seconds()
        if now_s - self._began_s >= PERIOD_S:
            if self._lines > LINES:
                _log.warn("and {count} more changes of upstreams", count=self._lines - LINES)
            self._began_s, self._lines = now_s, 0
        self._lines += 1
        if self._lines <= LINES:
            self._tell(event)

    def next(self, wait_s: float) -> Deferred[None]:
        """Fires at the next event, or after so many seconds."""
        happened: Deferred[None] = Deferred()

        def fire(_: object = None) -> None:
            leave()
            if later.active():
                later.cancel()
            if not happened.called:
                self.waiting -= 1
                happened.callback(None)

        self.waiting += 1
        leave = self.events.follow(fire)
        later = self._clock.callLater(wait_s, fire)
        return happened

    def _tell(self, event: Event) -> None:
        bad = event.kind in _BAD or (event.kind == "panic_changed" and event.state == "panic")
        bad = bad or (event.kind == "breaker_changed" and event.state == "refusing")
        _log.emit(
            LogLevel.warn if bad else LogLevel.info,
            "upstream {upstream}{endpoint}: {what}{state}{reason}{source}",
            upstream=event.upstream,
            endpoint=f" {event.endpoint}" if event.endpoint else "",
            what=event.kind.replace("_", " "),
            state=f", now {event.state}" if event.state else "",
            reason=f": {event.reason}" if event.reason else "",
            source=f" ({event.source})" if event.source else "",
        )

    def __repr__(self) -> str:
        return f"<EventLog {self._lines} lines since {self._began_s:.0f} s>"

"""Where exchanges and connections are counted: ties the data path's callbacks to the registry of metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.observe.cells import UNROUTED
from edgegw.observe.metrics import Registry, RouteMetrics, UpstreamMetrics
from edgegw.observe.records import shown_status


class ListenerCounts:
    """What one listener reports to (`edgegw.net.listener.Counts`)."""

    def __init__(self, registry: Registry, name: str) -> None:
        self._registry = registry
        self._name = name
        self._open = registry.connections.child(listener=name)
        self._accepted = registry.connections_accepted.child(listener=name)

    def opened(self) -> None:
        """A connection was accepted."""
        self._open.inc()
        self._accepted.inc()

    def closed(self) -> None:
        """It is gone."""
        self._open.inc(-1)

    def refused(self, reason: str) -> None:
        """One was closed before it could ask anything, or accepting rests."""
        self._registry.connections_rejected.child(listener=self._name, reason=reason).inc()

    def handshake(self, outcome: str) -> None:
        """A TLS handshake ended."""
        self._registry.tls_handshakes.child(listener=self._name, outcome=outcome).inc()

    def broke(self, reason: str) -> None:
        """An HTTP/2 connection was ended because of its peer."""
        self._registry.http2_errors.child(listener=self._name, reason=reason).inc()


class InFlight:
    """The outermost layer of a route: its exchange counts as in flight from here on."""

    __slots__ = ("_metrics", "_next")

    def __init__(self, following: Responder, metrics: RouteMetrics) -> None:
        self._next = following
        self._metrics = metrics

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Count, go on; `Telemetry.ended` counts it out."""
        self._metrics.begin()
        return self._next(exchange)


class Telemetry:
    """Counts and records what happens.

    Args:
        registry: of metrics. record: takes an exchange that ended and its seconds, for the access log.
    """

    def __init__(
        self, registry: Registry | None = None, record: Callable[[Exchange, Outcome, float], None] | None = None
    ) -> None:
        self.registry = registry or Registry()
        self._record = record

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """An exchange is over: count it, record it."""
        route = exchange.route
        duration_s = exchange.connection.listener.clock() - exchange.started_s
        metrics = self.registry.route(route.name if route is not None else UNROUTED)
        metrics.record(exchange.head.method, shown_status(outcome), duration_s, outcome.bytes_in, outcome.bytes_out)
        if self._record is not None:
            self._record(exchange, outcome, duration_s)

    def rejected(self, reason: str) -> None:
        """An error was answered."""
        self.registry.rejected(reason)

    def listener(self, name: str) -> ListenerCounts:
        """What a listener of this name reports to."""
        return ListenerCounts(self.registry, name)

    def in_flight(self, route: str) -> Middleware:
        """The layer that counts a route's exchanges in."""
        metrics = self.registry.route(route)
        return lambda following: InFlight(following, metrics)

    def upstream(self, name: str) -> UpstreamMetrics:
        """What an upstream's attempts are counted with."""
        return self.registry.upstream(name)

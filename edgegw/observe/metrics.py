"""The registry of a process's metrics, and the two objects that the data path counts with."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from typing import Any

from edgegw.observe.cells import OTHER, UNROUTED, Counter, Family, Gauge, Histogram, MetricSpec
from edgegw.observe.table import METRICS

__all__ = [
    "METRICS",
    "OTHER",
    "UNROUTED",
    "Counter",
    "Gauge",
    "Histogram",
    "Registry",
    "RouteMetrics",
    "UpstreamMetrics",
]

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY", "PROPFIND"}
)
"""Methods that keep their name in the `method` label; the rest is `other`."""

CODES = [str(code) for code in range(1000)]


class Registry:
    """Every metric of one process; made once and handed around.

    Each family is an attribute. `refresh` holds callables that bring up to date what is only known by asking (`ProcessStats`); they
    run on the loop's thread before each scrape.

    Args:
        specs: the table; another one only in tests.
    """

    def __init__(self, specs: Sequence[MetricSpec] = METRICS) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self.families: dict[str, Family[Any]] = {}
        self.refresh: list[Callable[[], None]] = []
        self._routes: dict[str, RouteMetrics] = {}
        self._upstreams: dict[str, UpstreamMetrics] = {}
        self.folded = self._counters("edgegw_metric_label_sets_folded_total")
        self.requests = self._counters("edgegw_requests_total")
        self.request_duration = self._histograms("edgegw_request_duration_seconds")
        self.request_size = self._histograms("edgegw_request_size_bytes")
        self.response_size = self._histograms("edgegw_response_size_bytes")
        self.requests_in_flight = self._gauges("edgegw_requests_in_flight")
        self.rejections = self._counters("edgegw_rejections_total")
        self.connections = self._gauges("edgegw_connections")
        self.connections_accepted = self._counters("edgegw_connections_accepted_total")
        self.connections_rejected = self._counters("edgegw_connections_rejected_total")
        self.tls_handshakes = self._counters("edgegw_tls_handshakes_total")
        self.http2_errors = self._counters("edgegw_http2_errors_total")
        self._of_upstreams()
        self.config_reloads = self._counters("edgegw_config_reloads_total")
        self.config_successful = self._gauges("edgegw_config_last_reload_successful")
        self.config_timestamp = self._gauges("edgegw_config_last_reload_timestamp_seconds")
        self.access_log_dropped = self._counters("edgegw_access_log_dropped_total")
        self.loop_lag = self._histograms("edgegw_loop_lag_seconds")
        self.gc_pause = self._histograms("edgegw_gc_pause_seconds")
        self.process_cpu = self._counters("edgegw_process_cpu_seconds_total")
        self.process_memory = self._gauges("edgegw_process_resident_memory_bytes")
        self.process_open_fds = self._gauges("edgegw_process_open_fds")
        self.process_max_fds = self._gauges("edgegw_process_max_fds")
        self.process_start_time = self._gauges("edgegw_process_start_time_seconds")
        self.build_info = self._gauges("edgegw_build_info")

    def _of_upstreams(self) -> None:
        self.upstream_attempts = self._counters("edgegw_upstream_attempts_total")
        self.upstream_connect = self._histograms("edgegw_upstream_connect_seconds")
        self.upstream_response = self._histograms("edgegw_upstream_response_seconds")
        self.upstream_connections = self._gauges("edgegw_upstream_connections")
        self.upstream_queue = self._gauges("edgegw_upstream_queue")
        self.retries = self._counters("edgegw_retries_total")
        self.upstream_endpoints = self._gauges("edgegw_upstream_endpoints")
        self.breaker_state = self._gauges("edgegw_upstream_breaker_state")
        self.upstream_panic = self._gauges("edgegw_upstream_panic")
        self.upstream_events = self._counters("edgegw_upstream_events_total")
        self.health_checks = self._counters("edgegw_health_checks_total")
        self.hedges = self._counters("edgegw_hedges_total")
        self.retries_refused = self._counters("edgegw_retries_refused_total")
        self.mirrored = self._counters("edgegw_mirrored_total")
        self.fallbacks = self._counters("edgegw_fallbacks_total")
        self.shed = self._counters("edgegw_shed_total")
        self.overload_level = self._gauges("edgegw_overload_level")
        self.discovery_age = self._gauges("edgegw_discovery_age_seconds")
        self.discovery_updates = self._counters("edgegw_discovery_updates_total")

    def route(self, name: str) -> RouteMetrics:
        """What the exchanges of a route are counted with; the same object for the same name until `retain_routes`."""
        metrics = self._routes.get(name)
        if metrics is None:
            metrics = self._routes[name] = RouteMetrics(self, name)
        return metrics

    def upstream(self, name: str) -> UpstreamMetrics:
        """What the attempts at an upstream are counted with; the same object for the same name until `retain_upstreams`."""
        metrics = self._upstreams.get(name)
        if metrics is None:
            metrics = self._upstreams[name] = UpstreamMetrics(self, name)
        return metrics

    def retain_routes(self, names: Collection[str]) -> None:
        """Forget routes that no configuration names any more; after a swap."""
        self._routes = {name: kept for name, kept in self._routes.items() if name in names or name == UNROUTED}
        self._retain("route", names)

    def retain_upstreams(self, names: Collection[str]) -> None:
        """Forget upstreams that no configuration names any more; after a swap."""
        self._upstreams = {name: kept for name, kept in self._upstreams.items() if name in names}
        self._retain("upstream", names)

    def retain_listeners(self, names: Collection[str]) -> None:
        """Forget listeners that are gone; once they are drained."""
        self._retain("listener", names)

    def rejected(self, reason: str) -> None:
        """Count an exchange that the gateway answered with an error of its own (`GatewayError.reason`)."""
        self.rejections.at((reason,)).value += 1

    def reloaded(self, outcome: str, now_s: float) -> None:
        """Count a reload: `ok`, `unchanged` or `rejected`, at this Unix time."""
        self.config_reloads.child(outcome=outcome).inc()
        self.config_successful.only.set(0 if outcome == "rejected" else 1)
        if outcome == "ok":
            self.config_timestamp.only.set(now_s)

    @property
    def size(self) -> int:
        """About how many lines a scrape has."""
        return sum(
            len(family) * (len(family.spec.buckets) + 3 if family.spec.buckets else 1)
            for family in self.families.values()
        )

    def _retain(self, label: str, names: Collection[str]) -> None:
        for family in self.families.values():
            family.retain(label, names)

    def _fold(self, metric: str) -> None:
        self.folded.child(metric=metric).inc()

    def _counters(self, name: str) -> Family[Counter]:
        family = self.families[name] = Family(self._specs[name], Counter, self._fold)
        return family

    def _gauges(self, name: str) -> Family[Gauge]:
        family = self.families[name] = Family(self._specs[name], Gauge, self._fold)
        return family

    def _histograms(self, name: str) -> Family[Histogram]:
        family = self.families[name] = Family(self._specs[name], Histogram, self._fold)
        return family

    def __repr__(self) -> str:
        return f"<Registry {len(self.families)} families, about {self.size} lines>"


class RouteMetrics:
    """Counts the exchanges of one route. Its label sets are made with its first exchange, so that idle routes cost no scrape."""

    __slots__ = ("_codes", "_duration", "_in_flight", "_received", "_registry", "_sent", "name")

    def __init__(self, registry: Registry, name: str) -> None:
        self.name = name
        self._registry = registry
        self._codes: dict[tuple[str, int], Counter] = {}
        self._in_flight: Gauge | None = None
        self._duration: Histogram
        self._received: Histogram
        self._sent: Histogram

    def begin(self) -> None:
        """An exchange has found its route. Each `begin` is followed by one `record`."""
        gauge = self._in_flight
        if gauge is None:
            gauge = self._bind()
        gauge._value += 1

    def record(self, method: str, status: int, duration_s: float, bytes_in: int, bytes_out: int) -> None:
        """An exchange has ended. Those that found no route are recorded without having begun.

        Args:
            status: 100-599, 499 when nothing was sent. bytes_in, bytes_out: body bytes.
        """
        gauge = self._in_flight
        if gauge is None:
            gauge = self._bind()
        if gauge._value:
            gauge._value -= 1
        counter = self._codes.get((method, status))
        if counter is None:
            counter = self._counter(method, status)
        counter.value += 1
        # Written out: four method calls would cost half a microsecond more.
        histogram = self._duration
        histogram.counts[bisect_left(histogram.bounds, duration_s)] += 1
        histogram.sum += duration_s
        histogram = self._received
        histogram.counts[bisect_left(histogram.bounds, bytes_in) if bytes_in else 0] += 1
        histogram.sum += bytes_in
        histogram = self._sent
        histogram.counts[bisect_left(histogram.bounds, bytes_out)] += 1
        histogram.sum += bytes_out

    def _bind(self) -> Gauge:
        key = (self.name,)
        registry = self._registry
        self._duration = registry.request_duration.at(key)
        self._received = registry.request_size.at(key)
        self._sent = registry.response_size.at(key)
        gauge = self._in_flight = registry.requests_in_flight.at(key)
        return gauge

    def _counter(self, method: str, status: int) -> Counter:
        shown = method if method in METHODS else OTHER
        code = CODES[status] if 100 <= status < 600 else OTHER
        counter = self._registry.requests.at((self.name, shown, code))
        if shown is method and code is not OTHER:
            self._codes[method, status] = counter
        return counter

    def __repr__(self) -> str:
        return f"<RouteMetrics {self.name}>"


class UpstreamMetrics:
    """Counts what goes on with one upstream."""

    __slots__ = ("_attempts", "_registry", "_retries", "connect", "idle", "leased", "name", "queue", "response")

    def __init__(self, registry: Registry, name: str) -> None:
        self.name = name
        self._registry = registry
        self._attempts: dict[int | str, Counter] = {}
        self._retries: dict[str, Counter] = {}
        self.connect = registry.upstream_connect.child(upstream=name)
        self.response = registry.upstream_response.child(upstream=name)
        self.queue = registry.upstream_queue.child(upstream=name)
        self.idle = registry.upstream_connections.child(upstream=name, state="idle")
        self.leased = registry.upstream_connections.child(upstream=name, state="leased")

    def answered(self, status: int) -> None:
        """An attempt got a response head with this status."""
        key = status // 100
        counter = self._attempts.get(key)
        if counter is None:
            counter = self._attempts[key] = self._registry.upstream_attempts.child(
                upstream=self.name, outcome=f"{key}xx"
            )
        counter.value += 1

    def failed(self, reason: str) -> None:
        """An attempt got none, for this reason (`GatewayError.reason`)."""
        counter = self._attempts.get(reason)
        if counter is None:
            counter = self._registry.upstream_attempts.child(upstream=self.name, outcome=reason)
            self._attempts[reason] = counter
        counter.value += 1

    def retried(self, reason: str) -> None:
        """Another attempt is made because the one before failed for this reason."""
        counter = self._retries.get(reason)
        if counter is None:
            counter = self._retries[reason] = self._registry.retries.child(upstream=self.name, reason=reason)
        counter.value += 1

    def retry_refused(self, reason: str) -> None:
        """Another attempt is not made, though the error would have allowed it: `budget`, `attempts`, `body`, `deadline`."""
        self._registry.retries_refused.child(upstream=self.name, reason=reason).inc()

    def hedged(self, outcome: str) -> None:
        """A second attempt beside the first `won` or `lost`, or was `refused` by the budget."""
        self._registry.hedges.child(upstream=self.name, outcome=outcome).inc()

    def __repr__(self) -> str:
        return f"<UpstreamMetrics {self.name}>"

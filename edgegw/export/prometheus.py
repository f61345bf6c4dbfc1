"""The registry as text, in the Prometheus format or OpenMetrics, without holding up the data path.

prometheus_client renders (5 us a line); the cells are our own. A large registry is rendered in a thread, which lets go of the
interpreter every millisecond or so; and what was rendered is served for a second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client import exposition as plain
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from edgegw.observe.cells import Counter, Family, Gauge, Histogram
from edgegw.observe.metrics import Registry

CACHE_S = 1.0
SMALL = 400
"""Lines up to which rendering on the loop costs less than going to a thread (2 ms)."""
_STRIDE = 64

_log = Logger("edgegw.export.prometheus")

Run = Callable[[Callable[[], bytes]], Deferred[bytes]]
"""Runs a function elsewhere."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """A rendered registry. content_type: the header's value. body: UTF-8."""

    content_type: str
    body: bytes


class CellCollector(Collector):
    """Shows our cells to prometheus_client.

    Args:
        pause: called every 64 samples; lets other threads run.
    """

    def __init__(self, registry: Registry, pause: Callable[[], object] = lambda: None) -> None:
        self._registry = registry
        self._pause = pause
        self._rendered = 0

    def collect(self) -> Iterator[Metric]:
        """One `Metric` per family that has any cell."""
        for family in self._registry.families.values():
            if len(family):
                yield _Rendered(family, self._rest)

    def _rest(self) -> None:
        self._rendered += 1
        if self._rendered % _STRIDE == 0:
            self._pause()


class _Rendered(Metric):
    """A family as a `Metric` whose samples are made while they are read."""

    def __init__(self, family: Family[Any], rest: Callable[[], None]) -> None:
        spec = family.spec
        name = spec.name.removesuffix("_total") if spec.kind == "counter" else spec.name
        super().__init__(name, spec.help, spec.kind, spec.unit)
        self.samples = _Paced(family, rest)  # type: ignore[assignment]  # only iterated over


class _Paced:
    def __init__(self, family: Family[Any], rest: Callable[[], None]) -> None:
        self._family = family
        self._rest = rest

    def __iter__(self) -> Iterator[Sample]:
        for sample in _samples(self._family):
            yield sample
            self._rest()


def _samples(family: Family[Any]) -> Iterator[Sample]:
    spec = family.spec
    bounds = [*map(repr, spec.buckets), "+Inf"]
    for key, cell in family:
        labels = dict(zip(spec.labels, key, strict=True))
        match cell:
            case Histogram():
                # The sum first: an observation that comes in between is then in the buckets only, and the mean stays sane.
                total, counts = cell.sum, list(accumulate(list(cell.counts)))
                for bound, count in zip(bounds, counts, strict=True):
                    yield Sample(f"{spec.name}_bucket", {**labels, "le": bound}, count)
                yield Sample(f"{spec.name}_count", labels, counts[-1])
                yield Sample(f"{spec.name}_sum", labels, total)
            case Counter() | Gauge():
                yield Sample(spec.name, labels, _value(cell))


def _value(cell: Counter | Gauge) -> float:
    try:
        return cell.value
    except Exception:
        # A gauge asks somebody who may be gone; that must not hide all others.
        return float("nan")


class Exposition:
    """Renders a registry on demand: one rendering at a time for all who ask, kept for a second.

    Args:
        clock: seconds. run: runs a function in a thread; None renders everything at once.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float],
        run: Run | None = None,
        cache_s: float = CACHE_S,
        small: int = SMALL,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._run = run
        self._cache_s = cache_s
        self._small = small
        self._cache: dict[str, tuple[float, Exposed]] = {}
        self._waiting: dict[str, list[Deferred[Exposed]]] = {}
        self._pauses = threading.Event()

    def render(self, accept: str = "") -> Deferred[Exposed]:
        """The text in the format that an `Accept` header's value asks for; Prometheus text when it asks for none we have."""
        encode, content_type = _choose(accept)
        cached = self._cache.get(content_type)
        if cached is not None and self._clock() - cached[0] < self._cache_s:
            return succeed(cached[1])
        waiter: Deferred[Exposed] = Deferred()
        if content_type in self._waiting:
            self._waiting[content_type].append(waiter)
            return waiter
        self._waiting[content_type] = [waiter]
        self._refresh()
        if self._run is None or self._registry.size <= self._small:
            collector = CellCollector(self._registry)
            rendered: Deferred[bytes] = succeed(None).addCallback(lambda _: encode(collector))
        else:
            paced = CellCollector(self._registry, self._pause)
            rendered = self._run(lambda: encode(paced))
        rendered.addCallback(self._keep, content_type)
        rendered.addBoth(self._answer, content_type)
        return waiter

    def _refresh(self) -> None:
        for refresh in self._registry.refresh:
            try:
                refresh()
            except Exception:
                # One source that fails must not hide all others.
                _log.failure("a source of metrics failed")

    def _pause(self) -> None:
        # Waiting lets go of the interpreter at once; a busy thread gives it up only after 5 ms, and the loop would wait that long.
        self._pauses.wait(0.0005)

    def _keep(self, body: bytes, content_type: str) -> Exposed:
        exposed = Exposed(content_type, body)
        self._cache[content_type] = (self._clock(), exposed)
        return exposed

    def _answer(self, result: Any, content_type: str) -> None:
        for waiter in self._waiting.pop(content_type):
            waiter.callback(result)

    def __repr__(self) -> str:
        return f"<Exposition of {self._registry!r}, {len(self._waiting)} under way>"


def _choose(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """OpenMetrics 1.0 when it is asked for, else the text format 0.0.4; our names need none of the newer escapings."""
    for accepted in accept.split(","):
        kind, *parameters = (part.strip() for part in accepted.lower().split(";"))
        if kind == "application/openmetrics-text" and "q=0" not in parameters:
            return openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
    return plain.generate_latest, plain.CONTENT_TYPE_PLAIN_0_0_4


def in_threads(reactor: Any) -> Run:
    """Run functions in a reactor's thread pool."""

    def run(function: Callable[[], bytes]) -> Deferred[bytes]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function)

    return run

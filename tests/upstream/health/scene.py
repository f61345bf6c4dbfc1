"""What the tests of health stand on: endpoints of in-memory origins, a probe that says what it is told, a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.checks import HealthChecks
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.names import CONFIG

Verdict = Callable[[Endpoint], Any]


class Told:
    """A probe: `verdict(endpoint)` is what it returns, awaits or raises."""

    def __init__(self, verdict: Verdict = lambda endpoint: "fine") -> None:
        self.verdict = verdict
        self.asked: list[Endpoint] = []
        self.under_way = self.most = 0

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> str:
        self.asked.append(endpoint)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            said = self.verdict(endpoint)
            if isinstance(said, Deferred):
                said = await said
        finally:
            self.under_way -= 1
        if isinstance(said, Exception):
            raise said
        return str(said)


class Scene:
    """An upstream of so many origins on one clock, all but the last `spare` of them named, and its checks, started."""

    def __init__(
        self, count: int, probe: Any, settings: dict[str, Any] | None = None, *, spare: int = 0, **upstream: Any
    ) -> None:
        self.first = Origin()
        self.clock = self.first.clock
        others = [Origin(clock=self.clock, wheel=self.first.wheel) for _ in range(count - 1)]
        self.probe = probe
        self.settings = HealthSettings.model_validate({"every": "5s", **(settings or {})})
        self.cluster: Cluster = cluster(self.first, *others, health=self.settings, **upstream)
        self.name(count - spare)
        self.environment = self.cluster.environment
        self.counted: list[bool] = []
        self.passed: list[tuple[Endpoint, float]] = []
        self.heard: Callable[[Endpoint, float], None] = self._hear
        self.checks = self.make()
        self.cluster.follow(self.checks.roster)
        self.checks.startService()

    def make(self) -> HealthChecks:
        return HealthChecks(
            "shop",
            self.settings,
            self.environment,
            self.probe,
            self.counted.append,
            lambda endpoint, began_s: self.heard(endpoint, began_s),
        )

    def _hear(self, endpoint: Endpoint, began_s: float) -> None:
        self.passed.append((endpoint, began_s))

    def name(self, count: int) -> None:
        """These are the endpoints from now on: the first so many origins."""
        each = (Named(EndpointSettings(url=f"http://origin-{number}:80")) for number in range(count))
        self.cluster.update(CONFIG, each)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self.cluster.endpoints

    def events(self) -> list[tuple[str, str]]:
        """(kind, reason) of everything that happened to endpoints since the start."""
        found = self.environment.events.since()
        return [(event.kind, event.reason) for event in found if event.kind.endswith(("held", "released"))]

    def until(self, probes: int) -> None:
        """Until there were so many probes."""
        while len(self.counted) < probes:
            self.clock.advance(0.1)

    def advance(self, seconds: float) -> None:
        """In steps of the wheel."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)


def alternating() -> Verdict:
    """Passes, fails, passes..., each endpoint for itself."""
    turns: dict[Endpoint, int] = {}

    def verdict(endpoint: Endpoint) -> Any:
        turns[endpoint] = turns.get(endpoint, 0) + 1
        return "200" if turns[endpoint] % 2 else ProbeFailed("status 500")

    return verdict

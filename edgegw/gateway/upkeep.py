"""What runs in time: probes, ejections, slow start and discovery of upstreams; overload. A reload leaves alone what it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime

from edgegw.discovery.feed import Feed
from edgegw.runtime.overload import TICK_S as OVERLOAD_S
from edgegw.runtime.overload import Overload
from edgegw.runtime.supervise import Supervised
from edgegw.upstream.address import Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.checks import HealthChecks
from edgegw.upstream.names import CONFIG

TICK_S = 0.5
"""How often ejections and slow start are looked at."""


class Care(MultiService):
    """What runs for one cluster as long as it serves."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cluster = cluster
        ticks = Supervised(f"upkeep of {cluster.name}", cluster.tick, TICK_S, cluster.environment.reactor)
        ticks.setServiceParent(self)  # type: ignore[no-untyped-call]
        self._checks: HealthChecks | None = None
        cluster.follow(self._roster)

    def _roster(self, members: Sequence[Endpoint]) -> None:
        """Its endpoints, or how they are probed, may be others."""
        before, self._checks = self._checks, self.cluster.checks
        if before is not self._checks and before is not None:
            before.disownServiceParent()  # type: ignore[no-untyped-call]
        if self._checks is None:
            return
        if before is not self._checks:
            self._checks.setServiceParent(self)  # type: ignore[no-untyped-call]
        self._checks.roster(members)


class Upkeep(MultiService):
    """The care of every cluster that serves, the discovery that feeds them, and the look at what the process is short of.

    feeds: by the upstream's name.

    Args:
        overload: what looks, by this clock.
    """

    name = "upkeep"

    def __init__(self, overload: Overload | None = None, clock: IReactorTime | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if overload is not None and clock is not None:
            Supervised("overload", overload.tick, OVERLOAD_S, clock).setServiceParent(self)  # type: ignore[no-untyped-call]
        self.feeds: dict[str, Feed] = {}
        self._cares: dict[str, Care] = {}

    def take(self, clusters: Mapping[str, Cluster], feeds: Mapping[str, Feed]) -> None:
        """These serve from now on; they have begun already."""
        for name, care in list(self._cares.items()):
            if clusters.get(name) is not care.cluster:
                del self._cares[name]
                care.disownServiceParent()  # type: ignore[no-untyped-call]
        for name, cluster in clusters.items():
            if name not in self._cares:
                care = self._cares[name] = Care(cluster)
                care.setServiceParent(self)  # type: ignore[no-untyped-call]
        left = {name: feed for name, feed in self.feeds.items() if feeds.get(name) is not feed}
        for feed in left.values():
            feed.disownServiceParent()  # type: ignore[no-untyped-call]
        before, self.feeds = self.feeds, dict(feeds)
        for name, feed in feeds.items():
            if before.get(name) is not feed:
                if name in left:
                    feed.succeed(left[name])
                feed.setServiceParent(self)  # type: ignore[no-untyped-call]
        for name, cluster in clusters.items():
            if name not in feeds:
                for source in cluster.sources:
                    if source != CONFIG:
                        cluster.forget(source)

    def update(self, name: str, source: str, named: Sequence[Named], advice: Advice | None = None) -> None:
        """From the feed of an upstream: its cluster, the one that serves now, takes the endpoints and what is advised."""
        care = self._cares.get(name)
        if care is not None:
            care.cluster.update(source, named, advice)

    def __repr__(self) -> str:
        return f"<Upkeep of {len(self._cares)} upstreams, {len(self.feeds)} discovered>"

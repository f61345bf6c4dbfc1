"""What runs in time for upstreams: probes, the clock of ejections and slow start, discovery. A reload leaves alone what it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from twisted.application.service import MultiService

from edgegw.discovery.feed import Feed
from edgegw.runtime.supervise import Supervised
from edgegw.upstream.address import Named
from edgegw.upstream.cluster import CONFIG, Cluster

TICK_S = 0.5
"""How often ejections and slow start are looked at."""


class Care(MultiService):
    """What runs for one cluster as long as it serves."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cluster = cluster
        Supervised(f"upkeep of {cluster.name}", cluster.tick, TICK_S, cluster.environment.reactor).setServiceParent(
            self
        )
        if cluster.checks is not None:
            cluster.checks.setServiceParent(self)
            cluster.follow(cluster.checks.roster)


class Upkeep(MultiService):
    """The care of every cluster that serves, and the discovery that feeds them.

    feeds: by the upstream's name.
    """

    name = "upkeep"

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
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
        for name, feed in list(self.feeds.items()):
            if feeds.get(name) is not feed:
                del self.feeds[name]
                feed.disownServiceParent()  # type: ignore[no-untyped-call]
        for name, feed in feeds.items():
            if name not in self.feeds:
                self.feeds[name] = feed
                feed.tell(partial(self._named, name))
                feed.setServiceParent(self)  # type: ignore[no-untyped-call]
        for name, cluster in clusters.items():
            if name not in feeds:
                self._forget_others(cluster, CONFIG)

    def _named(self, name: str, source: str, named: Sequence[Named]) -> None:
        """From a feed. What another source named before a reload holds until this one has said something."""
        cluster = self._cares[name].cluster
        cluster.update(source, named)
        self._forget_others(cluster, source)

    def _forget_others(self, cluster: Cluster, source: str) -> None:
        for other in cluster.sources:
            if other not in (CONFIG, source):
                cluster.forget(other)

    def __repr__(self) -> str:
        return f"<Upkeep of {len(self._cares)} upstreams, {len(self.feeds)} discovered>"

"""A feed over a source that the test speaks for, on a clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.feed import Feed, Outlet
from edgegw.discovery.policy import EndpointPolicy
from edgegw.discovery.settings import DiscoverySettings
from edgegw.discovery.snapshots import SnapshotFile
from edgegw.upstream.address import Named
from edgegw.upstream.advice import Advice
from tests.discovery.doubles import FakeSource, environment


class FeedCase(SynchronousTestCase):
    """A feed over a source that the test speaks for."""

    memory: SnapshotFile | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.environment = environment(self.clock)
        self.given: list[tuple[str, list[Named]]] = []
        self.advice: list[tuple[str, Advice | None]] = []
        self.counts: list[str] = []
        self.own: list[tuple[str, int]] = []

    def feed(self, source: FakeSource | None = None, start: bool = True, **settings: Any) -> Feed:
        self.source = FakeSource() if source is None else source
        read = DiscoverySettings.model_validate({"from": "fake", **settings})
        policy = EndpointPolicy(read.allow, lambda: self.own, lambda address: address == "10.0.0.1")
        outlet = Outlet(self.update, self.counts.append, self.memory)
        made = Feed("u", self.source, read, policy, self.environment, outlet)
        self.addCleanup(lambda: self.ended(made))
        if start:
            made.startService()
        return made

    def ended(self, feed: Feed) -> None:
        feed.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def update(self, source: str, named: Sequence[Named], advice: Advice | None) -> None:
        self.given.append((source, list(named)))
        self.advice.append((source, advice))

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(seconds * 2))

    @property
    def urls(self) -> list[str]:
        """What the upstream has, held ones marked."""
        return [f"{each.settings.url}{' ' + each.held if each.held else ''}" for each in self.given[-1][1]]

    def events(self, kind: str) -> list[str]:
        return [event.reason for event in self.environment.events.since() if event.kind == kind]

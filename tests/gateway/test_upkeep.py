"""What runs in time for upstreams, and what a reload does to it."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.application.service import MultiService
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.upkeep import TICK_S, Upkeep
from edgegw.gateway.upstreams import begin
from edgegw.runtime.overload import TICK_S as OVERLOAD_S
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.cluster import Cluster, Means
from edgegw.upstream.names import CONFIG

NAMED = [Named(EndpointSettings(url="http://origin-1:80"))]


class FakeFeed(MultiService):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.predecessor: Any = None

    def succeed(self, old: Any) -> None:
        self.predecessor = old


class FakeChecks(MultiService):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rosters: list[int] = []

    def roster(self, members: Any) -> None:
        self.rosters.append(len(members))


class UpkeepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.upkeep = Upkeep()
        self.upkeep.startService()
        self.addCleanup(self.upkeep.stopService)
        self.origins = [Origin() for _ in range(3)]

    def make(self) -> Cluster:
        return cluster(*self.origins, endpoints=[EndpointSettings(url="http://origin-0:80")])

    def take(self, new: Cluster, feed: Any = None) -> None:
        begin({"shop": new}, {"shop": self.serving} if hasattr(self, "serving") else {})
        self.serving = new
        self.upkeep.take({"shop": new}, {"shop": feed} if feed is not None else {})

    def test_time_goes_by_for_what_serves(self) -> None:
        first, second = self.make(), self.make()
        ticks: list[str] = []
        first.tick = lambda: ticks.append("first")  # type: ignore[method-assign]
        second.tick = lambda: ticks.append("second")  # type: ignore[method-assign]
        clock = self.origins[0].clock
        self.take(first)
        clock.advance(TICK_S)
        self.assertEqual(ticks, ["first"] * 2)
        self.take(second)
        clock.advance(TICK_S)
        clock.advance(TICK_S)
        self.assertEqual(ticks[2:], ["second"] * 3)

    def test_overload_is_looked_at(self) -> None:
        clock, looks = Clock(), mock.Mock()
        upkeep = Upkeep(looks, clock)
        upkeep.startService()
        self.addCleanup(upkeep.stopService)
        for _ in range(4):
            clock.advance(OVERLOAD_S)
        self.assertGreaterEqual(looks.tick.call_count, 4)

    def test_probes_run_for_those_that_are_there(self) -> None:
        made, checks = self.make(), FakeChecks()
        made.checks = checks  # type: ignore[assignment]
        self.take(made)
        self.assertTrue(checks.running)
        made.update("file x", NAMED)
        self.assertEqual(checks.rosters, [1, 2])
        self.take(self.make())
        self.assertFalse(checks.running)

    def test_probes_that_discovery_brings(self) -> None:
        """And changes, and ends; what is advised again leaves them alone."""
        made = self.make()
        made.means = Means(lambda balance: made._balancer, lambda health: FakeChecks())  # type: ignore[arg-type, return-value]
        self.take(made)
        every: list[Any] = []
        for advice in (Advice(health_path="/a"), Advice(health_path="/a"), Advice(health_path="/b"), None):
            self.upkeep.update("shop", "file x", NAMED, advice)
            every.append(made.checks)
        first, again, second, last = every
        self.assertIs(first, again)
        self.assertIsNone(last)
        self.assertEqual((first.running, second.running), (0, 0))
        # When it began there was one endpoint, then the source's.
        self.assertEqual((first.rosters, second.rosters), ([1, 2], [2]))
        self.upkeep.update("shop", "file x", NAMED, Advice(health_path="/c"))
        made.update("file y", [Named(EndpointSettings(url="http://origin-2:80"))])
        self.assertEqual((made.checks.running, made.checks.rosters), (1, [2, 3]))  # type: ignore[union-attr]

    def test_what_is_the_same_goes_on(self) -> None:
        made, checks, feed = self.make(), FakeChecks(), FakeFeed()
        made.checks = checks  # type: ignore[assignment]
        stops: list[Any] = []
        for service in (checks, feed):
            service.stopService = lambda: stops.append(1)  # type: ignore[method-assign]
        self.take(made, feed)
        self.upkeep.take({"shop": made}, {"shop": feed})  # type: ignore[dict-item]
        self.assertEqual(stops, [])
        self.assertTrue(feed.running)
        self.assertIsNone(feed.predecessor)

    def test_a_feed_leads_to_the_cluster_that_serves(self) -> None:
        first, second, feed = self.make(), self.make(), FakeFeed()
        self.take(first, feed)
        self.upkeep.update("shop", "file x", NAMED)
        self.take(second, feed)
        self.assertEqual([each.source for each in second.endpoints], [CONFIG, "file x"])
        self.upkeep.update("shop", "file x", [])
        self.assertEqual((len(second.endpoints), len(first.endpoints)), (1, 2))
        self.upkeep.update("gone", "file x", NAMED)

    def test_another_feed_follows_the_one_before(self) -> None:
        old, new = FakeFeed(), FakeFeed()
        self.take(self.make(), old)
        self.take(self.make(), new)
        self.assertIs(new.predecessor, old)
        self.assertEqual((old.running, new.running), (0, True))

    def test_without_discovery_only_the_configuration_counts(self) -> None:
        feed = FakeFeed()
        self.take(self.make(), feed)
        self.upkeep.update("shop", "file x", NAMED)
        self.take(self.make())
        self.assertFalse(feed.running)
        self.assertEqual([each.source for each in self.serving.endpoints], [CONFIG])

    def test_what_is_gone_stops(self) -> None:
        made, feed = self.make(), FakeFeed()
        self.take(made, feed)
        self.upkeep.take({}, {})
        self.assertFalse(feed.running)
        self.assertIn("0 upstreams, 0 discovered", repr(self.upkeep))

"""Tests of edgegw.upstream.warmth."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.builtins import BALANCERS
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.standing import Hold
from edgegw.upstream.warmth import COLD, STEPS, Warming
from tests.upstream.choosing import ByShare, Choosing


class WarmingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.choosing = Choosing(build=ByShare, slow_start=30.0)

    def _later(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.choosing.clock.advance(0.5)
            self.choosing.warming.tick()

    def test_the_first_ones_are_warm(self) -> None:
        self.assertEqual([each.warmth for each in self.choosing.add("a", "b")], [1.0, 1.0])

    def test_one_that_joins_later_warms_up(self) -> None:
        self.choosing.add("a", weight=10)
        (late,) = self.choosing.add("b", weight=10)
        self.assertEqual((late.warmth, late.share), (COLD, 10 * COLD))
        seen = []
        for _ in range(30):
            seen.append(late.warmth)
            self._later(1)
        self.assertEqual(sorted(seen), seen)
        self.assertEqual(len(set(seen)), STEPS - 1)
        self.assertAlmostEqual(seen[15], 0.5)
        self.assertEqual((late.warmth, late.share), (1.0, 10.0))

    def test_one_that_comes_back_warms_up(self) -> None:
        first, second = self.choosing.add("a", "b", weight=10)
        first.hold(Hold.EJECTED, "bad")
        self._later(60)
        self.assertEqual(first.warmth, 1.0)
        first.release(Hold.EJECTED)
        self.assertEqual(first.warmth, COLD)
        self.assertEqual(second.warmth, 1.0)
        found = self.choosing.choices(110)
        self.assertEqual(found, {"a": 10, "b": 100})
        self._later(15)
        self.assertEqual(first.warmth, 0.5)
        self._later(15)
        self.assertEqual(first.warmth, 1.0)
        self.assertEqual(self.choosing.choices(110), {"a": 55, "b": 55})

    def test_off(self) -> None:
        self.choosing = Choosing(build=ByShare, slow_start=0.0)
        first, _ = self.choosing.add("a", "b")
        first.hold(Hold.EJECTED, "bad")
        first.release(Hold.EJECTED)
        self.choosing.add("c")
        self.assertEqual([each.warmth for each in self.choosing.endpoints], [1.0, 1.0, 1.0])
        self._later(1)
        self.assertEqual(self.choosing.choices(30), {"a": 10, "b": 10, "c": 10})

    def test_only_the_last_hold_that_goes_counts(self) -> None:
        first, _ = self.choosing.add("a", "b")
        first.hold(Hold.EJECTED, "bad")
        first.hold(Hold.FAILING, "down")
        first.release(Hold.EJECTED)
        self.assertEqual(first.warmth, 1.0)
        first.release(Hold.FAILING)
        self.assertEqual(first.warmth, COLD)
        self._later(9)
        first.hold(Hold.FAILING, "down")
        self.assertEqual(first.warmth, 1.0)
        self._later(3)
        first.release(Hold.FAILING)
        self.assertEqual(first.warmth, COLD)

    def test_one_that_joins_unprobed_warms_up_when_it_is_free(self) -> None:
        self.choosing.add("a")
        late = self.choosing.make("b")
        late.hold(Hold.PENDING, "not probed yet")
        self.choosing.roster([*self.choosing.endpoints, late])
        self._later(60)
        late.release(Hold.PENDING)
        self.assertEqual(late.warmth, COLD)

    def test_all_that_come_back_together_share_evenly(self) -> None:
        members = self.choosing.add("a", "b", "c")
        for endpoint in members:
            endpoint.hold(Hold.EJECTED, "bad")
        for endpoint in members:
            endpoint.release(Hold.EJECTED)
        self.assertEqual(self.choosing.choices(30), {"a": 10, "b": 10, "c": 10})

    def test_an_operators_weight_holds_meanwhile(self) -> None:
        self.choosing.add("a")
        (late,) = self.choosing.add("b")
        late.weigh(50)
        self.assertEqual(late.share, 50 * COLD)
        self._later(31)
        self.assertEqual(late.share, 50)

    def test_one_that_leaves_is_forgotten(self) -> None:
        first, _ = self.choosing.add("a", "b")
        (late,) = self.choosing.add("c")
        self.choosing.roster([first])
        self._later(31)
        self.assertEqual(late.warmth, COLD)
        self.assertEqual(repr(self.choosing.warming), "<Warming 0 of 1>")

    def test_a_reload_goes_on_where_it_was(self) -> None:
        self.choosing.add("a")
        (late,) = self.choosing.add("b")
        self._later(15)
        self.choosing.warming = Warming(60.0, self.choosing.clock.seconds)
        # Those that the new configuration names, before the old ones take their places.
        self.choosing.warming.roster([self.choosing.make("a"), self.choosing.make("b")])
        self.choosing.warming.take_over(self.choosing.endpoints)
        self.assertEqual(self.choosing.endpoints[0].warmth, 1.0)
        self.assertEqual(late.warmth, 0.5)
        self._later(29)
        self.assertEqual(late.warmth, 0.9)
        self._later(1)
        self.assertEqual(late.warmth, 1.0)

    def test_a_reload_may_end_it(self) -> None:
        self.choosing.add("a")
        (late,) = self.choosing.add("b")
        self.choosing.warming = Warming(0.0, self.choosing.clock.seconds)
        self.choosing.warming.take_over(self.choosing.endpoints)
        self.assertEqual(late.warmth, 1.0)


class ClusterTests(SynchronousTestCase):
    """As an upstream does it."""

    def setUp(self) -> None:
        self.origins = [Origin(), Origin(), Origin()]
        self.cluster = cluster(*self.origins[:2], balance=BalanceSettings.model_validate({"slow_start": "30s"}))
        # Where the third one will be.
        cast(Any, self.cluster.connector).origins.append(self.origins[2])

    def _later(self, seconds: int) -> None:
        for _ in range(seconds):
            self.origins[0].clock.advance(1)
            self.cluster.tick()

    def _reloaded(self, *origins: Origin, **settings: Any) -> Cluster:
        """What a reload makes of it, without touching the ways its connections are made."""
        old, made = self.cluster, cluster(*origins, **settings)
        reloaded = Cluster("shop", made.settings, old.connector, BALANCERS[made.settings.balance.by], old.environment)
        reloaded.selection()
        reloaded.begin(old)
        self.cluster = reloaded
        return reloaded

    def test_one_that_comes_back(self) -> None:
        first, second = self.cluster.endpoints
        first.hold(Hold.EJECTED, "bad")
        first.release(Hold.EJECTED)
        self.assertEqual((first.warmth, second.warmth), (COLD, 1.0))
        self._later(30)
        self.assertEqual(first.warmth, 1.0)

    def test_one_that_a_source_names_later(self) -> None:
        self.cluster.update("file", [Named(EndpointSettings(url="http://origin-2:80"))])
        self.assertEqual([each.warmth for each in self.cluster.endpoints], [1.0, 1.0, COLD])

    def test_a_reload_warms_what_it_adds_and_goes_on_with_the_rest(self) -> None:
        first, _ = self.cluster.endpoints
        first.hold(Hold.EJECTED, "bad")
        first.release(Hold.EJECTED)
        self._later(15)
        self._reloaded(*self.origins, balance=BalanceSettings.model_validate({"slow_start": "30s"}))
        self.assertEqual([each.warmth for each in self.cluster.endpoints], [0.5, 1.0, COLD])
        self._later(15)
        self.assertEqual([each.warmth for each in self.cluster.endpoints], [1.0, 1.0, 0.5])

    def test_a_reload_that_ends_it(self) -> None:
        first, _ = self.cluster.endpoints
        first.hold(Hold.EJECTED, "bad")
        first.release(Hold.EJECTED)
        self._reloaded(*self.origins[:2])
        self.assertEqual((first.warmth, first.share), (1.0, 1.0))

"""Tests of edgegw.upstream.cluster: what becomes of what sources advise."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.builtins import BALANCERS
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.cluster import Cluster, Means
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.standing import Hold
from edgegw.upstream.warmth import COLD

SOURCE = "k8s shop/users"
URLS = [f"http://origin-{number}:80" for number in range(4)]
LEAST = Advice(balance_by="least_connections")
PROBED = Advice(health_path="/up")


class Checks:
    """In place of `HealthChecks`."""

    def __init__(self, settings: HealthSettings) -> None:
        self.settings = settings


class Case(SynchronousTestCase):
    def make(self, **settings: Any) -> Cluster:
        """Over four origins, of which the source has named the first two."""
        made = cluster(*(Origin() for _ in range(4)), **{"endpoints": (), "balance": BalanceSettings()} | settings)
        made.means = Means(lambda balance: BALANCERS[balance.by], Checks)  # type: ignore[arg-type]
        self.name(made, 2)
        self.told = made.environment.events.last
        return made

    def name(self, made: Cluster, count: int, advice: Advice | None = None) -> None:
        made.update(SOURCE, [Named(EndpointSettings(url=url)) for url in URLS[:count]], advice)

    def events(self, made: Cluster) -> list[tuple[str, str, str]]:
        new = made.environment.events.since(self.told)
        self.told += len(new)
        return [(event.kind, event.source, event.reason) for event in new]

    def order(self, made: Cluster, count: int = 4) -> str:
        """Which are chosen, by the digits of their names."""
        found = [made.selection().choose(make_exchange(), ()) for _ in range(count)]
        return "".join(each.name[-4] for each in found if each is not None)


class BalanceTests(Case):
    def test_it_acts_and_ends(self) -> None:
        """On the endpoints as they are: pools, holds, what is in flight; the targets' selection is the same one."""
        made = self.make()
        selection, endpoints = made.selection(), made.endpoints
        endpoints[0].in_flight = 1
        self.assertEqual(sorted(self.order(made)), list("0011"))
        self.name(made, 2, LEAST)
        self.assertEqual(self.order(made), "1111")
        self.assertEqual((made.endpoints, made.selection()), (endpoints, selection))
        self.assertEqual(self.events(made), [("upstream_changed", SOURCE, "balance least_connections")])
        self.name(made, 2)
        self.assertEqual(sorted(self.order(made)), list("0011"))
        self.assertEqual(self.events(made), [("upstream_changed", SOURCE, "no advice acts any more")])

    def test_another_source_takes_over(self) -> None:
        """The event names the one whose word acts."""
        made = self.make()
        self.name(made, 2, LEAST)
        made.update("dns users", [Named(EndpointSettings(url=URLS[2]))], Advice(balance_by="random"))
        self.events(made)
        made.forget(SOURCE)
        changed = [event for event in self.events(made) if event[0] == "upstream_changed"]
        self.assertEqual(changed, [("upstream_changed", "dns users", "balance random")])

    def test_holds_and_later_changes_count(self) -> None:
        made = self.make()
        made.endpoints[1].hold(Hold.DRAINED, "x", "operator")
        self.name(made, 3, LEAST)
        self.assertEqual(set(self.order(made)), {"0", "2"})
        made.endpoints[0].hold(Hold.FAILING, "x", "health")
        self.assertEqual(set(self.order(made)), {"2"})
        made.endpoints[1].release(Hold.DRAINED, "operator")
        self.assertEqual(set(self.order(made)), {"1", "2"})

    def test_parts_too(self) -> None:
        made = self.make()
        meta = {"version": "2"}
        part = made.selection(meta)
        made.update(SOURCE, [Named(EndpointSettings(url=url, meta=meta)) for url in URLS[:2]], LEAST)
        made.endpoints[0].in_flight = 5
        self.assertEqual({part.choose(make_exchange(), ()) for _ in range(4)}, {made.endpoints[1]})

    def test_the_same_changes_nothing(self) -> None:
        made = self.make()
        self.name(made, 2, LEAST)
        plans = made.selection()._plans
        self.events(made)
        self.name(made, 2, Advice(balance_by="least_connections"))
        self.assertEqual(self.events(made), [])
        self.assertIs(made.selection()._plans, plans)

    def test_what_learns_is_told_of_answers(self) -> None:
        made = self.make()
        self.name(made, 2, Advice(balance_by="peak_ewma"))
        for observer in made.endpoints[0].observers:
            observer.answered(made.endpoints[0], 200, 0.25)
        self.assertGreater(made.endpoints[0].ewma_s, 0)

    def test_slow_start(self) -> None:
        made = self.make()
        self.name(made, 2, Advice(balance_slow_start="10s"))
        self.name(made, 3, Advice(balance_slow_start="10s"))
        self.assertEqual([each.warmth for each in made.endpoints], [1.0, 1.0, COLD])
        self.name(made, 3)
        self.assertEqual([each.warmth for each in made.endpoints], [1.0] * 3)

    def test_the_configuration_goes_first(self) -> None:
        made = self.make(balance=BalanceSettings(by="round_robin"))
        self.name(made, 2, LEAST)
        made.endpoints[0].in_flight = 1
        self.assertEqual(sorted(self.order(made)), list("0011"))
        self.assertEqual(self.events(made), [])


class HealthTests(Case):
    def test_probes_begin_and_end(self) -> None:
        """Those that are there serve on; what joins waits for its first probe, as long as there are probes."""
        made = self.make()
        followed: list[object] = []
        made.follow(lambda members: followed.append(made.checks))
        self.name(made, 2, PROBED)
        checks = made.checks
        assert checks is not None
        self.assertEqual((checks.settings, followed), (HealthSettings(path="/up"), [None, checks]))
        self.assertTrue(all(each.standing.free for each in made.endpoints))
        self.name(made, 3, PROBED)
        self.assertEqual([each.standing.state for each in made.endpoints], ["ready", "ready", "pending"])
        self.assertIs(made.checks, checks)
        made.endpoints[0].hold(Hold.FAILING, "500", "health")
        self.name(made, 3)
        self.assertIsNone(made.checks)
        self.assertIsNone(followed[-1])
        self.assertTrue(all(each.standing.free for each in made.endpoints))

    def test_other_probes(self) -> None:
        """What failed before is still failing, until the new ones say otherwise."""
        made = self.make()
        self.name(made, 2, PROBED)
        before = made.checks
        made.endpoints[0].hold(Hold.FAILING, "500", "health")
        self.name(made, 2, Advice(health_path="/up", health_every="2s"))
        self.assertIsNot(made.checks, before)
        self.assertEqual([each.standing.state for each in made.endpoints], ["failing", "ready"])

    def test_a_balance_leaves_probes_alone(self) -> None:
        made = self.make()
        self.name(made, 2, PROBED)
        before = made.checks
        self.name(made, 2, Advice(balance_by="random", health_path="/up"))
        self.assertIs(made.checks, before)


class ReloadTests(Case):
    def test_it_comes_along(self) -> None:
        """Feeds do not repeat themselves; the new configuration goes first. No event: nothing came from the source."""
        for other in (False, True):
            old = self.make()
            self.name(old, 2, Advice(balance_by="least_connections", health_path="/up"))
            new = self.make(balance=BalanceSettings(by="random"))
            if not other:
                new.connector = old.connector
            new.begin(old)
            self.assertEqual((new.counsel.now.balance.by, new.counsel.source), ("random", SOURCE))
            assert new.checks is not None
            self.assertEqual(new.checks.settings, HealthSettings(path="/up"))
            kinds = [event.kind for event in new.environment.events.since()]
            self.assertNotIn("upstream_changed", kinds)
            self.name(new, 3, Advice(balance_by="least_connections", health_path="/up"))
            self.assertEqual(new.endpoints[2].standing.state, "pending")

    def test_a_source_that_is_forgotten(self) -> None:
        made = self.make()
        self.name(made, 2, PROBED)
        made.forget(SOURCE)
        self.assertEqual((made.endpoints, made.checks, SOURCE in made.sources), ((), None, False))

    def test_nothing_without_means(self) -> None:
        """Of a cluster that nobody equipped."""
        made = self.make()
        made.means = None
        self.name(made, 2, LEAST)
        self.assertEqual((made.counsel.now.balance.by, self.events(made)), ("weighted_round_robin", []))

"""Tests of edgegw.upstream.cluster."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.model import Exchange
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.bulkhead import BulkheadSettings
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.connect import Connector
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.names import CONFIG
from edgegw.upstream.selection import Selection
from edgegw.upstream.standing import Hold

SOURCE = "file x"


def named(number: int, held: str = "", **settings: Any) -> Named:
    return Named(EndpointSettings(url=f"http://origin-{number}:80", **settings), held)


def endpoints(count: int) -> tuple[EndpointSettings, ...]:
    return tuple(named(number).settings for number in range(count))


class Case(SynchronousTestCase):
    def make(self, count: int = 2, **settings: Any) -> Cluster:
        made = cluster(
            *(Origin() for _ in range(4)), **{"endpoints": [named(n).settings for n in range(count)]} | settings
        )
        self.told = len(made.environment.events.since())
        return made

    def events(self, made: Cluster) -> list[tuple[str, str]]:
        """What happened since it began: kind and endpoint."""
        new = made.environment.events.since(self.told)
        self.told += len(new)
        return [(event.kind, event.endpoint) for event in new]

    def chosen(self, made: Cluster, count: int = 8, meta: dict[str, str] | None = None) -> set[str]:
        exchange = make_exchange()
        found = [made.selection(meta).choose(exchange, ()) for _ in range(count)]
        return {endpoint.name[-4] for endpoint in found if endpoint is not None}


class ClusterTests(Case):
    def test_host_rule(self) -> None:
        for said, host in (("preserve", None), ("upstream", b""), ("shop.internal:8080", b"shop.internal:8080")):
            self.assertEqual(cluster(Origin(), host=said).host, host)

    def test_no_endpoint(self) -> None:
        made = self.make(0)
        self.assertIsNone(made.selection().choose(make_exchange(), ()))
        error = made.no_endpoint()
        self.assertEqual((error.status, error.reason, error.phase), (503, "no_endpoint", Phase.CHOOSE))
        self.assertIn((b"Retry-After", b"1"), error.headers)

    def test_a_part_by_its_facts(self) -> None:
        made = self.make()
        made.update(SOURCE, [named(2, meta={"version": "2", "x": "y"}), named(3, meta={"version": "3"})])
        self.assertEqual(self.chosen(made, meta={"version": "2"}), {"2"})
        self.assertEqual(self.chosen(made), {"0", "1", "2", "3"})
        self.assertIs(made.selection({"version": "2"}), made.selection({"version": "2"}))
        # What joins later joins the part too.
        made.update(SOURCE, [named(2, meta={"version": "2"}), named(3, meta={"version": "2"})])
        self.assertEqual(self.chosen(made, meta={"version": "2"}), {"2", "3"})


class UpdateTests(Case):
    def test_what_a_source_names_is_chosen(self) -> None:
        made = self.make()
        made.update(SOURCE, [named(2), named(3)])
        self.assertEqual(self.chosen(made), {"0", "1", "2", "3"})
        self.assertEqual(
            self.events(made), [("endpoint_added", "http://origin-2:80"), ("endpoint_added", "http://origin-3:80")]
        )
        self.assertEqual([each.source for each in made.endpoints], [CONFIG, CONFIG, SOURCE, SOURCE])

    def test_what_it_names_no_more_leaves_and_drains(self) -> None:
        made = self.make()
        made.update(SOURCE, [named(2), named(3)])
        gone = made.endpoint("http://origin-2:80")
        assert gone is not None
        connection = self.successResultOf(gone.pool.connection())
        self.events(made)
        made.update(SOURCE, [named(3)])
        self.assertEqual(self.chosen(made), {"0", "1", "3"})
        self.assertEqual(self.events(made), [("endpoint_removed", "http://origin-2:80")])
        self.assertEqual(gone.standing.state, "removed")
        self.assertFalse(connection.lost, "what is in flight finishes")
        self.assertIn("closed", repr(gone.pool))

    def test_the_same_again_changes_nothing(self) -> None:
        made = self.make()
        rosters: list[Any] = []
        made.follow(rosters.append)
        made.update(SOURCE, [named(2)])
        before = made.endpoints
        made.update(SOURCE, [named(2)])
        self.assertIs(made.endpoints, before)
        self.assertEqual([len(each) for each in rosters], [2, 3])

    def test_facts_that_change_keep_the_endpoint(self) -> None:
        made = self.make(0)
        made.update(SOURCE, [named(2), named(3)])
        endpoint = made.endpoints[0]
        self.events(made)
        made.update(SOURCE, [named(2, weight=5, zone="a", tier=1, meta={"k": "v"}), named(3)])
        self.assertIs(made.endpoints[0], endpoint)
        self.assertEqual((endpoint.share, endpoint.zone, endpoint.tier, endpoint.meta), (5.0, "a", 1, {"k": "v"}))
        self.assertEqual(self.events(made), [("endpoint_changed", endpoint.name)])

    def test_an_operators_weight_holds(self) -> None:
        made = self.make(0)
        made.update(SOURCE, [named(2)])
        (endpoint,) = made.endpoints
        made.weigh(endpoint, 7)
        made.update(SOURCE, [named(2, weight=5)])
        self.assertEqual(endpoint.weight, 7)
        made.weigh(endpoint, None)
        self.assertEqual(endpoint.weight, 5, "and then the source's")

    def test_what_a_source_holds_back(self) -> None:
        made = self.make(0)
        made.update(SOURCE, [named(2), named(3, held="terminating")])
        self.assertEqual(self.chosen(made), {"2"})
        made.update(SOURCE, [named(2, held="critical"), named(3)])
        self.assertEqual(self.chosen(made), {"3"})
        self.assertEqual(made.endpoints[0].standing.reasons, {Hold.NOT_READY: "critical"})

    def test_the_configuration_wins(self) -> None:
        made = self.make(1)
        made.update(SOURCE, [named(0, weight=9), named(1)])
        self.assertEqual([(each.source, each.weight) for each in made.endpoints], [(CONFIG, 1), (SOURCE, 1)])
        made.update(SOURCE, [])
        self.assertEqual(len(made.endpoints), 1)

    def test_those_that_join_wait_for_their_first_probe(self) -> None:
        made = self.make(1, health=HealthSettings())
        self.assertTrue(made.endpoints[0].standing.free, "at the start nobody knows better")
        made.update(SOURCE, [named(2)])
        self.assertEqual(made.endpoints[1].standing.state, "pending")
        self.assertEqual(self.chosen(made), {"0"})
        made.endpoints[1].release(Hold.PENDING)
        self.assertEqual(self.chosen(made), {"0", "2"})


class StandingTests(Case):
    def test_whoever_is_held_is_not_chosen(self) -> None:
        made = self.make(3)
        first = made.endpoints[0]
        first.hold(Hold.DRAINED, "by an operator", "operator")
        self.assertEqual(self.chosen(made), {"1", "2"})
        first.release(Hold.DRAINED, "operator")
        self.assertEqual(self.chosen(made), {"0", "1", "2"})
        told = [(each.source, each.state, each.reason) for each in made.environment.events.since(self.told)]
        self.assertEqual(
            told, [("operator", "drained", "drained: by an operator"), ("operator", "ready", "no longer drained")]
        )
        self.assertEqual([kind for kind, _ in self.events(made)], ["endpoint_held", "endpoint_released"])

    def test_another_weight_takes_effect_while_it_serves(self) -> None:
        made = self.make(balance=BalanceSettings(by="weighted_round_robin"))
        part, exchange = made.selection(), make_exchange()
        self.assertEqual(self.shares(made, part, exchange, 8), [4, 4])
        made.weigh(made.endpoints[0], 3)
        self.assertEqual(self.shares(made, part, exchange, 8), [6, 2])

    @staticmethod
    def shares(made: Cluster, part: Selection, exchange: Exchange, count: int) -> list[int]:
        found = [part.choose(exchange, ()) for _ in range(count)]
        return [found.count(each) for each in made.endpoints]

    def test_time_goes_by(self) -> None:
        """For ejections, for those that are warming, and for the places of clients."""
        made = self.make(2, balance=BalanceSettings.model_validate({"slow_start": "10s"}))
        first, clock = made.endpoints[0], made.environment.reactor
        assert made.outliers is not None
        for _ in range(made.outliers.settings.consecutive):
            first.failed(GatewayError(502, "upstream_reset", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD))
        self.assertEqual(first.standing.state, "ejected")
        looked: list[bool] = []
        made.geography = Mock(tick=lambda: looked.append(True))
        for _ in range(45):
            clock.advance(1.0)
            made.tick()
        self.assertEqual((first.standing.state, first.warmth, len(looked)), ("ready", 1.0, 45))

    def test_what_becomes_of_its_breaker(self) -> None:
        made = self.make()
        assert made.breaker is not None
        for _ in range(made.breaker.settings.failures):
            made.breaker.settle(made.breaker.admit(), False)
        (event,) = made.environment.events.since(self.told)
        self.assertEqual((event.kind, event.endpoint, event.state), ("breaker_changed", "", "refusing"))
        self.assertIn("in a row", event.reason)

    def test_one_that_is_free_again_lets_the_breaker_try(self) -> None:
        made = self.make()
        nudged: list[str] = []
        assert made.breaker is not None
        made.breaker.nudge = lambda: nudged.append("")  # type: ignore[method-assign]
        made.endpoints[0].hold(Hold.FAILING, "500")
        made.endpoints[0].hold(Hold.EJECTED, "500")
        made.endpoints[0].release(Hold.FAILING)
        self.assertEqual(nudged, [])
        made.endpoints[0].release(Hold.EJECTED)
        self.assertEqual(nudged, [""])

    def test_attempts_are_told_to_whom_they_concern(self) -> None:
        made = self.make()
        told: list[Any] = []

        class Ears:
            def answered(self, endpoint: Endpoint, status: int, took_s: float, whole: bool = True) -> None:
                told.append((status, whole))

            def ended(self, endpoint: Endpoint, began: int, status: int, lasted_s: float) -> None:
                told.append((began, status, lasted_s))

            def failed(self, endpoint: Endpoint, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
                told.append((error.reason, lasted_s, began))

        endpoint = made.endpoints[0]
        endpoint.observers = (Ears(),)
        endpoint.answered(200, 0.1, False)
        endpoint.ended(200, 503, 7.0)
        endpoint.failed(GatewayError(502, "upstream_aborted", side=Side.UPSTREAM), 8.0, 503)
        self.assertEqual(told, [(200, False), (200, 503, 7.0), ("upstream_aborted", 8.0, 503)])


class ReloadTests(Case):
    def after(self, old: Cluster, **settings: Any) -> Cluster:
        """The same upstream with other settings."""
        said = old.settings.model_copy(update=settings)
        new = Cluster(old.name, said, old.connector, old._balancer, old.environment)
        new.begin(old)
        old.end()
        return new

    def elsewhere(self, old: Cluster, count: int | None = None) -> Cluster:
        """The same upstream, or with so many endpoints, over other connections."""
        said = old.settings if count is None else old.settings.model_copy(update={"endpoints": endpoints(count)})
        there = Connector(old.environment.reactor, old.environment.wheel, old.environment.resolver, None, 1.0)
        new = Cluster(old.name, said, there, old._balancer, old.environment)
        new.begin(old)
        old.end()
        return new

    def test_what_stays_comes_with_its_standing(self) -> None:
        old = self.make()
        old.update(SOURCE, [named(2)])
        old.endpoints[0].hold(Hold.EJECTED, "500s")
        old.endpoints[1].hold(Hold.DRAINED, "by an operator")
        self.events(old)
        new = self.after(old, host="upstream")
        self.assertEqual(new.endpoints, old.endpoints)
        self.assertEqual(self.chosen(new), {"2"})
        self.assertEqual(self.events(new), [])
        self.assertNotIn("closed", repr(new.endpoints[0].pool))
        new.update(SOURCE, [])
        self.assertEqual(len(new.endpoints), 2)

    def test_what_was_added_and_removed(self) -> None:
        old = self.make(2)
        gone = old.endpoints[0]
        new = self.after(old, endpoints=(named(1).settings, named(3).settings))
        self.assertIs(new.endpoints[0], old.endpoints[1])
        self.assertEqual(
            self.events(new), [("endpoint_removed", "http://origin-0:80"), ("endpoint_added", "http://origin-3:80")]
        )
        self.assertIn("closed", repr(gone.pool))

    def test_parts_that_are_switched_off_hold_nobody(self) -> None:
        old = self.make(2, health=HealthSettings())
        for hold in (Hold.FAILING, Hold.EJECTED, Hold.DRAINED):
            old.endpoints[0].hold(hold, "x")
        new = self.after(old, health=None, outlier=False)
        self.assertEqual(set(new.endpoints[0].standing.reasons), {Hold.DRAINED})

    def test_the_budget_is_the_upstreams(self) -> None:
        old = self.make()
        self.assertIs(self.after(old, host="upstream").retry.budget, old.retry.budget)

    def test_of_other_connections_a_breaker_remembers_and_tries(self) -> None:
        old = self.make()
        assert old.breaker is not None
        nudged: list[str] = []
        old.breaker.nudge = lambda: nudged.append("")  # type: ignore[method-assign]
        new = cluster(*(Origin() for _ in range(4)), endpoints=old.settings.endpoints)
        new.begin(old)
        self.assertIs(new.breaker, old.breaker)
        self.assertEqual(nudged, [""])

    def test_a_breaker_that_is_left_alone_remembers(self) -> None:
        old = self.make()
        new = self.after(old, host="upstream")
        self.assertIs(new.breaker, old.breaker)
        self.assertIsNone(self.after(new, breaker=False).breaker)

    def test_of_other_connections_whoever_stays_is_no_news(self) -> None:
        old = self.make(2)
        old.update(SOURCE, [named(2)])
        self.events(old)
        new = self.elsewhere(old, count=1)
        self.assertEqual(self.events(new), [("endpoint_removed", "http://origin-1:80")])

    def test_of_other_connections_operators_words_stay(self) -> None:
        old = self.make()
        old.endpoints[0].hold(Hold.DRAINED, "by an operator")
        old.endpoints[0].hold(Hold.EJECTED, "500s")
        old.weigh(old.endpoints[1], 9)
        old.update(SOURCE, [named(2)])
        new = cluster(*(Origin() for _ in range(4)), endpoints=old.settings.endpoints)
        new.begin(old)
        old.end()
        self.assertEqual(set(new.endpoints[0].standing.reasons), {Hold.DRAINED})
        self.assertEqual([each.weight for each in new.endpoints], [1, 9, 1])
        self.assertIn("closed", repr(old.endpoints[0].pool))
        self.assertNotIn("closed", repr(new.endpoints[0].pool))

    def test_of_other_connections_doubts_stay_until_a_probe_passes(self) -> None:
        old = self.make(3, health=HealthSettings())
        old.update(SOURCE, [named(3)])
        old.endpoints[0].hold(Hold.FAILING, "connect_refused")
        old.endpoints[1].hold(Hold.EJECTED, "500s")
        old.endpoints[3].release(Hold.PENDING)
        new = self.elsewhere(old)
        self.assertEqual([each.standing.state for each in new.endpoints], ["pending", "pending", "ready", "ready"])
        self.assertEqual(new.endpoints[0].standing.reasons[Hold.PENDING], "failing before the reload")
        self.assertEqual(self.chosen(new), {"2", "3"})

    def test_of_other_connections_one_that_joins_waits_for_its_first_probe(self) -> None:
        new = self.elsewhere(self.make(1, health=HealthSettings()), count=2)
        self.assertEqual([each.standing.state for each in new.endpoints], ["ready", "pending"])

    def test_of_other_connections_slow_start_goes_on(self) -> None:
        old = self.make(2, balance=BalanceSettings(slow_start="10s"))
        old.update(SOURCE, [named(2)])
        old.endpoints[1].weigh(warmth=0.5)
        old.endpoints[2].weigh(warmth=1.0)
        new = self.elsewhere(old)
        self.assertEqual([each.warmth for each in new.endpoints], [1.0, 0.5, 1.0])

    def test_one_that_joins_waits_for_its_first_probe(self) -> None:
        old = self.make(1, health=HealthSettings())
        new = self.after(old, endpoints=(named(0).settings, named(1).settings))
        self.assertEqual([each.standing.state for each in new.endpoints], ["ready", "pending"])
        self.assertEqual(self.chosen(new), {"0"})

    def test_whoever_is_inside_a_bulkhead_counts_on(self) -> None:
        old = self.make(1, bulkhead=BulkheadSettings(requests=1))
        self.assertIs(self.elsewhere(old).bulkhead, old.bulkhead)

"""The registry has what the table says, and counts what it is told."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.cells import OTHER, UNROUTED, Family
from edgegw.observe.metrics import METRICS, Registry


class TableTests(SynchronousTestCase):
    def test_each_row_has_one_family_that_is_an_attribute(self) -> None:
        registry = Registry()
        self.assertEqual(set(registry.families), {spec.name for spec in METRICS})
        attributes = [value for value in vars(registry).values() if isinstance(value, Family)]
        self.assertEqual(len(attributes), len(METRICS))


class RouteMetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = Registry()

    def test_an_exchange_is_in_flight_and_then_recorded(self) -> None:
        route = self.registry.route("users")
        route.begin()
        gauge = self.registry.requests_in_flight.child(route="users")
        self.assertEqual(gauge.value, 1)
        route.record("GET", 200, 0.02, 10, 2000)
        self.assertEqual(gauge.value, 0)
        self.assertEqual(self.registry.requests.child(route="users", method="GET", code="200").value, 1)
        for family, total in (
            (self.registry.request_duration, 0.02),
            (self.registry.request_size, 10),
            (self.registry.response_size, 2000),
        ):
            cell = family.child(route="users")
            self.assertEqual((cell.count, cell.sum), (1, total))

    def test_exchanges_that_never_began_do_not_count_as_fewer_than_none(self) -> None:
        route = self.registry.route(UNROUTED)
        for _ in range(3):
            route.record("GET", 404, 0.001, 0, 9)
        self.assertEqual(self.registry.requests_in_flight.child(route=UNROUTED).value, 0)
        self.assertEqual(self.registry.requests.child(route=UNROUTED, method="GET", code="404").value, 3)

    def test_an_empty_body_is_in_the_first_bucket_and_a_huge_one_in_the_last(self) -> None:
        self.registry.route("users").record("GET", 200, 0.02, 0, 1 << 40)
        self.assertEqual(self.registry.request_size.child(route="users").counts[0], 1)
        self.assertEqual(self.registry.response_size.child(route="users").counts[-1], 1)

    def test_a_route_without_exchanges_has_no_series(self) -> None:
        before = self.registry.size
        for number in range(100):
            self.registry.route(f"r{number}")
        self.assertEqual(self.registry.size, before)

    def test_a_reload_keeps_the_counts_of_the_routes_that_stay(self) -> None:
        kept, gone = self.registry.route("kept"), self.registry.route("gone")
        for route in (kept, gone):
            route.record("GET", 200, 0.02, 0, 0)
        self.registry.retain_routes({"kept"})
        self.assertIs(self.registry.route("kept"), kept)
        self.assertIsNot(self.registry.route("gone"), gone)
        self.assertEqual({key[0] for key, _ in self.registry.requests}, {"kept"})
        # An exchange that was in flight over the reload must not fail.
        gone.record("GET", 200, 0.02, 0, 0)

    def test_invented_methods_and_codes_do_not_make_series(self) -> None:
        route = self.registry.route("users")
        for number in range(500):
            route.record(f"M{number}", 200, 0.0, 0, 0)
            route.record("GET", 1000 + number, 0.0, 0, 0)
        self.assertEqual(
            sorted(key for key, _ in self.registry.requests), [("users", "GET", OTHER), ("users", OTHER, "200")]
        )
        self.assertEqual(sum(cell.value for _, cell in self.registry.requests), 1000)

    def test_ten_thousand_routes_stay_within_the_limit_and_lose_no_count(self) -> None:
        for number in range(10_000):
            self.registry.route(f"r{number}").record("GET", 200, 0.1, 0, 0)
        self.assertEqual(len(self.registry.request_duration), 1001)
        self.assertEqual(sum(cell.count for _, cell in self.registry.request_duration), 10_000)
        self.assertEqual(self.registry.request_duration.child(route=OTHER).count, 9_000)
        self.assertGreater(self.registry.folded.child(metric="edgegw_request_duration_seconds").value, 0)


class UpstreamMetricsTests(SynchronousTestCase):
    def test_attempts_by_class_or_reason_and_retries(self) -> None:
        registry = Registry()
        upstream = registry.upstream("users")
        for status in (200, 204, 503):
            upstream.answered(status)
        upstream.failed("connect_refused")
        upstream.failed("connect_refused")
        upstream.retried("connect_refused")
        attempts = {key: cell.value for key, cell in registry.upstream_attempts}
        self.assertEqual(attempts, {("users", "2xx"): 2, ("users", "5xx"): 1, ("users", "connect_refused"): 2})
        self.assertEqual(registry.retries.child(upstream="users", reason="connect_refused").value, 1)

    def test_gauges_may_follow_the_pool(self) -> None:
        registry = Registry()
        registry.upstream("users").idle.follow(lambda: 7)
        self.assertEqual(registry.upstream_connections.child(upstream="users", state="idle").value, 7)
        registry.retain_upstreams(())
        self.assertEqual(len(registry.upstream_connections), 0)


class RegistryTests(SynchronousTestCase):
    def test_reloads(self) -> None:
        registry = Registry()
        registry.reloaded("ok", 100.0)
        registry.reloaded("rejected", 200.0)
        self.assertEqual((registry.config_successful.only.value, registry.config_timestamp.only.value), (0, 100.0))
        registry.reloaded("unchanged", 300.0)
        self.assertEqual((registry.config_successful.only.value, registry.config_timestamp.only.value), (1, 100.0))
        self.assertEqual(
            {key[0]: cell.value for key, cell in registry.config_reloads}, {"ok": 1, "rejected": 1, "unchanged": 1}
        )

    def test_two_registries_share_nothing(self) -> None:
        Registry().rejected("x")
        self.assertEqual(len(Registry().rejections), 0)

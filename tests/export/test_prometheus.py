"""What is rendered parses, is shared, and is kept for a second."""

import math
from collections.abc import Callable

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.export.prometheus import CellCollector, Exposed, Exposition
from edgegw.observe.metrics import METRICS, Registry
from edgegw.observe.process import ProcessStats, build_info


def busy_registry() -> Registry:
    """A registry in which every family has a cell."""
    registry = Registry()
    registry.refresh.append(ProcessStats(registry).refresh)
    build_info(registry, "0.1.0", "uvloop")
    route = registry.route('odd "name" \\ {id}')
    route.begin()
    route.record("GET", 200, 0.3, 10, 2_000_000_000)
    upstream = registry.upstream("users")
    upstream.answered(200)
    upstream.retried("reset")
    upstream.connect.observe(0.002)
    upstream.retry_refused("budget")
    upstream.hedged("won")
    registry.upstream_endpoints.child(upstream="users", state="ready").set(2)
    registry.breaker_state.child(upstream="users").set(1)
    registry.upstream_panic.child(upstream="users").set(0)
    registry.upstream_events.child(upstream="users", kind="endpoint_added").inc()
    registry.health_checks.child(upstream="users", outcome="passed").inc()
    registry.discovery_age.child(upstream="users").set(0.5)
    registry.discovery_updates.child(upstream="users", outcome="ok").inc()
    registry.mirrored.child(route="a", outcome="sent").inc()
    registry.fallbacks.child(route="a", reason="no_endpoint").inc()
    registry.shed.child(importance="low").inc()
    registry.overload_level.only.set(0)
    registry.rejected("both_te_cl")
    registry.connections.child(listener="a").inc()
    registry.connections_accepted.child(listener="a").inc()
    registry.connections_rejected.child(listener="a", reason="cap").inc()
    registry.tls_handshakes.child(listener="a", outcome="ok").inc()
    registry.http2_errors.child(listener="a", reason="h2_reset_flood").inc()
    registry.reloaded("ok", 1_790_000_000.5)
    registry.folded.child(metric="x").inc()
    registry.gc_pause.child(generation="0").observe(0.001)
    return registry


class ExpositionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = busy_registry()

    def text(self, accept: str = "") -> str:
        exposition = Exposition(self.registry, self.clock.seconds)
        return self.successResultOf(exposition.render(accept)).body.decode()

    def test_every_metric_of_the_table_is_rendered_and_parses(self) -> None:
        families = {family.name: family for family in parse(self.text())}
        self.assertEqual(len(families), len(METRICS))
        for spec in METRICS:
            family = families[spec.name.removesuffix("_total")]
            self.assertEqual((family.type, family.documentation), (spec.kind, spec.help), spec.name)
            for sample in family.samples:
                self.assertEqual(set(sample.labels) - {"le"}, set(spec.labels), spec.name)

    def test_openmetrics_parses_by_its_strict_parser(self) -> None:
        families = {
            family.name: family
            for family in parse_openmetrics(self.text("application/openmetrics-text; version=1.0.0"))
        }
        self.assertEqual(families["edgegw_request_duration_seconds"].unit, "seconds")
        self.assertEqual(len(families), len(METRICS))

    def test_label_values_come_back_as_they_were(self) -> None:
        (family,) = [family for family in parse(self.text()) if family.name == "edgegw_requests"]
        self.assertEqual(family.samples[0].labels, {"route": 'odd "name" \\ {id}', "method": "GET", "code": "200"})

    def test_buckets_accumulate_and_end_in_the_count(self) -> None:
        (family,) = [family for family in parse(self.text()) if family.name == "edgegw_request_duration_seconds"]
        buckets = [(float(each.labels["le"]), each.value) for each in family.samples if each.name.endswith("_bucket")]
        self.assertEqual([count for bound, count in buckets], [float(bound >= 0.3) for bound, _ in buckets])
        self.assertEqual(buckets[-1], (math.inf, 1.0))
        values = {
            each.name.rpartition("_")[2]: each.value for each in family.samples if not each.name.endswith("_bucket")
        }
        self.assertEqual(values, {"count": 1.0, "sum": 0.3})

    def test_rendered_once_a_second_and_for_each_format(self) -> None:
        exposition = Exposition(self.registry, self.clock.seconds)
        first = self.successResultOf(exposition.render())
        self.registry.rejected("later")
        self.clock.advance(0.9)
        self.assertIs(self.successResultOf(exposition.render()), first)
        self.assertIn(b"later", self.successResultOf(exposition.render("application/openmetrics-text")).body)
        self.clock.advance(0.2)
        self.assertIn(b"later", self.successResultOf(exposition.render()).body)

    def test_large_registries_go_to_a_thread_once_for_all_who_ask(self) -> None:
        jobs: list[tuple[Callable[[], bytes], Deferred[bytes]]] = []

        def run(function: Callable[[], bytes]) -> Deferred[bytes]:
            jobs.append((function, Deferred()))
            return jobs[-1][1]

        exposition = Exposition(self.registry, self.clock.seconds, run, small=10)
        asked = [exposition.render(), exposition.render()]
        self.assertEqual(len(jobs), 1)
        self.assertNoResult(asked[0])
        function, done = jobs[0]
        done.callback(function())
        results: list[Exposed] = [self.successResultOf(each) for each in asked]
        self.assertIs(results[0], results[1])
        self.assertIn(b"edgegw_requests_total", results[0].body)

    def test_small_registries_do_not(self) -> None:
        exposition = Exposition(self.registry, self.clock.seconds, lambda _function: Deferred())
        self.assertLess(self.registry.size, 400)
        self.successResultOf(exposition.render())

    def test_a_failure_reaches_all_who_asked_and_is_not_kept(self) -> None:
        done: list[Deferred[bytes]] = []
        exposition = Exposition(
            self.registry, self.clock.seconds, lambda _: done.append(Deferred()) or done[-1], small=0
        )
        asked = [exposition.render(), exposition.render()]
        done[0].errback(ZeroDivisionError())
        for each in asked:
            self.failureResultOf(each, ZeroDivisionError)
        again = exposition.render()
        done[1].callback(b"fine")
        self.assertEqual(self.successResultOf(again).body, b"fine")

    def test_a_refresh_that_fails_hides_nothing_else(self) -> None:
        self.registry.refresh.append(lambda: 1 / 0)
        self.assertIn("edgegw_requests_total", self.text())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_asks_the_process_before_each_rendering(self) -> None:
        asked: list[None] = []
        self.registry.refresh.append(lambda: asked.append(None))
        exposition = Exposition(self.registry, self.clock.seconds)
        exposition.render()
        exposition.render()
        self.clock.advance(2)
        exposition.render()
        self.assertEqual(len(asked), 2)

    def test_lets_other_threads_run_while_it_renders(self) -> None:
        pauses: list[None] = []
        samples = sum(
            len(list(metric.samples)) for metric in CellCollector(self.registry, lambda: pauses.append(None)).collect()
        )
        self.assertGreater(samples, 64)
        self.assertGreaterEqual(len(pauses), 1)

    def test_hostile_accept_headers_get_the_plain_format(self) -> None:
        for accept in ("application/openmetrics-text;q=0", "text/plain;version=1.x.y", ",;=,", "\xff" * 500):
            with self.subTest(accept):
                self.assertEqual(len(list(parse(self.text(accept)))), len(METRICS))

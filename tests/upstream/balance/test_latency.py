"""Tests of edgegw.upstream.balance.latency."""

from __future__ import annotations

from math import exp

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.upstream.balance.latency import FAILED_AT_MOST_S, FAILED_S, Latency
from tests.upstream.balance.balancing import endpoints


class LatencyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100.0)
        self.latency = Latency(self.clock.seconds, decay_s=10.0)
        (self.endpoint,) = endpoints(1)

    def answer(self, took_s: float, status: int = 200) -> float:
        self.latency.answered(self.endpoint, status, took_s)
        return self.endpoint.ewma_s

    def test_rises_at_once_and_falls_slowly(self) -> None:
        self.assertEqual(self.answer(0.1), 0.1)
        self.assertEqual(self.answer(0.5), 0.5)
        self.clock.advance(10.0)
        self.assertAlmostEqual(self.answer(0.1), 0.5 / exp(1) + 0.1 * (1 - 1 / exp(1)))

    def test_a_better_one_at_the_same_moment_changes_nothing(self) -> None:
        self.answer(0.5)
        self.assertEqual(self.answer(0.001), 0.5)

    def test_fades_while_it_is_not_used(self) -> None:
        self.answer(0.8)
        self.clock.advance(10.0)
        self.assertAlmostEqual(self.latency.now_s(self.endpoint), 0.8 / exp(1))
        self.clock.advance(1e6)
        self.assertGreater(self.latency.now_s(self.endpoint), 0.0)

    def test_who_refuses_quickly_is_not_fast(self) -> None:
        self.answer(0.05)
        self.assertEqual(self.answer(0.001, status=503), FAILED_S)
        self.assertAlmostEqual(self.answer(0.001, status=502), 2 * FAILED_S)
        for _ in range(10):
            self.latency.failed(self.endpoint, GatewayError(502, "upstream_reset"))
        self.assertEqual(self.endpoint.ewma_s, FAILED_AT_MOST_S)
        self.assertEqual(self.answer(45.0, status=504), 45.0)

    def test_a_call_that_ends_badly(self) -> None:
        for began, status, known in ((200, 200, 0.05), (200, 404, 0.05), (503, 503, 0.05), (200, 503, FAILED_S)):
            self.setUp()
            self.answer(0.05)
            self.latency.ended(self.endpoint, began, status, 0.0)
            self.assertEqual(self.endpoint.ewma_s, known, (began, status))

    def test_other_errors_are_answers(self) -> None:
        self.assertEqual(self.answer(0.05, status=500), 0.05)
        self.assertEqual(self.answer(0.05, status=404), 0.05)

    def test_something_is_known_after_the_first(self) -> None:
        self.assertGreater(self.answer(0.0), 0.0)
        self.assertEqual(repr(self.latency), "<Latency decay=10s>")

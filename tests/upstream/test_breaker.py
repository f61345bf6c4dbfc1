"""Tests of edgegw.upstream.breaker, on an injected clock and by seeded chance."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.testing.origin import Origin, environment
from edgegw.upstream.breaker import PROBE_S, Breaker, BreakerSettings, verdict_of


class Bench:
    """A breaker, its clock, and what it said."""

    def __init__(self, **settings: Any) -> None:
        self.origin = Origin()
        self.tenths = 0
        self.said: list[tuple[str, str]] = []
        self.breaker = Breaker(
            BreakerSettings.model_validate(settings),
            environment(self.origin),
            lambda state, reason: self.said.append((state, reason)),
        )

    def waits(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.tenths += 1
            # Tenths that are added up would never quite come to the second.
            self.origin.clock.advance(self.tenths / 10 - self.origin.clock.seconds())

    def tries(self, *verdicts: bool | None) -> None:
        """Attempts, one after the other."""
        for ok in verdicts:
            self.breaker.settle(self.breaker.admit(), ok)

    def breaks(self) -> None:
        self.tries(*[False] * self.breaker.settings.failures)

    def refusal(self) -> GatewayError | None:
        """Why it admits nothing, else None."""
        try:
            self.tries(None)
        except GatewayError as error:
            return error
        return None

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.said]


class Case(SynchronousTestCase):
    def bench(self, **settings: Any) -> Bench:
        self.at = Bench(**settings)
        return self.at

    def assert_refuses(self, wait: bytes | None = None) -> None:
        error = self.at.refusal()
        assert error is not None, repr(self.at.breaker)
        self.assertEqual((error.status, error.reason, error.phase), (503, "breaker_refuses", Phase.CHOOSE))
        self.assertEqual((error.retry, error.side), (Retry.NEVER, Side.GATEWAY))
        ((name, value),) = error.headers
        self.assertEqual(name, b"Retry-After")
        if wait is not None:
            self.assertEqual(value, wait)

    def assert_admits(self) -> None:
        self.assertIsNone(self.at.refusal(), repr(self.at.breaker))


class AdmittingTests(Case):
    def test_failures_in_a_row_break_it(self) -> None:
        bench = self.bench()
        bench.tries(*[False] * 4)
        self.assert_admits()
        bench.tries(False)
        self.assert_refuses(b"10")
        self.assertEqual(bench.said, [("refusing", "5 failures in a row")])

    def test_a_good_one_ends_the_row(self) -> None:
        self.bench().tries(*([False] * 4 + [True]) * 3)
        self.assert_admits()

    def test_what_teaches_nothing_does_not(self) -> None:
        self.bench().tries(*[False, None] * 4)
        self.assert_admits()
        self.at.tries(False)
        self.assert_refuses()

    def test_the_row_can_be_off(self) -> None:
        self.bench(failures=0, ratio="off").tries(*[False] * 500)
        self.assert_admits()

    def test_the_share_breaks_it(self) -> None:
        bench = self.bench()
        bench.tries(*[True, False] * 9, True)
        self.assert_admits()
        bench.tries(False)
        self.assertEqual(bench.said, [("refusing", "10 of 20 failed within 10 s")])

    def test_a_share_of_the_past_is_forgotten(self) -> None:
        bench = self.bench(refuse="1s")
        bench.tries(*[True, False] * 10)
        bench.waits(1)
        bench.tries(True, True, True, False)
        self.assertEqual(bench.states, ["refusing", "probing", "admitting"])

    def test_not_below_the_share(self) -> None:
        self.bench().tries(*[True, True, False] * 100)
        self.assert_admits()

    def test_the_share_can_be_off(self) -> None:
        self.bench(ratio="off").tries(*[True, False] * 100)
        self.assert_admits()

    def test_it_slides_in_small_steps(self) -> None:
        """What happened a moment before the whole window has passed still counts."""
        bench = self.bench()
        bench.tries(*[True, False] * 5)
        bench.waits(8.8)
        bench.tries(*[True, False] * 5)
        self.assert_refuses()

    def test_statuses(self) -> None:
        breaker = self.bench().breaker
        self.assertEqual([s for s in range(200, 600) if s in breaker.bad], [502, 503, 504])
        breaker = self.bench(statuses="500, 503").breaker
        self.assertEqual([s for s in range(200, 600) if s in breaker.bad], [500, 503])

    def test_errors(self) -> None:
        for reason, verdict in (
            ("connect_timeout", False), ("upstream_reset", False), ("upstream_head_timeout", False),
            ("bad_status_line", False), ("connect_refused", None), ("resolve_failed", None), ("upstream_aborted", None),
        ):  # fmt: skip
            self.assertIs(verdict_of(GatewayError(502, reason, side=Side.UPSTREAM)), verdict, reason)
        self.assertIsNone(verdict_of(GatewayError(499, "downstream_left", side=Side.DOWNSTREAM)))
        self.assertIsNone(verdict_of(GatewayError(503, "pool_queue_full")))


class RefusingTests(Case):
    def test_until_its_time_is_over(self) -> None:
        bench = self.bench()
        bench.breaks()
        bench.waits(9.9)
        self.assert_refuses(b"1")
        bench.waits(0.1)
        self.assert_admits()
        self.assertEqual(bench.breaker.state, "probing")

    def test_retry_after_is_what_is_left(self) -> None:
        bench = self.bench()
        bench.breaks()
        for passed, wait in ((0, b"10"), (2.5, b"8"), (5.0, b"3"), (2.0, b"1")):
            bench.waits(passed)
            self.assert_refuses(wait)
        self.assertAlmostEqual(bench.breaker.left_s, 0.5)

    def test_its_end_is_seen_without_traffic(self) -> None:
        bench = self.bench()
        bench.breaks()
        bench.waits(10.2)
        self.assertEqual(bench.said[1:], [("probing", "10 s are over")])

    def test_what_was_admitted_before_counts_no_more(self) -> None:
        bench = self.bench()
        old = [bench.breaker.admit() for _ in range(9)]
        bench.breaks()
        bench.waits(10)
        self.assert_admits()
        for token, ok in zip(old, [True] * 4 + [False] * 4 + [None], strict=True):
            bench.breaker.settle(token, ok)
        self.assertEqual(bench.breaker.state, "probing")
        bench.tries(True, True, True)
        self.assertEqual(bench.states, ["refusing", "probing", "admitting"])
        for token in old:
            bench.breaker.settle(token, False)
        self.assertEqual(bench.breaker.state, "admitting")

    def test_nudged(self) -> None:
        bench = self.bench()
        bench.breaks()
        bench.waits(1)
        self.assert_refuses()
        bench.breaker.nudge()
        self.assert_admits()
        self.assertEqual(bench.said[1:], [("probing", "an endpoint came back")])

    def test_nudged_at_most_once_a_second(self) -> None:
        bench = self.bench()
        bench.breaks()
        bench.breaker.nudge()
        bench.tries(False)
        bench.breaker.nudge()
        self.assert_refuses()
        bench.waits(1)
        bench.breaker.nudge()
        self.assert_admits()

    def test_a_nudge_means_nothing_else(self) -> None:
        bench = self.bench()
        bench.breaker.nudge()
        self.assertEqual((bench.breaker.state, bench.said), ("admitting", []))
        bench.breaks()
        bench.waits(10)
        bench.tries(True, True)
        bench.breaker.nudge()
        bench.tries(True)
        self.assertEqual(bench.breaker.state, "admitting")


class ProbingTests(Case):
    def probing(self, **settings: Any) -> Bench:
        bench = self.bench(**settings)
        bench.breaks()
        bench.waits(10)
        return bench

    def test_so_many_at_once(self) -> None:
        bench = self.probing(probes=2)
        first = bench.breaker.admit()
        bench.breaker.admit()
        self.assert_refuses(b"1")
        bench.breaker.settle(first, None)
        self.assert_admits()

    def test_all_of_them_good(self) -> None:
        bench = self.probing()
        bench.tries(True, True)
        self.assertEqual(bench.breaker.state, "probing")
        bench.tries(None, True)
        self.assertEqual(bench.said[2:], [("admitting", "3 probes in a row were good")])
        bench.tries(*[False] * 4)
        self.assert_admits()

    def test_one_bad(self) -> None:
        bench = self.probing()
        bench.tries(True, True, False)
        self.assert_refuses()
        self.assertEqual(bench.said[2:], [("refusing", "a probe failed")])

    def test_what_other_probes_say_after_that_counts_no_more(self) -> None:
        bench = self.probing()
        bench.tries(True)
        tokens = [bench.breaker.admit() for _ in range(3)]
        bench.breaker.settle(tokens[0], False)
        bench.waits(25)
        self.assertEqual(bench.breaker.state, "probing")
        for token in tokens:
            bench.breaker.settle(token, False)
        self.assertEqual(bench.breaker.state, "probing")
        bench.tries(True, True)
        self.assertEqual(bench.breaker.state, "probing")

    def test_longer_each_time(self) -> None:
        bench = self.bench(refuse="10s", max_refuse="60s")
        bench.breaks()
        lengths = [bench.breaker.left_s]
        for _ in range(6):
            bench.waits(bench.breaker.left_s + 0.2)
            bench.tries(False)
            lengths.append(bench.breaker.left_s)
        for length, most in zip(lengths, (10, 20, 40, 60, 60, 60, 60), strict=True):
            self.assertTrue(0.75 * most <= length <= most, lengths)
        # By chance, so that gateways that broke together part.
        self.assertEqual(len(set(lengths[3:])), 4)

    def test_at_most_is_at_least_the_first(self) -> None:
        bench = self.bench(refuse="90s", max_refuse="60s")
        bench.breaks()
        self.assertAlmostEqual(bench.breaker.left_s, 90)
        bench.waits(90.2)
        bench.tries(False)
        self.assertAlmostEqual(bench.breaker.left_s, 90)

    def again_after(self, seconds: float) -> float:
        """It recovers, admits for so long, and breaks again: for how long?"""
        bench = self.probing()
        bench.tries(True, True, True)
        bench.waits(seconds)
        bench.breaks()
        return bench.breaker.left_s

    def test_recovered_for_a_while(self) -> None:
        self.assertAlmostEqual(self.again_after(10.5), 10)

    def test_recovered_for_a_moment_only(self) -> None:
        self.assertTrue(15 <= self.again_after(5) <= 20)

    def test_a_probe_that_is_never_settled(self) -> None:
        """A defect elsewhere must not keep the upstream out for ever."""
        bench = self.probing()
        lost = [bench.breaker.admit() for _ in range(3)]
        bench.waits(PROBE_S - 1)
        self.assert_refuses(b"1")
        bench.waits(1)
        bench.tries(True, True, True)
        self.assertEqual(bench.breaker.state, "admitting")
        bench.breaker.settle(lost[0], False)
        self.assertEqual(bench.breaker.state, "admitting")


class OperatorTests(Case):
    def test_reset(self) -> None:
        bench = self.bench()
        bench.breaks()
        bench.breaker.reset()
        self.assert_admits()
        self.assertEqual(bench.said[1:], [("admitting", "reset by an operator")])
        bench.breaks()
        self.assertAlmostEqual(bench.breaker.left_s, 10)
        bench.breaker.reset()
        bench.waits(20)
        self.assertEqual(bench.states[2:], ["refusing", "admitting"])

    def test_reset_of_one_that_admits(self) -> None:
        bench = self.bench()
        bench.tries(*[False] * 4)
        bench.breaker.reset()
        bench.tries(False)
        self.assertEqual((bench.breaker.state, bench.said), ("admitting", []))

    def test_repr(self) -> None:
        bench = self.bench()
        bench.tries(True, False)
        self.assertEqual(repr(bench.breaker), "<Breaker admitting, 1 of 2 failed within 10 s, 1 in a row>")
        bench.tries(*[False] * 4)
        self.assertEqual(repr(bench.breaker), "<Breaker refusing, 10.0 s left, broken 1 times>")
        said = bench.breaker.describe()
        self.assertEqual((said["state"], said["left_s"], said["broken"], said["window_s"]), ("refusing", 10.0, 1, 10.0))
        bench.waits(10)
        bench.tries(True)
        bench.breaker.admit()
        self.assertEqual(repr(bench.breaker), "<Breaker probing, 1 of 3 under way, 1 good>")

    def test_settings(self) -> None:
        for wrong in (
            {"ratio": "0%"},
            {"ratio": "101%"},
            {"probes": 0},
            {"window": 0},
            {"refuse": 0},
            {"failures": -1},
        ):
            self.assertRaises(ValidationError, BreakerSettings.model_validate, wrong)

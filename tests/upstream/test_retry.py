"""Tests of edgegw.upstream.retry: settings and rules."""

from __future__ import annotations

from random import Random
from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.origin import Origin, environment
from edgegw.upstream.retry import IDEMPOTENT, RetryPolicy, RetryRules, RetrySettings, retry_after_s


def rules(**settings: Any) -> RetryRules:
    return RetryRules(RetrySettings.model_validate(settings), Random(1))


class SettingsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        made = rules()
        self.assertEqual((made.attempts, made.share, made.floor, made.body), (1, 0.2, 10.0, 65536))
        self.assertEqual((made.methods, made.per_try_s, made.hedge), (IDEMPOTENT, None, None))
        self.assertFalse(made.conditions.judges)

    def test_what_is_said(self) -> None:
        made = rules(
            attempts=3,
            methods=["POST"],
            budget="10%",
            budget_floor="600/m",
            body="1KiB",
            per_try="1s",
            hedge="200ms",
            on=[503],
        )
        self.assertEqual((made.share, made.floor, made.body, made.per_try_s), (0.1, 100.0, 1024, 1.0))
        self.assertEqual(made.methods, IDEMPOTENT | {"POST"})
        assert made.hedge is not None
        self.assertEqual((made.hedge.after, made.hedge.most), (0.2, 1))
        self.assertTrue(made.conditions.judges)

    def test_no_attempts_is_off(self) -> None:
        self.assertIn("[] [] []", repr(rules(attempts=0, on=["reset", 503, "unavailable"])))

    def test_refused(self) -> None:
        for settings in (
            {"on": ["rest"]}, {"on": "reset"}, {"on": [200]}, {"methods": ["post"]}, {"methods": ["NOPE"]}, {"attempts": -1},
            {"attempts": 11}, {"hedge": True}, {"hedge": "0s"}, {"hedge": {"most": 2}}, {"per_try": 0}, {"budget": "120%"},
            {"backoff": {"bas": "1s"}},
        ):  # fmt: skip
            with self.assertRaises(ValidationError, msg=str(settings)):
                RetrySettings.model_validate(settings)

    def test_a_route_has_its_own(self) -> None:
        policy = RetryPolicy(RetrySettings(attempts=2), environment(Origin()))
        self.assertEqual((policy.rules().attempts, policy.rules(RetrySettings(attempts=5)).attempts), (2, 5))
        self.assertEqual(repr(policy), "<RetryPolicy 2 more, <RetryBudget 0 added to 0 exchanges>>")


class BackoffTests(SynchronousTestCase):
    def test_full_jitter_below_a_bound_that_doubles(self) -> None:
        made = rules(backoff={"base": "20ms", "most": "50ms"})
        for count, bound_s in ((1, 0.02), (2, 0.04), (3, 0.05), (9, 0.05)):
            waits = [made.wait_s(count) for _ in range(2000)]
            self.assertLess(max(waits), bound_s)
            self.assertGreater(max(waits), 0.95 * bound_s)
            self.assertLess(min(waits), 0.05 * bound_s)
            self.assertLess(abs(sum(waits) / len(waits) - bound_s / 2), 0.03 * bound_s)

    def test_none(self) -> None:
        self.assertEqual(rules(backoff={"base": 0}).wait_s(3), 0)


class RetryAfterTests(SynchronousTestCase):
    def test_table(self) -> None:
        for value, seconds in (
            (None, None), (b"3", 3.0), (b" 0 ", 0.0), (b"9" * 10, None), (b"-1", None), (b"soon", None), (b"", None),
            (b"Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None), (b"1 Jan 2094 00:00:00 +9999999999999", None),
            (b"Thu, 01 Jan 1970 00:02:00 GMT", 20.0), (b"Thu, 01 Jan 1970 00:00:00 GMT", 0.0), (b"\xff", None),
        ):  # fmt: skip
            self.assertEqual(retry_after_s(value, 100.0), seconds, value)

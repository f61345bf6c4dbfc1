"""Tests of edgegw.upstream.balance.settings: what is said of algorithms."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.settings import BalanceSettings


def settings(**said: Any) -> BalanceSettings:
    return BalanceSettings.model_validate(said)


class BalanceSettingsTests(SynchronousTestCase):
    def wrong(self, said: object) -> str:
        with self.assertRaises(ValidationError) as caught:
            BalanceSettings.model_validate(said)
        return str(caught.exception.errors()[0]["msg"])

    def test_short(self) -> None:
        self.assertEqual(BalanceSettings.model_validate("peak_ewma").by, "peak_ewma")
        self.assertEqual(settings().by, "weighted_round_robin")

    def test_what_goes_with_hashing_only(self) -> None:
        words = 'goes with "by: consistent_hash", not with'
        self.assertIn(f"key {words} weighted_round_robin", self.wrong({"key": "client_ip"}))
        self.assertIn(f"table {words} random", self.wrong({"by": "random", "table": "maglev"}))
        self.assertIn(f"factor {words} random", self.wrong({"by": "random", "factor": "150%"}))
        self.assertIn("key and table go with", self.wrong({"key": "path", "table": "ring"}))
        made = settings(by="consistent_hash", key="path", table="ring", factor="150%")
        self.assertEqual((made.key, made.table, made.factor), ("path", "ring", 1.5))

    def test_of_others(self) -> None:
        made = BalanceSettings.model_validate(
            {"custom": "shop.balancers:Spare", "with": {"fact": "slots"}, "panic": "0%"}
        )
        self.assertEqual((made.custom, made.with_), ("shop.balancers:Spare", {"fact": "slots"}))
        self.assertEqual(
            self.wrong({"custom": "x", "by": "random"}),
            'Value error, has "custom" and "by": leave one or the other out, for the code of "custom" chooses alone',
        )
        self.assertIn(
            '"by" and "key" and "factor"',
            self.wrong({"custom": "x", "by": "consistent_hash", "key": "path", "factor": "0%"}),
        )
        self.assertIn('has "custom" and "table"', self.wrong({"custom": "x", "table": "ring"}))
        self.assertIn('say "custom", too', self.wrong({"with": {"a": 1}}))

    def test_the_bound(self) -> None:
        for said, bound in (
            ({}, 0.0),
            ({"table": "maglev"}, 0.0),
            ({"table": "ring"}, 1.25),
            ({"table": "ring", "factor": "0%"}, 0.0),
            ({"table": "maglev", "factor": "200 %"}, 2.0),
        ):
            self.assertEqual(settings(by="consistent_hash", **said).bound, bound)

    def test_the_factor_is_above_one(self) -> None:
        for factor in ("100%", "99%", "10001%"):
            self.assertIn("must be above 100%", self.wrong({"by": "consistent_hash", "factor": factor}))
        for factor in (1.25, "1.25", True, "-125%"):
            self.assertIn("such as 125%", self.wrong({"by": "consistent_hash", "factor": factor}))

    def test_as_text_again(self) -> None:
        made = settings(by="consistent_hash", factor="125%", key="header:X-User")
        said = made.model_dump(mode="json", exclude_unset=True)
        self.assertEqual(said, {"by": "consistent_hash", "factor": "125%", "key": "header:X-User"})

    def test_a_wrong_key_says_what_is_right(self) -> None:
        self.assertIn("did you mean header:X?", self.wrong({"by": "consistent_hash", "key": "heeder:X"}))

"""Tests of edgegw.upstream.tiers."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.tiers import GeoSettings, TierSettings


class TierSettingsTests(SynchronousTestCase):
    def test_orders(self) -> None:
        rows: list[tuple[dict[str, Any], tuple[str, ...]]] = [
            ({}, ()),
            ({"zone": "eu-1a"}, ("eu-1a",)),
            ({"zones": ["b", "*", "a"]}, ("b", "*", "a")),
            ({"geo": {"networks": {"10.0.0.0/8": ["a"]}}}, ()),
        ]
        for said, order in rows:
            self.assertEqual(TierSettings.model_validate(said).order, order)

    def test_spill(self) -> None:
        self.assertEqual(TierSettings().spill, 1.4)
        self.assertEqual(TierSettings.model_validate({"spill": "100%"}).spill, 1.0)
        self.assertEqual(TierSettings().model_dump(mode="json")["spill"], "140%")
        for wrong in ("99%", "1001%", "much", 140, 1.4, True, None, ["140%"]):
            self.assertRaises(ValidationError, TierSettings.model_validate, {"spill": wrong})

    def test_refused(self) -> None:
        for wrong in (
            {"zone": "a", "zones": ["b"]},
            {"zone": "a", "geo": {"header": "X"}},
            {"zones": ["a", "a"]},
            {"zoone": "a"},
        ):
            self.assertRaises(ValidationError, TierSettings.model_validate, wrong)

    def test_what_balancing_says_by_default(self) -> None:
        said = BalanceSettings.model_validate("round_robin")
        self.assertEqual((said.tiers, said.sticky, said.slow_start, said.panic), (TierSettings(), None, 0.0, 0.5))


class GeoSettingsTests(SynchronousTestCase):
    def test_whole(self) -> None:
        said = GeoSettings.model_validate(
            {
                "database": "geo.mmdb",
                "header": "CF-IPCountry",
                "networks": {"10.1.0.0/16": ["eu"], "2001:db8::/32": ["us"]},
                "regions": {"DE": ["eu", "us"]},
                "default": ["us"],
                "nearest": True,
                "places": {"eu": [50.1, 8.7], "us": [39.0, -77.5]},
            }
        )
        self.assertEqual(said.places["us"], (39.0, -77.5))

    def test_refused(self) -> None:
        database = {"database": "x.mmdb"}
        for wrong, words in (
            ({}, "database, header or networks"),
            ({"header": "CF IP"}, "name of a header"),
            ({**database, "regions": {"Germany": ["eu"]}}, "such as DE"),
            ({**database, "regions": {"de": ["eu"]}}, "such as DE"),
            ({**database, "nearest": True}, "places"),
            ({"header": "X", "nearest": True, "places": {"eu": [1, 2]}}, "coordinates"),
            ({**database, "places": {"eu": [91, 2]}}, "degrees"),
            ({**database, "places": {"eu": [1, 181]}}, "degrees"),
            ({**database, "places": {"eu": [1]}}, "places"),
            ({"networks": {"10.1.0.1/16": ["eu"]}}, "did you mean"),
        ):
            error = self.assertRaises(ValidationError, GeoSettings.model_validate, wrong)
            self.assertIn(words, str(error))

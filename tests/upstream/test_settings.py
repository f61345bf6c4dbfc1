"""Tests of edgegw.upstream.settings."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.address import EndpointSettings
from edgegw.upstream.settings import UpstreamSettings


class SettingsTests(SynchronousTestCase):
    def test_short_form_and_weight(self) -> None:
        settings = UpstreamSettings.model_validate(
            {"endpoints": ({"url": "http://a"}, {"url": "http://b", "weight": 3})}
        )
        self.assertEqual([(each.url, each.weight) for each in settings.endpoints], [("http://a", 1), ("http://b", 3)])

    def test_defaults(self) -> None:
        settings = UpstreamSettings(endpoints=(EndpointSettings(url="http://a"),))
        self.assertEqual((settings.timeouts.connect, settings.timeouts.head, settings.timeouts.idle), (3.0, 15.0, 60.0))
        self.assertEqual((settings.pool.max, settings.pool.queue, settings.pool.queue_timeout), (256, 1024, 2.0))
        self.assertEqual((settings.host, settings.balance.by), ("preserve", "weighted_round_robin"))
        self.assertEqual(settings.protocol, "auto")

    def test_refused(self) -> None:
        good = {"endpoints": [{"url": "http://a"}]}
        UpstreamSettings.model_validate(good)
        for change in (
            {"endpoints": [{"url": "http://a", "weight": 0}]},
            {"host": "a b"},
            {"host": "a\r\nX: 1"},
            {"balance": "magic"},
            {"protocol": "http3"},
            {"pool": {"max": 0}},
            {"timeouts": {"connect": "0s"}},
            {"unknown": 1},
        ):
            self.assertRaises(ValidationError, UpstreamSettings.model_validate, good | change)

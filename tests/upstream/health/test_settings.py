"""Tests of edgegw.upstream.health.settings."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.units import StatusRange
from edgegw.upstream.health.settings import HealthSettings, as_bytes


def wrong(given: Any) -> str:
    try:
        HealthSettings.model_validate(given)
    except ValidationError as error:
        return error.errors()[0]["msg"]
    return "nothing"


class SettingsTests(SynchronousTestCase):
    def test_nothing_said(self) -> None:
        made = HealthSettings()
        self.assertEqual((made.path, made.method, made.host, made.tcp, made.grpc), ("/", "GET", "upstream", None, None))
        self.assertEqual((made.every, made.timeout, made.fall, made.rise), (5.0, 2.0, 3, 2))
        self.assertEqual(made.expect.status, (StatusRange(200, 299),))

    def test_short_forms(self) -> None:
        self.assertEqual(HealthSettings.model_validate("/healthz").path, "/healthz")
        made = HealthSettings.model_validate({"expect": 204})
        self.assertEqual(made.expect.status, (StatusRange(204, 204),))
        made = HealthSettings.model_validate({"expect": {"status": "200, 301-303", "body": "ready"}})
        self.assertEqual(made.expect.status, (StatusRange(200, 200), StatusRange(301, 303)))
        assert made.expect.body is not None
        self.assertEqual(made.expect.body.contains, "ready")
        made = HealthSettings.model_validate({"grpc": "acme.Orders"})
        assert made.grpc is not None
        self.assertEqual(made.grpc.service, "acme.Orders")

    def test_one_kind(self) -> None:
        for given, words in (
            ({"tcp": {}, "grpc": {}}, 'has "tcp" and "grpc": one kind of probe at a time'),
            ({"path": "/x", "tcp": {}}, 'has "tcp" and "path": one kind of probe at a time'),
            ({"custom": "disk", "expect": 200}, 'has "custom" and "expect": one kind of probe at a time'),
            ({"path": "/x", "with": {"a": 1}}, 'has "with", which is for custom probes only'),
            ({"method": "HEAD", "expect": {"body": "x"}}, "expects a body, and answers to HEAD have none"),
            ("tcp", "write {tcp: {}}: a word alone is the path of an HTTP probe"),
        ):
            with self.subTest(given=given):
                self.assertIn(words, wrong(given))

    def test_refused(self) -> None:
        for given in (
            {"path": "healthz"},
            {"path": "/a b"},
            {"path": "/a#b"},
            {"path": "/a\r\nX: 1"},
            {"method": "POST"},
            {"host": "a b"},
            {"headers": {"Host": "x"}},
            {"headers": {"A B": "x"}},
            {"headers": {"A": "x\r\nB: y"}},
            {"headers": {"Transfer-Encoding": "chunked"}},
            {"expect": {"body": {"contains": "a", "regex": "b"}}},
            {"expect": {"body": {}}},
            {"tcp": {"send": "hex:0"}},
            {"every": "50ms"},
            {"unhealthy_every": "0s"},
            {"timeout": "0s"},
            {"fall": 0},
            {"rise": 0},
            {"retries": 3},
        ):
            with self.subTest(given=given):
                self.assertNotEqual(wrong(given), "nothing")

    def test_bytes(self) -> None:
        self.assertEqual(as_bytes("PING\r\n"), b"PING\r\n")
        self.assertEqual(as_bytes("hex:00 ff0A"), b"\x00\xff\n")
        self.assertEqual(as_bytes("\u00e9"), b"\xc3\xa9")
        self.assertRaises(ValueError, as_bytes, "hex:xyz")

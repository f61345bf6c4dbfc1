"""Tests of edgegw.upstream.address."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.address import EndpointSettings, EndpointUrl


class EndpointUrlTests(SynchronousTestCase):
    def test_read(self) -> None:
        for text, url, authority in (
            ("http://h:1", EndpointUrl(False, "h", 1, ""), "h:1"),
            ("http://h", EndpointUrl(False, "h", 80, ""), "h"),
            ("http://h:80/", EndpointUrl(False, "h", 80, ""), "h"),
            ("https://h", EndpointUrl(True, "h", 443, ""), "h"),
            ("https://h:443", EndpointUrl(True, "h", 443, ""), "h"),
            ("https://h:80", EndpointUrl(True, "h", 80, ""), "h:80"),
            ("http://10.0.0.1:9000", EndpointUrl(False, "10.0.0.1", 9000, ""), "10.0.0.1:9000"),
            ("http://[2001:DB8::1]:9000", EndpointUrl(False, "2001:db8::1", 9000, ""), "[2001:db8::1]:9000"),
            ("http://shop_1.internal", EndpointUrl(False, "shop_1.internal", 80, ""), "shop_1.internal"),
            ("unix:///run/app.sock", EndpointUrl(False, "", 0, "/run/app.sock"), "localhost"),
            ("h2c://h:3", EndpointUrl(False, "h", 3, "", True), "h:3"),
            ("h2c://h", EndpointUrl(False, "h", 80, "", True), "h"),
            ("grpc://h:50051", EndpointUrl(False, "h", 50051, "", True), "h:50051"),
            ("grpcs://h:5", EndpointUrl(True, "h", 5, "", True), "h:5"),
            ("grpcs://h", EndpointUrl(True, "h", 443, "", True), "h"),
        ):
            self.assertEqual(EndpointUrl.parse(text), url, text)
            self.assertEqual(url.authority, authority, text)

    def test_versions_of_http(self) -> None:
        h1, h2 = b"http/1.1", b"h2"
        for url, auto, http1, http2 in (
            ("http://h", (h1,), (h1,), (h2,)),
            ("unix:///s", (h1,), (h1,), (h2,)),
            ("https://h", (h2, h1), (h1,), (h2,)),
            ("h2c://h", (h2,), None, (h2,)),
            ("grpc://h", (h2,), None, (h2,)),
            ("grpcs://h", (h2,), None, (h2,)),
        ):
            parsed = EndpointUrl.parse(url)
            self.assertEqual((parsed.versions("auto"), parsed.versions("http2")), (auto, http2), url)
            if http1 is None:
                self.assertRaises(ValueError, parsed.versions, "http1")
            else:
                self.assertEqual(parsed.versions("http1"), http1)

    def test_refused_with_advice(self) -> None:
        for text, words in (
            ("h:1", "http://h:1"),
            ("ftp://h", "known: http, https, h2c, grpc, grpcs, unix"),
            ("http://h/path", "without a path"),
            ("http://h?x=1", "without a path"),
            ("http://u:p@h", "not an address"),
            ("http://", "not an address"),
            ("http://h:0", "not between 1 and 65535"),
            ("http://h:65536", "not between 1 and 65535"),
            ("http://h:x", "not an address"),
            ("http://[::::]", "not an address"),
            ("http://[1.2.3.4", "not an address"),
            ("http://127.1", "not an address"),
            ("http://2130706433", "not an address"),
            ("http://0x7f000001", "not an address"),
            ("http://h\r\nX: 1", "not an address"),
            ("http://h\n", "not an address"),
            ("unix://run/app.sock", "unix:///run/app.sock"),
        ):
            error = self.assertRaises(ValueError, EndpointUrl.parse, text)
            self.assertIn(words, str(error), text)


class EndpointSettingsTests(SynchronousTestCase):
    def test_facts(self) -> None:
        made = EndpointSettings.model_validate(
            {"url": "http://a", "zone": "a", "tier": 1, "meta": {"v": "2"}, "weight": 3}
        )
        self.assertEqual((made.zone, made.tier, made.meta, made.weight), ("a", 1, {"v": "2"}, 3))
        bare = EndpointSettings(url="http://a")
        self.assertEqual((bare.zone, bare.tier, bare.meta, bare.weight), ("", 0, {}, 1))

    def test_refused(self) -> None:
        for change in ({"weight": 0}, {"weight": 1001}, {"tier": -1}, {"tier": 16}, {"meta": {"a": 1}}, {"url": "x"}):
            self.assertRaises(ValidationError, EndpointSettings.model_validate, {"url": "http://a"} | change)

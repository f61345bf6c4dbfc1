"""Tests of edgegw.targets.to_https."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Response
from edgegw.targets.to_https import ToHttps
from edgegw.testing.exchanges import make_exchange


class ToHttpsTests(SynchronousTestCase):
    def run_on(self, exchange: Exchange, port: int = 443) -> Deferred[Response]:
        return Deferred.fromCoroutine(ToHttps(port)(exchange))

    def place(self, exchange: Exchange, port: int = 443) -> str:
        response = self.successResultOf(self.run_on(exchange, port))
        self.assertEqual(response.status, 308)
        self.assertTrue(response.body.ended)
        return (response.headers.get(b"location") or b"").decode()

    def test_the_same_place_behind_tls(self) -> None:
        for url, port, place in (
            ("http://shop.example.com/a/b?x=1&y=%20", 443, "https://shop.example.com/a/b?x=1&y=%20"),
            ("http://shop.example.com:8080/", 443, "https://shop.example.com/"),
            ("http://shop.example.com:8080/", 8443, "https://shop.example.com:8443/"),
            ("http://SHOP.example.com./", 443, "https://shop.example.com/"),
            ("http://[2001:DB8::1]:80/", 443, "https://[2001:db8::1]/"),
            ("http://[2001:db8::1]/", 8443, "https://[2001:db8::1]:8443/"),
            ("http://a/x/../y", 443, "https://a/y"),
            ("http://a/?", 443, "https://a/?"),
        ):
            self.assertEqual(self.place(make_exchange(url=url), port), place)

    def test_method_and_body_stay(self) -> None:
        self.assertEqual(self.place(make_exchange("POST", url="http://a/", body=b"abc")), "https://a/")

    def test_about_the_server_as_a_whole(self) -> None:
        self.assertEqual(self.place(make_exchange("OPTIONS", url="http://a/*")), "https://a")

    def test_without_host(self) -> None:
        exchange = make_exchange(version="1.0")
        exchange.request.host = ""
        error = self.failureResultOf(self.run_on(exchange), GatewayError).value
        self.assertEqual((error.status, error.reason), (400, "missing_host"))

    def test_what_the_codec_refused_comes_first(self) -> None:
        exchange: Any = make_exchange()
        exchange.request.host = ""
        exchange.refused = GatewayError(431, "head_too_large")
        self.assertIs(self.failureResultOf(self.run_on(exchange)).value, exchange.refused)

    def test_a_header_has_no_say(self) -> None:
        exchange = make_exchange(url="http://good/", headers=[(b"X-Forwarded-Host", b"evil"), (b"Host", b"evil")])
        self.assertEqual(self.place(exchange), "https://good/")

    def test_repr(self) -> None:
        self.assertEqual((repr(ToHttps()), repr(ToHttps(8443))), ("<ToHttps>", "<ToHttps:8443>"))

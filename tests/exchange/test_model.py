"""Tests of edgegw.exchange.model."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import EMPTY
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.testing.exchanges import FakeConnection, drain, make_exchange
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Headers

DONE = Outcome(200, True, 3, 5, None)


class ExchangeTests(SynchronousTestCase):
    def test_on_end_latest_first_and_once(self) -> None:
        exchange, seen = make_exchange(), []
        exchange.on_end(lambda _, outcome: seen.append(("first", outcome)))
        exchange.on_end(lambda _, outcome: seen.append(("second", outcome)))
        exchange.end(DONE)
        exchange.end(Outcome(500, False, 0, 0, GatewayError(500, "x")))
        self.assertEqual(seen, [("second", DONE), ("first", DONE)])
        self.assertIs(exchange.outcome, DONE)

    def test_on_end_after_the_end(self) -> None:
        exchange, seen = make_exchange(), []
        exchange.end(DONE)
        exchange.on_end(lambda *both: seen.append(both))
        self.assertEqual(seen, [(exchange, DONE)])

    def test_on_end_inside_on_end(self) -> None:
        exchange, seen = make_exchange(), []

        def nested(inner: Exchange, _: Outcome) -> None:
            inner.on_end(lambda *_: seen.append("inner"))
            inner.end(DONE)
            seen.append("outer")

        exchange.on_end(nested)
        exchange.end(DONE)
        self.assertEqual(seen, ["inner", "outer"])

    def test_failing_callback_keeps_none_from_hearing(self) -> None:
        exchange, seen = make_exchange(), []
        exchange.on_end(lambda *_: seen.append("heard"))
        exchange.on_end(lambda *_: 1 / 0)  # type: ignore[arg-type, return-value]
        exchange.end(DONE)
        self.assertEqual(seen, ["heard"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_informational_until_the_end(self) -> None:
        connection = FakeConnection()
        exchange = make_exchange(connection=connection)
        head = ResponseHead(103, b"", "1.1", Headers(), 0, True)
        exchange.informational(head)
        exchange.end(DONE)
        exchange.informational(head)
        self.assertEqual(connection.informational_heads, [head])

    def test_request_size_is_that_of_what_came_whoever_changed_the_body(self) -> None:
        exchange = make_exchange("POST", body=b"abc")
        exchange.request.body = EMPTY
        self.assertEqual(exchange.request_size, 3)

    def test_client_is_the_peer_until_told_otherwise(self) -> None:
        self.assertEqual(make_exchange().client, "192.0.2.1")

    def test_repr(self) -> None:
        exchange = make_exchange(url="/a?b=c")
        self.assertEqual(repr(exchange), "<Exchange test-request GET /a in flight>")
        self.assertEqual(repr(exchange.request), "<Request GET http://example.com/a?b=c>")
        exchange.end(DONE)
        self.assertEqual(repr(exchange), "<Exchange test-request GET /a <Outcome 200 complete in=3 out=5 error=None>>")


class RequestTests(SynchronousTestCase):
    def test_target(self) -> None:
        for url, target in (("/a", "/a"), ("/a?", "/a?"), ("/a?b=c", "/a?b=c")):
            self.assertEqual(make_exchange(url=url).request.target, target)


class ResponseTests(SynchronousTestCase):
    def test_of(self) -> None:
        response: Any = Response.of(404, b"gone")
        self.assertEqual(response.headers.get(b"content-type"), b"text/plain; charset=utf-8")
        self.assertEqual((response.body.length, drain(response.body).data), (4, b"gone"))

    def test_each_has_headers_of_its_own(self) -> None:
        Response(200).headers.add(b"X", b"1")
        self.assertEqual(len(Response(200).headers), 0)
        self.assertIn("200", repr(Response(200)))

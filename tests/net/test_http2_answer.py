"""Tests of edgegw.net.http2_answer: which fields of an answer leave over HTTP/2."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Response
from edgegw.net.http2_answer import frame_answer
from edgegw.wire.headers import Headers

DATE = (b"date", b"Date", b"today")


def framed(response: Response, method: str = "GET", upgrade: tuple[bytes, ...] = ()) -> tuple[dict[bytes, bytes], bool]:
    exchange: Any = SimpleNamespace(head=SimpleNamespace(method=method, upgrade=upgrade))
    found = frame_answer(exchange, response, lambda: DATE)
    return {lower: value for lower, _, value in found.fields}, found.bodiless


class FramingTests(SynchronousTestCase):
    def test_table(self) -> None:
        length = (b"content-length", b"7")
        for response, method, expected, bodiless in (
            (Response.of(200, b"abc"), "GET", b"3", False),
            (Response.of(200, b"abc"), "HEAD", b"3", True),
            (Response(200, Headers.of([length])), "HEAD", b"7", True),
            (Response(304, Headers.of([length])), "GET", b"7", True),
            (Response(204, Headers.of([length])), "GET", None, True),
            (Response(200), "GET", b"0", True),
            (Response(200, Headers.of([length]), Body(None)), "GET", None, False),
            (Response(200, Headers.of([(b"Content-Type", b"application/grpc")])), "POST", None, True),
        ):
            fields, ends = framed(response, method)
            self.assertEqual((fields.get(b"content-length"), ends), (expected, bodiless), (response, method))

    def test_own_date_is_kept(self) -> None:
        self.assertEqual(framed(Response(200))[0][b"date"], b"today")
        self.assertEqual(framed(Response(200, Headers.of([(b"Date", b"theirs")])))[0][b"date"], b"theirs")

    def test_the_response_itself_is_not_changed(self) -> None:
        response = Response.of(200, b"abc")
        before = list(response.headers.fields)
        framed(response)
        self.assertEqual(response.headers.fields, before)

    def test_an_extended_connect_is_not_told_that_it_is_open(self) -> None:
        error = self.assertRaises(GatewayError, framed, Response.of(200, b"page"), "GET", (b"websocket",))
        self.assertEqual((error.status, error.reason), (501, "websocket_off"))
        self.assertEqual(framed(Response.of(404, b"no"), "GET", (b"websocket",))[0][b"content-length"], b"2")

    def test_mistakes(self) -> None:
        body = Body(2)
        body.write(b"abc")
        for response, reason in (
            (Response(150), "informational_answer"),
            (Response(200, Headers(), body), "response_length_mismatch"),
        ):
            error = self.assertRaises(GatewayError, framed, response)
            self.assertEqual(error.reason, reason)

"""Tests of edgegw.exchange.render."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Side
from edgegw.exchange.body import EMPTY
from edgegw.exchange.model import Response
from edgegw.exchange.render import render
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.wire.headers import Headers


class RenderTests(SynchronousTestCase):
    def test_document(self) -> None:
        error = GatewayError(404, "no_route", side=Side.DOWNSTREAM, detail="a secret path")
        response = render(error, make_exchange())
        self.assertEqual((response.status, response.close), (404, False))
        self.assertEqual(response.headers.get(b"content-type"), b"application/problem+json")
        self.assertEqual(response.headers.get(b"cache-control"), b"no-store")
        self.assertEqual(
            json.loads(drain(response.body).data),
            {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "reason": "no_route",
                "request_id": "test-request",
            },
        )

    def test_details_stay_here(self) -> None:
        response = render(GatewayError(502, "upstream_reset", detail="10.0.0.7 said RST"), make_exchange())
        self.assertNotIn(b"10.0.0.7", drain(response.body).data)

    def test_headers_and_close(self) -> None:
        error = GatewayError(405, "method_not_allowed", headers=[(b"Allow", b"GET")], close=True)
        response = render(error, make_exchange())
        self.assertEqual((response.headers.get(b"allow"), response.close), (b"GET", True))

    def test_titles_of_rfc_9110(self) -> None:
        for status, title in (
            (413, "Content Too Large"),
            (414, "URI Too Long"),
            (422, "Unprocessable Content"),
            (499, "Client Closed Request"),
            (599, "Error"),
        ):
            document = json.loads(drain(render(GatewayError(status, "x"), make_exchange()).body).data)
            self.assertEqual(document["title"], title)


class GrpcTests(SynchronousTestCase):
    def rendered(self, error: GatewayError, kind: bytes, *fields: tuple[bytes, bytes]) -> Response:
        return render(error, make_exchange("POST", "/acme.Orders/Get", [(b"Content-Type", kind), *fields]))

    def test_status_and_message_in_the_head_of_an_empty_answer(self) -> None:
        error = GatewayError(503, "no_endpoint", detail="10.0.0.7 is down")
        response = self.rendered(error, b"application/grpc+proto")
        self.assertEqual((response.status, response.body), (200, EMPTY))
        self.assertEqual(
            list(response.headers),
            [
                (b"Content-Type", b"application/grpc"),
                (b"grpc-status", b"14"),
                (b"grpc-message", b"no_endpoint: Service Unavailable"),
            ],
        )

    def test_statuses(self) -> None:
        for status, reason, code in (
            (404, "no_route", b"12"),
            (405, "method_not_allowed", b"12"),
            (413, "grpc_message_too_large", b"8"),
            (502, "grpc_response_too_large", b"8"),
            (504, "grpc_deadline", b"4"),
        ):
            with self.subTest(reason=reason):
                headers = self.rendered(GatewayError(status, reason), b"application/grpc").headers
                self.assertEqual(headers.get(b"grpc-status"), code)

    def test_web(self) -> None:
        for kind, accept, wanted in (
            (b"application/grpc-web", b"*/*", b"application/grpc-web+proto"),
            (b"application/grpc-web-text", b"application/grpc-web-text", b"application/grpc-web-text+proto"),
            (b"application/grpc-web+json", b"*/*", b"application/grpc-web+json"),
        ):
            with self.subTest(kind=kind):
                response = self.rendered(GatewayError(404, "no_route"), kind, (b"Accept", accept))
                self.assertEqual((response.status, response.body), (200, EMPTY))
                self.assertEqual(response.headers.get(b"content-type"), wanted)
                self.assertEqual(response.headers.get(b"grpc-status"), b"12")

    def test_translated_meanwhile(self) -> None:
        """Who asked decides, not what the request was made into."""
        exchange = make_exchange("POST", "/", [(b"Content-Type", b"application/grpc-web")])
        exchange.request.headers = Headers.of([(b"Content-Type", b"application/grpc")])
        response = render(GatewayError(404, "no_route"), exchange)
        self.assertEqual(response.headers.get(b"content-type"), b"application/grpc-web+proto")

    def test_others(self) -> None:
        for kind in (b"application/grpc-webs", b"application/json", b"application/grpcx"):
            with self.subTest(kind=kind):
                self.assertEqual(self.rendered(GatewayError(404, "no_route"), kind).status, 404)

    def test_retry_after(self) -> None:
        for value, pushback in ((b"2", b"2000"), (b"9" * 30, b"86400000"), (b"Fri, 31 Dec 1999 23:59:59 GMT", None)):
            with self.subTest(value=value):
                error = GatewayError(503, "overloaded", headers=[(b"Retry-After", value)], close=True)
                response = self.rendered(error, b"application/grpc")
                self.assertEqual(response.headers.get(b"retry-after"), value)
                self.assertEqual(response.headers.get(b"grpc-retry-pushback-ms"), pushback)
                self.assertTrue(response.close)

"""Tests of edgegw.exchange.render."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Side
from edgegw.exchange.render import render
from edgegw.testing.exchanges import drain, make_exchange


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

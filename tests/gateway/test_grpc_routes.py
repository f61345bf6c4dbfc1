"""Routes by service and method, and what a call gets that has none: configuration to answer, through the whole edge stage."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.source import loads
from edgegw.exchange.model import Exchange, Response
from edgegw.gateway.loading import accept, provision
from edgegw.testing.exchanges import make_exchange
from tests.gateway.test_golden import resources

ROUTES = """
  - {name: get, match: /acme.Orders/Get, when: {protocol: grpc}, respond: {status: 200}}
  - {name: orders, match: "/acme.Orders/*", when: {protocol: grpc}, respond: {status: 200}}
  - {name: post, match: POST /acme.Users/Add, respond: {status: 200}}
  - {name: web, match: "/acme.Web/*", when: {protocol: grpc_web}, to: u, grpc: {web: {origins: ["https://app.example"]}}}
  - {name: page, match: /acme.Orders/Get, respond: {status: 200}}
"""
CALL = (b"Content-Type", b"application/grpc")


class RouteTests(SynchronousTestCase):
    def setUp(self) -> None:
        text = 'edgegw: 1\nlisten: [8080]\nupstreams: {u: {endpoints: ["http://h"]}}\nroutes:' + ROUTES
        self.snapshot = provision(accept(loads(text, "shop.yaml", environ={}), Path("/")), resources(), None)

    def ask(self, path: str, *fields: tuple[bytes, bytes], method: str = "POST") -> tuple[Exchange, Response]:
        exchange = make_exchange(method, path, fields, snapshot=self.snapshot, version="2")
        responder = self.snapshot.terms["*:8080"].responder

        async def run() -> Response:
            return await responder(exchange)

        return exchange, self.successResultOf(Deferred.fromCoroutine(run()))

    def test_by_service_and_method(self) -> None:
        for path, kind, name in (
            ("/acme.Orders/Get", b"application/grpc", "get"),
            ("/acme.Orders/Get", b"application/grpc+proto", "get"),
            ("/acme.Orders/List", b"application/grpc", "orders"),
            ("/acme.Orders/Get", b"application/json", "page"),
        ):
            with self.subTest(path=path, kind=kind):
                exchange, _ = self.ask(path, (b"Content-Type", kind))
                self.assertEqual(exchange.route.name, name)

    def test_case_counts(self) -> None:
        _, response = self.ask("/acme.orders/Get", CALL)
        self.assertEqual(response.headers.get(b"grpc-status"), b"12")

    def test_no_route(self) -> None:
        """HTTP 200 and UNIMPLEMENTED, with the id to quote; the record has what it was."""
        exchange, response = self.ask("/acme.Nothing/Get", CALL)
        self.assertEqual((response.status, response.body.empty), (200, True))
        self.assertEqual(response.headers.get(b"content-type"), b"application/grpc")
        self.assertEqual(response.headers.get(b"grpc-status"), b"12")
        self.assertEqual(response.headers.get(b"grpc-message"), b"no_route: Not Found")
        self.assertEqual(response.headers.get(b"x-request-id"), exchange.id.encode())
        assert exchange.failure is not None
        self.assertEqual((exchange.failure.status, exchange.failure.reason), (404, "no_route"))

    def test_not_by_this_method(self) -> None:
        _, response = self.ask("/acme.Users/Add", CALL, method="PUT")
        self.assertEqual((response.headers.get(b"grpc-status"), response.headers.get(b"allow")), (b"12", b"POST"))

    def test_no_route_for_grpc_web(self) -> None:
        _, response = self.ask("/acme.Nothing/Get", (b"Content-Type", b"application/grpc-web-text"))
        self.assertEqual((response.status, response.headers.get(b"grpc-status")), (200, b"12"))
        self.assertEqual(response.headers.get(b"content-type"), b"application/grpc-web-text+proto")

    def test_preflight(self) -> None:
        fields = [
            (b"Origin", b"https://app.example"),
            (b"Access-Control-Request-Method", b"POST"),
            (b"Access-Control-Request-Headers", b"content-type,x-grpc-web"),
        ]
        exchange, response = self.ask("/acme.Web/Get", *fields, method="OPTIONS")
        self.assertEqual((response.status, exchange.route.name), (204, "web"))
        self.assertEqual(response.headers.get(b"access-control-allow-origin"), b"https://app.example")
        self.assertEqual(response.headers.get(b"access-control-allow-headers"), b"content-type, x-grpc-web")

    def test_preflight_of_something_else(self) -> None:
        fields = [(b"Origin", b"https://app.example"), (b"Access-Control-Request-Method", b"PUT")]
        _, response = self.ask("/acme.Web/Get", *fields, method="OPTIONS")
        self.assertEqual(response.status, 404)

"""Tests of edgegw.middleware.websocket_origin."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.websocket_origin import websocket_origin
from edgegw.testing.exchanges import make_exchange
from edgegw.wire.origins import Origins


class WebSocketOriginTests(SynchronousTestCase):
    """A list with one entry."""

    def ask(self, *headers: tuple[bytes, bytes], version: str = "1.1") -> Deferred[Response]:
        async def target(_: Exchange) -> Response:
            return Response.of(200, b"in")

        checked = websocket_origin(Origins(["https://app.example.com"]))(target)
        exchange = make_exchange(headers=headers, version=version)

        async def run() -> Response:
            return await checked(exchange)

        return Deferred.fromCoroutine(run())

    def passes(self, *headers: tuple[bytes, bytes]) -> None:
        self.assertEqual(self.successResultOf(self.ask(*headers)).status, 200)

    def refusal(self, *headers: tuple[bytes, bytes], version: str = "1.1") -> GatewayError:
        error = self.failureResultOf(self.ask(*headers, version=version), GatewayError).value
        self.assertEqual((error.status, error.reason), (403, "websocket_origin_refused"))
        assert isinstance(error, GatewayError)
        return error

    def test_listed(self) -> None:
        self.passes((b"Upgrade", b"websocket"), (b"Origin", b"https://app.example.com"))

    def test_others(self) -> None:
        origin = (b"Origin", b"https://app.example.com")
        for headers in ([(b"Origin", b"https://evil.example")], [], [origin, (b"Origin", b"null")]):
            self.assertTrue(self.refusal((b"Upgrade", b"websocket"), *headers).close)

    def test_a_stream_ends_alone(self) -> None:
        self.assertFalse(self.refusal((b"Upgrade", b"websocket"), version="2").close)

    def test_other_requests_pass(self) -> None:
        self.passes((b"Origin", b"https://evil.example"))
        self.passes((b"Upgrade", b"irc"), (b"Origin", b"https://evil.example"))

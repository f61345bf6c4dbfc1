"""Tests of edgegw.targets.websocket: hostile handshakes and upstreams that misbehave (trust.md A5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgegw.exchange.model import Exchange, Response
from edgegw.testing.origin import OriginConnection, answer, refused
from edgegw.upstream.address import EndpointUrl
from tests.targets.websockets import Case, Double, handshake, switch
from tests.wire.test_websocket import KEY


class SmugglingTests(Case):
    """Bytes that come before the switch."""

    SECOND = b"GET /treasure HTTP/1.1\r\nHost: a\r\n\r\n"

    def test_held_until_the_101_then_the_relays(self) -> None:
        """They are the peer's first frames: no request is read out of them, here or by the upstream."""
        desk = self.build([]).says(handshake() + self.SECOND[:7]).says(self.SECOND[7:])
        self.turn()
        self.assertNotIn(b"treasure", self.wire().sent)
        self.assertEqual(len(desk.exchanges), 1)
        self.wire().send(switch())
        self.assertEqual(self.relay.downstream.received, self.SECOND)  # type: ignore[union-attr]
        self.assertNotIn(b"treasure", self.wire().sent)
        self.assertEqual(len(desk.exchanges), 1)

    def test_refused_by_the_upstream(self) -> None:
        """The upstream says 200 or 426: an ordinary answer, behind which both connections end; nothing behind is read."""
        for said in (answer(b"no"), answer(b"no", 426, (b"Sec-WebSocket-Version", b"13"))):
            desk = self.build([said, answer(b"TREASURE")]).says(handshake() + self.SECOND)
            self.turn()
            heard = desk.heard()
            self.assertTrue(heard.startswith(said[:12]), heard)
            self.assertTrue(heard.endswith(b"no"), heard)
            self.assertIn(b"\r\nConnection: close\r\n", heard)
            desk.says(self.SECOND)
            self.turn(1)
            self.assertEqual((len(desk.exchanges), len(self.origins[0].requests)), (1, 1))
            self.assertTrue(self.wire().closed, "whatever it was, it carries nothing else")
            self.assertEqual(self.cluster.endpoints[0].pool.open, 0)
            self.assertEqual(self.in_flight(), [0])
            self.assertEqual(Double.made, [])

    def test_refused_with_a_body_that_flows(self) -> None:
        desk = self.build([b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]).says(handshake())
        self.turn()
        self.wire().send(b"3\r\ndef\r\n0\r\n\r\n")
        self.turn()
        self.assertIn(b"def", desk.heard())
        self.assertGreaterEqual(desk.exchanges[0].upstream_end_s, 0)
        self.assertEqual([outcome.status for outcome in desk.outcomes], [403])

    def test_more_than_can_be_held_in_one_read(self) -> None:
        """The peer's fault, and called so; the upstream's switch is given up."""
        desk = self.build([switch()]).says(handshake() + b"x" * 70_000)
        self.turn()
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 400 "), heard)
        self.assertIn(b"held_overflow", heard)
        self.assertEqual((len(desk.exchanges), self.in_flight(), self.relay.told), (1, [0], ["abandon"]))
        self.assertNotEqual(desk.ended, [])

    def test_more_than_can_be_held(self) -> None:
        """What does not fit is not read: the peer is slowed, memory is not."""
        desk = self.build([]).says(handshake())
        for _ in range(10):
            desk.says(b"x" * 16384)
        self.assertGreater(desk.transport.undelivered, 100_000)
        self.turn()
        self.wire().send(switch())
        desk.transport.settle()
        self.assertEqual(len(self.relay.downstream.received), 163_840)  # type: ignore[union-attr]

    def test_refused_by_us(self) -> None:
        """Every bad handshake, with a request behind it: one answer, then the end."""
        key = "Sec-WebSocket-Key"
        table = [
            (handshake("Sec-WebSocket-Version: 777", without="Sec-WebSocket-V"), "426", "websocket_bad_version"),
            (handshake(without="Sec-WebSocket-V"), "426", "websocket_bad_version"),
            (handshake(without=key), "400", "websocket_bad_key"),
            (handshake(f"{key}: c2hvcnQ=", without=key), "400", "websocket_bad_key"),
            (handshake("Content-Length: 0", line="POST /chat HTTP/1.1"), "400", "websocket_bad_request"),
            (handshake("Content-Length: 3") + b"abc", "400", "websocket_bad_request"),
        ]
        for data, status, reason in table:
            self.refused(data + self.SECOND, status, reason)

    def test_version_is_told(self) -> None:
        desk = self.build([]).says(handshake(without="Sec-WebSocket-V"))
        self.turn()
        self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", desk.heard())


class UpstreamFaultTests(Case):
    """Upstreams that misbehave or fail."""

    def failed(self, *scripts: list[Any], says: bytes = b"", seconds: float = 0.1) -> bytes:
        desk = self.build(*scripts).says(says or handshake("Sec-WebSocket-Protocol: v1"))
        self.turn(seconds)
        self.assertEqual(self.in_flight(), [0] * len(scripts))
        self.assertEqual([endpoint.pool.open for endpoint in self.cluster.endpoints], [0] * len(scripts))
        return desk.heard()

    def test_bad_101(self) -> None:
        evil = b"\x81\x04evil"
        table = [
            switch(key=KEY, tail=evil),
            switch(without="Sec-WebSocket-Accept", tail=evil),
            switch(without="Upgrade", tail=evil),
            switch(without="Connection", tail=evil),
            switch("Sec-WebSocket-Protocol: v2", tail=evil),
            switch("Sec-WebSocket-Extensions: x-evil", tail=evil),
        ]
        for said in table:
            heard = self.failed([said], says=handshake("Sec-WebSocket-Protocol: v1") + SmugglingTests.SECOND)
            self.assertTrue(heard.startswith(b"HTTP/1.1 502 "), heard)
            self.assertIn(b"websocket_bad_accept", heard)
            self.assertEqual((len(self.desk.exchanges), heard.count(b"HTTP/1.1 ")), (1, 1), heard)
            self.assertNotIn(b"evil", heard)
            self.assertTrue(self.wire().aborted)
            self.assertEqual(Double.made, [])
        self.assertEqual(self.attempts(), {"websocket_bad_accept": 6})

    def test_silence(self) -> None:
        heard = self.failed([lambda wire: None], seconds=5.5)
        self.assertTrue(heard.startswith(b"HTTP/1.1 504 "), heard)
        self.assertIn(b"upstream_head_timeout", heard)

    def test_closed_is_not_tried_again(self) -> None:
        """It may have begun something by then."""
        heard = self.failed([OriginConnection.close], [switch()])
        self.assertIn(b"upstream_closed", heard)
        self.assertEqual(sum(origin.attempts for origin in self.origins), 1)

    def test_refused_connection_is_tried_elsewhere(self) -> None:
        desk = self.build([switch()], [switch(), switch()])
        self.origins[0].faults = [refused()]
        self.origins[1].faults = []
        for _ in range(2):
            _, transport = desk.connect()
            transport.deliver(handshake())
            self.turn()
            self.assertTrue(transport.written.startswith(b"HTTP/1.1 101 "), transport.written)
        self.assertEqual(self.attempts(), {"connect_refused": 1, "1xx": 2})
        self.assertEqual([exchange.attempts for exchange in desk.exchanges].count(2), 1)
        self.assertEqual(sum(self.in_flight()), 2)

    def test_no_endpoint_can_be_reached(self) -> None:
        desk = self.build([], [])
        for origin in self.origins:
            origin.faults = [refused() for _ in range(5)]
        desk.says(handshake())
        self.turn()
        self.assertIn(b"connect_refused", desk.heard())
        self.assertEqual([origin.attempts for origin in self.origins], [2, 1], "the first may be back")
        self.assertEqual(self.in_flight(), [0, 0])

    def test_an_endpoint_without_http1(self) -> None:
        desk = self.build([])
        endpoint = self.cluster.endpoints[0]
        for url, protocol in (("h2c://origin-0", "auto"), ("grpcs://origin-0", "auto"), ("http://origin-0", "http2")):
            endpoint.url = EndpointUrl.parse(url)
            self.cluster.settings = self.cluster.settings.model_copy(update={"protocol": protocol})
            _, transport = desk.connect()
            transport.deliver(handshake())
            self.turn()
            self.assertTrue(transport.written.startswith(b"HTTP/1.1 502 "), transport.written)
            self.assertIn(b"websocket_no_http1", transport.written)
        self.assertEqual((self.origins[0].attempts, self.in_flight()), (0, [0]))

    def test_a_connection_that_is_lost_at_once(self) -> None:
        """It was made, and is gone before anything was sent."""
        desk = self.build([], [])
        for origin in self.origins:
            origin.held = []
        desk.says(handshake())
        first = next(origin for origin in self.origins if origin.held)
        made = first.accept()
        first.connections[0].reset()
        assert first.held is not None
        first.held.pop().callback(made)
        self.assertEqual(sorted(origin.attempts for origin in self.origins), [1, 1], "another endpoint is tried")
        self.assertEqual(sum(self.in_flight()), 1)

    def test_peer_leaves_during_the_handshake(self) -> None:
        desk = self.build([lambda wire: None]).says(handshake())
        self.turn()
        self.assertEqual(self.in_flight(), [1])
        desk.leaves()
        self.assertTrue(self.wire().aborted, "work that nobody waits for")
        self.assertEqual((self.in_flight(), self.cluster.endpoints[0].pool.open), ([0], 0))
        self.assertEqual(self.attempts(), {"cancelled": 1})
        self.turn()

    def test_a_middleware_that_changes_its_mind(self) -> None:
        """The switch is done upstream, and nobody takes the downstream side: the relay is told to give up."""

        def instead(following: Callable[[Exchange], Any]) -> Any:
            async def responder(exchange: Exchange) -> Response:
                await following(exchange)
                return Response.of(403, b"changed my mind")

            return responder

        desk = self.build([switch()], middleware=instead).says(handshake())
        self.turn()
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 403 "))
        self.assertEqual(self.relay.told, ["abandon"])
        self.assertIsNone(self.relay.downstream)
        self.assertEqual(self.in_flight(), [0])

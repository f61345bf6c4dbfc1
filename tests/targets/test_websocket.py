"""Tests of edgegw.targets.websocket: handshakes that succeed, over both versions of HTTP, and requests that are none."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from edgegw.cli.reasons import GATEWAY_REASONS
from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Request
from edgegw.net.websocket.ending import Cause
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.targets.websocket import WebSocketTarget
from edgegw.testing.downstream import request
from edgegw.testing.exchanges import FakeConnection
from edgegw.testing.origin import OriginConnection, answer
from edgegw.upstream.bulkhead import Bulkhead, BulkheadSettings
from edgegw.upstream.retry import RetrySettings
from tests.targets.test_attempts import Toll
from tests.targets.websockets import OURS, Case, Double, handshake, switch
from tests.wire.test_websocket import ACCEPT, KEY, http2


class SwitchTests(Case):
    """A handshake that succeeds."""

    def test_relay(self) -> None:
        desk = self.build([switch("Set-Cookie: a=b", tail=b"first frame")]).says(
            handshake("Cookie: c=d", "Sec-WebSocket-Extensions: x-unknown", "Origin: https://app")
        )
        self.turn()
        desk.hears(
            b"HTTP/1.1 101 Switching Protocols\r\nSet-Cookie: a=b\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nConnection: Upgrade\r\nDate: today\r\n\r\n"
        )
        (asked,) = self.origins[0].requests
        self.assertEqual(asked.head.target, "/chat?a=1")
        sent = dict(asked.fields)
        self.assertEqual(sent[b"Sec-WebSocket-Key"], OURS, "a key of our own")
        self.assertNotIn(b"x-unknown", sent.get(b"Sec-WebSocket-Extensions", b""), "extensions are each side's own")
        for name, value in (
            (b"Host", b"a"), (b"Cookie", b"c=d"), (b"Origin", b"https://app"), (b"Connection", b"Upgrade"),
            (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13"), (b"Via", b"1.1 edgegw"),
        ):  # fmt: skip
            self.assertEqual(sent[name], value)
        self.assertEqual(self.relay.upstream.received, b"first frame")  # type: ignore[union-attr]
        desk.says(b"hello")
        self.wire().send(b"world")
        self.assertEqual(self.relay.downstream.received, b"hello")  # type: ignore[union-attr]
        self.assertEqual(self.relay.upstream.received, b"first frameworld")  # type: ignore[union-attr]
        self.assertIsNone(self.wire().producer, "the relay registers its own")

    def test_tunnel(self) -> None:
        desk = self.build([switch("Sec-WebSocket-Extensions: x-custom; a=1", key=KEY)], mode="tunnel").says(
            handshake("Sec-WebSocket-Extensions: x-custom; a=1, x-other")
        )
        self.turn()
        sent = dict(self.origins[0].requests[0].fields)
        self.assertEqual(sent[b"Sec-WebSocket-Key"], KEY, "the peer's own")
        self.assertEqual(sent[b"Sec-WebSocket-Extensions"], b"x-custom; a=1, x-other")
        desk.hears(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + ACCEPT
            + b"\r\nSec-WebSocket-Extensions: x-custom; a=1\r\nConnection: Upgrade\r\nDate: today\r\n\r\n"
        )  # fmt: skip

    def test_subprotocol(self) -> None:
        desk = self.build([switch("Sec-WebSocket-Protocol: v2")]).says(handshake("Sec-WebSocket-Protocol: v1, v2"))
        self.turn()
        self.assertEqual(dict(self.origins[0].requests[0].fields)[b"Sec-WebSocket-Protocol"], b"v1, v2")
        self.assertIn(b"\r\nSec-WebSocket-Protocol: v2\r\n", desk.heard())

    def test_subprotocols_that_are_not_passed_on(self) -> None:
        for mode, key in (("relay", OURS), ("tunnel", KEY)):
            desk = self.build([switch("Sec-WebSocket-Protocol: v1", key=key)], mode=mode, subprotocols=["v2", "v3"])
            desk.says(handshake("Sec-WebSocket-Protocol: v1, v2"))
            self.turn()
            self.assertEqual(dict(self.origins[0].requests[0].fields)[b"Sec-WebSocket-Protocol"], b"v2")
            self.assertIn(b"websocket_bad_accept", desk.heard(), "v1 was not offered")

    def test_books(self) -> None:
        """In flight until the relay's end; the connection is the pool's no more; the end is told once."""
        desk = self.build([switch()]).says(handshake())
        self.turn()
        (endpoint,) = self.cluster.endpoints
        self.assertEqual((endpoint.in_flight, endpoint.pool.open, endpoint.pool.leased), (1, 0, 0))
        self.assertEqual((desk.outcomes, self.relay.told), ([], []))
        self.turn(120)
        self.assertEqual((desk.ended, self.wire().aborted, self.wire().closed), ([], False, False))
        desk.leaves()
        (outcome,) = desk.outcomes
        self.assertEqual((outcome.status, outcome.complete, outcome.error), (101, True, None))
        self.assertEqual((endpoint.in_flight, self.relay.told), (0, ["abandon"]))
        self.assertEqual(self.attempts(), {"1xx": 1})
        exchange = desk.exchanges[0]
        self.assertLess(exchange.upstream_head_s, 1)
        self.assertGreater(exchange.upstream_end_s, 100)

    def test_what_ended_it_is_recorded(self) -> None:
        """A Close is how it should be; everything else has a name in the record."""
        flags = []
        for cause in Cause:
            Double.made = []
            desk = self.build([switch()]).says(handshake())
            self.turn()
            self.relay.cause = cause
            desk.leaves()
            flags.append(desk.exchanges[0].flag)
        self.assertEqual(flags[list(Cause).index(Cause.CLOSED)], "")
        self.assertEqual(len(set(flags) - {""}), 6)
        self.assertLess(set(flags) - {""}, set(GATEWAY_REASONS))

    def test_the_upstream_end_is_told_to_the_relay(self) -> None:
        self.build([switch()]).says(handshake())
        self.turn()
        self.wire().reset()
        self.assertIsNotNone(self.relay.upstream.lost)  # type: ignore[union-attr]

    def test_drain(self) -> None:
        desk = self.build([switch()]).says(handshake())
        self.turn()
        desk.connection.drain()
        self.assertEqual((self.relay.told, desk.ended), (["drain"], []))

    def test_a_new_connection_always(self) -> None:
        """An idle one is left alone: it would not come back."""
        desk = self.build([answer(b"one"), switch()]).says(request())
        self.turn()
        desk.says(handshake())
        self.turn()
        self.assertEqual(self.origins[0].attempts, 2)
        self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 1)

    def test_early_hints_before_it(self) -> None:
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        desk = self.build([hints + switch()]).says(handshake())
        self.turn()
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 103 Early Hints\r\n"), heard)
        self.assertIn(b"HTTP/1.1 101 ", heard)


class AttemptTests(Case):
    """What the attempts of all targets have, a handshake has as well."""

    def test_an_open_one_has_a_place_in_the_bulkhead(self) -> None:
        desk = self.build([switch()])
        bulkhead = self.cluster.bulkhead = Bulkhead(BulkheadSettings(requests=1, queue=0), self.cluster.environment)
        desk.says(handshake())
        self.turn(100)
        self.assertEqual(bulkhead.inside, 1)
        _, transport = desk.connect()
        transport.deliver(handshake())
        self.turn()
        self.assertIn(b"bulkhead_full", transport.written)
        desk.leaves()
        self.assertEqual(bulkhead.inside, 0)

    def test_the_breaker_hears_of_it(self) -> None:
        toll: Any = Toll(left=1)
        desk = self.build([switch()])
        self.cluster.breaker = toll
        desk.says(handshake())
        self.turn()
        self.assertEqual(toll.told, [(1, True)])
        _, transport = desk.connect()
        transport.deliver(handshake() + b"frames or requests")
        self.turn()
        self.assertIn(b"breaker_refuses", transport.written)
        self.assertIn(b"\r\nConnection: close\r\n", transport.written)

    def test_sent_once_whatever_is_named(self) -> None:
        for script in (answer(b"busy", 503), OriginConnection.reset):
            desk = self.build([script], [switch()], [switch()])
            target = WebSocketTarget(
                self.cluster, WebSocketSettings(), (5.0, 10.0), desk.wheel, self.registry.upstream("shop"),
                retry=RetrySettings.model_validate({"attempts": 5, "on": ["reset", 503], "methods": ["POST"]}),
            )  # fmt: skip
            desk.script.steps = [target]
            desk.says(handshake())
            self.turn(1)
            self.assertEqual(sum(origin.attempts for origin in self.origins), 1)


class OrdinaryTests(Case):
    """What is no handshake goes to the proxy, without its Upgrade."""

    def test_ignored(self) -> None:
        for data in (
            handshake(without="Connection"),
            handshake(line="GET /chat HTTP/1.0"),
            request(
                "GET /chat HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"
            ),
            request("GET /chat HTTP/1.1", "Connection: Upgrade", "Upgrade: irc/6.9"),
            request("GET /chat HTTP/1.1", "Upgrade: h2c"),
        ):
            desk = self.build([answer(b"plain")]).says(data)
            self.turn()
            heard = desk.heard()
            self.assertTrue(heard.endswith(b"plain"), heard)
            names = {name.lower() for name, _ in self.origins[0].requests[0].fields}
            self.assertEqual(names & {b"upgrade", b"connection", b"http2-settings"}, set(), data)

    def test_unasked_101(self) -> None:
        desk = self.build([switch()]).says(request())
        self.turn()
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 502 "), heard)
        self.assertIn(b"unasked_101", heard)

    def test_repr(self) -> None:
        self.build([])
        self.assertEqual(
            repr(self.desk.script.steps[0]), "<Upgrading <Proxy to shop> or <WebSocketTarget relay to shop>>"
        )

    def test_off(self) -> None:
        desk = self.build([], mode="off").says(handshake() + b"GET /treasure HTTP/1.1\r\nHost: a\r\n\r\n")
        self.turn()
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 501 "), heard)
        self.assertIn(b"websocket_off", heard)
        self.assertEqual((self.origins[0].attempts, len(desk.exchanges)), (0, 1))


class Http2Tests(Case):
    """An extended CONNECT, as the HTTP/2 side hands it on."""

    def test_asked_with_a_key_of_our_own(self) -> None:
        for mode in ("relay", "tunnel"):
            Double.made = []
            desk = self.build([switch("Sec-WebSocket-Protocol: chat")], mode=mode)
            body = Body(None)
            body.cap(10)
            answered = Deferred.fromCoroutine(desk.script.steps[0](self.exchange(body)))  # type: ignore[operator, arg-type]
            self.turn()
            response = self.successResultOf(answered)
            self.assertEqual(response.status, 101)
            self.assertIs(response.takeover, self.relay)
            self.assertEqual(list(response.headers), [(b"Sec-WebSocket-Protocol", b"chat")])
            self.assertEqual(dict(self.origins[0].requests[0].fields)[b"Sec-WebSocket-Key"], OURS)
            body.write(b"frames that are longer than body_limit")
            self.assertIsNone(body.error)

    def test_an_agreement_that_is_none(self) -> None:
        """Over HTTP/2 a 2xx says that the WebSocket is open."""
        desk = self.build([b"HTTP/1.1 200 Welcome\r\nContent-Length: 100\r\n\r\nwelcome"])
        answered = Deferred.fromCoroutine(desk.script.steps[0](self.exchange(Body(None))))  # type: ignore[operator, arg-type]
        self.turn()
        error = self.failureResultOf(answered, GatewayError).value
        self.assertEqual((error.status, error.reason), (502, "websocket_not_switched"))
        self.assertEqual(self.in_flight(), [0])
        self.assertTrue(self.wire().aborted)

    def test_a_refusal_is_passed_on(self) -> None:
        desk = self.build([answer(b"no", 403)])
        answered = Deferred.fromCoroutine(desk.script.steps[0](self.exchange(Body(None))))  # type: ignore[operator, arg-type]
        self.turn()
        response = self.successResultOf(answered)
        self.assertEqual((response.status, response.close), (403, False))

    def exchange(self, body: Body) -> Exchange:
        head = http2((b"sec-websocket-protocol", b"chat"), (b"sec-websocket-extensions", b"x-a"))
        return Exchange(head, Request(head, "https", body), FakeConnection(), None, 0.0)

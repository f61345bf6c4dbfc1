"""Tests of edgegw.targets.websocket: handshakes from a downstream peer in memory to origins in memory (trust.md A5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edgegw.cli.reasons import GATEWAY_REASONS
from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Request, Response
from edgegw.net.websocket.ending import Cause
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.observe.metrics import Registry
from edgegw.targets import websocket
from edgegw.targets.proxy import Proxy
from edgegw.targets.websocket import Upgrading, WebSocketTarget, websocket_off
from edgegw.testing.downstream import Desk, request
from edgegw.testing.exchanges import FakeConnection
from edgegw.testing.origin import Origin, OriginConnection, answer, cluster, refused
from edgegw.upstream.pool import PoolSettings
from edgegw.upstream.settings import EndpointUrl
from edgegw.wire.websocket import accept_of
from tests.wire.test_websocket import ACCEPT, KEY, http2

OURS = b"MDEyMzQ1Njc4OWFiY2RlZg=="
"""The key made of the test's entropy."""

HANDSHAKE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY.decode()}",
]


def handshake(*more: str, without: str = "\0", line: str = "GET /chat?a=1 HTTP/1.1") -> bytes:
    """A request to switch. without: the beginning of lines to leave out."""
    return request(line, *(each for each in HANDSHAKE if not each.startswith(without)), *more)


def switch(*more: str, key: bytes = OURS, tail: bytes = b"", without: str = "\0") -> bytes:
    """An upstream's 101."""
    lines = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_of(key).decode()}", *more]
    kept = [line for line in lines if not line.startswith(without)]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *kept, "", ""]).encode() + tail


class End(Protocol):
    """One end of what the double ties together."""

    def __init__(self, received: bytes) -> None:
        self.received = received
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Double:
    """In place of `Relay` and `Tunnel`: remembers what it was made with and what it is told."""

    made: list[Double] = []
    cause: Cause | None = None

    def __init__(self, settings: WebSocketSettings, wheel: Any, **options: Any) -> None:
        self.options = options
        self.upstream: End | None = None
        self.downstream: End | None = None
        self.told: list[str] = []
        self.made.append(self)

    def connect_upstream(self, transport: Any, received: bytes) -> End:
        self.upstream_transport = transport
        self.upstream = End(received)
        return self.upstream

    def connect(self, transport: Any, received: bytes) -> End:
        self.downstream_transport = transport
        self.downstream = End(received)
        return self.downstream

    def drain(self) -> None:
        self.told.append("drain")

    def abandon(self) -> None:
        self.told.append("abandon")


class Case(SynchronousTestCase):
    """A downstream connection, the target behind it, and origins."""

    def setUp(self) -> None:
        Double.made = []
        self.patch(websocket, "Relay", Double)
        self.patch(websocket, "Tunnel", Double)
        self.registry = Registry()

    def build(self, *scripts: list[Any], mode: str = "relay", middleware: Any = None, **more: Any) -> Desk:
        self.desk = desk = Desk()
        self.origins = [Origin(*script, clock=desk.clock, wheel=desk.wheel) for script in scripts]
        self.cluster = made = cluster(*self.origins, pool=PoolSettings())
        metrics = self.registry.upstream("shop")
        settings = WebSocketSettings.model_validate({"mode": mode, **more})
        proxy = Proxy(made, 5.0, 10.0, desk.clock.seconds, metrics)
        target = WebSocketTarget(
            made, settings, (5.0, 10.0), desk.wheel, metrics, lambda size: b"0123456789abcdef"[:size]
        )
        chosen: Any = Upgrading(proxy, websocket_off if mode == "off" else target)
        desk.script.steps = [middleware(chosen) if middleware else chosen] * 10
        return desk

    def turn(self, seconds: float = 0.1) -> None:
        self.origins[0].turn(seconds)

    @property
    def relay(self) -> Double:
        (relay,) = Double.made
        return relay

    def wire(self, number: int = 0) -> OriginConnection:
        return self.origins[number].connections[0]

    def attempts(self) -> dict[str, float]:
        family = self.registry.upstream_attempts
        return {labels[1]: cell.value for labels, cell in family if cell.value}

    def in_flight(self) -> list[int]:
        return [endpoint.in_flight for endpoint in self.cluster.endpoints]

    def refused(self, data: bytes, status: str, reason: str) -> None:
        """What the peer said is answered like this, and no upstream heard of it."""
        desk = self.build([])
        desk.says(data)
        self.turn()
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 " + status.encode()), heard)
        self.assertIn(b'"reason":"' + reason.encode() + b'"', heard)
        self.assertEqual(heard.count(b"HTTP/1.1 "), 1, heard)
        self.assertEqual(self.origins[0].attempts, 0)
        self.assertNotEqual(desk.ended, [])


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
        desk = self.build([], mode="off").says(handshake() + SmugglingTests.SECOND)
        self.turn()
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 501 "), heard)
        self.assertIn(b"websocket_off", heard)
        self.assertEqual((self.origins[0].attempts, len(desk.exchanges)), (0, 1))


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
        desk = self.build([switch()], [switch()])
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
        self.assertEqual([origin.attempts for origin in self.origins], [1, 1])
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

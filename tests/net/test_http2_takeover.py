"""Tests of edgegw.net.http2_takeover: a protocol on one stream (RFC 8441)."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Response
from edgegw.net.http2_takeover import LAST_WORD_S
from edgegw.testing.http2 import Http2Desk
from edgegw.wire.headers import Headers
from edgegw.wire.http2_limits import Http2Limits


class Echo(Protocol):
    """Sends back what it gets, and writes down its end."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        self.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class Taker:
    """A takeover that gives the stream to an echo."""

    def __init__(self) -> None:
        self.echo = Echo()
        self.drained = False
        self.at_once = ""

    def connect(self, transport: Any, received: bytes) -> Protocol:
        self.echo.makeConnection(transport)
        if received:
            self.echo.dataReceived(received)
        if self.at_once:
            getattr(self.echo.transport, self.at_once)()
        return self.echo

    @property
    def carried(self) -> tuple[int, int]:
        return len(self.echo.got), 2 * len(self.echo.got)

    def drain(self) -> None:
        self.drained = True


class Producer:
    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


FIELDS = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", b"x"), (b"X-A", b"1")]


class TakeoverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.taker = Taker()
        self.echo = self.taker.echo

    def desk(self, **more: Any) -> tuple[Http2Desk, int]:
        response = Response(101, Headers.of(FIELDS), takeover=self.taker)
        steps = () if more.pop("later", False) else (response, Response.of(200, b"on"))
        desk = Http2Desk(*steps, **more)
        sid = desk.peer.get_next_available_stream_id()
        head = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/w"),
        ]  # fmt: skip
        desk.peer.send_headers(sid, head)
        desk.pump()
        return desk, sid

    def test_speaks_both_ways(self) -> None:
        desk, sid = self.desk()
        self.assertEqual((desk.exchanges[0].request.method, desk.exchanges[0].head.upgrade), ("GET", (b"websocket",)))
        desk.sends(sid, b"ping")
        answer = desk.answer(sid)
        self.assertEqual((answer.status, answer.body), (200, b"ping"))
        self.assertEqual(sorted(answer.headers), ["date", "x-a"])

    def test_not_without_being_asked(self) -> None:
        for method, end in (("GET", True), ("POST", False)):
            desk = Http2Desk(Response(101, Headers.of(FIELDS), takeover=self.taker))
            answer = desk.answer(desk.asks("/", method, end=end))
            self.assertEqual(answer.status, 500, method)
            self.assertIn(b"takeover_not_asked_for", answer.body)
            self.assertIsNone(self.echo.transport)

    def test_ends_from_our_side(self) -> None:
        desk, sid = self.desk()
        self.echo.transport.write(b"bye")
        self.echo.transport.loseConnection()
        answer = desk.answer(sid)
        self.assertEqual((answer.body, answer.ended), (b"bye", True))
        self.assertIsNotNone(self.echo.lost)
        self.assertTrue(desk.outcomes[0].complete)
        self.assertEqual(desk.answer(desk.asks()).body, b"on")

    def test_ends_from_the_peer_s_side(self) -> None:
        desk, sid = self.desk()
        desk.sends(sid, b"x", end=True)
        self.assertEqual(self.echo.got, b"x")
        # What it has still to say reaches the peer; then it has had its time.
        self.assertEqual((desk.answer(sid).body, desk.answer(sid).ended, self.echo.lost), (b"x", False, None))
        desk.waits(LAST_WORD_S + 0.2)
        self.assertIsNotNone(self.echo.lost)
        self.assertEqual((desk.answer(sid).ended, desk.answer(sid).reset), (True, None))
        outcome = desk.outcomes[0]
        self.assertEqual((outcome.complete, outcome.bytes_in, outcome.bytes_out), (True, 1, 2))

    def test_the_peer_s_end_waits_for_what_was_written(self) -> None:
        desk, sid = self.desk(credit=False, window=1000)
        desk.sends(sid, b"x" * 1500, end=True)
        desk.waits(LAST_WORD_S + 0.2)
        self.assertIsNone(self.echo.lost)
        desk.peer.increment_flow_control_window(500, sid)
        answer = desk.answer(sid)
        self.assertEqual((len(answer.body), answer.ended, answer.reset), (1500, True, None))
        self.assertIsNotNone(self.echo.lost)
        self.assertEqual(desk.connection.codec.streams, 0)

    def test_our_end_that_waited_ends_the_peer_s_side_too(self) -> None:
        desk, sid = self.desk(credit=False, window=1000)
        self.echo.transport.write(b"x" * 1500)
        self.echo.transport.loseConnection()
        desk.pump()
        desk.peer.increment_flow_control_window(500, sid)
        answer = desk.answer(sid)
        self.assertEqual((len(answer.body), answer.ended, answer.reset), (1500, True, 0))
        self.assertEqual(desk.connection.codec.streams, 0)

    def test_our_end_does_not_wait_for_ever(self) -> None:
        desk, sid = self.desk(credit=False, window=1000)
        self.echo.transport.write(b"x" * 1500)
        self.echo.transport.loseConnection()
        for _ in range(8):
            desk.waits(10)
            desk.pump()
        self.assertEqual(desk.answer(sid).reset, 8)
        self.assertIsNotNone(self.echo.lost)

    def test_an_end_inside_the_beginning(self) -> None:
        for end, reset in (("loseConnection", 0), ("abortConnection", 8)):
            self.setUp()
            self.taker.at_once = end
            desk, sid = self.desk()
            self.assertEqual((desk.answer(sid).status, desk.answer(sid).reset), (200, reset))
            self.assertIsNotNone(self.echo.lost)
            self.assertEqual([outcome.complete for outcome in desk.outcomes], [True])

    def test_a_reset(self) -> None:
        desk, sid = self.desk()
        desk.peer.reset_stream(sid, 8)
        desk.pump()
        self.assertIsNotNone(self.echo.lost)
        self.assertEqual([outcome.complete for outcome in desk.outcomes], [True])

    def test_an_upload_that_breaks_the_rules(self) -> None:
        desk, sid = self.desk()
        # Trailers that do not end the stream.
        desk.frame(b"\0\0\1\1\4" + sid.to_bytes(4, "big") + b"\x82")
        self.assertIsNotNone(self.echo.lost)
        self.assertEqual([outcome.error.reason for outcome in desk.outcomes], ["h2_bad_trailers"])  # type: ignore[union-attr]

    def test_abort(self) -> None:
        desk, sid = self.desk()
        self.echo.transport.abortConnection()
        self.assertEqual(desk.answer(sid).reset, 8)
        self.assertIsNotNone(self.echo.lost)

    def test_the_connection_is_lost(self) -> None:
        desk, _ = self.desk()
        desk.leaves()
        self.assertIsNotNone(self.echo.lost)
        # As over HTTP/1: there is no other end.
        self.assertTrue(desk.outcomes[0].complete)

    def test_backpressure_reaches_the_producer(self) -> None:
        desk, sid = self.desk(credit=False, window=1000)
        producer = Producer()
        self.echo.transport.registerProducer(producer, True)
        self.echo.transport.write(b"x" * 1500)
        self.assertEqual(producer.told, ["pause"])
        desk.answer(sid)
        desk.peer.acknowledge_received_data(1000, sid)
        desk.pump()
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_a_producer_goes_on_when_window_and_socket_let_it(self) -> None:
        desk, sid = self.desk(credit=False, window=1000)
        producer = Producer()
        self.echo.transport.registerProducer(producer, True)
        self.echo.transport.write(b"x" * 1500)
        desk.transport.congest()
        desk.transport.relieve()
        self.assertEqual(producer.told, ["pause"])
        desk.transport.congest()
        desk.pump()
        desk.peer.increment_flow_control_window(1000, sid)
        desk.pump()
        self.assertEqual(producer.told, ["pause"])
        desk.transport.relieve()
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_one_that_begins_on_a_congested_connection(self) -> None:
        desk, _ = self.desk(later=True)
        desk.transport.congest()
        desk.replies(Response(101, Headers.of(FIELDS), takeover=self.taker))
        producer = Producer()
        self.echo.transport.registerProducer(producer, True)
        self.assertEqual(producer.told, ["pause"])
        desk.transport.relieve()
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_pausing_holds_credit_back(self) -> None:
        desk, sid = self.desk()
        window = desk.peer.local_flow_control_window(sid)
        self.echo.transport.pauseProducing()
        for _ in range(4):
            desk.sends(sid, b"x" * 10000)
        self.assertEqual(desk.peer.local_flow_control_window(sid), window - 40000)
        self.echo.transport.resumeProducing()
        desk.pump()
        self.assertGreater(desk.peer.local_flow_control_window(sid), window - 33000)

    def test_the_end_waits_for_a_producer(self) -> None:
        desk, sid = self.desk()
        self.echo.transport.registerProducer(Producer(), True)
        self.echo.transport.loseConnection()
        self.assertFalse(desk.answer(sid).ended)
        self.echo.transport.unregisterProducer()
        self.assertTrue(desk.answer(sid).ended)

    def test_a_drain_reaches_it(self) -> None:
        desk, _ = self.desk()
        desk.connection.drain()
        self.assertTrue(self.taker.drained)

    def test_one_that_comes_while_the_gateway_drains_is_told(self) -> None:
        response = Response(101, Headers.of(FIELDS), takeover=self.taker)
        desk = Http2Desk()
        sid = desk.peer.get_next_available_stream_id()
        head = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/w"),
        ]  # fmt: skip
        desk.peer.send_headers(sid, head)
        desk.pump()
        desk.connection.drain()
        self.assertFalse(self.taker.drained)
        desk.replies(response)
        self.assertTrue(self.taker.drained)

    def test_a_drain_reaches_it_though_the_peer_said_goaway(self) -> None:
        desk, _ = self.desk()
        desk.frame(b"\0\0\x08\7\0\0\0\0\0" + bytes(8))
        self.assertFalse(self.taker.drained)
        desk.connection.drain()
        self.assertTrue(self.taker.drained)

    def test_the_last_request_of_a_connection_does_not_end_it(self) -> None:
        desk, sid = self.desk(http2=Http2Limits(requests=2))
        self.assertEqual(desk.answer(desk.asks()).body, b"on")
        self.assertEqual(len(desk.goaways()), 2)
        self.assertFalse(self.taker.drained)
        desk.sends(sid, b"still")
        self.assertEqual(desk.answer(sid).body, b"still")

    def test_a_peer_that_ended_before_it_was_open(self) -> None:
        desk = Http2Desk()
        sid = desk.peer.get_next_available_stream_id()
        head = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/w"),
        ]  # fmt: skip
        desk.peer.send_headers(sid, head)
        desk.sends(sid, b"", end=True)
        desk.replies(Response(101, Headers.of(FIELDS), takeover=self.taker))
        self.assertEqual(desk.answer(sid).status, 400)
        self.assertEqual(desk.outcomes[0].error.reason, "websocket_bad_request")  # type: ignore[union-attr]

    def test_repr(self) -> None:
        self.desk()
        self.assertIn("open sent=0", repr(self.echo.transport))

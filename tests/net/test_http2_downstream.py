"""Tests of edgegw.net.http2_downstream: the connection that carries streams, with the `h2` library as the peer."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.body import Body
from edgegw.exchange.model import Response
from edgegw.net.http2_downstream import LAST_CALL_S, PING_AFTER_S, PING_WAIT_S
from edgegw.net.settings import Caps
from edgegw.testing.http2 import Http2Desk
from edgegw.wire.headers import Headers
from edgegw.wire.http2_limits import Http2Limits

ANY_STREAM = 2**31 - 1
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678"


class LifeTests(SynchronousTestCase):
    """Beginning and end."""

    def test_settings_are_sent_at_once(self) -> None:
        desk = Http2Desk()
        self.assertEqual(desk.transport.writes[0][3], 4)

    def test_without_a_preface(self) -> None:
        desk = Http2Desk()
        connection, transport = desk.connect()
        desk.waits(Caps().head_deadline + 1)
        self.assertEqual(transport.ended, ["lose"])
        self.assertNotIn(connection, desk.listener.connections)

    def test_idle_is_closed_with_goaway_whatever_pings_come(self) -> None:
        desk = Http2Desk()
        for _ in range(8):
            desk.waits(10).frame(PING)
        self.assertEqual(desk.goaways(), [(0, 0)])
        self.assertEqual(desk.ended, ["lose"])

    def test_idle_counts_from_the_last_answer(self) -> None:
        desk = Http2Desk(Response.of(200, b""))
        desk.waits(60)
        desk.asks()
        desk.waits(60)
        self.assertEqual(desk.ended, [])
        desk.waits(20)
        self.assertEqual(desk.ended, ["lose"])

    def test_leaving_cancels_every_exchange(self) -> None:
        desk = Http2Desk()
        desk.asks()
        desk.asks()
        desk.leaves(ConnectionDone())
        self.assertEqual(desk.script.cancelled, 2)
        self.assertEqual([outcome.complete for outcome in desk.outcomes], [False, False])
        self.assertEqual(desk.counts.seen["closed"], 1)

    def test_garbage_ends_it_with_a_name(self) -> None:
        desk = Http2Desk()
        desk.asks()
        # A SETTINGS frame on a stream.
        desk.transport.deliver(b"\x00\x00\x00\x04\x00\x00\x00\x00\x01")
        self.assertEqual([code for _, code in desk.goaways()], [1])
        self.assertEqual(desk.script.cancelled, 1)
        self.assertEqual(sum(count for name, count in desk.counts.seen.items() if name.startswith("broke ")), 1)
        desk.waits(3)
        self.assertEqual(desk.ended[-1], "lose")


class DrainTests(SynchronousTestCase):
    """Two GOAWAYs."""

    def test_in_two_steps(self) -> None:
        desk = Http2Desk()
        stream = desk.asks()
        desk.connection.drain()
        self.assertEqual(desk.goaways()[0], (ANY_STREAM, 0))
        # The peer has answered our PING by now.
        self.assertEqual(desk.goaways()[-1], (stream, 0))
        self.assertEqual(desk.ended, [])
        desk.replies(Response.of(200, b"last"))
        self.assertEqual(desk.answer(stream).body, b"last")
        self.assertEqual(desk.ended, ["lose"])

    def test_a_peer_that_does_not_answer_a_ping(self) -> None:
        desk = Http2Desk()
        desk.connection.drain()
        desk.waits(LAST_CALL_S + 0.3)
        self.assertEqual(desk.ended, ["lose"])

    def test_a_request_on_its_way_is_served(self) -> None:
        desk = Http2Desk(Response.of(200, b"yes"))
        sid = desk.peer.get_next_available_stream_id()
        desk.peer.send_headers(
            sid, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")], end_stream=True
        )
        desk.connection.drain()
        self.assertEqual(desk.answer(sid).body, b"yes")
        self.assertEqual(desk.ended, ["lose"])

    def test_after_so_many_requests(self) -> None:
        desk = Http2Desk(Response.of(200, b"1"), Response.of(200, b"2"), http2=Http2Limits(requests=2))
        desk.asks()
        self.assertEqual(desk.goaways(), [])
        self.assertEqual(desk.answer(desk.asks()).body, b"2")
        self.assertEqual(desk.goaways()[0], (ANY_STREAM, 0))
        self.assertEqual(desk.ended, ["lose"])


class SilenceTests(SynchronousTestCase):
    """A peer that may have gone."""

    def test_is_asked_and_given_up(self) -> None:
        desk = Http2Desk()
        desk.asks()
        before = len(desk.transport.written)
        desk.waits(PING_AFTER_S + 1)
        self.assertEqual(desk.transport.written[before + 3], 6)
        desk.waits(PING_WAIT_S + 1)
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(desk.outcomes[0].error.reason, "h2_ping_timeout")  # type: ignore[union-attr]

    def test_an_answer_is_enough(self) -> None:
        desk = Http2Desk()
        desk.asks()
        for _ in range(10):
            desk.waits(PING_AFTER_S / 2)
            desk.pump()
        self.assertEqual(desk.ended, [])


class CongestionTests(SynchronousTestCase):
    """A peer whose socket takes nothing."""

    def test_bodies_wait_and_new_requests_too(self) -> None:
        body = Body(None)
        desk = Http2Desk(Response(200, Headers(), body), Response.of(200, b"later"))
        desk.asks()
        desk.transport.congest()
        second = desk.asks()
        self.assertEqual(len(desk.exchanges), 1)
        desk.transport.relieve()
        self.assertEqual(desk.answer(second).body, b"later")

    def test_a_peer_that_takes_nothing_for_long_is_cut(self) -> None:
        desk = Http2Desk(Response(200, Headers(), Body(None)))
        desk.asks()
        desk.transport.congest()
        desk.waits(Caps().write_gap + 20)
        self.assertEqual(desk.ended, ["abort"])


class ReprTests(SynchronousTestCase):
    def test_state(self) -> None:
        desk = Http2Desk()
        desk.asks()
        self.assertIn("open, 1 streams, 1 served", repr(desk.connection))

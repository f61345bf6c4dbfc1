"""Tests of edgegw.net.http2_downstream: the connection that carries streams, with the `h2` library as the peer."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.net.http2_downstream import LAST_CALL_S, PING_AFTER_S, PING_WAIT_S
from edgegw.net.settings import Caps
from edgegw.testing.http2 import Http2Desk
from edgegw.wire.headers import Headers
from edgegw.wire.http2_limits import Http2Limits

ANY_STREAM = 2**31 - 1


class Hasty:
    """Reads an upload, and has the exchange answered by its first bytes."""

    def __init__(self, desk: Http2Desk) -> None:
        self.desk = desk

    def write(self, data: bytes) -> None:
        self.desk.script.reply(Response.of(413, b"no"))

    def end(self, _: object) -> None: ...
    def abort(self, _: object) -> None: ...


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


class OneReadTests(SynchronousTestCase):
    """What one read brings belongs together."""

    def test_a_stream_that_ended_is_not_begun_again_by_its_fault(self) -> None:
        def hasty(exchange: Exchange) -> object:
            exchange.request.body.attach(Hasty(desk))
            return desk.script._later()

        desk = Http2Desk(hasty)
        stream = desk.asks("/", "POST", ("content-length", "5"), end=False)
        # Its first bytes are answered, and reset; then the stream ends too early.
        raw = stream.to_bytes(4, "big")
        desk.frame(b"\0\0\2\0\0" + raw + b"ab" + b"\0\0\1\0\1" + raw + b"c")
        self.assertEqual(len(desk.exchanges), 1)
        self.assertEqual([outcome.complete for outcome in desk.outcomes], [True])

    def test_a_request_behind_the_answer_to_our_ping_is_served(self) -> None:
        desk = Http2Desk(Response.of(200, b"yes"))
        desk.connection.drain()
        ping = desk.transport.writes[-1][:17]
        sid = desk.peer.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
        desk.peer.send_headers(sid, head, end_stream=True)
        desk.transport.deliver(ping[:4] + b"\1" + ping[5:] + desk.peer.data_to_send())
        self.assertEqual(desk.answer(sid).body, b"yes")
        self.assertEqual(desk.goaways()[-1], (sid, 0))
        self.assertEqual(desk.ended, ["lose"])

    def test_a_request_behind_a_goaway_of_the_peer_is_served(self) -> None:
        desk = Http2Desk(Response.of(200, b"yes"))
        sid = desk.peer.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
        desk.peer.send_headers(sid, head, end_stream=True)
        # A GOAWAY ends what its receiver may begin, not what its sender does.
        desk.transport.deliver(b"\0\0\x08\7\0\0\0\0\0" + bytes(8) + desk.peer.data_to_send())
        self.assertEqual(desk.answer(sid).body, b"yes")
        self.assertEqual(desk.ended, ["lose"])

    def test_garbage_while_draining_can_be_read_about(self) -> None:
        desk = Http2Desk()
        desk.asks()
        desk.connection.drain()
        desk.pump()
        desk.transport.deliver(b"\x00\x00\x00\x04\x00\x00\x00\x00\x01")
        self.assertEqual(desk.goaways()[-1][1], 1)
        self.assertEqual(desk.ended, ["half_close"])
        desk.waits(3)
        self.assertEqual(desk.ended, ["half_close", "lose"])
        self.assertEqual(len(desk.wheel), 0)


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

    def test_a_peer_that_goes_keeps_its_streams(self) -> None:
        desk = Http2Desk()
        stream = desk.asks()
        desk.frame(b"\0\0\x08\7\0\0\0\0\0" + bytes(8))
        self.assertEqual(desk.ended, [])
        desk.replies(Response.of(200, b"last"))
        self.assertEqual(desk.answer(stream).body, b"last")
        self.assertEqual(desk.ended, ["lose"])

    def test_while_requests_are_held(self) -> None:
        desk = Http2Desk(Response.of(200, b"1"), Response.of(200, b"2"))
        desk.transport.congest()
        first, second = desk.asks(), desk.asks()
        desk.connection.drain()
        desk.pump()
        self.assertEqual(desk.exchanges, [])
        desk.transport.relieve()
        self.assertEqual([desk.answer(first).body, desk.answer(second).body], [b"1", b"2"])
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

    def test_requests_wait_again_when_the_first_of_them_fills_the_socket(self) -> None:
        def congesting(exchange: Exchange) -> Response:
            desk.transport.congest()
            return Response.of(200, b"1")

        desk = Http2Desk(congesting, Response.of(200, b"2"))
        desk.transport.congest()
        first, second = desk.asks(), desk.asks()
        desk.transport.relieve()
        self.assertEqual((desk.answer(first).body, desk.answer(second).status), (b"1", 0))
        desk.transport.relieve()
        self.assertEqual(desk.answer(second).body, b"2")

    def test_requests_that_were_reset_do_not_wait(self) -> None:
        desk = Http2Desk()
        desk.transport.congest()
        for _ in range(100):
            desk.peer.reset_stream(desk.asks(), 8)
            desk.pump()
        self.assertEqual(len(desk.connection._held), 0)
        desk.transport.relieve()
        self.assertEqual(desk.exchanges, [])

    def test_a_peer_that_takes_nothing_for_long_is_cut(self) -> None:
        desk = Http2Desk(Response(200, Headers(), Body(None)))
        desk.asks()
        desk.transport.congest()
        desk.waits(Caps().write_gap + 20)
        self.assertEqual(desk.ended, ["abort"])


class RequestTests(SynchronousTestCase):
    """What the connection itself decides about requests."""

    def test_misdirected(self) -> None:
        desk = Http2Desk(Response.of(200, b"never"))
        desk.connection.tls = object()
        desk.listener.misdirected = lambda transport, host: host == "a"  # type: ignore[method-assign]
        self.assertEqual(desk.answer(desk.asks()).status, 421)

    def test_what_one_read_leads_to_is_one_write(self) -> None:
        desk = Http2Desk(*(Response.of(200, b"x") for _ in range(10)))
        before = len(desk.transport.writes)
        for sid in range(1, 21, 2):
            head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
            desk.peer.send_headers(sid, head, end_stream=True)
        desk.transport.deliver(desk.peer.data_to_send())
        self.assertEqual(len(desk.outcomes), 10)
        self.assertEqual(len(desk.transport.writes) - before, 1)


class ReprTests(SynchronousTestCase):
    def test_state(self) -> None:
        desk = Http2Desk()
        desk.asks()
        self.assertIn("open, 1 streams, 1 served", repr(desk.connection))

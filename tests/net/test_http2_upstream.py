"""Tests of edgegw.net.http2_upstream: one connection with many streams, an origin of another make in memory behind it."""

from __future__ import annotations

from typing import Any

from h2.errors import ErrorCodes
from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.net.http2_upstream import PING_AFTER_S, PING_WAIT_S, STREAMS, Http2Upstream
from edgegw.net.tls_transport import TlsError
from edgegw.testing.exchanges import drain
from tests.net.http2_case import Case
from tests.net.http2_origin import Wire


class ReadyTests(Case):
    def test_ready_with_the_settings_of_the_peer(self) -> None:
        connection = self.origin.accept(greet=False)
        ready = connection.ready()
        self.assertNoResult(ready)
        self.assertEqual(len(self.origin.wires[1].writes), 1, "preface, settings and window leave in one write")
        self.origin.wires[1].greet()
        self.assertIs(self.successResultOf(ready), connection)

    def test_ready_at_once_when_they_came_before(self) -> None:
        self.assertIs(self.successResultOf(self.connection.ready()), self.connection)

    def failing(self) -> tuple[Deferred[Http2Upstream], Wire]:
        ready = self.origin.accept(greet=False).ready()
        return ready, self.origin.wires[-1]

    def assert_no_http2(self, ready: Deferred[Any], reason: str | None = None) -> GatewayError:
        error: GatewayError = self.failureResultOf(ready, GatewayError).value
        self.assertEqual((error.status, error.side, error.phase), (502, Side.UPSTREAM, Phase.CONNECT))
        self.assertIs(error.retry, Retry.ALWAYS)
        if reason:
            self.assertEqual(error.reason, reason)
        return error

    def test_a_peer_that_speaks_http1(self) -> None:
        ready, wire = self.failing()
        wire.raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        error = self.assert_no_http2(ready, "upstream_not_http2")
        self.assertIn("does not speak HTTP/2 (h2_", error.detail)
        self.assertTrue(wire.closed or wire.aborted)

    def test_a_peer_that_leaves(self) -> None:
        for leave, reason in ((Wire.close, "upstream_closed"), (Wire.reset, "upstream_reset")):
            ready, wire = self.failing()
            leave(wire)
            self.assertIn("SETTINGS", self.assert_no_http2(ready, reason).detail)

    def test_nobody_waits_any_more(self) -> None:
        ready, wire = self.failing()
        ready.addErrback(lambda _: None)
        ready.cancel()
        self.assertTrue(wire.aborted)
        self.origin.turn()
        self.assertEqual(self.flushLoggedErrors(), [])


class ManyTests(Case):
    def test_two_at_once(self) -> None:
        first, second = self.ask(), self.ask()
        self.assertEqual(self.lender.told, ["room", "room"])
        self.wire.head(3, 203)
        self.wire.head(1, 201)
        sinks = [drain(self.successResultOf(each).body) for each in (first, second)]
        for sid, data in ((1, b"a"), (3, b"b"), (1, b"c"), (3, b"d")):
            self.wire.data(sid, data)
        self.assertEqual([sink.data for sink in sinks], [b"ac", b"bd"])
        self.wire.data(3, b"", end=True)
        self.assertEqual([sink.ended for sink in sinks], [False, True])
        self.wire.data(1, b"", end=True)
        self.assertEqual(self.lender.told, ["room", "room", "idle"])

    def test_both_heads_in_one_read(self) -> None:
        answered = [self.ask(), self.ask()]
        with self.wire.one_read():
            self.wire.answer(1, b"one")
            self.wire.answer(3, b"two")
        self.assertEqual([self.successResultOf(each).body.take_ready() for each in answered], [b"one", b"two"])

    def test_one_whose_answer_ends_the_other(self) -> None:
        """In one read: the second's head is here and was not told yet."""
        first = drain(self.begun(1).body)
        second = self.ask()
        second.addErrback(lambda _: None)
        first.write = lambda data: second.cancel()  # type: ignore[method-assign]
        with self.wire.one_read():
            self.wire.head(3)
            self.wire.data(1, b"x")
        self.assertEqual(self.wire.asked[3].reset, ErrorCodes.CANCEL)
        self.assert_alive()

    def test_one_that_stalls_leaves_the_other_alone(self) -> None:
        """Backpressure is credit of one stream: at most one window of the slow one is on its way."""
        slow = self.begun(1, b"x" * 1000).body
        fast = drain(self.begun(3).body)
        sink = drain(slow)
        slow.pause()
        self.fill(1)
        self.assertLessEqual(len(sink.data), 1000 + 65535)
        for _ in range(40):
            self.wire.data(3, b"y" * 16000)
        self.assertEqual(len(fast.data), 640000)
        self.assertEqual(self.wire.window(1), 0)
        slow.resume()
        self.origin.turn()
        self.assertGreater(self.wire.window(1), 32768)
        self.wire.data(1, b"z", end=True)
        self.assertTrue(sink.ended)

    def fill(self, sid: int) -> None:
        """Send as much as there is credit for."""
        for _ in range(8):
            if self.wire.window(sid) > 0:
                self.wire.data(sid, b"x" * min(16000, self.wire.window(sid)))
        self.assertEqual(self.wire.window(sid), 0)

    def test_however_many_stall(self) -> None:
        """The window of the connection is never what the others wait for."""
        for number in range(STREAMS - 1):
            body = self.begun(1 + 2 * number).body
            drain(body)
            body.pause()
            self.fill(1 + 2 * number)
        last = 2 * STREAMS - 1
        fast = drain(self.begun(last).body)
        for _ in range(20):
            self.wire.data(last, b"y" * 16000)
        self.assertEqual(len(fast.data), 320000)

    def test_credit_that_was_held_back_is_not_lost_with_its_stream(self) -> None:
        """Hundreds of torn slow responses leave the connection's window as it was."""
        for number in range(250):
            sid = 1 + 2 * number
            body = self.begun(sid).body
            drain(body)
            body.pause()
            for _ in range(4):
                self.wire.data(sid, b"x" * 16000)
            if number % 2:
                body.cancel()
            else:
                self.wire.data(sid, b"", end=True)
            self.origin.turn()
        fast = drain(self.begun(501).body)
        for _ in range(10):
            self.wire.data(501, b"y" * 16000)
        self.assertEqual(len(fast.data), 160000)

    def test_the_peers_limit(self) -> None:
        self.setUp(streams=2)
        self.ask()
        self.assertEqual(self.lender.told, ["room"])
        self.ask()
        self.assertEqual((self.lender.told, self.connection.room), (["room"], 0))
        error = self.error(self.ask())
        self.assertEqual((error.reason, error.retry), ("upstream_refused_stream", Retry.ALWAYS))
        self.assertEqual(len(self.wire.asked), 2)
        self.wire.answer(1)
        self.assertEqual(self.lender.told, ["room", "room"])
        self.wire.answer(3)
        self.assertEqual(self.lender.told, ["room", "room", "idle"])

    def test_our_own_limit(self) -> None:
        self.setUp(streams=1000)
        for _ in range(STREAMS):
            self.ask()
        self.assertEqual(self.lender.told, ["room"] * (STREAMS - 1))

    def test_a_limit_that_changes(self) -> None:
        self.setUp(streams=1)
        answered = self.ask()
        self.assertEqual(self.lender.told, [])
        self.wire.allow(10)
        self.assertEqual((self.lender.told, self.connection.room), (["room"], 9))
        self.wire.answer(1)
        self.successResultOf(answered)
        self.assertEqual(self.lender.told, ["room", "idle"])

    def test_a_limit_that_is_lowered(self) -> None:
        self.setUp(streams=3)
        self.ask()
        self.wire.allow(1)
        self.assertEqual((self.lender.told, self.connection.room), (["room", "full"], 0))
        self.wire.answer(1)
        self.assertEqual(self.lender.told, ["room", "full", "idle"])
        self.wire.allow(0)
        self.assertEqual(self.lender.told[-1], "closed")

    def test_a_limit_that_is_lowered_to_nothing_while_a_stream_is_open(self) -> None:
        answered = self.ask()
        self.wire.allow(0)
        self.wire.answer(1)
        self.successResultOf(answered)
        self.assertEqual((self.lender.told, self.wire.closed), (["room", "full", "closed"], True))

    def test_a_peer_that_allows_nothing(self) -> None:
        self.setUp(streams=0)
        self.assertEqual(self.error(self.ask()).reason, "upstream_refused_stream")
        self.assertEqual(self.lender.told, ["closed"])
        self.assertTrue(self.wire.closed)

    def test_no_stream_is_left_behind(self) -> None:
        answered = [self.ask() for _ in range(3)]
        self.wire.answer(1)
        self.wire.reset_stream(3)
        self.error(answered[1])
        self.assertEqual(len(self.connection._streams), 1)
        self.wire.answer(5)
        self.connection.rest(5)
        self.assertEqual((len(self.connection._streams), len(self.origin.wheel)), (0, 1))
        self.wire.close()
        self.assertEqual(len(self.origin.wheel), 0)


class GoAwayTests(Case):
    def test_those_above_the_last_are_refused_and_those_below_finish(self) -> None:
        answered = [self.ask() for _ in range(3)]
        self.wire.go_away(3, 11)
        self.assertEqual(self.lender.told[-1], "closed")
        error = self.error(answered[2])
        self.assertEqual((error.reason, error.retry), ("upstream_refused_stream", Retry.ALWAYS))
        self.assertIn("GOAWAY: ENHANCE_YOUR_CALM", error.detail)
        self.wire.answer(1, b"one")
        self.assertFalse(self.wire.closed)
        self.wire.head(3)
        sink = drain(self.successResultOf(answered[1]).body)
        self.wire.data(3, b"two", end=True)
        self.assertEqual(self.successResultOf(answered[0]).body.take_ready(), b"one")
        self.assertEqual((sink.data, sink.ended), (b"two", True))
        self.assertTrue(self.wire.closed)
        self.assertEqual(self.lender.told.count("closed"), 1)

    def test_with_nothing_on_it(self) -> None:
        self.wire.go_away(0)
        self.assertEqual((self.lender.told, self.wire.closed), (["closed"], True))

    def test_nothing_is_sent_after_it(self) -> None:
        self.ask()
        self.wire.go_away(1)
        self.assertEqual(self.connection.room, 0)
        self.assertEqual(self.error(self.ask()).reason, "upstream_refused_stream")
        self.assertEqual(len(self.wire.asked), 1)

    def test_in_two_steps(self) -> None:
        answered = self.ask()
        self.wire.go_away(2**31 - 1)
        self.wire.go_away(1)
        self.wire.answer(1)
        self.successResultOf(answered)
        self.assertTrue(self.wire.closed)


class LossTests(Case):
    def test_all_hear_of_it(self) -> None:
        for lose, reason in ((Wire.close, "upstream_closed"), (Wire.reset, "upstream_reset")):
            self.setUp()
            waiting, begun, warned = self.ask(), self.begun(3, b"x"), self.ask()
            sink = drain(begun.body)
            self.wire.head(5, 103)
            lose(self.wire)
            error = self.error(waiting)
            self.assertEqual((error.status, error.reason, error.retry), (502, reason, Retry.IF_IDEMPOTENT))
            self.assertIs(self.error(warned).retry, Retry.NEVER)
            self.assertEqual(sink.error and sink.error.reason, "upstream_aborted")
            self.assertEqual(self.lender.told.count("closed"), 1)
            self.assertNotIn("idle", self.lender.told)

    def test_a_tls_refusal_after_the_handshake_is_named(self) -> None:
        answered = self.ask()
        self.wire._lose(TlsError("alert_certificate_required", "the peer wants a certificate from us"))
        self.assertEqual(self.error(answered).reason, "upstream_tls")

    def test_a_protocol_that_is_broken(self) -> None:
        waiting, sink = self.ask(), drain(self.begun(3).body)
        self.wire.raw(b"\xff" * 64)
        error = self.error(waiting)
        self.assertEqual((error.status, error.side, error.retry), (502, Side.UPSTREAM, Retry.NEVER))
        self.assertEqual(sink.error and sink.error.reason, error.reason)
        self.assertEqual(self.lender.told[-1], "closed")
        self.assertTrue(self.wire.closed)
        self.assertNotEqual(self.wire.away or 0, 0, "the peer is told why")

    def test_closed_by_us(self) -> None:
        answered = self.ask()
        self.connection.close()
        self.assertTrue(self.wire.aborted)
        self.origin.turn()
        self.assertEqual(self.error(answered).status, 502)
        self.assertEqual(self.lender.told, ["room", "closed"])

    def test_retired_with_streams_it_finishes_them(self) -> None:
        answered = self.ask()
        self.connection.retire()
        self.assertEqual((self.lender.told, self.wire.closed), (["room", "closed"], False))
        self.wire.answer(1, b"x")
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"x")
        self.assertEqual((self.wire.closed, self.wire.away), (True, 0))

    def test_an_origin_that_does_not_close_is_cut(self) -> None:
        self.wire.loseConnection = lambda: None  # type: ignore[method-assign]
        self.connection.retire()
        self.origin.turn(1.5)
        self.assertFalse(self.wire.aborted)
        self.origin.turn(1)
        self.assertTrue(self.wire.aborted)


class PingTests(Case):
    def test_a_silent_peer_is_asked_and_its_answer_is_enough(self) -> None:
        answered = self.ask(head=900)
        self.origin.turn(PING_AFTER_S - 1)
        self.assertEqual(self.wire.pings, 0)
        self.origin.turn(1.2)
        self.assertEqual(self.wire.pings, 1)
        self.origin.turn(PING_WAIT_S + 5)
        self.assertNoResult(answered)
        # Not again soon: gRPC servers take offence.
        self.origin.turn(280)
        self.assertEqual(self.wire.pings, 1)
        self.origin.turn(40)
        self.assertEqual(self.wire.pings, 2)
        self.wire.answer(1)
        self.successResultOf(answered)

    def test_a_peer_that_is_gone(self) -> None:
        waiting, begun = self.ask(head=900), drain(self.begun(3).body)
        self.wire.deaf = True
        self.origin.turn(PING_AFTER_S + 0.2)
        self.assertEqual(self.wire.pings, 1)
        self.origin.turn(PING_WAIT_S - 1)
        self.assertNoResult(waiting)
        self.origin.turn(1.2)
        error = self.error(waiting)
        self.assertEqual((error.status, error.reason, error.retry), (504, "upstream_ping_timeout", Retry.IF_IDEMPOTENT))
        self.assertEqual(begun.error and begun.error.reason, "upstream_ping_timeout")
        self.assertTrue(self.wire.aborted)
        self.assertEqual((self.lender.told[-1], self.lender.told.count("closed")), ("closed", 1))
        self.assertNotIn("idle", self.lender.told)

    def test_no_ping_while_something_comes(self) -> None:
        drain(self.begun().body)
        for _ in range(10):
            self.origin.turn(15)
            self.wire.data(1, b"x")
        self.assertEqual(self.wire.pings, 0)

    def test_data_behind_an_answered_ping_makes_us_watchful_again(self) -> None:
        drain(self.begun(idle=900).body)
        self.origin.turn(25)
        self.assertEqual(self.wire.pings, 1)
        self.wire.data(1, b"x")
        self.origin.turn(PING_AFTER_S + 0.5)
        self.assertEqual(self.wire.pings, 2)

    def test_a_request_that_nothing_answered_is_a_reason_to_ask(self) -> None:
        """Else each request in turn waits for a machine that is gone."""
        self.wire.deaf = True
        first = self.ask(head=2)
        self.origin.turn(2.2)
        self.assertEqual(self.error(first).reason, "upstream_head_timeout")
        self.assertEqual(self.wire.pings, 1)
        second = self.ask(head=60)
        self.origin.turn(PING_WAIT_S + 0.2)
        self.assertEqual(self.error(second).reason, "upstream_ping_timeout")
        self.assertEqual(self.lender.told[-1], "closed")

    def test_what_happens_meanwhile_gives_it_no_more_time(self) -> None:
        self.wire.deaf = True
        self.ask(head=2).addErrback(lambda _: None)
        self.origin.turn(2.2)
        second = self.ask()
        second.addErrback(lambda _: None)
        second.cancel()
        self.connection.rest(60)
        self.origin.turn(PING_WAIT_S + 0.2)
        self.assertEqual(self.lender.told[-1], "closed")

    def test_no_ping_on_an_idle_connection(self) -> None:
        self.connection.rest(60)
        self.origin.turn(55)
        self.assertEqual(self.wire.pings, 0)

    def test_pings_of_the_peer_are_answered(self) -> None:
        self.wire.h2.ping(b"12345678")
        self.wire.flush()
        self.assertEqual(self.wire.pongs, 1)


class ReprTests(Case):
    def test_states(self) -> None:
        self.assertEqual(repr(self.connection), "<Http2Upstream idle streams=0 room=100 served=0>")
        self.ask()
        self.assertEqual(repr(self.connection), "<Http2Upstream busy streams=1 room=99 served=1>")
        self.assertEqual(repr(self.connection._streams[1]), "<UpstreamStream 1 waiting>")
        self.connection.close()
        self.assertEqual(repr(self.connection), "<Http2Upstream closing streams=1 room=0 served=1>")

"""Tests of edgegw.net.answering: the answer, its backpressure, failures, takeovers and the end of the connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import HIGH_WATER, Body
from edgegw.exchange.model import Exchange, Response
from edgegw.net.settings import Caps
from edgegw.testing.bodies import Source
from edgegw.testing.downstream import Desk, answer, request
from edgegw.testing.exchanges import drain
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Headers
from edgegw.wire.http1_limits import METHODS, Http1Limits

OK = answer("200 OK", "Content-Length: 0")
OK_CLOSE = answer("200 OK", "Content-Length: 0", "Connection: close")
FAULT = GatewayError(502, "upstream_aborted")
CONNECT_ALLOWED = Http1Limits(methods=METHODS | {"CONNECT"})
UPGRADE = request("GET /ws HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket")


def streaming(length: int | None = None, **options: Any) -> tuple[Desk, Body, Source]:
    """A connection in the middle of an answer."""
    tap = Source()
    body = Body(length, tap)
    desk = Desk(lambda _: Response(200, body=body), **options).says(request())
    desk.heard()
    return desk, body, tap


class AnswerTests(SynchronousTestCase):
    def test_streams_chunks_with_trailers(self) -> None:
        desk, body, _ = streaming()
        body.write(b"abc")
        desk.hears(b"3\r\nabc\r\n")
        body.end(((b"x-sum", b"X-Sum", b"6"),))
        desk.hears(b"0\r\nX-Sum: 6\r\n\r\n")
        self.assertEqual(desk.outcomes[0].bytes_out, 3)
        self.assertEqual(desk.ended, [])

    def test_complete_answer_brings_its_trailers(self) -> None:
        """The whole of a chunked answer is there before its head leaves, as when an origin sends it in one segment."""
        body = Body()
        body.write(b"abc")
        body.end(((b"x-sum", b"X-Sum", b"6"),))
        desk = Desk(lambda _: Response(200, body=body)).says(request())
        desk.hears(answer("200 OK", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"))

    def test_streams_a_known_length(self) -> None:
        desk, body, _ = streaming(6)
        body.write(b"abc")
        body.write(b"def")
        body.end()
        desk.hears(b"abcdef")
        self.assertTrue(desk.outcomes[0].complete)

    def test_http10_is_delimited_by_close(self) -> None:
        body = Body()
        desk = Desk(lambda _: Response(200, body=body)).says(request("GET / HTTP/1.0", "Connection: keep-alive"))
        desk.hears(answer("200 OK", "Connection: close"))
        body.write(b"abc")
        body.end()
        desk.hears(b"abc")
        self.assertEqual(desk.ended, ["lose"])

    def test_http10_keep_alive(self) -> None:
        desk = Desk(Response(200), Response(200)).says(request("GET / HTTP/1.0", "Connection: keep-alive"))
        desk.hears(answer("200 OK", "Content-Length: 0", "Connection: keep-alive"))
        desk.says(request("GET / HTTP/1.0")).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["lose"])

    def test_head_has_no_body_and_its_source_is_told(self) -> None:
        tap = Source()
        desk = Desk(lambda _: Response(200, body=Body(7, tap))).says(request("HEAD / HTTP/1.1"))
        desk.hears(answer("200 OK", "Content-Length: 7"))
        self.assertEqual(tap.told, ["cancel"])
        self.assertTrue(desk.outcomes[0].complete)

    def test_requests_cap_closes_with_the_last_answer(self) -> None:
        desk = Desk(*[lambda _: Response(200)] * 3, caps=Caps(requests=3))
        desk.says(request()).hears(OK).says(request()).hears(OK).says(request()).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["lose"])

    def test_responder_that_closes(self) -> None:
        desk = Desk(Response(200, close=True)).says(request()).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["lose"])

    def test_on_end_comes_once_and_in_time(self) -> None:
        desk, body, _ = streaming()
        self.assertEqual(desk.outcomes, [])
        body.end()
        body.end()
        body.abort(FAULT)
        desk.leaves()
        self.assertEqual(len(desk.outcomes), 1)
        self.assertTrue(desk.outcomes[0].complete)

    def test_failing_on_end_stops_nothing(self) -> None:
        def breaks(exchange: Exchange) -> Response:
            exchange.on_end(lambda *_: 1 / 0)
            return Response(200)

        desk = Desk(breaks, Response(200))
        desk.says(request()).hears(OK).says(request()).hears(OK)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(desk.outcomes), 2)


class InformationalTests(SynchronousTestCase):
    def hints(self, status: int = 103, *fields: tuple[bytes, bytes]) -> ResponseHead:
        return ResponseHead(status, b"", "1.1", Headers.of(list(fields)), 0, True)

    def test_passed_on_without_what_was_the_hops_own(self) -> None:
        desk = Desk().says(request())
        desk.exchanges[0].informational(
            self.hints(103, (b"Link", b"</a.css>"), (b"Connection", b"close"), (b"Content-Length", b"3"))
        )
        desk.hears(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").replies(Response(200)).hears(OK)

    def test_not_to_http10(self) -> None:
        desk = Desk().says(request("GET / HTTP/1.0"))
        desk.exchanges[0].informational(self.hints())
        desk.hears(b"")

    def test_never_behind_the_final_head(self) -> None:
        desk, body, _ = streaming()
        desk.exchanges[0].informational(self.hints())
        desk.hears(b"")
        body.end()
        desk.exchanges[0].informational(self.hints())
        desk.hears(b"0\r\n\r\n")

    def test_100_and_101_are_our_own_to_say(self) -> None:
        desk = Desk().says(request())
        for status in (100, 101):
            desk.exchanges[0].informational(self.hints(status))
        desk.hears(b"")

    def test_unsafe_one_is_dropped(self) -> None:
        desk = Desk().says(request())
        desk.exchanges[0].informational(self.hints(103, (b"Link", b"a\r\nSet-Cookie: b")))
        desk.hears(b"").replies(Response(200)).hears(OK)


class BackpressureTests(SynchronousTestCase):
    def test_slow_peer_pauses_the_source(self) -> None:
        desk, _, tap = streaming()
        desk.transport.congest()
        desk.transport.relieve()
        self.assertEqual(tap.told, ["start", "pause", "resume"])

    def test_answer_that_begins_while_the_last_one_is_unread_is_paused(self) -> None:
        tap = Source()
        desk = Desk().says(request())
        desk.transport.congest()
        desk.replies(Response(200, body=Body(None, tap)))
        self.assertEqual(tap.told, ["pause", "start"])
        desk.transport.relieve()
        self.assertEqual(tap.told, ["pause", "start", "resume"])

    def test_answer_whose_head_fills_the_buffer_is_paused(self) -> None:
        tap = Source()
        body = Body(None, tap)
        body.write(bytes(HIGH_WATER))
        self.assertEqual(tap.told, ["pause"])
        desk = Desk().says(request())
        written = desk.transport.write

        def write(data: bytes) -> None:
            written(data)
            desk.transport.congest()

        desk.transport.write = write  # type: ignore[method-assign]
        desk.replies(Response(200, body=body))
        self.assertEqual(tap.told, ["pause", "start"])
        desk.transport.relieve()
        self.assertEqual(tap.told, ["pause", "start", "resume"])


class FailureTests(SynchronousTestCase):
    def test_torn_chunked_answer_has_no_end(self) -> None:
        desk, body, _ = streaming()
        body.write(b"abc")
        body.abort(FAULT)
        desk.hears(b"3\r\nabc\r\n")
        self.assertEqual(desk.ended, ["lose"])
        (outcome,) = desk.outcomes
        self.assertEqual((outcome.status, outcome.complete, outcome.error), (200, False, FAULT))

    def test_torn_answer_of_known_length_is_short(self) -> None:
        desk, body, _ = streaming(10)
        body.write(b"abc")
        body.abort(FAULT)
        self.assertEqual(desk.ended, ["lose"])

    def test_torn_answer_delimited_by_close_is_reset(self) -> None:
        body = Body()
        desk = Desk(lambda _: Response(200, body=body)).says(request("GET / HTTP/1.0"))
        body.abort(FAULT)
        self.assertEqual(desk.ended, ["abort"])

    def test_body_that_failed_before_the_head_left_is_answered(self) -> None:
        body = Body()
        body.abort(GatewayError(502, "upstream_aborted"))
        desk = Desk(lambda _: Response(200, body=body), Response(200)).says(request())
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 502 Bad Gateway\r\n"))
        self.assertEqual(desk.outcomes[0].error.reason, "upstream_aborted")
        desk.says(request()).hears(OK)

    def test_too_few_bytes_tear(self) -> None:
        desk, body, _ = streaming(10)
        body.write(b"abc")
        body.end()
        self.assertEqual(desk.ended, ["lose"])
        self.assertEqual(desk.outcomes[0].error.reason, "response_length_mismatch")

    def test_too_many_bytes_never_reach_the_peer(self) -> None:
        desk, body, tap = streaming(3)
        body.write(b"abc")
        body.write(b"HTTP/1.1 200 OK\r\n\r\n")
        desk.hears(b"abc")
        self.assertEqual(desk.ended, ["lose"])
        self.assertEqual(tap.told, ["start", "cancel"])

    def test_wrong_length_known_in_time_is_a_500(self) -> None:
        for content, ended in ((b"abc", True), (b"abcdefgh", False)):
            body = Body(5)
            body.write(content)
            if ended:
                body.end()
            desk = Desk(lambda _, body=body: Response(200, body=body)).says(request())
            heard = desk.heard()
            self.assertTrue(heard.startswith(b"HTTP/1.1 500"), heard)
            self.assertIn(b"response_length_mismatch", heard)

    def test_response_splitting_is_a_500_and_nothing_hangs(self) -> None:
        evil = Headers.of([(b"X-A", b"a\r\nSet-Cookie: b=1")])
        desk = Desk().says(request())
        desk.replies(Response(200, evil))
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 500"), heard)
        self.assertNotIn(b"Set-Cookie", heard)
        self.assertEqual(desk.outcomes[0].error.reason, "unsafe_head")

    def test_informational_final_answer_is_a_500(self) -> None:
        desk = Desk(Response(101), Response(103))
        self.assertIn(b"informational_answer", desk.says(request()).heard())
        self.assertIn(b"informational_answer", desk.says(request()).heard())

    def test_unsafe_trailers_tear(self) -> None:
        desk, body, _ = streaming()
        body.end(((b"x", b"X", b"a\r\n\r\nHTTP/1.1 200 OK"),))
        desk.hears(b"")
        self.assertEqual(desk.outcomes[0].error.reason, "unsafe_head")
        self.assertEqual(desk.ended, ["lose"])

    def test_body_read_already_ends_the_connection(self) -> None:
        body = Body()
        drain(body)
        desk = Desk().says(request())
        desk.replies(Response(200, body=body))
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(desk.outcomes[0].error.reason, "answer_failed")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_edge_stage_that_raises_ends_the_connection(self) -> None:
        desk = Desk(lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
        desk.says(request())
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(desk.outcomes[0].complete)

    def test_system_exit_of_a_responder_harms_only_its_connection(self) -> None:
        def leave(_: Exchange) -> Response:
            raise SystemExit(1)

        desk = Desk(leave).says(request())
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)


class FailTests(SynchronousTestCase):
    """`Connection.fail`: an error from outside the pipeline."""

    def test_answered_before_the_head(self) -> None:
        desk = Desk().says(request())
        desk.connection.fail(desk.exchanges[0], GatewayError(504, "total_timeout"))
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 504"))
        self.assertEqual(desk.script.cancelled, 1)

    def test_answered_when_told_inside_the_responder(self) -> None:
        async def told(exchange: Exchange) -> Response:
            exchange.connection.fail(exchange, GatewayError(504, "total_timeout"))
            await Deferred()
            return Response(200)

        self.assertTrue(Desk(told).says(request()).heard().startswith(b"HTTP/1.1 504"))

    def test_torn_after_the_head(self) -> None:
        desk, _, tap = streaming()
        desk.connection.fail(desk.exchanges[0], GatewayError(504, "total_timeout"))
        self.assertEqual(desk.ended, ["lose"])
        self.assertEqual(tap.told, ["start", "cancel"])
        self.assertEqual(desk.outcomes[0].error.reason, "total_timeout")

    def test_another_exchange_is_left_alone(self) -> None:
        desk = Desk(Response(200)).says(request()).hears(OK).says(request())
        desk.connection.fail(desk.exchanges[0], FAULT)
        desk.replies(Response(200)).hears(OK)

    def test_answer_that_comes_after_the_peer_left_is_cancelled(self) -> None:
        tap = Source()
        gate: Deferred[None] = Deferred(lambda _: None)

        async def stubborn(_: Exchange) -> Response:
            try:
                await gate
            except BaseException:
                pass
            return Response(200, body=Body(None, tap))

        desk = Desk(stubborn).says(request())
        desk.leaves()
        self.assertEqual(tap.told, ["cancel"])
        self.assertEqual(len(desk.outcomes), 1)


class Tunnel(Protocol):
    """A protocol that takes the connection over."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self.drained = 0

    carried = (3, 4)

    def drain(self) -> None:
        self.drained += 1

    def connect(self, transport: Any, received: bytes) -> Tunnel:
        self.transport = transport
        self.received += received
        return self

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class TakeoverTests(SynchronousTestCase):
    def switched(self, tunnel: Tunnel) -> Response:
        return Response(101, Headers.of([(b"Upgrade", b"websocket")]), takeover=tunnel)

    def test_takes_the_connection_and_what_was_sent_behind(self) -> None:
        tunnel = Tunnel()
        desk = Desk().says(UPGRADE + b"early ").says(b"bird ")
        self.assertFalse(desk.transport.reading, "bytes for the next protocol pile up")
        desk.replies(self.switched(tunnel))
        desk.hears(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nDate: today\r\n\r\n"
        )
        desk.says(b"frames")
        self.assertEqual(tunnel.received, b"early bird frames")
        self.assertIsNone(desk.transport.producer, "the next protocol registers its own")
        desk.waits(200)
        self.assertEqual((desk.ended, desk.outcomes), ([], []))
        desk.leaves()
        self.assertTrue(tunnel.lost.check(ConnectionDone))
        (outcome,) = desk.outcomes
        self.assertEqual((outcome.status, outcome.complete, outcome.error), (101, True, None))
        self.assertEqual((outcome.bytes_in, outcome.bytes_out), tunnel.carried)

    def test_congestion_before_it_is_no_stall_after_it(self) -> None:
        desk = Desk().says(UPGRADE)
        desk.transport.congest()
        desk.replies(self.switched(Tunnel()))
        desk.waits(300)
        self.assertEqual(desk.ended, [])

    def test_declined_upgrade_goes_on_with_what_was_held(self) -> None:
        desk = Desk().says(UPGRADE + request("GET /next HTTP/1.1"))
        self.assertEqual(len(desk.exchanges), 1)
        desk.replies(Response(200)).hears(OK)
        self.assertEqual(desk.exchanges[1].request.path, "/next")
        desk.replies(Response(200)).hears(OK)
        self.assertTrue(desk.transport.reading)

    def test_declined_upgrade_with_an_upload(self) -> None:
        upgrade = request("POST /ws HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3")
        desk = Desk(Response(200), Response(200)).says(upgrade).hears(OK)
        desk.says(b"abc" + request()).hears(OK)

    def test_not_without_being_asked(self) -> None:
        tunnel = Tunnel()
        desk = Desk(self.switched(tunnel)).says(request())
        self.assertIn(b"takeover_not_asked_for", desk.heard())
        self.assertEqual(tunnel.received, b"")

    def test_taker_that_fails_is_cut(self) -> None:
        class Broken(Tunnel):
            def connect(self, transport: Any, received: bytes) -> Tunnel:
                raise ValueError("no")

        desk = Desk(self.switched(Broken())).says(UPGRADE)
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertFalse(desk.outcomes[0].complete)

    def test_taker_that_fails_at_the_end_keeps_no_books_open(self) -> None:
        class Broken(Tunnel):
            def connectionLost(self, reason: Failure = connectionDone) -> None:
                raise ValueError("no")

        desk = Desk(self.switched(Broken())).says(UPGRADE)
        self.assertRaises(ValueError, desk.leaves)
        self.assertEqual(len(desk.outcomes), 1)
        self.assertEqual(desk.counts.seen["closed"], 1)

    def test_drain_is_its_own_affair_and_abort_is_not(self) -> None:
        tunnel = Tunnel()
        desk = Desk(self.switched(tunnel)).says(UPGRADE)
        self.assertEqual(tunnel.drained, 0)
        desk.connection.drain()
        self.assertEqual((desk.ended, tunnel.drained), ([], 1))
        desk.connection.abort_now()
        self.assertEqual(desk.ended, ["abort"])
        self.assertIsNotNone(tunnel.lost)

    def test_drain_before_it_is_told_after_it(self) -> None:
        tunnel = Tunnel()
        desk = Desk().says(UPGRADE)
        desk.connection.drain()
        desk.replies(self.switched(tunnel))
        self.assertEqual((desk.ended, tunnel.drained), ([], 1))

    def test_connect_has_no_connection_field(self) -> None:
        connect = Response(200, takeover=Tunnel())
        desk = Desk(connect, limits=CONNECT_ALLOWED).says(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        desk.hears(answer("200 OK"))


class ClosingTests(SynchronousTestCase):
    def test_last_answer_leaves_before_the_close(self) -> None:
        desk = Desk().says(request("GET / HTTP/1.1", "Connection: close"))
        desk.transport.congest()
        desk.replies(Response(200)).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["lose"])
        for taken in range(100, 0, -1):
            # Slow, but not dead: as long as it takes something, it gets all of it.
            desk.transport.stuck = taken
            desk.waits(2)
        self.assertEqual(desk.ended, ["lose"])
        desk.transport.relieve()
        self.assertFalse(desk.transport.connected)

    def test_peer_that_takes_nothing_of_it_is_cut(self) -> None:
        desk = Desk().says(request("GET / HTTP/1.1", "Connection: close"))
        desk.transport.congest(5)
        desk.replies(Response(200)).waits(59)
        self.assertEqual(desk.ended, ["lose"])
        desk.waits(20)
        self.assertEqual(desk.ended, ["lose", "abort"])

    def test_lingering_ends_when_the_peer_had_time(self) -> None:
        desk = Desk().says(b"BAD\r\n\r\n")
        self.assertEqual(desk.ended, ["half_close"])
        desk.says(b"more and more").waits(1.8)
        self.assertEqual(desk.ended, ["half_close"])
        desk.waits(0.4)
        self.assertEqual(desk.ended, ["half_close", "lose"])

    def test_lingering_waits_for_a_slow_reader(self) -> None:
        desk = Desk().says(b"BAD\r\n\r\n")
        desk.transport.stuck = 9
        desk.waits(30)
        desk.transport.stuck = 3
        desk.waits(30)
        self.assertEqual(desk.ended, ["half_close"])
        desk.transport.stuck = 0
        desk.waits(2.2)
        self.assertEqual(desk.ended, ["half_close", "lose"])

    def test_lingering_ends_with_the_peer(self) -> None:
        desk = Desk().says(b"BAD\r\n\r\n")
        desk.leaves().waits(10)
        self.assertEqual(desk.ended, ["half_close"])
        self.assertEqual(desk.counts.seen["closed"], 1)

    def test_drain_while_lingering_changes_nothing(self) -> None:
        desk = Desk().says(b"BAD\r\n\r\n")
        desk.connection.drain()
        self.assertEqual(desk.ended, ["half_close"])

    def test_nothing_is_parsed_behind_the_end(self) -> None:
        desk = Desk(Response(200, close=True), Response(200))
        desk.says(request()).hears(OK_CLOSE)
        desk.connection.dataReceived(request())
        self.assertEqual(len(desk.exchanges), 1)

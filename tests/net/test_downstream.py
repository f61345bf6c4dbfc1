"""Tests of edgegw.net.downstream: reading. Heads, uploads, pipelining, drain; transcripts in memory."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import HIGH_WATER, Body
from edgegw.exchange.model import Exchange, Response
from edgegw.net.answering import DISCARD
from edgegw.net.settings import Caps
from edgegw.testing.bodies import Source
from edgegw.testing.downstream import Desk, answer, chunks, request
from edgegw.testing.exchanges import Gathered, drain
from edgegw.wire.http1 import PIPELINED, Http1Limits

OK = answer("200 OK", "Content-Length: 0")
OK_CLOSE = answer("200 OK", "Content-Length: 0", "Connection: close")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def ok(_: Exchange) -> Response:
    return Response(200)


async def echo(exchange: Exchange) -> Response:
    return Response(200, body=Body.of(await exchange.request.body.read(10_000_000)))


def post(length: int, *fields: str) -> bytes:
    return request("POST / HTTP/1.1", f"Content-Length: {length}", *fields)


CHUNKED_POST = request("POST / HTTP/1.1", "Transfer-Encoding: chunked")


class RequestTests(SynchronousTestCase):
    def test_one_after_another(self) -> None:
        desk = Desk(ok, ok)
        desk.says(request()).hears(OK)
        desk.says(request()).hears(OK)
        self.assertEqual(desk.ended, [])
        self.assertEqual([(each.status, each.complete) for each in desk.outcomes], [(200, True)] * 2)

    def test_byte_by_byte(self) -> None:
        desk = Desk(echo)
        data = request("POST / HTTP/1.1", "Content-Length: 3", body=b"abc")
        desk.says(*(data[at : at + 1] for at in range(len(data)))).hears(
            answer("200 OK", "Content-Length: 3", body=b"abc")
        )

    def test_snapshot_is_taken_once(self) -> None:
        desk = Desk()
        desk.says(request())
        desk.current.snapshot = "snapshot 2"
        self.assertEqual(desk.exchanges[0].snapshot, "snapshot 1")
        desk.replies(Response(200)).says(request())
        self.assertEqual(desk.exchanges[1].snapshot, "snapshot 2")

    def test_rejected_head_is_an_exchange(self) -> None:
        desk = Desk()
        desk.says(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 400 Bad Request\r\n"), heard)
        self.assertIn(b"both_te_cl", heard)
        self.assertIn(b"Connection: close\r\n", heard)
        self.assertEqual(desk.exchanges[0].head.method, "GET")
        self.assertEqual(desk.outcomes[0].status, 400)
        self.assertEqual(desk.ended, ["half_close"])

    def test_rejected_head_behind_a_running_exchange_is_answered_after_it(self) -> None:
        desk = Desk()
        desk.says(request() + b"BAD\r\n\r\n").hears(b"")
        desk.replies(Response(200))
        heard = desk.heard()
        self.assertTrue(heard.startswith(OK + b"HTTP/1.1 400 Bad Request\r\n"), heard)

    def test_request_behind_connection_close_is_ignored(self) -> None:
        desk = Desk(ok, ok)
        desk.says(request("GET / HTTP/1.1", "Connection: close") + request("GET /second HTTP/1.1")).hears(OK_CLOSE)
        self.assertEqual(len(desk.exchanges), 1)

    def test_bytes_behind_connection_close_do_not_reset_the_answer(self) -> None:
        desk = Desk().says(request("GET / HTTP/1.1", "Connection: close")).says(request("GET /second HTTP/1.1"))
        desk.replies(Response(200)).hears(OK_CLOSE)
        self.assertEqual((len(desk.exchanges), desk.ended), (1, ["half_close"]))

    def test_close_among_other_options_closes(self) -> None:
        desk = Desk(ok).says(request("GET / HTTP/1.1", "Connection: close,foo")).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["lose"])

    def test_leaving_cancels_the_responder(self) -> None:
        desk = Desk().says(request())
        desk.leaves()
        self.assertEqual(desk.script.cancelled, 1)
        (outcome,) = desk.outcomes
        self.assertEqual((outcome.status, outcome.complete), (0, False))
        self.assertEqual(outcome.error.reason, "downstream_left")
        self.assertEqual(desk.listener.connections, {})

    def test_leaving_aborts_the_upload_and_cancels_the_answer(self) -> None:
        sink = Gathered()
        source = Source()

        def begin(exchange: Exchange) -> Response:
            exchange.request.body.attach(sink)
            return Response(200, body=Body(None, source))

        desk = Desk(begin).says(post(10) + b"abc")
        desk.leaves()
        self.assertEqual(sink.error.reason, "downstream_left")
        self.assertEqual(source.told, ["start", "cancel"])
        self.assertEqual(desk.outcomes[0].bytes_in, 3)


class PipeliningTests(SynchronousTestCase):
    def test_answered_in_order(self) -> None:
        desk = Desk()
        desk.says(b"".join(request(f"GET /{number} HTTP/1.1") for number in range(3)))
        for number in range(3):
            self.assertEqual([each.request.path for each in desk.exchanges], [f"/{n}" for n in range(number + 1)])
            desk.replies(Response.of(200, b"%d" % number))
            self.assertTrue(desk.heard().endswith(b"\r\n\r\n%d" % number))

    def test_reading_rests_while_requests_wait(self) -> None:
        desk = Desk().says(request() * 2)
        self.assertFalse(desk.transport.reading)
        desk.replies(Response(200))
        self.assertTrue(desk.transport.reading)
        desk.replies(Response(200)).hears(OK * 2)

    def test_hundreds_in_one_read_are_parsed_sixteen_at_a_time(self) -> None:
        count = 500
        desk = Desk(*[ok] * count)
        waiting = Deferred()
        desk.script.steps[0] = lambda _: waiting
        desk.says(request() * count)
        heads = [event for event in desk.connection._queue if hasattr(event, "method")]
        self.assertLessEqual(len(heads), PIPELINED)
        self.assertFalse(desk.transport.reading)
        waiting.callback(Response(200))
        desk.hears(OK * count)
        self.assertTrue(desk.transport.reading)

    def test_what_comes_in_spite_of_the_pause_waits_as_bytes(self) -> None:
        desk = Desk()
        desk.says(request() * 2)
        # A transport may deliver one more read after it was paused.
        desk.connection.dataReceived(request("GET /third HTTP/1.1") * 100)
        self.assertEqual(len(desk.connection._queue), 2)
        for _ in range(102):
            desk.replies(Response(200))
        desk.hears(OK * 102)
        self.assertEqual(desk.exchanges[-1].request.path, "/third")
        self.assertTrue(desk.transport.reading)

    def test_hundreds_of_instant_answers_do_not_nest(self) -> None:
        depths: list[int] = []

        def measure(_: Exchange) -> Response:
            frame, depth = sys._getframe(), 0
            while frame is not None:
                frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
            depths.append(depth)
            return Response(200)

        desk = Desk(*[measure] * 300).says(request() * 300).hears(OK * 300)
        self.assertLess(max(depths) - depths[0], 20)
        self.assertEqual(desk.transport.reading, True)

    def test_upload_behind_a_running_exchange(self) -> None:
        desk = Desk(lambda _: first, echo)
        first: Deferred[Response] = Deferred()
        desk.says(request() + post(6) + b"abc")
        self.assertFalse(desk.transport.reading)
        first.callback(Response(200))
        desk.hears(OK)
        self.assertTrue(desk.transport.reading, "the rest of the upload must be read")
        desk.says(b"def").hears(answer("200 OK", "Content-Length: 6", body=b"abcdef"))

    def test_upload_behind_it_whose_rest_came_in_spite_of_the_pause(self) -> None:
        first: Deferred[Response] = Deferred()
        desk = Desk(lambda _: first, echo, ok)
        desk.says(request() + post(6) + b"abc")
        desk.connection.dataReceived(b"def" + request())
        first.callback(Response(200))
        desk.hears(OK + answer("200 OK", "Content-Length: 6", body=b"abcdef") + OK)
        self.assertTrue(desk.transport.reading)

    def test_nothing_begins_while_the_peer_leaves_answers_unread(self) -> None:
        desk = Desk(*[ok] * 50)
        desk.transport.congest()
        desk.says(request() * 50).hears(b"")
        self.assertEqual(len(desk.exchanges), 0)
        self.assertFalse(desk.transport.reading)
        desk.transport.relieve()
        desk.hears(OK * 50)

    def test_backlog_goes_on_though_it_filled_up_in_the_middle(self) -> None:
        count = 40

        def fill(_: Exchange) -> Response:
            desk.transport.congest()
            return Response(200)

        desk = Desk(*[ok] * (PIPELINED - 1), fill, *[ok] * (count - PIPELINED))
        desk.says(request() * count).hears(OK * PIPELINED)
        desk.transport.relieve()
        desk.hears(OK * (count - PIPELINED)).waits(11)
        self.assertEqual(desk.heard(), b"", "what waited was taken for a slow head")

    def test_behind_the_last_answer_nothing_begins(self) -> None:
        desk = Desk(ok, ok, caps=Caps(requests=1)).says(request() * 3).hears(OK_CLOSE)
        self.assertEqual(len(desk.exchanges), 1)
        # A close with unread requests would be a reset, which can take the answer away.
        self.assertEqual(desk.ended, ["half_close"])

    def test_partial_head_behind_an_answer_has_its_deadline(self) -> None:
        desk = Desk().says(request() + b"GET /slow HT")
        desk.replies(Response(200)).hears(OK).waits(9.9).hears(b"").waits(0.3)
        self.assertIn(b"head_timeout", desk.heard())


class UploadTests(SynchronousTestCase):
    def test_flows_both_ways_at_once(self) -> None:
        def mirror(exchange: Exchange) -> Response:
            body = Body()
            exchange.request.body.attach(body)
            return Response(200, body=body)

        desk = Desk(mirror).says(CHUNKED_POST).hears(answer("200 OK", "Transfer-Encoding: chunked"))
        desk.says(b"3\r\nabc\r\n").hears(b"3\r\nabc\r\n")
        desk.says(b"2\r\nde\r\n0\r\n\r\n").hears(b"2\r\nde\r\n0\r\n\r\n")
        self.assertEqual((desk.outcomes[0].bytes_in, desk.outcomes[0].bytes_out), (5, 5))
        self.assertEqual(desk.ended, [])

    def test_waits_at_the_mark_until_somebody_reads(self) -> None:
        desk = Desk().says(post(HIGH_WATER * 4))
        for _ in range(8):
            desk.says(bytes(HIGH_WATER // 2))
        self.assertEqual(desk.exchanges[0].request_size, HIGH_WATER)
        self.assertFalse(desk.transport.reading)
        sink = drain(desk.exchanges[0].request.body)
        desk.transport.settle()
        self.assertEqual(len(sink.data), HIGH_WATER * 4)

    def test_slow_reader_pauses_the_peer(self) -> None:
        desk = Desk().says(post(100))
        sink = drain(desk.exchanges[0].request.body)
        desk.exchanges[0].request.body.pause()
        desk.says(b"abc")
        self.assertEqual(sink.data, b"")
        desk.exchanges[0].request.body.resume()
        desk.transport.settle()
        self.assertEqual(sink.data, b"abc")

    def test_end_in_the_pausing_read_lets_the_next_request_in(self) -> None:
        first: Deferred[Response] = Deferred()
        desk = Desk(lambda _: first, ok)
        desk.says(post(HIGH_WATER) + bytes(HIGH_WATER))
        drain(desk.exchanges[0].request.body)
        first.callback(Response(200))
        desk.hears(OK).says(request()).hears(OK)

    def test_trailers_reach_the_sink(self) -> None:
        desk = Desk(limits=Http1Limits(trailers_allowed=None)).says(CHUNKED_POST)
        sink = drain(desk.exchanges[0].request.body)
        desk.says(chunks(b"abc", trailers=["X-Sum: 6"]))
        self.assertEqual((sink.data, sink.ended, sink.trailers), (b"abc", True, ((b"x-sum", b"X-Sum", b"6"),)))

    def test_unread_small_upload_is_thrown_away_and_the_connection_lives(self) -> None:
        desk = Desk(ok, ok).says(post(10)).hears(OK)
        desk.says(b"0123456789" + request()).hears(OK)
        self.assertEqual(desk.ended, [])

    def test_request_behind_a_thrown_away_upload_may_take_its_time(self) -> None:
        desk = Desk(ok).says(post(10)).hears(OK)
        desk.says(b"0123456789" + request()).waits(200)
        self.assertEqual(desk.ended, [])
        desk.replies(Response(200)).hears(OK).waits(75.2)
        self.assertEqual(desk.ended, ["lose"])

    def test_idle_begins_with_the_end_of_a_thrown_away_upload(self) -> None:
        desk = Desk(ok).says(post(10)).hears(OK).says(b"0123456789").waits(74.8)
        self.assertEqual(desk.ended, [])
        desk.waits(0.4)
        self.assertEqual(desk.ended, ["lose"])

    def test_unread_big_upload_ends_the_connection_lingering(self) -> None:
        desk = Desk(ok).says(post(DISCARD + 1)).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["half_close"])
        desk.says(bytes(DISCARD))
        self.assertTrue(desk.transport.reading)
        desk.says(b"x")
        self.assertFalse(desk.transport.reading, "no more than that is read for nothing")

    def test_unread_upload_of_unknown_length_ends_the_connection(self) -> None:
        desk = Desk(ok).says(CHUNKED_POST + b"3\r\nabc\r\n").hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["half_close"])

    def test_answer_complete_before_the_upload_that_was_read(self) -> None:
        def early(exchange: Exchange) -> Response:
            drain(exchange.request.body)
            return Response(200)

        desk = Desk(early).says(post(DISCARD * 2) + b"abc").hears(OK)
        self.assertEqual(desk.ended, ["half_close"])
        self.assertTrue(desk.transport.reading)

    def test_unwanted_rest_is_bounded_while_the_exchange_goes_on(self) -> None:
        desk = Desk().says(post(DISCARD * 4))
        desk.exchanges[0].request.body.cancel()
        for _ in range(16):
            desk.says(bytes(DISCARD // 4))
        self.assertLessEqual(desk.exchanges[0].request_size, DISCARD + DISCARD // 4)
        self.assertFalse(desk.transport.reading)
        desk.replies(Response(200)).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["half_close"])

    def test_too_large_upload_is_not_read_for_ever(self) -> None:
        async def capped(exchange: Exchange) -> Response:
            exchange.request.body.cap(1000)
            await exchange.request.body.read(10**9)
            return Response(200)

        desk = Desk(capped).says(CHUNKED_POST)
        desk.says(b"400\r\n" + bytes(1024) + b"\r\n")
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 413"), heard)
        self.assertIn(b"Connection: close", heard)
        self.assertEqual(desk.ended, ["half_close"])

    def test_cap_without_answer_discards_a_bounded_rest(self) -> None:
        desk = Desk().says(CHUNKED_POST)
        desk.exchanges[0].request.body.cap(10)
        for _ in range(40):
            desk.says(b"4000\r\n" + bytes(0x4000) + b"\r\n")
        self.assertFalse(desk.transport.reading)
        self.assertLess(desk.exchanges[0].request_size, DISCARD + 4 * 0x4000)

    def test_late_calls_of_an_old_body_do_not_touch_the_next_request(self) -> None:
        desk = Desk(ok, ok).says(post(3) + b"abc").hears(OK)
        old = desk.exchanges[0].request.body
        for call in (old.pause, old.resume, old.cancel, old.pause):
            call()
        self.assertTrue(desk.transport.reading)
        desk.says(request()).hears(OK)


class SpoiledUploadTests(SynchronousTestCase):
    def test_answered_when_nothing_was_sent(self) -> None:
        desk = Desk(echo).says(CHUNKED_POST).says(b"zz\r\n")
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 400 Bad Request\r\n"), heard)
        self.assertIn(b"bad_chunk_size", heard)
        self.assertEqual(desk.ended, ["half_close"])
        self.assertEqual(desk.outcomes[0].status, 400)

    def test_answered_in_the_same_read_as_the_head(self) -> None:
        desk = Desk(ok).says(CHUNKED_POST + b"zz\r\n")
        self.assertIn(b"HTTP/1.1 400", desk.heard())

    def test_answered_though_nobody_read_the_body(self) -> None:
        desk = Desk().says(CHUNKED_POST).says(b"zz\r\n")
        self.assertIn(b"HTTP/1.1 400", desk.heard())
        self.assertEqual(desk.script.cancelled, 1)

    def test_torn_when_the_answer_began(self) -> None:
        def begin(exchange: Exchange) -> Response:
            drain(exchange.request.body)
            return Response(200, body=Body())

        desk = Desk(begin).says(CHUNKED_POST).hears(answer("200 OK", "Transfer-Encoding: chunked"))
        desk.says(b"zz\r\n").hears(b"")
        self.assertEqual(desk.ended, ["lose"])
        (outcome,) = desk.outcomes
        self.assertEqual((outcome.status, outcome.complete, outcome.error.reason), (200, False, "bad_chunk_size"))

    def test_rest_that_nobody_wanted_tears_nothing(self) -> None:
        body = Body()

        def begin(exchange: Exchange) -> Response:
            exchange.request.body.cancel()
            return Response(200, body=body)

        desk = Desk(begin).says(CHUNKED_POST)
        desk.heard()
        desk.says(b"zz\r\n")
        body.write(b"abc")
        body.end()
        desk.hears(chunks(b"abc"))
        self.assertTrue(desk.outcomes[0].complete)
        self.assertEqual(desk.ended, ["half_close"])


class ContinueTests(SynchronousTestCase):
    def test_said_when_somebody_reads(self) -> None:
        desk = Desk().says(post(3, "Expect: 100-continue")).hears(b"")
        sink = drain(desk.exchanges[0].request.body)
        desk.hears(CONTINUE).says(b"abc")
        self.assertEqual((sink.data, sink.ended), (b"abc", True))
        desk.replies(Response(200)).hears(OK)
        self.assertEqual(desk.ended, [])

    def test_not_said_when_refused_and_the_connection_ends(self) -> None:
        desk = Desk(GatewayError(413, "body_too_large")).says(post(3, "Expect: 100-continue"))
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 413"), heard)
        self.assertIn(b"Connection: close", heard)
        self.assertEqual(desk.ended, ["half_close"])

    def test_never_behind_a_final_answer(self) -> None:
        body = Body()
        desk = Desk(lambda _: Response(200, body=body)).says(post(3, "Expect: 100-continue"))
        desk.heard()
        drain(desk.exchanges[0].request.body)
        desk.hears(b"")

    def test_not_said_to_a_peer_that_did_not_wait(self) -> None:
        desk = Desk().says(post(3, "Expect: 100-continue") + b"a")
        drain(desk.exchanges[0].request.body)
        desk.hears(b"")

    def test_not_said_without_expect(self) -> None:
        desk = Desk().says(post(3))
        drain(desk.exchanges[0].request.body)
        desk.hears(b"")

    def test_unknown_expectation_is_417(self) -> None:
        self.assertIn(b"HTTP/1.1 417", Desk().says(post(3, "Expect: foo")).heard())


class DrainTests(SynchronousTestCase):
    def test_idle_closes_at_once(self) -> None:
        desk = Desk(ok).says(request()).hears(OK)
        desk.connection.drain()
        self.assertEqual(desk.ended, ["lose"])

    def test_busy_says_close(self) -> None:
        desk = Desk().says(request())
        desk.connection.drain()
        self.assertEqual(desk.ended, [])
        desk.replies(Response(200)).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["lose"])

    def test_answer_begun_before_the_drain_closes_after_it(self) -> None:
        body = Body()
        desk = Desk(lambda _: Response(200, body=body)).says(request())
        desk.connection.drain()
        body.end()
        self.assertTrue(desk.heard().endswith(b"0\r\n\r\n"))
        self.assertEqual(desk.ended, ["lose"])

    def test_head_on_its_way_is_waited_for(self) -> None:
        desk = Desk(ok, ok).says(request()).hears(OK).says(b"GET / HT")
        desk.connection.drain()
        self.assertEqual(desk.ended, [])
        desk.says(b"TP/1.1\r\nHost: a\r\n\r\n").hears(OK_CLOSE)

    def test_first_request_of_a_fresh_connection_is_waited_for_a_moment(self) -> None:
        desk = Desk(ok)
        desk.connection.drain()
        self.assertEqual(desk.ended, [])
        desk.says(request()).hears(OK_CLOSE)
        silent = Desk()
        silent.connection.drain()
        silent.waits(1.2)
        self.assertEqual(silent.ended, ["lose"])

    def test_upload_of_an_answered_request_is_waited_for(self) -> None:
        desk = Desk(ok).says(post(10)).hears(OK)
        desk.connection.drain()
        self.assertEqual(desk.ended, [])
        desk.says(b"0123456789")
        self.assertEqual(desk.ended, ["lose"])

    def test_abort_ends_everything(self) -> None:
        desk = Desk().says(request())
        desk.connection.abort_now()
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(desk.outcomes[0].error.reason, "gateway_stopped")
        self.assertEqual(desk.script.cancelled, 1)


class FrameTests(SynchronousTestCase):
    """design/data-path.md, rules of the hot path 1 and 2."""

    def stack(self, desk: Desk, until: str) -> list[str]:
        names: list[str] = []
        frame: Any = sys._getframe(1)
        while frame is not None:
            names.append(frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name)
            if frame.f_code.co_name == until:
                return names
            frame = frame.f_back
        raise AssertionError(f"{until} is not on the stack: {names}")

    def test_upload_chunk(self) -> None:
        desk = Desk().says(post(100))
        seen: list[str] = []

        class Sink(Gathered):
            def write(self, data: bytes) -> None:
                seen.extend(test.stack(desk, "dataReceived"))

        test = self
        desk.exchanges[0].request.body.attach(Sink())
        desk.says(b"abc")
        self.assertEqual(len(seen), 3, seen)  # And codec.receive, which has returned; transport.write follows: five.

    def test_response_chunk(self) -> None:
        body = Body()
        desk = Desk(lambda _: Response(200, body=body)).says(request())
        seen: list[str] = []
        desk.transport.write = lambda data: seen.extend(self.stack(desk, "write"))  # type: ignore[method-assign]
        body.write(b"abc")
        self.assertEqual(seen, ["FrameTests.test_response_chunk.<locals>.<lambda>", "Answering.write"])

    def test_head_and_first_bytes_leave_in_one_write(self) -> None:
        flowing, chunked = Body(6), Body()
        for body in (flowing, chunked):
            body.write(b"abc")
            desk = Desk(lambda _, body=body: Response(200, body=body)).says(request())
            self.assertEqual(len(desk.transport.writes), 1)
            self.assertIn(b"abc", desk.transport.writes[0])

    def test_whole_answer_leaves_in_one_write(self) -> None:
        body = Body()
        body.write(b"abc")
        body.end()
        desk = Desk(lambda _: Response(200, body=body)).says(request())
        self.assertEqual(len(desk.transport.writes), 1)
        desk.hears(answer("200 OK", "Transfer-Encoding: chunked", body=chunks(b"abc")))


class ReprTests(SynchronousTestCase):
    def test_says_its_state(self) -> None:
        desk = Desk(ok)
        self.assertIn("between requests, 0 answered", repr(desk.connection))
        desk.says(request("GET / HTTP/1.1", "Connection: close"))
        self.assertIn("closing, 1 answered", repr(desk.connection))

    def test_lost_twice_is_told_once(self) -> None:
        desk = Desk()
        desk.leaves()
        desk.connection.connectionLost()
        self.assertEqual(desk.counts.seen["closed"], 1)

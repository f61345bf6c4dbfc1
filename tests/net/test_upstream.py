"""Tests of edgegw.net.upstream: one connection, an origin in memory behind it."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import BodySource
from edgegw.exchange.model import Response
from edgegw.net.call import Call
from edgegw.net.tls_transport import TlsError
from edgegw.net.upstream import Http1Upstream
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import drain
from edgegw.testing.origin import Origin, OriginConnection, answer
from edgegw.wire.events import ResponseHead
from tests.wire.tables import OK, UPSTREAM

HOST = (b"host", b"Host", b"shop")
CHUNKED = (b"transfer-encoding", b"Transfer-Encoding", b"chunked")


class Lender:
    """The connection's owner, remembering what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def idle(self, connection: Http1Upstream) -> None:
        self.told.append("idle")

    def closed(self, connection: Http1Upstream) -> None:
        self.told.append("closed")


class Case(SynchronousTestCase):
    """One connection to one origin."""

    def setUp(self) -> None:
        self.origin = Origin()
        self.connection = self.origin.accept()
        self.wire: OriginConnection = self.origin.connections[0]
        self.lender = self.connection.owner = Lender()
        self.informational: list[ResponseHead] = []

    def ask(self, method: str = "GET", body: Any = None, length: int | None = 0, **times: float) -> Deferred[Response]:
        fields = [HOST]
        if body is not None:
            fields.append(CHUNKED if length is None else (b"content-length", b"Content-Length", b"%d" % length))
        timeouts = (times.get("head", 15.0), times.get("idle", 60.0))
        return self.connection.send(Call(method, "/a", fields, body, length, timeouts, self.informational.append))

    def asked(self, data: bytes, method: str = "GET") -> Response:
        """The response to one request, answered by these bytes in one read."""
        answered = self.ask(method)
        self.wire.send(data)
        return self.successResultOf(answered)

    def error(self, answered: Deferred[Response]) -> GatewayError:
        return self.failureResultOf(answered, GatewayError).value

    def assert_torn(self) -> None:
        """Closed at once, and given back exactly once."""
        self.assertTrue(self.wire.aborted)
        self.assertEqual(self.lender.told, ["closed"])
        self.origin.turn()
        self.assertEqual(self.lender.told, ["closed"])


class ResponseTests(Case):
    def test_head_and_body_of_one_read_are_delivered_as_one(self) -> None:
        answered = self.ask()
        self.assertEqual(self.wire.writes, [b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"])
        self.wire.send(answer(b"hello"))
        response = self.successResultOf(answered)
        self.assertEqual((response.status, response.reason), (200, b"Fine"))
        # All of it is here before anybody reads: the downstream side sends it in one piece with the head.
        self.assertTrue(response.body.complete)
        self.assertEqual(response.body.take_ready(), b"hello")
        self.assertEqual(self.lender.told, ["idle"])

    def test_given_back_before_the_answer_is_told(self) -> None:
        order: list[object] = []
        self.ask().addCallback(lambda _: order.append(list(self.lender.told)))
        self.wire.send(answer(b"x"))
        self.assertEqual(order, [["idle"]])

    def test_given_back_before_the_end_of_a_streamed_body_is_told(self) -> None:
        response = self.asked(OK + b"Content-Length: 4\r\n\r\nab")
        order: list[object] = []
        sink = drain(response.body)
        sink.end = lambda trailers: order.append(list(self.lender.told))  # type: ignore[method-assign]
        self.wire.send(b"cd")
        self.assertEqual(order, [["idle"]])

    def test_body_streams_as_it_comes(self) -> None:
        response = self.asked(OK + b"Content-Length: 6\r\n\r\nab")
        sink = drain(response.body)
        self.wire.send(b"cd")
        self.assertEqual((sink.chunks, sink.ended), ([b"ab", b"cd"], False))
        self.wire.send(b"ef")
        self.assertEqual((sink.data, sink.ended), (b"abcdef", True))

    def test_chunked_with_trailers(self) -> None:
        response = self.asked(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n")
        sink = drain(response.body)
        self.assertEqual((sink.data, sink.trailers), (b"ab", ((b"x-sum", b"X-Sum", b"1"),)))
        self.assertIsNone(response.body.length)
        self.assertEqual(self.lender.told, ["idle"])

    def test_head_has_no_body_whatever_its_length_says(self) -> None:
        response = self.asked(OK + b"Content-Length: 1000\r\n\r\n", "HEAD")
        self.assertTrue(response.body.ended)
        self.assertEqual(response.headers.get(b"content-length"), b"1000")
        self.assertEqual(self.lender.told, ["idle"])

    def test_no_body_for_204_and_304(self) -> None:
        for status in (204, 304):
            self.setUp()
            response = self.asked(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
            self.assertTrue(response.body.ended, status)
            self.assertEqual(self.lender.told, ["idle"])

    def test_informational_heads_come_first_without_what_is_for_one_hop(self) -> None:
        answered = self.ask()
        self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wire.send(b"HTTP/1.1 103 Early\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\nUpgrade: h2c\r\n\r\n")
        self.assertNoResult(answered)
        self.assertEqual(
            [(head.status, list(head.headers)) for head in self.informational], [(103, [(b"Link", b"</a>")])]
        )
        self.wire.send(answer())
        self.assertEqual(self.successResultOf(answered).status, 200)

    def test_several_exchanges_on_one_connection(self) -> None:
        for number in range(3):
            response = self.asked(answer(b"%d" % number))
            self.assertEqual(response.body.take_ready(), b"%d" % number)
        self.assertEqual(self.connection.served, 3)
        self.assertEqual(self.lender.told, ["idle"] * 3)

    def test_body_until_close_ends_with_an_orderly_end(self) -> None:
        response = self.asked(OK + b"\r\nab")
        sink = drain(response.body)
        self.assertEqual((response.body.length, sink.ended), (None, False))
        self.wire.close()
        self.assertEqual((sink.data, sink.ended, sink.error), (b"ab", True, None))
        self.assertEqual(self.lender.told, ["closed"])

    def test_body_until_close_is_torn_by_a_reset(self) -> None:
        sink = drain(self.asked(OK + b"\r\nab").body)
        self.wire.reset()
        self.assertFalse(sink.ended)
        self.assertEqual(sink.error and sink.error.reason, "upstream_aborted")

    def test_the_end_is_noted(self) -> None:
        ended: list[bool] = []
        call = Call("GET", "/", [HOST], None, 0, (1, 1), self.informational.append)
        answered = self.connection.send(call)
        self.wire.send(OK + b"Content-Length: 1\r\n\r\n")
        self.successResultOf(answered)
        call.ended = lambda: ended.append(True)
        self.assertEqual(ended, [])
        self.wire.send(b"x")
        self.assertEqual(ended, [True])


class ReuseTests(Case):
    def assert_not_reused(self) -> None:
        self.assertEqual(self.lender.told, ["closed"])
        self.assertTrue(self.wire.closed or self.wire.aborted)

    def test_connection_close(self) -> None:
        for fields in (b"Connection: close\r\n", b"Connection: x-foo, close\r\n", b"Connection: CLOSE\r\n"):
            self.setUp()
            response = self.asked(OK + fields + b"Content-Length: 1\r\n\r\na")
            self.assertEqual(response.body.take_ready(), b"a")
            self.assert_not_reused()
            self.assertTrue(self.wire.closed, "an answer that is complete needs no reset")

    def test_http10_lives_only_if_it_says_so(self) -> None:
        self.asked(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na")
        self.assert_not_reused()
        self.setUp()
        self.asked(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na")
        self.assertEqual(self.lender.told, ["idle"])

    def test_bytes_behind_a_response(self) -> None:
        for behind in (b"x", answer(b"forged")):
            self.setUp()
            response = self.asked(answer(b"hello") + behind)
            self.assertEqual(response.body.take_ready(), b"hello")
            self.assert_not_reused()

    def test_a_body_for_head(self) -> None:
        self.asked(answer(b"hello"), "HEAD")
        self.assert_not_reused()

    def test_unasked_bytes_on_an_idle_connection(self) -> None:
        self.asked(answer())
        self.connection.rest(60)
        self.wire.send(answer(b"forged"))
        self.assertEqual(self.lender.told, ["idle", "closed"])
        self.assertTrue(self.wire.aborted)
        self.origin.turn()
        self.assertEqual(self.lender.told, ["idle", "closed"])

    def test_idle_connection_expires_in_an_orderly_way(self) -> None:
        self.asked(answer())
        self.connection.rest(5)
        self.origin.turn(4.5)
        self.assertEqual(self.lender.told, ["idle"])
        self.origin.turn(1)
        self.assertEqual(self.lender.told, ["idle", "closed"])
        self.assertEqual((self.wire.closed, self.wire.aborted), (True, False))

    def test_an_origin_that_does_not_answer_the_end_is_cut(self) -> None:
        self.origin.deaf = True
        self.asked(OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        self.origin.turn(1)
        self.assertFalse(self.wire.aborted)
        self.origin.turn(2)
        self.assertTrue(self.wire.aborted)

    def test_dying_while_idle(self) -> None:
        self.asked(answer())
        self.wire.close()
        self.assertEqual(self.lender.told, ["idle", "closed"])

    def test_a_head_that_must_not_be_sent_leaves_the_connection_free(self) -> None:
        bad = Call("GET", "/", [HOST, (b"x", b"X", b"a\r\nSet-Cookie: b")], None, 0, (1, 1), self.informational.append)
        error = self.assertRaises(GatewayError, self.connection.send, bad)
        self.assertEqual((error.status, error.reason), (500, "unsafe_head"))
        self.assertEqual((self.wire.sent, self.lender.told, self.connection.busy), (b"", ["idle"], False))
        self.assertEqual(self.asked(answer(b"x")).body.take_ready(), b"x")


class GarbageTests(Case):
    """trust.md A3.3 and A7 R19: a 502, and the connection is never used again."""

    def test_every_row(self) -> None:
        for row in UPSTREAM:
            for pieces in ([row.data], [row.data[at : at + 1] for at in range(len(row.data))][:9000]):
                self.setUp()
                self._check(row, pieces)

    def _check(self, row: Any, pieces: list[bytes]) -> None:
        seen: list[Any] = []
        self.ask().addBoth(seen.append)
        for piece in pieces:
            self.wire.send(piece)
        if not seen:
            # Cut off in the middle: what is missing is a fault too.
            self.wire.close()
        result = seen[0]
        error = drain(result.body).error if isinstance(result, Response) else result.value
        if not row.status:
            self.assertIsNone(error, row.name)
            return
        self.assertEqual(getattr(error, "status", None), 502, row.name)
        if len(pieces) == 1:
            self.assertEqual(error.reason, row.reason, row.name)
        self.assertIs(error.side, Side.UPSTREAM)
        self.assertIs(error.retry, Retry.NEVER)
        self.assertEqual(self.lender.told, ["closed"], row.name)

    def test_a_violation_behind_the_head_of_one_read(self) -> None:
        response = self.asked(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n")
        self.assertEqual(response.body.error and response.body.error.reason, "bad_chunk_size")
        self.assert_torn()


class UploadTests(Case):
    def start(
        self, length: int | None, method: str = "POST", **times: float
    ) -> tuple[Deferred[Response], Body, Source]:
        source = Source()
        checked: BodySource = source
        body = Body(length, checked)
        return self.ask(method, body, length, **times), body, source

    def test_first_data_leaves_with_the_head(self) -> None:
        body = Body(4)
        body.write(b"ab")
        self.ask("POST", body, 4)
        self.assertEqual(self.wire.writes, [b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nab"])
        body.write(b"cd")
        body.end()
        self.assertEqual(self.origin.requests[0].body, b"abcd")
        self.assertTrue(self.origin.requests[0].complete)

    def test_head_does_not_wait_for_a_body_that_is_not_here_yet(self) -> None:
        self.start(4)
        self.assertEqual(len(self.origin.requests), 1)

    def test_chunked_with_trailers(self) -> None:
        answered, body, _ = self.start(None)
        body.write(b"abc")
        body.end(((b"x-sum", b"X-Sum", b"9"),))
        request = self.origin.requests[0]
        self.assertEqual((request.body, request.trailers), (b"abc", ((b"x-sum", b"X-Sum", b"9"),)))
        self.wire.send(answer())
        self.successResultOf(answered)
        self.assertEqual(self.lender.told, ["idle"])

    def test_chunked_and_empty(self) -> None:
        _, body, _ = self.start(None)
        body.end()
        self.assertTrue(self.wire.sent.endswith(b"chunked\r\n\r\n0\r\n\r\n"))
        self.assertTrue(self.origin.requests[0].complete)

    def test_lengths_that_lie_never_become_another_request(self) -> None:
        for length, data in ((4, b"abcde"), (4, b"abc")):
            self.setUp()
            answered, body, _ = self.start(length)
            body.write(data)
            body.end()
            error = self.error(answered)
            self.assertEqual((error.status, error.reason), (500, "request_length_mismatch"))
            self.assertNotIn(b"abcde", self.wire.sent)
            self.assert_torn()

    def test_broken_off_upload_tears_the_request(self) -> None:
        answered, body, _ = self.start(None)
        body.write(b"abc")
        gone = GatewayError(499, "downstream_left", side=Side.DOWNSTREAM)
        body.abort(gone)
        self.assertIs(self.error(answered), gone)
        self.assertFalse(self.origin.requests[0].complete)
        self.assert_torn()

    def test_broken_off_upload_tears_the_response_that_began(self) -> None:
        answered, body, _ = self.start(None)
        self.wire.send(OK + b"Content-Length: 9\r\n\r\nab")
        sink = drain(self.successResultOf(answered).body)
        body.abort(GatewayError(400, "bad_chunk_size", side=Side.DOWNSTREAM))
        self.assertEqual(sink.error and sink.error.reason, "bad_chunk_size")
        self.assert_torn()

    def test_early_response_streams_while_the_upload_goes_on(self) -> None:
        answered, body, source = self.start(6)
        body.write(b"ab")
        self.wire.send(OK + b"Content-Length: 4\r\n\r\nxy")
        sink = drain(self.successResultOf(answered).body)
        body.write(b"cdef")
        body.end()
        self.assertEqual(self.origin.requests[0].body, b"abcdef")
        self.wire.send(b"zz")
        self.assertEqual((sink.data, sink.ended), (b"xyzz", True))
        self.assertEqual((self.lender.told, source.told), (["idle"], ["start"]))

    def test_complete_early_response_ends_upload_and_connection(self) -> None:
        answered, body, source = self.start(1000)
        body.write(b"ab")
        self.wire.send(answer(b"no", 413))
        response = self.successResultOf(answered)
        self.assertEqual((response.status, response.body.take_ready()), (413, b"no"))
        self.assertEqual(source.told, ["start", "cancel"])
        body.write(b"cd")
        self.assertTrue(self.wire.sent.endswith(b"ab"))
        self.assert_torn()

    def test_slow_origin_pauses_the_upload(self) -> None:
        _, body, source = self.start(None)
        body.write(b"a")
        self.wire.congest()
        self.assertEqual(source.told, ["start", "pause"])
        self.wire.relieve()
        self.assertEqual(source.told, ["start", "pause", "resume"])

    def test_an_origin_that_answers_without_reading_is_not_used_again(self) -> None:
        answered, body, _ = self.start(3)
        body.write(b"abc")
        self.wire.congest()
        body.end()
        self.wire.send(answer())
        self.successResultOf(answered)
        self.assert_torn()

    def test_nothing_is_paused_when_no_upload_runs(self) -> None:
        self.ask()
        self.wire.congest()
        self.wire.relieve()
        self.wire.send(answer())
        self.assertEqual(self.lender.told, ["idle"])

    def test_violation_with_the_head_ends_the_upload(self) -> None:
        answered, _, source = self.start(None)
        self.wire.send(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        self.assertIsNotNone(self.successResultOf(answered).body.error)
        self.assertEqual(source.told, ["start", "cancel"])

    def test_cancelled_before_the_head(self) -> None:
        answered, _body, source = self.start(None)
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.assertEqual(source.told, ["start", "cancel"])
        self.assert_torn()

    def test_the_head_deadline_waits_for_the_request(self) -> None:
        answered, body, _ = self.start(None, head=5)
        # A downstream peer that thinks is the downstream side's to judge.
        self.origin.turn(20)
        self.assertNoResult(answered)
        body.write(b"x")
        body.end()
        self.origin.turn(4.5)
        self.assertNoResult(answered)
        self.origin.turn(1)
        self.assertEqual(self.error(answered).reason, "upstream_head_timeout")

    def test_the_head_deadline_counts_from_the_end_of_the_request(self) -> None:
        answered, body, _ = self.start(None, head=5)
        body.write(b"x")
        self.origin.turn(4.5)
        body.end()
        self.origin.turn(4.5)
        self.assertNoResult(answered)
        self.origin.turn(1)
        self.assertEqual(self.error(answered).status, 504)

    def test_an_origin_that_does_not_read_runs_into_the_send_deadline(self) -> None:
        answered, body, _source = self.start(None, head=5)
        body.write(b"x")
        self.wire.congest()
        self.origin.turn(5.5)
        self.assertEqual(self.error(answered).reason, "upstream_send_timeout")
        self.assert_torn()

    def test_an_origin_that_reads_slowly_is_no_stall(self) -> None:
        answered, body, _source = self.start(None, head=5)
        left = [90_000]
        wire: Any = self.wire
        wire.unsent_bytes = lambda: left[0]
        wire.congest()
        body.write(b"x")
        for _ in range(4):
            left[0] -= 10_000
            self.origin.turn(5.2)
            self.assertNoResult(answered)
        self.origin.turn(5.2)
        self.assertEqual(self.error(answered).reason, "upstream_send_timeout")

    def test_the_head_is_waited_for_from_when_all_was_taken(self) -> None:
        answered, body, _source = self.start(None, head=5)
        self.wire.congest()
        body.write(b"x")
        body.end()
        self.origin.turn(4)
        self.wire.relieve()
        self.origin.turn(4)
        self.assertNoResult(answered)
        self.origin.turn(1.2)
        self.assertEqual(self.error(answered).reason, "upstream_head_timeout")

    def test_uploading_counts_as_activity_of_a_response_that_began(self) -> None:
        answered, body, _ = self.start(None, idle=5)
        self.wire.send(OK + b"Content-Length: 2\r\n\r\nx")
        sink = drain(self.successResultOf(answered).body)
        for _ in range(4):
            self.origin.turn(4)
            body.write(b"x")
        self.assertIsNone(sink.error)
        self.origin.turn(6)
        self.assertEqual(sink.error and sink.error.reason, "upstream_idle_timeout")


class LossTests(Case):
    def test_before_the_first_byte(self) -> None:
        for lose, reason in ((orderly, "upstream_closed"), (by_reset, "upstream_reset")):
            self.setUp()
            answered = self.ask()
            lose(self.wire)
            error = self.error(answered)
            self.assertEqual((error.status, error.reason, error.retry), (502, reason, Retry.IF_IDEMPOTENT))
            self.assertEqual((error.side, error.phase), (Side.UPSTREAM, Phase.RESPONSE_HEAD))
            self.assertEqual(self.lender.told, ["closed"])

    def test_a_tls_refusal_after_the_handshake_is_named(self) -> None:
        answered = self.ask()
        self.wire._lose(TlsError("alert_certificate_required", "the peer wants a certificate from us"))
        self.assertEqual(self.error(answered).reason, "upstream_tls")

    def test_after_part_of_a_head_nothing_may_be_tried_again(self) -> None:
        for data in (b"H", OK, b"HTTP/1.1 103 Early\r\n\r\n"):
            self.setUp()
            answered = self.ask()
            self.wire.send(data)
            self.wire.reset()
            self.assertIs(self.error(answered).retry, Retry.NEVER, data)

    def test_inside_a_body(self) -> None:
        for lose in (orderly, by_reset):
            for head in (b"Content-Length: 9\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"):
                self.setUp()
                sink = drain(self.asked(OK + head).body)
                lose(self.wire)
                assert sink.error is not None
                self.assertEqual((sink.data, sink.ended), (b"ab", False))
                self.assertEqual((sink.error.reason, sink.error.retry), ("upstream_aborted", Retry.NEVER))
                self.assertEqual(sink.error.phase, Phase.RESPONSE_BODY)

    def test_owner_hears_once(self) -> None:
        self.asked(OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        self.origin.turn()
        self.assertTrue(self.connection.lost)
        self.assertEqual(self.lender.told, ["closed"])


class DeadlineTests(Case):
    def test_head(self) -> None:
        answered = self.ask(head=2)
        self.origin.turn(1.8)
        self.assertNoResult(answered)
        self.origin.turn(0.4)
        error = self.error(answered)
        self.assertEqual((error.status, error.reason, error.retry), (504, "upstream_head_timeout", Retry.NEVER))
        self.assert_torn()

    def test_informational_heads_do_not_stretch_it(self) -> None:
        answered = self.ask(head=2)
        for _ in range(4):
            self.origin.turn(0.5)
            self.wire.send(b"HTTP/1.1 102 Wait\r\n\r\n")
        self.origin.turn(0.5)
        self.assertEqual(self.error(answered).status, 504)

    def test_idle(self) -> None:
        answered = self.ask(idle=3)
        self.wire.send(OK + b"Content-Length: 9\r\n\r\n")
        sink = drain(self.successResultOf(answered).body)
        for _ in range(3):
            self.origin.turn(2.5)
            self.wire.send(b"x")
        self.origin.turn(2.5)
        self.assertIsNone(sink.error)
        self.origin.turn(1)
        assert sink.error is not None
        self.assertEqual((sink.error.status, sink.error.reason), (504, "upstream_idle_timeout"))
        self.assert_torn()

    def test_time_that_the_reader_paused_does_not_count(self) -> None:
        answered = self.ask(idle=3)
        self.wire.send(OK + b"Content-Length: 9\r\n\r\n")
        body = self.successResultOf(answered).body
        sink = drain(body)
        self.origin.turn(2)
        body.pause()
        self.origin.turn(20.8)
        self.assertIsNone(sink.error)
        body.resume()
        self.origin.turn(2.5)
        self.assertIsNone(sink.error)
        self.origin.turn(1)
        self.assertEqual(sink.error and sink.error.reason, "upstream_idle_timeout")

    def test_a_body_that_nobody_ever_reads_does_not_keep_the_connection(self) -> None:
        answered = self.ask(idle=3)
        self.wire.send(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 70000)
        self.successResultOf(answered)
        self.assertTrue(self.wire.paused)
        self.origin.turn(4)
        self.assert_torn()

    def test_none_is_left_behind(self) -> None:
        self.asked(answer())
        self.wire.close()
        self.assertEqual(len(self.origin.wheel), 0)


class BackpressureTests(Case):
    def test_a_slow_reader_pauses_the_origin(self) -> None:
        body = self.asked(OK + b"Content-Length: 9\r\n\r\na").body
        drain(body)
        body.pause()
        self.assertTrue(self.wire.paused)
        body.resume()
        self.assertFalse(self.wire.paused)

    def test_what_waits_for_a_reader_is_bounded(self) -> None:
        body = self.asked(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 65536).body
        self.assertTrue(self.wire.paused)
        sink = drain(body)
        self.assertFalse(self.wire.paused)
        self.assertEqual(len(sink.data), 65536)

    def test_reading_goes_on_for_the_next_exchange(self) -> None:
        body = self.asked(OK + b"Content-Length: 2\r\n\r\na").body
        drain(body)
        body.pause()
        # One read was on its way already.
        self.connection.dataReceived(b"b")
        self.assertEqual(self.lender.told, ["idle"])
        self.assertFalse(self.wire.paused)
        body.resume()
        self.assertFalse(self.wire.paused)

    def test_a_reader_that_leaves_ends_it(self) -> None:
        body = self.asked(OK + b"Content-Length: 9\r\n\r\na").body
        drain(body)
        body.cancel()
        self.assert_torn()

    def test_the_reader_of_a_finished_exchange_cannot_harm_the_next(self) -> None:
        first = self.asked(OK + b"Content-Length: 1\r\n\r\na").body
        answered = self.ask()
        first.cancel()
        first.pause()
        self.wire.send(answer(b"second"))
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"second")

    def test_leaving_in_the_middle_of_a_read(self) -> None:
        body = self.asked(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n").body
        sink = drain(body)
        sink.write = lambda data: body.cancel()  # type: ignore[method-assign]
        self.wire.send(b"1\r\nb\r\n0\r\n\r\n")
        self.assertFalse(sink.ended)
        self.assert_torn()


class FrameTests(Case):
    def test_a_chunk_passes_through_two_names_and_into_the_sink(self) -> None:
        """data-path.md, rule 1: dataReceived (which asks the codec), body.write, the sink."""
        sink = drain(self.asked(OK + b"Content-Length: 9\r\n\r\na").body)
        names: list[str] = []

        def write(data: bytes) -> None:
            frame = sys._getframe(1)
            while frame.f_code.co_name != "test_a_chunk_passes_through_two_names_and_into_the_sink":
                names.append(frame.f_code.co_name)
                frame = frame.f_back  # type: ignore[assignment]

        sink.write = write  # type: ignore[method-assign]
        self.connection.dataReceived(b"bc")
        self.assertEqual(names, ["write", "dataReceived"])


class ReprTests(Case):
    def test_states(self) -> None:
        self.assertEqual(repr(self.connection), "<Http1Upstream idle served=0>")
        self.ask()
        self.assertEqual(repr(self.connection), "<Http1Upstream busy served=1>")
        self.connection.close()
        self.connection.cancel()
        self.assertEqual(repr(self.connection), "<Http1Upstream closing served=1>")
        self.origin.turn()
        self.assertEqual(repr(self.connection), "<Http1Upstream lost served=1>")


def orderly(wire: OriginConnection) -> None:
    wire.close()


def by_reset(wire: OriginConnection) -> None:
    wire.reset()

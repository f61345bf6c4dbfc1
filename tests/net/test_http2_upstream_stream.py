"""Tests of edgegw.net.http2_upstream_stream: single exchanges, an origin of another make in memory behind them."""

from __future__ import annotations

from h2.errors import ErrorCodes

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.net.call import Call
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import drain
from tests.net.http2_case import HOST, Case


class ResponseTests(Case):
    def test_a_request_as_http2_writes_it(self) -> None:
        fields = [
            (b"x-one", b"X-One", b"1"), HOST, (b"te", b"TE", b"trailers"), (b"connection", b"Connection", b"TE"),
            (b"transfer-encoding", b"Transfer-Encoding", b"chunked"),
        ]  # fmt: skip
        self.connection.send(Call("GET", "/a?b=c", fields, None, 0, (1, 1), self.informational.append))
        asked = self.wire.asked[1]
        self.assertEqual(
            asked.fields,
            [
                (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"shop"), (b":path", b"/a?b=c"),
                (b"x-one", b"1"), (b"te", b"trailers"),
            ],
        )  # fmt: skip
        self.assertTrue(asked.complete)

    def test_head_and_body_of_one_read_are_delivered_as_one(self) -> None:
        answered = self.ask()
        self.wire.answer(1, b"hello", 201, (b"content-length", b"5"))
        response = self.successResultOf(answered)
        self.assertEqual((response.status, response.body.length), (201, 5))
        self.assertTrue(response.body.complete)
        self.assertEqual(response.body.take_ready(), b"hello")
        self.assertEqual(self.lender.told, ["room", "idle"])

    def test_given_back_before_the_answer_is_told(self) -> None:
        order: list[object] = []
        self.ask().addCallback(lambda _: order.append(list(self.lender.told)))
        self.wire.answer(1, b"x")
        self.assertEqual(order, [["room", "idle"]])

    def test_body_streams_as_it_comes_and_ends_with_trailers(self) -> None:
        sink = drain(self.begun(body=b"ab").body)
        self.wire.data(1, b"cd")
        self.assertEqual((sink.chunks, sink.ended), ([b"ab", b"cd"], False))
        self.wire.trailers(1, (b"grpc-status", b"0"))
        self.assertEqual(
            (sink.ended, [(name, value) for name, _, value in sink.trailers]), (True, [(b"grpc-status", b"0")])
        )
        self.assertEqual(self.lender.told, ["room", "idle"])

    def test_no_body(self) -> None:
        answered = self.ask("HEAD")
        self.wire.head(1, 200, (b"content-length", b"1000"), end=True)
        response = self.successResultOf(answered)
        self.assertEqual((response.body.ended, response.headers.get(b"content-length")), (True, b"1000"))

    def test_informational_heads_come_first(self) -> None:
        answered = self.ask()
        self.wire.head(1, 100)
        self.wire.head(1, 103, (b"link", b"</a>"))
        self.assertNoResult(answered)
        self.assertEqual(
            [(head.status, list(head.headers)) for head in self.informational], [(103, [(b"link", b"</a>")])]
        )
        self.wire.answer(1)
        self.assertEqual(self.successResultOf(answered).status, 200)

    def test_the_end_is_noted(self) -> None:
        ended: list[bool] = []
        call = Call("GET", "/", [HOST], None, 0, (1, 1), self.informational.append)
        answered = self.connection.send(call)
        self.wire.head(1)
        self.successResultOf(answered)
        call.ended = lambda: ended.append(True)
        self.wire.data(1, b"x")
        self.assertEqual(ended, [])
        self.wire.data(1, b"", end=True)
        self.assertEqual(ended, [True])

    def test_a_head_that_must_not_be_sent_leaves_the_connection_free(self) -> None:
        bad = Call("GET", "/", [HOST, (b"x", b"X", b"a\r\nSet-Cookie: b")], None, 0, (1, 1), self.informational.append)
        error = self.assertRaises(GatewayError, self.connection.send, bad)
        self.assertEqual((error.status, error.reason), (500, "unsafe_head"))
        self.assertEqual((self.wire.asked, self.lender.told, self.connection.busy), ({}, ["idle"], False))
        self.assert_alive()

    def test_what_leads_to_many_frames_is_one_write(self) -> None:
        answered = [self.ask() for _ in range(3)]
        drains = []
        for each, sid in zip(answered, (1, 3, 5), strict=True):
            self.wire.head(sid)
            drains.append(drain(self.successResultOf(each).body))
        before = len(self.wire.writes)
        with self.wire.one_read():
            for sid in (1, 3, 5):
                self.wire.data(sid, b"x" * 16384)
                self.wire.data(sid, b"x" * 16384)
                self.wire.data(sid, b"x" * 16384)
        self.assertEqual(len(self.wire.writes), before + 1)


class ResetTests(Case):
    def test_refused(self) -> None:
        answered = self.ask()
        self.wire.reset_stream(1, ErrorCodes.REFUSED_STREAM)
        error = self.error(answered)
        self.assertEqual((error.status, error.reason, error.retry), (503, "upstream_refused_stream", Retry.ALWAYS))
        self.assertIn((b"Retry-After", b"1"), error.headers)
        self.assert_alive()

    def test_before_the_head(self) -> None:
        answered = self.ask()
        self.wire.reset_stream(1, ErrorCodes.INTERNAL_ERROR)
        error = self.error(answered)
        self.assertEqual((error.status, error.reason, error.retry), (502, "upstream_reset", Retry.IF_IDEMPOTENT))
        self.assertEqual((error.side, error.phase), (Side.UPSTREAM, Phase.RESPONSE_HEAD))
        self.assertIn("INTERNAL_ERROR", error.detail)
        self.assert_alive()

    def test_after_an_informational_head_nothing_may_be_tried_again(self) -> None:
        for code in (ErrorCodes.INTERNAL_ERROR, ErrorCodes.REFUSED_STREAM):
            self.setUp()
            answered = self.ask()
            self.wire.head(1, 103)
            self.wire.reset_stream(1, code)
            self.assertIs(self.error(answered).retry, Retry.NEVER)

    def test_inside_a_body(self) -> None:
        sink = drain(self.begun(body=b"ab").body)
        self.wire.reset_stream(1)
        assert sink.error is not None
        self.assertEqual((sink.data, sink.ended, sink.error.reason), (b"ab", False, "upstream_reset"))
        self.assertEqual((sink.error.retry, sink.error.phase), (Retry.NEVER, Phase.RESPONSE_BODY))
        self.assert_alive()

    def test_with_the_head_in_one_read(self) -> None:
        answered = self.ask()
        with self.wire.one_read():
            self.wire.head(1)
            self.wire.reset_stream(1)
        response = self.successResultOf(answered)
        self.assertEqual(response.body.error and response.body.error.reason, "upstream_reset")

    def test_without_an_error_behind_a_whole_response(self) -> None:
        """RFC 9113 8.1: the upload is not wanted, the response counts."""
        body = Body(None)
        answered = self.ask("POST", body, None)
        body.write(b"ab")
        with self.wire.one_read():
            self.wire.head(1, 413, end=True)
            self.wire.reset_stream(1, ErrorCodes.NO_ERROR)
        response = self.successResultOf(answered)
        self.assertEqual((response.status, response.body.ended, response.body.error), (413, True, None))
        self.assertIsNotNone(body.error)
        self.assert_alive()

    def test_a_reader_that_leaves(self) -> None:
        other = drain(self.begun(1).body)
        body = self.begun(3, b"a").body
        drain(body)
        body.cancel()
        self.assertEqual(self.wire.asked[3].reset, ErrorCodes.CANCEL)
        self.wire.data(1, b"on")
        self.assertEqual((other.data, other.error), (b"on", None))
        self.assertEqual(self.lender.told, ["room", "room"])
        self.assert_alive()

    def test_leaving_in_the_middle_of_a_read(self) -> None:
        body = self.begun(body=b"a").body
        sink = drain(body)
        sink.write = lambda data: body.cancel()  # type: ignore[method-assign]
        with self.wire.one_read():
            self.wire.data(1, b"b")
            self.wire.data(1, b"c", end=True)
        self.assertFalse(sink.ended)
        self.assert_alive()

    def test_an_exchange_that_is_torn_before_its_head(self) -> None:
        other = self.ask()
        answered = self.ask()
        answered.addErrback(lambda _: None)
        answered.cancel()
        self.assertEqual(self.wire.asked[3].reset, ErrorCodes.CANCEL)
        self.wire.answer(1)
        self.successResultOf(other)
        self.assert_alive()

    def test_late_frames_of_a_stream_we_reset(self) -> None:
        body = self.begun(body=b"a").body
        drain(body)
        frames = self.wire.h2
        frames.send_data(1, b"late")
        late = frames.data_to_send()
        body.cancel()
        self.wire.raw(late)
        self.assert_alive()


class ViolationTests(Case):
    """A message that is malformed costs its stream, not the connection."""

    def assert_spoilt(self, error: GatewayError | None, reason: str) -> None:
        assert error is not None
        self.assertEqual((error.status, error.reason, error.side), (502, reason, Side.UPSTREAM))
        self.assertIs(error.retry, Retry.NEVER)

    def test_a_body_that_is_not_as_long_as_it_should_be(self) -> None:
        for data in (b"short", b"much too long"):
            self.setUp()
            answered = self.ask()
            self.wire.head(1, 200, (b"content-length", b"10"))
            sink = drain(self.successResultOf(answered).body)
            self.wire.data(1, data, end=True)
            self.assertFalse(sink.ended)
            self.assert_spoilt(sink.error, "h2_length_mismatch")
            self.assert_alive()

    def test_with_the_head_in_one_read(self) -> None:
        answered = self.ask()
        self.wire.answer(1, b"short", 200, (b"content-length", b"10"))
        self.assert_spoilt(self.successResultOf(answered).body.error, "h2_length_mismatch")
        self.assert_alive()

    def test_a_head_that_is_none(self) -> None:
        body = Body(None, Source())
        answered = self.ask("POST", body, None)
        self.wire.h2.config.validate_outbound_headers = False
        self.wire.h2.config.normalize_outbound_headers = False
        self.wire.head(1, 200, (b"connection", b"close"))
        self.assert_spoilt(self.error(answered), "h2_connection_field")
        self.assertEqual(self.wire.asked[1].reset, ErrorCodes.PROTOCOL_ERROR)
        self.wire.h2.config.validate_outbound_headers = True
        self.assert_alive()

    def test_too_many_informational_heads(self) -> None:
        answered = self.ask()
        for _ in range(100):
            if not answered.called:
                self.wire.head(1, 103)
        self.assert_spoilt(self.error(answered), "too_many_informational")


class UploadTests(Case):
    def test_first_data_leaves_with_the_head(self) -> None:
        body = Body(4)
        body.write(b"ab")
        before = len(self.wire.writes)
        self.ask("POST", body, 4)
        self.assertEqual((len(self.wire.writes), self.wire.asked[1].body), (before + 1, b"ab"))
        body.write(b"cd")
        body.end()
        asked = self.wire.asked[1]
        self.assertEqual((asked.body, asked.complete, asked[b"content-length"]), (b"abcd", True, b"4"))

    def test_without_a_length_and_with_trailers(self) -> None:
        body = Body(None)
        self.ask("POST", body, None)
        body.write(b"abc")
        body.end(((b"x-sum", b"X-Sum", b"9"),))
        asked = self.wire.asked[1]
        self.assertEqual((asked.body, asked.trailers, asked.complete), (b"abc", [(b"x-sum", b"9")], True))
        self.assertNotIn(b"transfer-encoding", dict(asked.fields))

    def test_trailers_that_must_not_be_sent(self) -> None:
        body = Body(None)
        answered = self.ask("POST", body, None)
        body.end(((b"x-sum", b"X-Sum", b"9\r\na: b"),))
        self.assertEqual(self.error(answered).reason, "unsafe_head")
        self.assertIsNotNone(self.wire.asked[1].reset)
        self.assert_alive()

    def test_lengths_that_lie(self) -> None:
        for data in (b"abcde", b"abc"):
            self.setUp()
            body = Body(4)
            answered = self.ask("POST", body, 4)
            body.write(data)
            body.end()
            error = self.error(answered)
            self.assertEqual((error.status, error.reason), (500, "request_length_mismatch"))
            self.assertFalse(self.wire.asked[1].complete)
            self.assert_alive()

    def test_a_window_that_is_full_pauses_the_upload(self) -> None:
        self.setUp(window=1000)
        source = Source()
        body, told = Body(None, source), source.told
        self.wire.credit = False
        self.ask("POST", body, None)
        body.write(b"x" * 999)
        self.assertEqual(told, ["start"])
        body.write(b"x" * 10)
        self.assertEqual((told, len(self.wire.asked[1].body)), (["start", "pause"], 1000))
        other = self.ask()
        self.wire.answer(3)
        self.successResultOf(other)
        self.wire.take(1, 1000)
        self.assertEqual((told, len(self.wire.asked[1].body)), (["start", "pause", "resume"], 1009))
        body.end()
        self.assertTrue(self.wire.asked[1].complete)

    def test_a_socket_that_is_full_pauses_all_uploads(self) -> None:
        self.setUp(window=1000)
        self.wire.credit = False
        sources = [Source(), Source(), Source()]
        bodies, told = [Body(None, each) for each in sources], [each.told for each in sources]
        for body in bodies[:2]:
            self.ask("POST", body, None)
        bodies[1].write(b"x" * 1001)
        self.wire.congest()
        self.assertEqual(told[:2], [["start", "pause"], ["start", "pause"]])
        self.ask("POST", bodies[2], None)
        self.assertEqual(told[2], ["start", "pause"])
        self.wire.take(3, 1000)
        self.assertEqual(told[1], ["start", "pause"], "the socket is still full")
        self.wire.relieve()
        self.assertEqual(told, [["start", "pause", "resume"]] * 3)

    def test_a_full_window_outlasts_a_full_socket(self) -> None:
        self.setUp(window=1000)
        self.wire.credit = False
        source = Source()
        body, told = Body(None, source), source.told
        self.ask("POST", body, None)
        body.write(b"x" * 1001)
        self.wire.congest()
        self.wire.relieve()
        self.assertEqual(told, ["start", "pause"])
        self.wire.take(1, 1000)
        self.assertEqual(told, ["start", "pause", "resume"])

    def test_broken_off(self) -> None:
        for begun in (False, True):
            self.setUp()
            body = Body(None)
            answered = self.ask("POST", body, None)
            body.write(b"ab")
            if begun:
                self.wire.head(1)
            gone = GatewayError(499, "downstream_left", side=Side.DOWNSTREAM)
            sink = drain(self.successResultOf(answered).body) if begun else None
            body.abort(gone)
            self.assertIs(sink.error if sink else self.error(answered), gone)
            self.assertEqual(self.wire.asked[1].reset, ErrorCodes.CANCEL)
            self.assert_alive()

    def test_an_early_response_ends_the_upload(self) -> None:
        source = Source()
        body, told = Body(None, source), source.told
        answered = self.ask("POST", body, None)
        body.write(b"ab")
        self.wire.answer(1, b"no", 413)
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"no")
        self.assertEqual(told, ["start", "cancel"])
        self.assertEqual(self.wire.asked[1].reset, ErrorCodes.NO_ERROR)
        self.assert_alive()

    def test_both_ways_at_once(self) -> None:
        body = Body(None)
        answered = self.ask("POST", body, None)
        self.wire.head(1)
        sink = drain(self.successResultOf(answered).body)
        for number in range(5):
            body.write(b"%d" % number)
            self.assertTrue(self.wire.asked[1].body.endswith(b"%d" % number))
            self.wire.data(1, b"%d" % number)
        self.assertEqual(sink.data, b"01234")
        body.end()
        self.wire.data(1, b"", end=True)
        self.assertTrue(sink.ended and self.wire.asked[1].complete)
        self.assertIsNone(self.wire.asked[1].reset)


class DeadlineTests(Case):
    def test_head(self) -> None:
        patient, answered = self.ask(head=9), self.ask(head=2)
        self.origin.turn(1.8)
        self.assertNoResult(answered)
        self.origin.turn(0.4)
        error = self.error(answered)
        self.assertEqual((error.status, error.reason, error.retry), (504, "upstream_head_timeout", Retry.NEVER))
        self.assertEqual(self.wire.asked[3].reset, ErrorCodes.CANCEL)
        self.wire.answer(1)
        self.successResultOf(patient)
        self.assert_alive()

    def test_head_waits_for_the_request(self) -> None:
        body = Body(None)
        answered = self.ask("POST", body, None, head=5)
        self.origin.turn(12)
        self.assertNoResult(answered)
        body.end()
        self.origin.turn(4.5)
        self.assertNoResult(answered)
        self.origin.turn(1)
        self.assertEqual(self.error(answered).reason, "upstream_head_timeout")

    def test_an_origin_that_does_not_take_the_request_runs_into_it(self) -> None:
        for choke in ("window", "socket"):
            self.setUp(window=10)
            self.wire.credit = False
            body = Body(None)
            answered = self.ask("POST", body, None, head=5)
            body.write(b"x" * (20 if choke == "window" else 1))
            if choke == "socket":
                self.wire.congest()
            self.origin.turn(5.5)
            self.assertEqual(self.error(answered).reason, "upstream_send_timeout")

    def test_an_origin_that_takes_little_at_a_time_is_no_stall(self) -> None:
        self.setUp(window=10)
        self.wire.credit = False
        body = Body(None)
        answered = self.ask("POST", body, None, head=5)
        body.write(b"x" * 20)
        for _ in range(3):
            self.wire.h2.increment_flow_control_window(2, 1)
            self.wire.flush()
            self.origin.turn(5.2)
            self.assertNoResult(answered)
        self.origin.turn(5.2)
        self.assertEqual(self.error(answered).reason, "upstream_send_timeout")

    def test_the_head_is_waited_for_from_when_all_was_taken(self) -> None:
        self.setUp(window=10)
        self.wire.credit = False
        body = Body(None)
        answered = self.ask("POST", body, None, head=5)
        body.write(b"x" * 20)
        body.end()
        self.origin.turn(4)
        self.wire.take(1, 10)
        self.origin.turn(4)
        self.assertNoResult(answered)
        self.origin.turn(1.3)
        self.assertEqual(self.error(answered).reason, "upstream_head_timeout")

    def test_idle(self) -> None:
        sink = drain(self.begun(idle=3).body)
        for _ in range(3):
            self.origin.turn(2.5)
            self.wire.data(1, b"x")
        self.assertIsNone(sink.error)
        self.origin.turn(3.5)
        assert sink.error is not None
        self.assertEqual((sink.error.status, sink.error.reason), (504, "upstream_idle_timeout"))
        self.assertEqual(self.wire.asked[1].reset, ErrorCodes.CANCEL)
        self.assert_alive()

    def test_time_that_the_reader_paused_does_not_count(self) -> None:
        body = self.begun(idle=3).body
        sink = drain(body)
        body.pause()
        self.origin.turn(15)
        self.assertIsNone(sink.error)
        body.resume()
        self.origin.turn(2.5)
        self.assertIsNone(sink.error)
        self.origin.turn(1)
        self.assertEqual(sink.error and sink.error.reason, "upstream_idle_timeout")

    def test_a_body_that_nobody_ever_reads(self) -> None:
        body = self.begun(idle=3).body
        for _ in range(5):
            self.wire.data(1, b"x" * 16000)
        self.origin.turn(4)
        self.assertEqual(body.error and body.error.reason, "upstream_idle_timeout")
        self.assert_alive()

    def test_an_idle_connection_ends_in_an_orderly_way(self) -> None:
        self.ask()
        self.connection.rest(5)
        self.origin.turn(8)
        self.assertNotIn("closed", self.lender.told, "not while a stream is open")
        self.wire.answer(1)
        self.connection.rest(5)
        self.origin.turn(4.5)
        self.assertFalse(self.wire.closed)
        self.origin.turn(1)
        self.assertEqual((self.wire.closed, self.wire.away, self.lender.told[-1]), (True, 0, "closed"))

"""Tests of edgegw.net.http2_stream: one exchange over HTTP/2, with the `h2` library as the peer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.net.settings import Caps
from edgegw.testing.http2 import Http2Desk
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Headers


class Source:
    """A body's source that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self) -> None:
        self.told.append("start")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def cancel(self) -> None:
        self.told.append("cancel")


class Sink:
    """A body's reader that keeps everything."""

    def __init__(self) -> None:
        self.data = b""
        self.trailers: object = None
        self.error: GatewayError | None = None

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self, trailers: tuple[tuple[bytes, bytes, bytes], ...]) -> None:
        self.trailers = trailers

    def abort(self, error: GatewayError) -> None:
        self.error = error


class AnswerTests(SynchronousTestCase):
    """What the peer gets."""

    def test_complete(self) -> None:
        desk = Http2Desk(Response.of(200, b"hello"))
        answer = desk.answer(desk.asks("/x?y=1"))
        self.assertEqual((answer.status, answer.body, answer.ended, answer.reset), (200, b"hello", True, None))
        self.assertEqual(answer.headers["content-length"], "5")
        self.assertEqual(answer.headers["date"], "today")
        exchange = desk.exchanges[0]
        self.assertEqual((exchange.request.path, exchange.request.query, exchange.head.version), ("/x", "y=1", "2"))
        self.assertEqual((desk.outcomes[0].status, desk.outcomes[0].complete, desk.outcomes[0].bytes_out), (200, True, 5))

    def test_head_and_body_leave_in_one_write(self) -> None:
        desk = Http2Desk(Response.of(200, b"hello"))
        before = len(desk.transport.writes)
        desk.asks()
        self.assertEqual(len(desk.transport.writes) - before, 1)

    def test_several_at_once(self) -> None:
        desk = Http2Desk()
        first, second = desk.asks("/1"), desk.asks("/2")
        desk.script.waiting[1].callback(Response.of(200, b"two"))
        self.assertEqual(desk.answer(second).body, b"two")
        self.assertEqual(desk.answer(first).status, 0)
        desk.script.waiting[0].callback(Response.of(200, b"one"))
        self.assertEqual(desk.answer(first).body, b"one")

    def test_streams_with_trailers(self) -> None:
        body = Body(None, Source())
        desk = Http2Desk(Response(200, Headers(), body))
        stream = desk.asks()
        body.write(b"abc")
        self.assertEqual((desk.answer(stream).body, desk.answer(stream).ended), (b"abc", False))
        body.end(((b"grpc-status", b"grpc-status", b"0"),))
        answer = desk.answer(stream)
        self.assertEqual((answer.trailers, answer.ended), ({"grpc-status": "0"}, True))
        self.assertNotIn("content-length", answer.headers)

    def test_trailers_only(self) -> None:
        headers = Headers.of([(b"content-type", b"application/grpc"), (b"grpc-status", b"12")])
        desk = Http2Desk(Response(200, headers))
        answer = desk.answer(desk.asks("/s/m", "POST"))
        self.assertEqual((answer.headers["grpc-status"], answer.body, answer.ended), ("12", b"", True))
        self.assertNotIn("content-length", answer.headers)

    def test_head_has_no_body(self) -> None:
        desk = Http2Desk(Response.of(200, b"hello"))
        answer = desk.answer(desk.asks("/", "HEAD"))
        self.assertEqual((answer.body, answer.headers["content-length"], answer.ended), (b"", "5", True))

    def test_fields_of_a_connection_stay_here(self) -> None:
        fields = [(b"Connection", b"x"), (b"Keep-Alive", b"5"), (b"Transfer-Encoding", b"chunked"), (b"X-Kept", b"1")]
        desk = Http2Desk(Response(200, Headers.of(fields), Body.of(b"a")))
        answer = desk.answer(desk.asks())
        self.assertEqual(sorted(answer.headers), ["content-length", "date", "x-kept"])

    def test_informational(self) -> None:
        def early(exchange: Exchange) -> Response:
            for status in (103, 100, 101):
                exchange.informational(ResponseHead(status, b"", "1.1", Headers(), 0, True))
            return Response.of(200, b"")

        desk = Http2Desk(early)
        answer = desk.answer(desk.asks())
        self.assertEqual((answer.informational, answer.status), ([103], 200))

    def test_a_body_that_breaks_off_resets_the_stream_only(self) -> None:
        body = Body(None, Source())
        desk = Http2Desk(Response(200, Headers(), body), Response.of(200, b"lives"))
        stream = desk.asks()
        body.write(b"abc")
        body.abort(GatewayError(502, "upstream_aborted"))
        answer = desk.answer(stream)
        self.assertEqual((answer.ended, answer.reset), (False, 2))
        self.assertFalse(desk.outcomes[0].complete)
        self.assertEqual(desk.answer(desk.asks()).body, b"lives")

    def test_more_than_announced_is_torn(self) -> None:
        body = Body(2, Source())
        desk = Http2Desk(Response(200, Headers(), body))
        stream = desk.asks()
        body.write(b"abc")
        self.assertEqual(desk.answer(stream).reset, 2)
        self.assertEqual(desk.outcomes[0].error.reason, "response_length_mismatch")  # type: ignore[union-attr]

    def test_less_than_announced_is_torn(self) -> None:
        body = Body(5, Source())
        desk = Http2Desk(Response(200, Headers(), body))
        stream = desk.asks()
        body.write(b"abc")
        body.end()
        self.assertEqual((desk.answer(stream).reset, desk.answer(stream).ended), (2, False))

    def test_an_error_from_outside_is_answered(self) -> None:
        desk = Http2Desk()
        stream = desk.asks()
        exchange = desk.exchanges[0]
        exchange.connection.fail(exchange, GatewayError(504, "total_timeout"))
        self.assertEqual(desk.answer(stream).status, 504)

    def test_an_unsafe_field_is_a_500(self) -> None:
        desk = Http2Desk(Response(200, Headers([(b"x", b"x", b"a\r\nb")])))
        self.assertEqual(desk.answer(desk.asks()).status, 500)


class WindowTests(SynchronousTestCase):
    """A peer that gives no credit."""

    def test_its_source_is_paused_and_goes_on(self) -> None:
        source = Source()
        body = Body(None, source)
        desk = Http2Desk(Response(200, Headers(), body), Response.of(200, b"other"), credit=False, window=1000)
        stream = desk.asks()
        body.write(b"x" * 1500)
        self.assertEqual(source.told, ["start", "pause"])
        self.assertEqual(len(desk.answer(stream).body), 1000)
        # Nobody else waits for it.
        self.assertEqual(desk.answer(desk.asks()).body, b"other")
        desk.peer.acknowledge_received_data(1000, stream)
        self.assertEqual(len(desk.answer(stream).body), 1500)
        self.assertEqual(source.told, ["start", "pause", "resume"])

    def test_the_exchange_ends_when_the_last_byte_is_gone(self) -> None:
        desk = Http2Desk(Response.of(200, b"x" * 1500), credit=False, window=1000)
        stream = desk.asks()
        self.assertEqual(desk.outcomes, [])
        self.assertFalse(desk.answer(stream).ended)
        desk.peer.acknowledge_received_data(1000, stream)
        self.assertTrue(desk.answer(stream).ended)
        self.assertEqual(desk.outcomes[0].bytes_out, 1500)

    def test_a_stream_that_stands_still_is_given_up(self) -> None:
        desk = Http2Desk(Response.of(200, b"x" * 1500), Response.of(200, b"on"), credit=False, window=1000)
        stream = desk.asks()
        for _ in range(5):
            desk.waits(10)
            desk.pump()
        self.assertEqual(desk.outcomes, [])
        for _ in range(3):
            desk.waits(10)
            desk.pump()
        self.assertEqual(desk.answer(stream).reset, 8)
        self.assertEqual(desk.outcomes[0].error.reason, "write_timeout")  # type: ignore[union-attr]
        self.assertEqual(desk.answer(desk.asks()).body, b"on")


class UploadTests(SynchronousTestCase):
    """What the peer sends."""

    def upload(self, **more: object) -> tuple[Http2Desk, int, Sink]:
        sink = Sink()

        def read(exchange: Exchange) -> object:
            exchange.request.body.attach(sink)
            return desk.script._later()

        desk = Http2Desk(read, **more)  # type: ignore[arg-type]
        return desk, desk.asks("/", "POST", end=False), sink

    def test_flows_with_trailers_dropped(self) -> None:
        desk, stream, sink = self.upload()
        desk.sends(stream, b"abc").sends(stream, b"def")
        desk.peer.send_headers(stream, [("x-a", "1")], end_stream=True)
        desk.pump()
        self.assertEqual((sink.data, sink.trailers), (b"abcdef", ()))
        self.assertEqual(desk.exchanges[0].request_size, 6)

    def test_no_credit_while_its_reader_is_slow(self) -> None:
        desk, stream, sink = self.upload()
        body = desk.exchanges[0].request.body
        body.pause()
        window = desk.peer.local_flow_control_window(stream)
        for _ in range(4):
            desk.sends(stream, b"x" * 10000)
        self.assertEqual(desk.peer.local_flow_control_window(stream), window - 40000)
        body.resume()
        desk.pump()
        self.assertGreater(desk.peer.local_flow_control_window(stream), window - 33000)
        self.assertEqual(len(sink.data), 40000)

    def test_no_credit_before_somebody_reads(self) -> None:
        desk = Http2Desk()
        stream = desk.asks("/", "POST", end=False)
        window = desk.peer.local_flow_control_window(stream)
        desk.sends(stream, b"x" * 16000).sends(stream, b"x" * 16000).sends(stream, b"x" * 16000)
        self.assertEqual(desk.peer.local_flow_control_window(stream), window - 48000)
        desk.exchanges[0].request.body.attach(Sink())
        desk.pump()
        self.assertEqual(desk.peer.local_flow_control_window(stream), window)

    def test_continue_is_said_when_somebody_reads(self) -> None:
        desk = Http2Desk()
        stream = desk.asks("/", "POST", ("expect", "100-continue"), end=False)
        self.assertEqual(desk.answer(stream).informational, [])
        desk.exchanges[0].request.body.attach(Sink())
        self.assertEqual(desk.answer(stream).informational, [100])

    def test_unwanted_rest_is_refused_after_the_answer(self) -> None:
        desk = Http2Desk(Response.of(413, b"too much"), Response.of(200, b"on"))
        stream = desk.asks("/", "POST", end=False)
        answer = desk.answer(stream)
        self.assertEqual((answer.status, answer.body, answer.ended, answer.reset), (413, b"too much", True, 0))
        self.assertTrue(desk.outcomes[0].complete)
        self.assertEqual(desk.answer(desk.asks()).body, b"on")

    def test_a_reset_cancels_everything(self) -> None:
        desk, stream, sink = self.upload()
        desk.peer.reset_stream(stream, 8)
        desk.pump()
        self.assertEqual(desk.script.cancelled, 1)
        self.assertEqual(sink.error.reason, "downstream_left")  # type: ignore[union-attr]
        self.assertEqual((desk.outcomes[0].status, desk.outcomes[0].complete), (0, False))

    def test_a_body_that_stands_still_is_a_408(self) -> None:
        desk, stream, sink = self.upload(caps=Caps(body_rate=0))
        desk.sends(stream, b"x" * 5000)
        desk.waits(Caps().body_gap + 1)
        self.assertEqual(desk.answer(stream).status, 408)
        self.assertEqual(sink.error.reason, "body_timeout")  # type: ignore[union-attr]

    def test_a_slow_reader_of_ours_is_nobody_s_fault(self) -> None:
        desk, stream, _ = self.upload()
        desk.sends(stream, b"x" * 5000)
        desk.exchanges[0].request.body.pause()
        for _ in range(9):
            desk.waits(Caps().body_gap / 3)
            desk.pump()
        self.assertEqual(desk.answer(stream).status, 0)

    def test_length_that_is_not_kept(self) -> None:
        sink = Sink()

        def read(exchange: Exchange) -> object:
            exchange.request.body.attach(sink)
            return desk.script._later()

        desk = Http2Desk(read, Response.of(200, b"on"))
        stream = desk.asks("/", "POST", ("content-length", "5"), end=False)
        # A DATA frame of three bytes that ends the stream.
        desk.frame(b"\x00\x00\x03\x00\x01" + stream.to_bytes(4, "big") + b"abc")
        answer = desk.answer(stream)
        self.assertEqual((answer.status, answer.reset), (400, 1))
        self.assertIsNotNone(sink.error)
        self.assertIsNone(sink.trailers)


class RefusalTests(SynchronousTestCase):
    """Heads that the codec does not take are exchanges all the same."""

    def test_bad_path_is_answered(self) -> None:
        desk = Http2Desk(Response.of(200, b"never"))
        answer = desk.answer(desk.asks("/x y"))
        self.assertEqual((answer.status, answer.ended), (400, True))
        self.assertEqual(desk.exchanges[0].failure.reason, desk.outcomes[0].error.reason)  # type: ignore[union-attr]

    def test_malformed_is_answered_and_reset(self) -> None:
        desk = Http2Desk(Response.of(200, b"never"))
        answer = desk.answer(desk.asks("/", "GET", ("connection", "close")))
        self.assertEqual((answer.status, answer.reset), (400, 1))

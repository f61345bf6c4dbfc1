"""Tests of edgegw.net.http2_answering: the answer of one stream, with the `h2` library as the peer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.testing.bodies import Source
from edgegw.testing.http2 import Http2Desk
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Headers


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
        self.assertEqual(
            (desk.outcomes[0].status, desk.outcomes[0].complete, desk.outcomes[0].bytes_out), (200, True, 5)
        )

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

    def test_a_peer_that_leaves_cancels_its_source(self) -> None:
        for leaves in ("by RST_STREAM", "altogether"):
            source = Source()
            body = Body(None, source)
            desk = Http2Desk(Response(200, Headers(), body))
            stream = desk.asks()
            body.write(b"data: 1\n\n")
            self.assertEqual(desk.answer(stream).body, b"data: 1\n\n")
            if leaves == "altogether":
                desk.leaves()
            else:
                desk.peer.reset_stream(stream, 8)
                desk.pump()
            self.assertEqual(source.told, ["start", "cancel"], leaves)
            self.assertFalse(desk.outcomes[0].complete)

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

    def test_more_that_came_in_the_read_that_opened_the_window(self) -> None:
        body = Body(None, Source())

        class Echo:
            def write(self, data: bytes) -> None:
                body.write(data)

            def end(self, _: object) -> None:
                body.end()

            def abort(self, _: object) -> None: ...

        def echo(exchange: Exchange) -> Response:
            exchange.request.body.attach(Echo())
            return Response(200, Headers(), body)

        desk = Http2Desk(echo, credit=False, window=1000)
        stream = desk.asks("/", "POST", end=False)
        desk.sends(stream, b"x" * 1500)
        # The window opens for what waits, and in the same read comes what has to wait next.
        desk.peer.send_data(stream, b"y" * 300, end_stream=True)
        desk.peer.increment_flow_control_window(500, stream)
        desk.pump()
        self.assertEqual((len(desk.answer(stream).body), desk.outcomes), (1500, []))
        desk.peer.increment_flow_control_window(300, stream)
        answer = desk.answer(stream)
        self.assertEqual((len(answer.body), answer.ended, answer.reset), (1800, True, None))
        self.assertTrue(desk.outcomes[0].complete)

    def test_no_window_at_all_and_an_abort(self) -> None:
        desk = Http2Desk(Response.of(200, b"x" * 100), credit=False, window=0)
        desk.asks()
        desk.connection.drain()
        desk.pump()
        self.assertEqual(desk.ended, [])
        desk.connection.abort_now()
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual([outcome.complete for outcome in desk.outcomes], [False])
        self.assertEqual(len(desk.wheel), 0)

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

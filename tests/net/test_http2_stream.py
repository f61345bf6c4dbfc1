"""Tests of edgegw.net.http2_stream: one exchange over HTTP/2, with the `h2` library as the peer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Response
from edgegw.net.http2_stream import DISCARD
from edgegw.net.patience import LINGER_S
from edgegw.net.settings import Caps
from edgegw.testing.http2 import Http2Desk


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

    def test_no_credit_for_a_reader_that_paused_before_it_began(self) -> None:
        desk = Http2Desk()
        stream = desk.asks("/", "POST", end=False)
        body = desk.exchanges[0].request.body
        body.pause()
        body.attach(Sink())
        window = desk.peer.local_flow_control_window(stream)
        for _ in range(4):
            desk.sends(stream, b"x" * 10000)
        self.assertEqual(desk.peer.local_flow_control_window(stream), window - 40000)
        body.resume()
        desk.pump()
        self.assertGreater(desk.peer.local_flow_control_window(stream), window - 33000)

    def test_what_nobody_wants_gets_little_credit_after_a_timeout(self) -> None:
        desk, stream, _ = self.upload(caps=Caps(body_rate=0), credit=False, window=0)
        desk.sends(stream, b"x" * 5000)
        desk.waits(Caps().body_gap + 1)
        self.assertEqual(desk.answer(stream).status, 408)
        sent = 0
        while (room := min(desk.peer.local_flow_control_window(stream), 16384)) > 0 and sent < 2 * DISCARD:
            desk.sends(stream, b"x" * room)
            sent += room
        self.assertLess(sent, DISCARD + 65536)

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
        self.assertEqual((answer.status, answer.body, answer.ended, answer.reset), (413, b"too much", True, None))
        self.assertTrue(desk.outcomes[0].complete)
        self.assertEqual(desk.answer(desk.asks()).body, b"on")
        # The peer had time to read it.
        desk.waits(LINGER_S + 0.2)
        self.assertEqual(desk.answer(stream).reset, 0)
        self.assertEqual(desk.connection.codec.streams, 0)

    def test_unwanted_rest_of_what_was_accepted_is_refused_at_once(self) -> None:
        desk = Http2Desk(Response.of(200, b"enough"))
        answer = desk.answer(desk.asks("/", "POST", end=False))
        self.assertEqual((answer.status, answer.body, answer.ended, answer.reset), (200, b"enough", True, 0))

    def test_a_peer_that_sees_its_refusal_and_ends(self) -> None:
        for end in ("send", "trailers", "bad trailers", "reset", "leave"):
            desk = Http2Desk(Response.of(413, b"too much"))
            stream = desk.asks("/", "POST", end=False)
            raw = stream.to_bytes(4, "big")
            if end == "send":
                desk.sends(stream, b"last", end=True)
            elif end == "trailers":
                desk.frame(b"\0\0\7\1\5" + raw + b"\0\3x-a\1b")
            elif end == "bad trailers":
                desk.frame(b"\0\0\5\1\5" + raw + b"\0\1 \1b")
            elif end == "reset":
                desk.frame(b"\0\0\4\3\0" + raw + b"\0\0\0\x08")
            else:
                desk.leaves()
            self.assertEqual((len(desk.connection._streams), desk.connection.codec.streams), (0, 0), end)
            self.assertEqual([outcome.complete for outcome in desk.outcomes], [True])
            desk.leaves()
            self.assertEqual(len(desk.wheel), 0)

    def test_a_peer_that_sends_on_behind_its_refusal(self) -> None:
        desk = Http2Desk(Response.of(413, b"too much"))
        stream = desk.asks("/", "POST", end=False)
        sent = 0
        while desk.answer(stream).reset is None and sent < 2 * DISCARD:
            room = min(desk.peer.local_flow_control_window(stream), 16384)
            self.assertGreater(room, 0)
            desk.sends(stream, b"x" * room)
            sent += room
        self.assertEqual(desk.answer(stream).reset, 0)
        self.assertLess(sent, DISCARD + 65536)

    def test_a_connection_that_drains_waits_for_no_upload_that_was_refused(self) -> None:
        desk = Http2Desk(Response.of(413, b"too much"))
        desk.asks("/", "POST", end=False)
        desk.connection.drain()
        desk.pump()
        desk.waits(LINGER_S + 0.2)
        self.assertEqual(desk.ended, ["lose"])

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
        # The answer is valid: clients throw away what stands before any other code.
        desk.waits(LINGER_S + 0.2)
        self.assertEqual((desk.answer(stream).ended, desk.answer(stream).reset), (True, 0))
        self.assertEqual(desk.connection.codec.streams, 0)

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

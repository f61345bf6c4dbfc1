"""WebSocket over HTTP/2 downstream (RFC 8441): extended CONNECT, with frames made by hand."""

import signal
from collections.abc import Sequence

from tests.live.http2_wire import DATA, END_STREAM, Http2Wire, frame, reset_frame
from tests.live.process import wait_until
from tests.live.test_websocket import Case

ENABLE_CONNECT = 8
TEXT, BINARY, CLOSE = 0x81, 0x82, 0x88


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros, which changes nothing."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b""
    return bytes([opcode]) + (length or b"\xff" + size.to_bytes(8, "big")) + bytes(4) + payload


def plain(opcode: int, payload: bytes) -> bytes:
    """A server's frame."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b""
    return bytes([opcode]) + (length or b"\x7f" + size.to_bytes(8, "big")) + payload


class ExtendedConnectTests(Case):
    """One connection of HTTP/2, WebSockets and requests on it."""

    def open(self) -> Http2Wire:
        wire = Http2Wire(self.served.port())
        self.addCleanup(wire.close)
        return wire

    def connect(self, wire: Http2Wire, path: str = "/echo", more: Sequence[tuple[str, str]] = ()) -> int:
        stream = wire.next_stream()
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path)]
        fields += [(":authority", "localhost"), ("sec-websocket-version", "13"), *more]
        wire.send(wire.head(stream, fields, end=False))
        wire.until(lambda: wire.streams[stream].status or wire.streams[stream].over, "an answer")
        return stream

    def says(self, wire: Http2Wire, stream: int, data: bytes, expected: bytes) -> None:
        state = wire.streams[stream]
        state.body.clear()
        wire.upload(stream, [data], end=False)
        wire.until(lambda: len(state.body) >= len(expected), "the echo")
        self.assertEqual(bytes(state.body), expected)

    def test_messages(self) -> None:
        """More of them than `body_limit` allows a request, each up to `max_message`."""
        for mode in ("relay", "tunnel"):
            self.build(f"{{mode: {mode}}}", "body_limit: 64KiB", compression=None)
            wire = self.open()
            self.assertEqual(wire.settings.get(ENABLE_CONNECT), 1)
            stream = self.connect(wire)
            state = wire.streams[stream]
            self.assertEqual(state.status, 200)
            names = {name for name, _ in state.headers}
            self.assertEqual(names & {"upgrade", "connection", "sec-websocket-accept"}, set())
            self.says(wire, stream, masked(TEXT, b"hello"), plain(TEXT, b"hello"))
            for _ in range(5):
                self.says(wire, stream, masked(BINARY, b"x" * 300_000), plain(BINARY, b"x" * 300_000))
            self.says(wire, stream, masked(CLOSE, b"\x0f\xa1bye"), plain(CLOSE, b"\x0f\xa1bye"))
            self.assertTrue(wire.read(stream).ended)
            wait_until(lambda: self.origin.closes, "the upstream saw the close")
            self.assertEqual(self.origin.closes, [(4001, "bye")])
            (record,) = self.served.await_records(1)
            self.assertTrue(record["complete"], record)

    def test_subprotocol(self) -> None:
        self.build(subprotocols=["v2"])
        wire = self.open()
        stream = self.connect(wire, more=[("sec-websocket-protocol", "v1, v2")])
        self.assertEqual(wire.streams[stream].header("sec-websocket-protocol"), "v2")

    def test_many_on_one_connection(self) -> None:
        """The end of one is nobody else's."""
        self.build()
        wire = self.open()
        streams = [self.connect(wire) for _ in range(20)]
        wire.send(reset_frame(streams[0]))
        self.connect(wire, "/die")
        for number, stream in enumerate(streams[1:]):
            text = f"message {number}".encode()
            self.says(wire, stream, masked(TEXT, text), plain(TEXT, text))
        wait_until(lambda: len(self.origin.closes) == 2, "the upstream side of the two ended as well")

    def test_refusals_are_of_the_stream(self) -> None:
        self.build('{origins: ["https://app.example.com"]}')
        wire = self.open()
        origin = ("origin", "https://app.example.com")
        for more, status in (([], 403), ([origin, ("sec-websocket-version", "8")], 426)):
            stream = self.connect(wire, more=more)
            self.assertEqual(wire.streams[stream].status, status)
        stream = self.connect(wire, more=[origin])
        self.says(wire, stream, masked(TEXT, b"still here"), plain(TEXT, b"still here"))

    def test_drain(self) -> None:
        self.build()
        wire = self.open()
        stream = self.connect(wire)
        self.says(wire, stream, masked(TEXT, b"hello"), plain(TEXT, b"hello"))
        state = wire.streams[stream]
        state.body.clear()
        self.served.signal(signal.SIGTERM)
        wire.until(lambda: len(state.body) >= 4, "a Close")
        self.assertEqual((state.body[0], bytes(state.body[2:4])), (CLOSE, (1001).to_bytes(2, "big")))
        wire.send(frame(DATA, END_STREAM, stream, masked(CLOSE, b"\x03\xe9")))
        self.assertEqual(self.served.wait_exit(10), 0)
        self.assertEqual(self.origin.closes[0][0], 1001)

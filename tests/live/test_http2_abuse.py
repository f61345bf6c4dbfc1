"""HTTP/2 abuse over real sockets (trust.md A4): floods, bombs and lies, each with its answer, and what they cost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.live.http2_wire import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS,
    Http2Wire,
    frame,
    reset_frame,
    settings_frame,
    window_frame,
)
from tests.live.origin import pattern_sha256
from tests.live.process import wait_until
from tests.live.protocols import Fronted, Http2Origin
from tests.live.servers import PythonOrigin

FLOOD = 20_000
GROWTH_KIB = 4 * 1024
CPU_S = 3.0
"""What an attack may cost; the same requests, served, would cost more."""


class FloodTests(Fronted):
    """Frames that cost the sender nothing."""

    def setUp(self) -> None:
        super().setUp()
        self.origin = self.serve(PythonOrigin())
        self.site = self.before(f"http://127.0.0.1:{self.origin.port()}")
        self.assertEqual(self.http2(self.site).ask("/echo").status, 200)

    @contextmanager
    def cheap(self) -> Iterator[None]:
        """The block costs little time and next to no memory, and the gateway serves on."""
        cpu = self.site.cpu_s()
        with self.peak_growth_below(self.site, GROWTH_KIB):
            yield
        self.assertLess(self.site.cpu_s() - cpu, CPU_S)
        self.assertEqual(self.http2(self.site).ask("/echo").status, 200)
        self.assertNotIn("Traceback", self.site.log())

    def ends(self, wire: Http2Wire, *codes: int) -> None:
        """The connection was ended with GOAWAY and one of these codes."""
        wire.settle(1.0)
        wire.until(lambda: wire.closed, "the end of the connection")
        self.assertTrue(wire.goaways, f"no GOAWAY: {wire!r}")
        self.assertIn(wire.goaways[-1][1], codes, wire)

    def flood(self, wire: Http2Wire, data: bytes, *codes: int) -> None:
        """Send all of it, while it is taken, and check how the connection ends."""
        with self.cheap():
            for place in range(0, len(data), 65_536):
                if not wire.try_send(data[place : place + 65_536]) or wire.goaways:
                    break
                wire.step(0.001)
            self.ends(wire, *codes)

    def test_rapid_reset(self) -> None:
        """H1: 2,000 requests, each reset at once. After a burst the connection ends; the origin saw a tenth of it."""
        wire = self.http2(self.site)
        self.origin.reset()
        data = b""
        for _ in range(2_000):
            stream = wire.next_stream()
            data += wire.head(stream, wire.fields("/slow?s=5")) + reset_frame(stream)
        self.flood(wire, data, ENHANCE_YOUR_CALM)
        self.assertLess(len(self.origin.raw()), 300)
        # Nothing of it goes on.
        wait_until(lambda: self.site.metric("edgegw_requests_in_flight", route="all") == 0, "no request in flight")

    def test_made_you_reset(self) -> None:
        """H2: making us reset our own streams counts like resetting them."""
        for lie in (lambda stream: window_frame(stream, 2**31 - 1), lambda stream: frame(DATA, 0, stream, b"x")):
            wire = self.http2(self.site)
            data = b""
            for _ in range(1_000):
                stream = wire.next_stream()
                data += wire.head(stream, wire.fields("/slow?s=5")) + lie(stream)
            self.flood(wire, data, ENHANCE_YOUR_CALM)

    def test_continuation(self) -> None:
        """H3: a header block that never ends."""
        wire = self.http2(self.site)
        stream = wire.next_stream()
        start = frame(HEADERS, 0, stream, wire.encoder.encode(wire.fields("/echo")))
        piece = frame(CONTINUATION, 0, stream, b"\x00\x01a\x01b")
        self.flood(wire, start + piece * FLOOD, PROTOCOL_ERROR)
        wire = self.http2(self.site)
        stream = wire.next_stream()
        start = frame(HEADERS, 0, stream, wire.encoder.encode(wire.fields("/echo")))
        piece = frame(CONTINUATION, 0, stream, b"\x00\x01a\x7f\xe1\x7d" + b"v" * 16_224)
        self.flood(wire, start + piece * 1_000, PROTOCOL_ERROR)

    def test_hpack_bomb(self) -> None:
        """H4: an entry of 4 KB named 8,000 times is no 32 MB; and 1,500 tiny fields are too many."""
        entry = b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000
        tiny = b"".join(b"\x00\x03%03x\x01v" % number for number in range(1_500))
        for bomb in (entry + b"\xbe" * 8_000, tiny):
            wire = self.http2(self.site)
            with self.cheap():
                stream = wire.next_stream()
                block = wire.encoder.encode(wire.fields("/echo")) + bomb
                wire.try_send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block))
                self.check_refused(wire, stream)
            self.assertFalse([raw for raw in self.origin.raw() if "vvvv" in raw])

    def check_refused(self, wire: Http2Wire, stream: int) -> None:
        """The head was too large: 431, a reset, or the end of the connection."""
        state = wire.streams[stream]
        wire.until(lambda: state.over or wire.goaways, "an answer")
        self.assertTrue(state.status == 431 or state.reset or wire.goaways, state)

    def test_ping_and_settings(self) -> None:
        """H5: both have to be answered, so both are counted."""
        self.flood(self.http2(self.site), frame(PING, payload=bytes(8)) * FLOOD, ENHANCE_YOUR_CALM)
        self.flood(self.http2(self.site), frame(SETTINGS) * FLOOD, ENHANCE_YOUR_CALM)

    def test_unread_answers(self) -> None:
        """H5: who sends PINGs and reads nothing does not make us keep the answers, nor, having left, the connection."""
        before = self.site.metric("edgegw_connections")
        wire = self.http2(self.site, receive_buffer=4096)
        with self.cheap():
            sent = sum(wire.try_send(frame(PING, payload=bytes(8)) * 100) for _ in range(FLOOD // 100))
            self.assertGreater(sent, 0)
        wire.close()
        # The connection that showed that it serves on is still open.
        wait_until(lambda: self.site.metric("edgegw_connections") == before + 1, "the connection is gone", 10.0)

    def test_frames_without_work(self) -> None:
        """H6: empty DATA, credit a byte at a time, PRIORITY, unknown frames."""
        for kind, payload, stream in (
            (DATA, b"", 1),
            (DATA, b"\x00", 1),
            (PRIORITY, b"\x00\x00\x00\x00\x10", 1),
            (0xEE, b"what", 0),
        ):
            wire = self.http2(self.site)
            self.assertEqual(wire.request("/sha256", "POST", end=False), 1)
            flags = 0x8 if payload == b"\x00" else 0
            self.flood(wire, frame(kind, flags, stream, payload) * FLOOD, ENHANCE_YOUR_CALM)
        wire = self.http2(self.site)
        wire.request("/sha256", "POST", end=False)
        self.flood(wire, window_frame(1, 1) * FLOOD, ENHANCE_YOUR_CALM)

    def test_priority_of_idle_streams(self) -> None:
        """H7: a few hundred PRIORITY frames mean nothing, and do no harm."""
        wire = self.http2(self.site)
        wire.send(b"".join(frame(PRIORITY, 0, 2 * number + 1, b"\x00\x00\x00\x00\x10") for number in range(500)))
        wire._next = 1_001
        self.assertEqual(wire.ask("/echo").status, 200)
        self.assertEqual(wire.goaways, [])

    def test_decent_client(self) -> None:
        """None of it meets a client that only does much: resets now and then, a PING each second, many requests."""
        wire = self.http2(self.site)
        for number in range(150):
            stream = wire.request(f"/bytes/{number}")
            if number % 3 == 0:
                wire.send(reset_frame(stream))
            else:
                self.assertEqual(wire.read(stream).length, number)
        wire.send(frame(PING, payload=bytes(8)) * 50)
        wire.until(lambda: wire.pongs == 50, "50 answers to PING")
        self.assertEqual(wire.goaways, [])


class LimitTests(Fronted):
    """Streams beyond the cap, readers that do not read."""

    def test_refused_stream(self) -> None:
        """H8: the 101st stream is refused, the 100 before it live."""
        origin = self.serve(Http2Origin())
        gateway = self.before(f"h2c://127.0.0.1:{origin.port()}")
        wire = self.http2(gateway)
        live = [wire.request("/stall") for _ in range(100)]
        wait_until(lambda: len(origin.facts()["requests"]) == 100, "100 requests at the origin")
        late = [wire.request("/echo") for _ in range(5)]
        self.assertEqual([wire.read(stream).reset for stream in late], [REFUSED_STREAM] * 5)
        self.assertEqual(self.http2(gateway).ask("/release").status, 200)
        self.assertEqual({wire.read(stream).status for stream in live}, {200})
        self.assertEqual(wire.ask("/echo").status, 200)
        self.assertEqual(wire.goaways, [])

    def test_no_credit(self) -> None:
        """H16: a client that gives no credit holds a stream for `caps.write_gap`, then it is reset; memory stays flat."""
        origin = self.serve(PythonOrigin())
        gateway = self.before(f"http://127.0.0.1:{origin.port()}", listen="caps: {write_gap: 1s}")
        self.http2(gateway).ask("/bytes/1000000")
        wire = self.http2(gateway, credit=False, settings={INITIAL_WINDOW_SIZE: 0})
        with self.peak_growth_below(gateway, GROWTH_KIB):
            streams = [wire.request("/bytes/10000000") for _ in range(10)]
            # Something goes on on the connection all the time: that must not keep the streams.
            for _ in range(8):
                wire.send(frame(PING, payload=bytes(8)))
                wire.settle(0.3)
            wire.until(lambda: all(wire.streams[stream].over for stream in streams), "every stream reset", 5.0)
        self.assertEqual({wire.streams[stream].reset for stream in streams}, {CANCEL})
        wire.send(settings_frame({INITIAL_WINDOW_SIZE: 65535}))
        self.assertEqual(wire.ask("/status/204").status, 204)

    def test_slow_reader(self) -> None:
        """64 MiB to a client that takes 16 KiB now and then: it gets all of it, and others on the connection are not held up."""
        size = 64 << 20
        origin = self.serve(PythonOrigin())
        gateway = self.before(f"http://127.0.0.1:{origin.port()}")
        self.http2(gateway).ask("/bytes/3000000")
        wire = self.http2(gateway, credit=False, keep_body=False)
        with self.peak_growth_below(gateway, GROWTH_KIB):
            stream = wire.request(f"/bytes/{size}")
            state = wire.streams[stream]
            wire.until(lambda: state.length >= 65535, "a full window")
            wire.settle(0.5)
            self.assertEqual(state.length, 65535)
            wire.send(window_frame(0, 1 << 20))
            self.assertEqual(wire.ask("/echo").status, 200)
            for _ in range(20):
                wire.send(window_frame(stream, 16_384))
                wire.settle(0.05)
            self.assertEqual(state.length, 65535 + 20 * 16_384)
            wire.credit = True
            wire.send(window_frame(0, 1 << 27) + window_frame(stream, 1 << 27))
            wire.read(stream, 60)
        self.assertEqual((state.length, state.sha256), (size, pattern_sha256(size)))


class LieTests(Fronted):
    """Malformed requests (H9 to H15): answered or reset, never forwarded; the connection lives where only the stream was bad."""

    def setUp(self) -> None:
        super().setUp()
        self.origin = self.serve(PythonOrigin())
        self.site = self.before(f"http://127.0.0.1:{self.origin.port()}", route="websocket: off")

    def refused(self, fields: list[tuple[str, str]], *, end: bool = True) -> None:
        """These fields get a 4xx, a reset or a GOAWAY, and the origin nothing."""
        wire = self.http2(self.site)
        stream = wire.next_stream()
        wire.send(wire.head(stream, fields, end))
        state = wire.streams[stream]
        wire.until(lambda: state.over or wire.goaways or state.status, f"an answer to {fields}", 5.0)
        self.assertTrue(400 <= state.status < 600 or state.reset is not None or wire.goaways, (fields, state))
        wire.close()

    def test_never_forwarded(self) -> None:
        """Pseudo fields and fields that HTTP/1.1 would take apart differently."""
        good = {":method": "GET", ":scheme": "http", ":authority": "a", ":path": "/x"}
        self.assertEqual(self.http2(self.site).ask("/x").status, 200)
        self.origin.reset()
        for name, value in (
            (":path", "/x HTTP/1.1\r\nX: y"), (":path", "/x HTTP/1.1"), (":path", "/x\ty"), (":path", "x"),
            (":path", "http://evil/x"), (":path", "/x#y"), (":path", ""), (":method", "GET /admin HTTP/1.1"), (":method", ""),
            (":authority", "u:p@a"), (":authority", "a/b"), (":authority", "a b"), (":scheme", "https://evil/?"),
        ):  # fmt: skip
            self.refused(list({**good, name: value}.items()))
        for left_out in good:
            self.refused([pair for pair in good.items() if pair[0] != left_out])
        for extra in (
            ("x-a", "b\r\nx-c: d"), ("x-a", "b\nc"), ("x-a", "b\0c"), ("X-Upper", "a"), ("x a", "b"), ("x:a", "b"),
            ("connection", "close"), ("transfer-encoding", "chunked"), ("keep-alive", "1"), ("proxy-connection", "x"),
            ("upgrade", "h2c"), ("te", "gzip"), (":path", "/y"), (":status", "200"), (":what", "x"), ("host", "other"),
            ("content-length", "5"), ("content-length", "-1"), ("content-length", "+0"), ("content-length", "0x0"),
        ):  # fmt: skip
            self.refused([*good.items(), extra])
        self.refused([*good.items(), ("content-length", "1"), ("content-length", "2")])
        self.refused([("x-first", "a"), *good.items()])
        self.refused([(":method", "CONNECT"), (":protocol", "websocket"), *list(good.items())[1:]])
        self.refused([(":method", "CONNECT"), (":authority", "a:443")])
        self.assertEqual(self.origin.raw(), [])
        self.assertNotIn("Traceback", self.site.log())

    def test_length_lies(self) -> None:
        """H12: more or fewer bytes than Content-Length says never become a request with another length."""
        for declared, sent in (("5", b"123456789"), ("10", b"12345")):
            wire = self.http2(self.site)
            stream = wire.request("/sha256", "POST", [("content-length", declared)], end=False)
            wire.send(frame(DATA, END_STREAM, stream, sent))
            state = wire.streams[stream]
            wire.until(lambda state=state: state.over or state.status, "an answer", 5.0)
            self.assertTrue(state.reset is not None or 400 <= state.status < 600, state)
            self.assertEqual(wire.ask("/echo").status, 200, "the connection lives")
        self.assertEqual([body for _, _, body in self.origin.whole() if body], [])

    def test_one_value_forwarded(self) -> None:
        """H13: a length said twice and a Host beside the authority, when they agree, are one to the origin."""
        wire = self.http2(self.site)
        headers = [("host", "localhost"), ("content-length", "3"), ("content-length", "3")]
        echo = json.loads(wire.ask("/echo", "POST", headers, body=b"abc").body)
        names = [name.lower() for name, _ in echo["headers"]]
        self.assertEqual((names.count("host"), names.count("content-length"), echo["body"]), (1, 1, "abc"))

    def test_cookies_are_joined(self) -> None:
        """Crumbs are one Cookie field over HTTP/1.1 (RFC 9113 8.2.3)."""
        wire = self.http2(self.site)
        echo = json.loads(wire.ask("/echo", headers=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]).body)
        self.assertEqual([value for name, value in echo["headers"] if name.lower() == "cookie"], ["a=1; b=2"])

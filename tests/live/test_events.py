"""Server-sent events and other long streams: each event at once, no end but their own, and the origin learns who left."""

import time
from functools import partial

from tests.live.case import LiveCase
from tests.live.http2_wire import Http2Wire, reset_frame
from tests.live.process import wait_until
from tests.live.servers import Gateway, proxy
from tests.live.sse import WebOrigin, read_events

LATE_S = 0.15
"""How late an event may come: far below the pace of the streams, far above what a busy machine needs."""


class EventTests(LiveCase):
    """One event stream, looked at over HTTP/1.1 and over HTTP/2."""

    def front(self, route: str = "") -> Gateway:
        self.origin = self.serve(WebOrigin())
        return self.serve(Gateway(proxy(self.origin.port(), route=route)))

    def http2(self, gateway: Gateway) -> Http2Wire:
        wire = Http2Wire(gateway.port())
        self.addCleanup(wire.close)
        return wire

    def test_each_event_at_once(self) -> None:
        """Nothing is held back to be sent together, in clear text and with `Accept-Encoding`."""
        gateway = self.front()

        def latest(accept: str) -> float:
            wire = self.wire(gateway)
            wire.request("/events?n=8&s=0.3", accept="text/event-stream", accept_encoding=accept)
            self.assertEqual(wire.head()[0], 200)
            return max(read_events(wire, 8))

        for accept in ("identity", "gzip, br"):
            self.within(LATE_S, partial(latest, accept))

    def test_each_event_at_once_http2(self) -> None:
        """The same on HTTP/2, beside another stream that keeps the connection busy."""
        gateway = self.front()
        wire = self.http2(gateway)

        def latest() -> float:
            stream = wire.request("/events?n=8&s=0.3")
            busy = wire.request("/bytes/20000000")
            state = wire.read(stream)
            now, late, pending = time.time() - time.monotonic(), [], b""
            for at, piece in state.pieces:
                pending += piece
                if pending.endswith(b"\n\n"):
                    late.append(at + now - float(pending.split()[-1]))
                    pending = b""
            self.assertEqual(len(late), 8)
            self.assertEqual(wire.read(busy).length, 20_000_000)
            return max(late)

        self.within(LATE_S * 2, latest)

    def test_client_leaves(self) -> None:
        """Whoever closes, or resets the stream, ends the work upstream soon, also in the middle of a silence."""
        gateway = self.front()
        left = 0
        for path in ("/events?s=0.2", "/silent?s=30"):
            wire = self.wire(gateway)
            wire.request(path)
            wire.head()
            wire.close()
            left += 1
            wait_until(lambda left=left: len(self.origin.left()) == left, f"the origin saw it: {path}", 2.0)
            second = self.http2(gateway)
            stream = second.request(path)
            second.until(lambda second=second, stream=stream: second.streams[stream].status, "the head")
            second.send(reset_frame(stream))
            left += 1
            wait_until(lambda left=left: len(self.origin.left()) == left, f"the origin saw it: {path}", 2.0)
            # The connection is as good as before.
            self.assertEqual(second.ask("/echo").status, 200)

    def test_only_idle_ends_it(self) -> None:
        """The limit of the head does not end a stream that goes on, silence beyond `idle` does, on both protocols."""
        gateway = self.front("timeout: {head: 1s, idle: 1500ms}")
        wire, second = self.wire(gateway), self.http2(gateway)
        wire.request("/events?n=6&s=0.6")
        self.assertEqual(wire.head()[0], 200)
        self.assertEqual(len(read_events(wire, 6)), 6)
        self.assertEqual(second.ask("/events?n=6&s=0.6").body.count(b"data: "), 6)
        begun = time.monotonic()
        wire = self.wire(gateway)
        wire.request("/silent?s=20")
        wire.head()
        stream = second.request("/silent?s=20")
        wire.rest()
        self.assertIsNotNone(second.read(stream).reset)
        self.assertTrue(1.0 < time.monotonic() - begun < 4.0, time.monotonic() - begun)
        self.assertEqual(second.ask("/echo").status, 200)

    def test_silence_below_idle(self) -> None:
        """A stream that is silent for longer than any other limit, and shorter than `idle`, is not cut."""
        gateway = self.front("timeout: {head: 500ms, idle: 10s}")
        second = self.http2(gateway)
        stream = second.request("/silent?s=3")
        wire = self.wire(gateway)
        self.assertEqual(wire.ask("/silent?s=3").body, b"data: awake\n\n")
        self.assertEqual(second.read(stream).body, b"data: awake\n\n")

    def test_total_ends_it(self) -> None:
        """An explicit `timeout.total` does end it."""
        gateway = self.front("timeout: {total: 1s}")
        begun = time.monotonic()
        second = self.http2(gateway)
        self.assertIsNotNone(second.read(second.request("/events?s=0.1")).reset)
        self.assertLess(time.monotonic() - begun, 3.0)

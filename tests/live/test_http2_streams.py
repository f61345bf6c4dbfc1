"""Many streams on one HTTP/2 connection: a stalled upstream, graceful ends, cancellation, idle connections."""

import signal
import time

from tests.live.http2_wire import NO_ERROR, frame, reset_frame
from tests.live.process import wait_until
from tests.live.protocols import Fronted, Http2Origin
from tests.live.scripted import Call
from tests.live.servers import PythonOrigin

GROWTH_KIB = 8 * 1024


class StallTests(Fronted):
    """One downstream connection before an HTTP/1.1, an HTTP/2 and a stalled upstream."""

    def test_others_do_not_slow_down(self) -> None:
        """30 streams that wait for an upstream that says nothing cost the others on the same connection nothing."""
        old, new, stalled = self.serve(PythonOrigin()), self.serve(Http2Origin()), self.serve(Http2Origin())

        def never(call: Call) -> None:
            call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegun")
            call.body(1 << 30)

        mute = self.scripted(never)
        gateway = self.gateway(
            {
                "old": f'{{endpoints: ["http://127.0.0.1:{old.port()}"]}}',
                "new": f'{{endpoints: ["h2c://127.0.0.1:{new.port()}"]}}',
                "stalled": f'{{endpoints: ["h2c://127.0.0.1:{stalled.port()}"]}}',
                "mute": f'{{endpoints: ["http://127.0.0.1:{mute.port}"]}}',
            },
            [f"{{match: {name}.example.com/**, to: {name}}}" for name in ("old", "new", "stalled", "mute")],
        )
        wire = self.http2(gateway)

        def ask(host: str, path: str) -> int:
            stream = wire.next_stream()
            wire.send(wire.head(stream, wire.fields(path, authority=f"{host}.example.com")))
            return stream

        def batch() -> float:
            """100 answers from both, in turn; seconds."""
            begun = time.monotonic()
            for _ in range(5):
                streams = [ask(host, "/bytes/50000") for host in ("old", "new") for _ in range(10)]
                for stream in streams:
                    self.assertEqual((wire.read(stream).status, wire.streams[stream].length), (200, 50_000))
            return time.monotonic() - begun

        batch()
        alone = min(batch() for _ in range(3))
        waiting = [ask("stalled", "/stall") for _ in range(15)] + [ask("mute", "/") for _ in range(15)]
        wait_until(lambda: len(stalled.facts()["requests"]) == 15 and len(mute.calls) == 15, "30 wait")
        beside = min(batch() for _ in range(3))
        self.assertLess(beside, 2 * alone + 0.1)
        self.assertFalse([stream for stream in waiting if wire.streams[stream].over])
        self.assertEqual(wire.goaways, [])

    def test_uploads_do_not_hold_each_other_up(self) -> None:
        """An upload that its upstream does not read takes its own window and no more."""
        origin = self.serve(PythonOrigin())

        def never(call: Call) -> None:
            time.sleep(20)

        mute = self.scripted(never)
        gateway = self.gateway(
            {
                "origin": f'{{endpoints: ["http://127.0.0.1:{origin.port()}"]}}',
                "mute": f'{{endpoints: ["http://127.0.0.1:{mute.port}"]}}',
            },
            ["{match: /mute, to: mute}", "{match: /**, to: origin}"],
        )
        wire = self.http2(gateway)
        stuck = [wire.request("/mute", "POST", end=False) for _ in range(3)]
        for stream in stuck:
            state = wire.streams[stream]
            # As much as it takes, 4 MiB at the most.
            for _ in range(256):
                wire.settle(0.01)
                size = min(16_384, state.window, wire.window)
                if size <= 0:
                    break
                wire.send(frame(0, 0, stream, bytes(size)))
                wire.window -= size
                state.window -= size
        begun = time.monotonic()
        self.assertEqual(wire.ask("/sha256", "POST", body=bytes(3_000_000)).status, 200)
        self.assertLess(time.monotonic() - begun, 5.0)
        wire.close()


class EndTests(Fronted):
    """Cancellation, drain, limits of a connection."""

    def test_reset_reaches_the_origin(self) -> None:
        """A reset stream ends the work upstream within a second, HTTP/2 by RST_STREAM, HTTP/1.1 by closing."""
        new = self.serve(Http2Origin())
        gateway = self.before(f"h2c://127.0.0.1:{new.port()}")
        wire = self.http2(gateway)
        streams = [wire.request("/stall") for _ in range(5)]
        wait_until(lambda: len(new.facts()["requests"]) == 5, "5 requests at the origin")
        wire.send(b"".join(reset_frame(stream) for stream in streams[:3]))
        wait_until(lambda: new.facts()["resets"] == 3, "3 streams reset upstream", 1.0)
        self.assertEqual(wire.ask("/release").status, 200)
        self.assertEqual([wire.read(stream).status for stream in streams[3:]], [200, 200])
        left: list[float] = []

        def script(call: Call) -> None:
            call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            try:
                call.body(1)
            finally:
                left.append(time.monotonic())

        old = self.scripted(script)
        wire = self.http2(self.before(f"http://127.0.0.1:{old.port}"))
        stream = wire.request("/")
        wire.until(lambda: wire.streams[stream].body == b"abc", "the first piece")
        begun = time.monotonic()
        wire.send(reset_frame(stream))
        wait_until(lambda: left, "the origin's connection ended", 2.0)
        self.assertLess(left[0] - begun, 1.0)

    def test_drain_in_two_steps(self) -> None:
        """GOAWAY that refuses nothing, then the one that names the last stream; what is in flight finishes; exit status 0."""
        origin = self.serve(PythonOrigin())
        gateway = self.before(f"http://127.0.0.1:{origin.port()}")
        wire, idle = self.http2(gateway), self.http2(gateway)
        streams = [wire.request("/slow?s=1.5") for _ in range(20)]
        wait_until(lambda: len(origin.raw()) == 20, "20 requests at the origin")
        gateway.signal(signal.SIGTERM)
        wire.until(lambda: wire.goaways, "the first GOAWAY", 3.0)
        self.assertEqual(wire.goaways[0][:2], (2**31 - 1, NO_ERROR))
        # On its way before the client could know: it is served.
        late = wire.request("/echo") if len(wire.goaways) == 1 else None
        self.assertEqual({wire.read(stream).status for stream in streams}, {200})
        wire.until(lambda: wire.closed, "the end of the connection")
        self.assertEqual([goaway[1] for goaway in wire.goaways], [NO_ERROR] * 2)
        self.assertGreaterEqual(wire.goaways[1][0], streams[-1])
        if late is not None and wire.goaways[1][0] >= late:
            self.assertEqual(wire.streams[late].status, 200)
        idle.settle(0.5)
        idle.until(lambda: idle.closed, "the idle connection ends")
        self.assertEqual([goaway[1] for goaway in idle.goaways], [NO_ERROR] * 2)
        self.assertEqual(gateway.wait_exit(5), 0)

    def test_drain_past_a_deaf_peer(self) -> None:
        """A peer with nothing in flight that does not take what it was sent holds nobody up: the grace is not for it."""
        gateway = self.gateway({}, ["{match: /**, respond: {status: 200, body: ok}}"])
        wire = self.http2(gateway, receive_buffer=4096)
        for _ in range(200):
            wire.try_send(frame(6, payload=bytes(8)) * 4)
        gateway.signal(signal.SIGTERM)
        begun = time.monotonic()
        self.assertEqual(gateway.wait_exit(20), 0)
        self.assertLess(time.monotonic() - begun, 5.0)

    def test_keepalive_ping(self) -> None:
        """A PING of the client's is answered with its own bytes, requests or not."""
        gateway = self.gateway({}, ["{match: /**, respond: {status: 200, body: ok}}"])
        wire = self.http2(gateway)
        wire.send(frame(6, payload=b"12345678"))
        wire.until(lambda: wire.pongs == 1, "the answer")

    def test_idle_connections(self) -> None:
        """500 idle connections cost little, are all served again, and leave nothing behind."""
        gateway = self.gateway({}, ["{match: /**, respond: {status: 200, body: ok}}"])
        for _ in range(50):
            self.http2(gateway).ask("/")
        before, descriptors = gateway.rss_kib(), gateway.descriptors()
        wires = [self.http2(gateway) for _ in range(500)]
        self.assertEqual({wire.ask("/").status for wire in wires}, {200})
        each = (gateway.rss_kib() - before) / len(wires)
        self.assertLess(each, 40, f"{each:.1f} KiB for an idle connection")
        self.assertEqual({wire.ask("/").status for wire in wires}, {200})
        for wire in wires:
            wire.close()
        wait_until(lambda: gateway.descriptors() <= descriptors, "every connection is closed")

    def test_idle_limit(self) -> None:
        """`caps.idle` ends a connection without streams, with a GOAWAY that says no error."""
        gateway = self.gateway({}, ["{match: /**, respond: {status: 200, body: ok}}"], "caps: {idle: 1s}")
        wire = self.http2(gateway)
        self.assertEqual(wire.ask("/").status, 200)
        wire.until(lambda: wire.closed, "the end of the idle connection", 5.0)
        self.assertEqual({goaway[1] for goaway in wire.goaways}, {NO_ERROR})

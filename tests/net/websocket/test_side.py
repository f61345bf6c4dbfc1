"""One side by itself: its calls on the transport, and how little it keeps."""

from __future__ import annotations

import tracemalloc
from typing import Any

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from edgegw.net.websocket.frames import BINARY
from edgegw.net.websocket.relay import Relay
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.net.websocket.side import Downstream, Side, Upstream
from edgegw.runtime.wheel import Wheel
from edgegw.testing.memory import MemoryTransport
from tests.net.websocket.pair import binary, close, frames_in, ping, pong


class FakeRelay:
    """Writes down what its sides report."""

    def __init__(self) -> None:
        self.settings = WebSocketSettings()
        self.wheel = Wheel(Clock())
        self.active_s = 0.0
        self.reports: list[Any] = []

    def closed(self, side: Side, code: int | None, reason: bytes) -> None:
        self.reports.append(("closed", side.name, code, reason))

    def failed(self, side: Side, code: int, reason: str) -> None:
        self.reports.append(("failed", side.name, code))

    def lost(self, side: Side) -> None:
        self.reports.append(("lost", side.name))


class Quiet(MemoryTransport):
    """Remembers every call that turns the reading."""

    def __init__(self) -> None:
        super().__init__(None)
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        super().resumeProducing()


class SideTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.relay = FakeRelay()
        self.down, self.up = Downstream(self.relay, None), Upstream(self.relay, None)
        self.down.other, self.up.other = self.up, self.down
        self.near, self.far = Quiet(), Quiet()
        for side, transport in ((self.down, self.near), (self.up, self.far)):
            transport.protocol = side
            side.attach(transport, b"")
            side.release()

    def test_interfaces(self) -> None:
        verifyObject(IProtocol, self.down)
        verifyObject(IPushProducer, self.down)
        self.assertIs(self.near.producer, self.down)

    def test_masks_go_upstream_only(self) -> None:
        """RFC 6455 5.1, and no key twice."""
        for side in (self.down, self.up):
            side.send(BINARY, b"same")
            side.send(BINARY, b"same")
            side.ping()
        self.assertEqual(frames_in(self.near.written, False), [binary(b"same"), binary(b"same"), ping()])
        self.assertEqual(frames_in(self.far.written, True), [binary(b"same"), binary(b"same"), ping()])
        self.assertNotEqual(self.far.writes[0][2:6], self.far.writes[1][2:6])

    def test_one_write_per_message(self) -> None:
        self.down.send(BINARY, bytes(100_000))
        self.assertEqual(len(self.near.writes), 1)
        self.assertEqual(self.down.sent, len(self.near.written))

    def test_nothing_follows_a_close(self) -> None:
        self.down.close(1000, b"")
        self.down.send(BINARY, b"late")
        self.down.close(1001, b"")
        self.down.found_ping(b"late")
        self.assertEqual(frames_in(self.near.written, False), [close(1000)])

    def test_reading_is_turned_once(self) -> None:
        self.near.calls.clear()
        self.up.pauseProducing()
        self.up.pauseProducing()
        self.up.resumeProducing()
        self.up.resumeProducing()
        self.assertEqual(self.near.calls, ["pause", "resume"])

    def test_after_our_close_the_other_is_not_held_up(self) -> None:
        self.down.close(1000, b"")
        self.far.calls.clear()
        self.down.pauseProducing()
        self.assertEqual(self.far.calls, [])

    def test_pong_waits_for_room(self) -> None:
        self.down.pauseProducing()
        self.down.found_ping(b"1")
        self.down.found_ping(b"2")
        self.assertEqual(self.near.writes, [])
        self.down.resumeProducing()
        self.down.resumeProducing()
        self.assertEqual(frames_in(self.near.written, False), [pong(b"2")])

    def test_leaving_unregisters_first(self) -> None:
        """A transport waits for its producer before it closes."""
        self.down.leave()
        self.down.leave()
        self.assertIsNone(self.near.producer)
        self.assertEqual(self.near.ended, ["lose"])
        self.up.cut()
        self.assertIsNone(self.far.producer)
        self.assertEqual(self.far.ended, ["abort"])

    def test_lost_once_and_deaf_then(self) -> None:
        self.down.connectionLost(Failure(Exception()))
        self.down.connectionLost(Failure(Exception()))
        self.down.dataReceived(b"\x88\x80mask")
        self.down.send(BINARY, b"x")
        self.down.leave()
        self.down.cut()
        self.assertEqual(self.relay.reports, [("lost", "downstream")])
        self.assertEqual((self.near.writes, self.near.ended), ([], []))

    def test_a_verdict_waits_for_the_transport(self) -> None:
        late = Downstream(self.relay, None)
        late.other = self.up
        late.close(1011, b"first")
        late.close(1001, b"second")
        transport = Quiet()
        late.attach(transport, b"")
        self.assertEqual(frames_in(transport.written, False), [close(1011, "first")])

    def test_outstanding(self) -> None:
        """What waits in the transport, and what was gathered in this turn of the loop."""
        self.near.stuck = 40
        self.near.gathered = 2  # type: ignore[attr-defined]
        self.down.sent = 50
        self.assertEqual(self.down.outstanding(), 42)
        self.assertTrue(self.down.moves())
        self.assertFalse(self.down.moves())
        self.near.stuck = 30
        self.assertTrue(self.down.moves())
        self.near.stuck = self.near.gathered = 0  # type: ignore[attr-defined]
        self.assertFalse(self.down.moves())

    def test_repr(self) -> None:
        self.assertEqual(repr(Upstream(self.relay, None)), "<Upstream new messages=0 bytes=0>")
        for change, state in (
            (lambda: None, "open"),
            (lambda: self.down.halt(), "paused"),
            (lambda: self.down.close(1000, b""), "closing"),
            (lambda: self.down.found_close(1000, b""), "closed"),
            (lambda: self.down.connectionLost(), "gone"),
        ):
            change()
            self.assertEqual(repr(self.down), f"<Downstream {state} messages=0 bytes=0>")


class MemoryTests(SynchronousTestCase):
    def test_an_idle_relay_is_small(self) -> None:
        """Both protocols, the relay and its deadline: autobahn's own would be 14 KiB a side (twisted.md 5.2)."""
        wheel, settings, count = Wheel(Clock()), WebSocketSettings(), 200
        ends = [(MemoryTransport(None), MemoryTransport(None)) for _ in range(count)]
        kept = []
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for near, far in ends:
                relay = Relay(settings, wheel)
                kept.append((relay, relay.connect_upstream(far, b""), relay.connect(near, b"")))
            each = (tracemalloc.get_traced_memory()[0] - before) / count
        finally:
            tracemalloc.stop()
        self.assertLess(each, 2048)

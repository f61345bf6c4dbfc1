"""The two buckets: what they hold, how fast they fill, and what never goes into them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import http2_frames as f
from edgegw.wire.events import Violation
from edgegw.wire.http2 import ClientCodec
from edgegw.wire.http2_frames import ConnectionFault
from edgegw.wire.http2_glitches import Glitches
from edgegw.wire.http2_limits import CLIENT_LIMITS, ErrorCode, Http2Limits


class GlitchTests(SynchronousTestCase):
    """Token buckets on a time that is data."""

    def setUp(self) -> None:
        self.glitches = Glitches(Http2Limits(reset_burst=3, reset_rate=2.0, noise=60))
        self.glitches.now_s = 1e6

    def spend(self, what: Callable[[], None]) -> tuple[int, ConnectionFault]:
        """(how often it went well, what came then)."""
        for count in range(10_000):
            try:
                what()
            except ConnectionFault as error:
                return count, error
        raise AssertionError("no end")

    def test_resets(self) -> None:
        count, error = self.spend(self.glitches.reset)
        self.assertEqual((count, error.code, error.reason), (3, ErrorCode.ENHANCE_YOUR_CALM, "h2_reset_flood"))
        self.assertEqual(self.glitches.total, 4)

    def test_resets_come_back(self) -> None:
        for _ in range(3):
            self.glitches.reset()
        for _ in range(20):
            self.glitches.now_s += 0.5
            self.glitches.reset()
        self.glitches.now_s += 0.4
        self.assertRaises(ConnectionFault, self.glitches.reset)

    def test_a_bucket_is_never_fuller_than_its_burst(self) -> None:
        self.glitches.reset()
        self.glitches.now_s += 3600
        self.assertEqual(self.spend(self.glitches.reset)[0], 3)

    def test_noise_refills_in_a_minute(self) -> None:
        self.assertEqual(self.spend(lambda: self.glitches.noise(f.PRIORITY))[0], 60)
        self.glitches.now_s += 30
        self.assertEqual(self.spend(lambda: self.glitches.noise(f.PRIORITY))[0], 29)

    def test_the_frame_names_the_flood(self) -> None:
        names = {
            f.DATA: "h2_empty_data_flood", f.PRIORITY: "h2_priority_flood", f.SETTINGS: "h2_settings_flood",
            f.PING: "h2_ping_flood", f.HEADERS: "h2_closed_stream_flood", 0x42: "h2_unknown_frame_flood",
        }  # fmt: skip
        for kind, reason in names.items():
            self.setUp()
            self.assertEqual(self.spend(lambda kind=kind: self.glitches.noise(kind))[1].reason, reason)  # type: ignore[misc]

    def test_updates_that_traffic_explains(self) -> None:
        """5 + 2 a stream + 10 a frame are free (trust.md A2)."""
        for _ in range(5 + 2 * 3 + 10 * 2):
            self.glitches.window_update(3, 2)
        self.assertEqual(self.glitches.total, 0)
        self.glitches.window_update(3, 2)
        self.assertEqual(self.glitches.total, 1)

    def test_a_ping_for_each_frame_of_data(self) -> None:
        """gRPC measures its round trips so; a flood has no data to show."""
        for frames in range(1, 5000):
            self.glitches.ping(frames)
        self.assertEqual(self.glitches.total, 0)
        self.assertEqual(self.spend(lambda: self.glitches.ping(4999))[0], 60)

    def test_an_upstream_has_a_budget_too(self) -> None:
        """A larger one: it was chosen by the operator."""
        codec = ClientCodec()
        codec.receive(f.settings_frame([]) + f.ping_frame(b"12345678") * 10_000, 0.0)
        self.assertFalse(codec.closing)
        codec.take()
        ((stream, violation),) = codec.receive(f.ping_frame(b"12345678"), 0.0)
        assert isinstance(violation, Violation)
        self.assertEqual((stream, violation.status, violation.reason), (0, 502, "h2_ping_flood"))
        self.assertIn(b"h2_ping_flood", codec.take())
        self.assertLessEqual(CLIENT_LIMITS.reset_burst, 10_000)

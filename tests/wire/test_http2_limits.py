"""The caps are those of reference/trust.md A2 and A4, and can't be written to."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.http2_frames import LEAST_FRAME, MOST_FRAME
from edgegw.wire.http2_limits import CLIENT_LIMITS, ErrorCode, Http2Limits


class LimitsTests(SynchronousTestCase):
    """Defaults."""

    def test_downstream(self) -> None:
        limits = Http2Limits()
        self.assertEqual((limits.streams, limits.window, limits.connection_window), (100, 65535, 1048576))
        self.assertEqual((limits.list, limits.fields, limits.continuation, limits.block), (16384, 100, 64, 65536))
        self.assertEqual((limits.reset_burst, limits.reset_rate, limits.noise), (200, 33.0, 1000))
        self.assertTrue(LEAST_FRAME <= limits.frame <= MOST_FRAME)

    def test_an_upstream_may_say_more(self) -> None:
        ours, theirs = Http2Limits(), CLIENT_LIMITS
        for name in ("list", "fields", "reset_burst", "reset_rate", "noise"):
            self.assertGreater(getattr(theirs, name), getattr(ours, name), name)

    def test_frozen(self) -> None:
        with self.assertRaises(FrozenInstanceError):
            CLIENT_LIMITS.list = 1  # type: ignore[misc]

    def test_codes(self) -> None:
        """RFC 9113 7."""
        self.assertEqual([int(code) for code in ErrorCode], list(range(14)))
        self.assertEqual((ErrorCode.STREAM_CLOSED, ErrorCode.REFUSED_STREAM, ErrorCode.ENHANCE_YOUR_CALM), (5, 7, 11))

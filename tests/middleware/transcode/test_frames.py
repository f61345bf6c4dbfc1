"""Tests of edgegw.middleware.transcode.frames."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Side
from edgegw.middleware.transcode.frames import Frames
from edgegw.wire.grpc import frame


class FramesTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=20), max_size=6), st.lists(st.integers(0, 150), max_size=5))
    def test_however_they_come(self, messages: list[bytes], cuts: list[int]) -> None:
        data = b"".join(map(frame, messages))
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        frames = Frames(20)
        found = [each for start, stop in pairwise(edges) for each in frames.feed(data[start:stop])]
        self.assertEqual(found, messages)
        frames.finish()

    def refused(self, frames: Frames, data: bytes) -> tuple[int, str]:
        error = self.assertRaises(GatewayError, frames.feed, data)
        self.assertIs(error.side, Side.UPSTREAM)
        return error.status, error.reason

    def test_too_large_is_known_at_its_prefix(self) -> None:
        self.assertEqual(Frames(4).feed(frame(b"1234")), [b"1234"])
        self.assertEqual(self.refused(Frames(4), frame(b"12345")[:5]), (502, "grpc_response_too_large"))

    def test_compressed_or_unknown_flags(self) -> None:
        for flags in (1, 0x80):
            self.assertEqual(self.refused(Frames(4), frame(b"1", flags)), (502, "grpc_bad_response"))

    def test_the_end_within_a_message(self) -> None:
        frames = Frames(4)
        frames.feed(frame(b"12")[:-1])
        self.assertEqual(repr(frames), "<Frames waiting=6>")
        self.assertEqual(self.assertRaises(GatewayError, frames.finish).reason, "grpc_bad_response")

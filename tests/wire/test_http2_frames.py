"""Our frames are hyperframe's frames."""

from __future__ import annotations

from hyperframe import frame as hf
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import http2_frames as f
from edgegw.wire.http2_limits import ErrorCode


class FrameTests(SynchronousTestCase):
    """Byte for byte."""

    def same(self, ours: bytes, theirs: hf.Frame) -> None:
        self.assertEqual(ours, theirs.serialize())

    def test_each_frame(self) -> None:
        self.same(f.settings_frame([(1, 0), (4, 2**31 - 1)]), hf.SettingsFrame(0, {1: 0, 4: 2**31 - 1}))
        self.same(f.SETTINGS_ACK, hf.SettingsFrame(0, flags=["ACK"]))
        self.same(f.window_update_frame(7, 2**31 - 1), hf.WindowUpdateFrame(7, 2**31 - 1))
        self.same(f.reset_frame(2**31 - 1, 8), hf.RstStreamFrame(2**31 - 1, 8))
        self.same(f.ping_frame(b"12345678"), hf.PingFrame(0, b"12345678"))
        self.same(f.ping_frame(b"12345678", f.ACK), hf.PingFrame(0, b"12345678", flags=["ACK"]))
        self.same(f.goaway_frame(5, 11, b"why"), hf.GoAwayFrame(0, 5, 11, b"why"))
        data = b"x" * 70000
        self.same(f.frame_header(f.DATA, f.END_STREAM, 3, 70000) + data, hf.DataFrame(3, data, flags=["END_STREAM"]))

    def test_headers_are_split_to_fit(self) -> None:
        for size, most, expected in ((0, 10, [0]), (10, 10, [10]), (11, 10, [10, 1]), (30, 10, [10, 10, 10])):
            block = bytes(range(size))
            wire = b"".join(f.headers_frames(5, block, True, most))
            lengths, got = [], b""
            while wire:
                each, length = hf.Frame.parse_frame_header(memoryview(wire[:9]))
                lengths.append(length)
                got += wire[9 : 9 + length]
                wire = wire[9 + length :]
                self.assertEqual("END_HEADERS" in each.flags, not wire)
                if len(lengths) == 1:
                    self.assertIsInstance(each, hf.HeadersFrame)
                    self.assertIn("END_STREAM", each.flags)
                else:
                    self.assertIsInstance(each, hf.ContinuationFrame)
            self.assertEqual((lengths, got), (expected, block))

    def test_the_last_of_a_setting_counts(self) -> None:
        self.assertEqual(f.read_settings(f.settings_frame([(4, 1), (3, 2), (4, 5)])[9:]), {4: 5, 3: 2})

    def test_a_header_is_read_as_it_was_written(self) -> None:
        high, low, kind, flags, sid = f.unpack_header(b"..." + f.frame_header(9, 4, 77, 0x123456), 3)
        self.assertEqual((high << 8 | low, kind, flags, sid), (0x123456, 9, 4, 77))

    def test_a_fault_of_a_stream_is_not_swallowed_as_one_of_the_connection(self) -> None:
        fault = f.StreamFault(ErrorCode.STREAM_CLOSED, "h2_closed_stream", "why")
        self.assertIsInstance(fault, f.ConnectionFault)
        self.assertEqual((fault.code, fault.reason, fault.detail), (5, "h2_closed_stream", "why"))

"""Frames as bytes, against the RFC's own examples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.websocket.frames import (
    BINARY,
    FIN,
    TEXT,
    MaskKeys,
    close_payload,
    frame,
    header_size,
    mask,
    may_be_sent,
    span,
)  # fmt: skip
from tests.net.websocket.pair import frames_in

SIZES = (0, 1, 3, 4, 5, 125, 126, 127, 1023, 1024, 1025, 65535, 65536, 70001)


def slow_mask(payload: bytes, key: bytes) -> bytes:
    """RFC 6455 5.3, as it is written."""
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


class MaskTests(SynchronousTestCase):
    @given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
    def test_as_the_rfc_says(self, payload: bytes, key: bytes) -> None:
        self.assertEqual(mask(payload, key), slow_mask(payload, key))

    def test_every_size(self) -> None:
        for size in SIZES:
            payload = bytes(at * 7 & 0xFF for at in range(size))
            self.assertEqual(mask(payload, b"\x01\x82\x00\xff"), slow_mask(payload, b"\x01\x82\x00\xff"), size)


class MaskKeysTests(SynchronousTestCase):
    def test_no_byte_is_used_twice(self) -> None:
        drawn: list[int] = []

        def entropy(size: int) -> bytes:
            drawn.append(size)
            return bytes([len(drawn)]) * (size - 4) + b"last"

        keys = MaskKeys(entropy)
        count = 4096 // 4
        first = [keys.draw() for _ in range(count)]
        self.assertEqual((first[0], first[-1], drawn), (b"\x01" * 4, b"last", [4096]))
        self.assertEqual((keys.draw(), len(drawn)), (b"\x02" * 4, 2))
        self.assertEqual(repr(keys), f"<MaskKeys {count - 1} left>")


class FrameTests(SynchronousTestCase):
    def test_every_length_has_its_shortest_header(self) -> None:
        for size in SIZES:
            payload = b"x" * size
            for keys in (None, MaskKeys()):
                made = frame(FIN | TEXT, payload, keys)
                self.assertEqual(frames_in(made, keys is not None), [(FIN | TEXT, payload)], size)
                self.assertEqual(span(made + b"more", 0), len(made), size)

    def test_examples_of_the_rfc(self) -> None:
        """RFC 6455 5.7."""
        keys = MaskKeys(lambda size: b"\x37\xfa\x21\x3d")
        self.assertEqual(frame(FIN | TEXT, b"Hello", None), bytes.fromhex("810548656c6c6f"))
        self.assertEqual(frame(FIN | TEXT, b"Hello", keys), bytes.fromhex("818537fa213d7f9f4d5158"))
        self.assertEqual(frame(FIN | BINARY, bytes(256), None)[:4], bytes.fromhex("827e0100"))
        self.assertEqual(frame(FIN | BINARY, bytes(65536), None)[:10], bytes.fromhex("827f0000000000010000"))

    def test_what_is_cut_off(self) -> None:
        """No byte of the next frame is counted in."""
        whole = frame(FIN | BINARY, bytes(70000), MaskKeys())
        for left, header in ((0, 2), (1, 2), (2, 14), (13, 14)):
            self.assertEqual((header_size(whole[:left]), span(whole[:left], 0)), (header, 0), left)
        self.assertEqual((header_size(whole[:14]), span(whole[:14], 0)), (14, len(whole)))
        self.assertEqual(span(b"\x81\x05He" + whole, 0), 7)
        self.assertEqual(span(b"??" + whole, 2), len(whole))


class CloseTests(SynchronousTestCase):
    def test_codes(self) -> None:
        """RFC 6455 7.4 and the IANA registry."""
        good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
        bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
        self.assertEqual([code for code in good + bad if may_be_sent(code)], good)

    def test_payload(self) -> None:
        self.assertEqual(close_payload(None, b"never without a code"), b"")
        self.assertEqual(close_payload(1000, b""), b"\x03\xe8")
        self.assertEqual(close_payload(1001, b"bye"), b"\x03\xe9bye")

    def test_a_long_reason_is_cut_between_characters(self) -> None:
        self.assertEqual(close_payload(1000, "ä".encode() * 100), b"\x03\xe8" + "ä".encode() * 61)
        self.assertEqual(len(close_payload(1000, b"a" * 200)), 125)

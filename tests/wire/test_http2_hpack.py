"""Blocks to pairs: the same as the library's own decoder, on what encoders write and on rubbish."""

from __future__ import annotations

from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import http2_hpack
from edgegw.wire.http2_frames import ConnectionFault
from edgegw.wire.http2_hpack import BlockDecoder
from tests.wire import tables_http2 as t

NAMES = st.text("abz09-!#$%&'*+^`|~_.", min_size=1, max_size=40).map(str.encode)
VALUES = st.binary(max_size=200)
PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"\x82", b"\xbe", b"\xbf", b"\x20", b"\x3f\xe1\x1f", b"\x3f\xe2\x1f", b"\x40\x81\x1f\x01a", b"\x7f\x00\x01b",
                     b"\xff\x00",
                     b"\x00\x7f\x00" + b"n" * 127 + b"\x00", b"\xff\x80\x80\x80\x80\x00", b"\xff\x80\x80\x80\x80\x80\x00"]),
    st.tuples(NAMES, VALUES, st.sampled_from([0, 0x10, 0x40])).map(lambda each: t.literal(*each)),
)  # fmt: skip


class DecodingTests(SynchronousTestCase):
    """Blocks to pairs."""

    def test_says_when_the_table_changed(self) -> None:
        decoder = BlockDecoder(65536)
        for block, changed in (
            (t.block(t.GET), False),
            (t.literal(b"a", b"b", 0x40), True),
            (b"\xbe", False),
            (t.literal(b"a", b"b", 0x10), False),
            (b"\x20", True),
            (t.number(4096, 5, 0x20), True),
            (t.number(0, 5, 0x20) + t.number(4096, 5, 0x20) + b"\x82", True),
            (b"\x82", False),
        ):
            self.assertEqual(decoder.decode(block)[1], changed, block)

    def test_faults(self) -> None:
        for block in (
            b"\x80",
            b"\xbe",
            b"\xff\xff\xff\xff\xff\xff\xff",
            b"\x40",
            b"\x00\x05ab",
            b"\x00\x81\xff\x00",
            b"\x00\x01a\x81",
        ):
            with self.assertRaises(ConnectionFault) as caught:
                BlockDecoder(65536).decode(block)
            self.assertEqual((caught.exception.code, caught.exception.reason), (9, "h2_compression"), block)

    def test_bomb(self) -> None:
        with self.assertRaises(ConnectionFault) as caught:
            BlockDecoder(65536).decode(t.literal(b"x", b"y" * 4000, 0x40) + b"\xbe" * 100)
        self.assertEqual((caught.exception.code, caught.exception.reason), (11, "h2_header_list_too_large"))

    @given(
        st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=5), max_size=5), st.lists(st.integers(0, 5000), max_size=5)
    )
    @settings(max_examples=150, deadline=None)
    def test_what_hpack_encodes(self, heads: list[list[tuple[bytes, bytes]]], sizes: list[int]) -> None:
        encoder, decoder = Encoder(), BlockDecoder(1 << 20)
        for number, head in enumerate(heads * 2):
            if number < len(sizes):
                encoder.header_table_size = min(sizes[number], 4096)
            self.assertEqual([tuple(pair) for pair in decoder.decode(encoder.encode(head))[0]], head)

    @given(st.lists(st.lists(PIECES, max_size=8).map(b"".join), max_size=6))
    @settings(max_examples=400, deadline=None)
    def test_the_same_as_hpack_on_rubbish(self, blocks: list[bytes]) -> None:
        """Same pairs, same refusals, same table."""
        ours, theirs = BlockDecoder(4096), Decoder(4096)
        for block in blocks:
            try:
                expected = [tuple(pair) for pair in theirs.decode(block, raw=True)]
            except Exception:
                self.assertRaises(ConnectionFault, ours.decode, block)
                return
            self.assertEqual(ours.decode(block)[0], expected)
            self.assertEqual(list(ours.table.dynamic_entries), list(theirs.header_table.dynamic_entries))

    def test_names_are_remembered_within_bounds(self) -> None:
        encoder, decoder = Encoder(), BlockDecoder(1 << 20)
        for number in range(3000):
            pairs = [(b"name-%d" % number, b"v"), (b"n" * 500, b"v")]
            self.assertEqual(decoder.decode(encoder.encode(pairs))[0], pairs)
            self.assertLessEqual(len(http2_hpack._names), http2_hpack._NAMES)
        self.assertLessEqual(max(map(len, http2_hpack._names)), http2_hpack._LONGEST_NAME)

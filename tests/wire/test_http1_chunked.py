"""The chunked decoder on its own: where it stops, and what counts against the caps."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.http1_chunked import ChunkedDecoder
from edgegw.wire.http1_fields import REQUEST_FIELDS, Refused
from edgegw.wire.http1_limits import Http1Limits


def decoder(limits: Http1Limits | None = None) -> ChunkedDecoder:
    return ChunkedDecoder(limits or Http1Limits(), REQUEST_FIELDS)


class ChunkedDecoderTests(SynchronousTestCase):
    """One body."""

    def refused(self, data: bytes, limits: Http1Limits | None = None) -> str:
        with self.assertRaises(Refused) as caught:
            decoder(limits).feed(data, 0, [])
        return caught.exception.reason

    def test_it_stops_behind_the_body(self) -> None:
        reader, parts = decoder(), []
        data = b"??1\r\na\r\n0\r\n\r\nGET"
        self.assertEqual(reader.feed(data, 2, parts), len(data) - 3)
        self.assertEqual((parts, reader.done), ([b"a"], True))

    def test_unfinished_lines_are_left(self) -> None:
        for data, taken in (
            (b"1", 0),
            (b"1;x", 0),
            (b"1\r", 0),
            (b"1\r\na", 4),
            (b"1\r\na\r", 4),
            (b"0\r\n", 3),
            (b"0\r\nX: y\r\n", 3),
        ):
            self.assertEqual(decoder().feed(data, 0, []), taken, data)

    def test_sizes(self) -> None:
        for spelt, size in (
            (b"A", 10),
            (b"a", 10),
            (b"0a", 10),
            (b"4000", 16384),
            (b"4001", 16385),
            (b"0000000000000001", 1),
        ):
            parts: list[bytes] = []
            reader = decoder()
            reader.feed(spelt + b"\r\n" + b"x" * size + b"\r\n0\r\n\r\n", 0, parts)
            self.assertEqual((b"".join(parts), reader.done), (b"x" * size, True), spelt)

    def test_only_extensions_count_as_overhead(self) -> None:
        # A body of many chunks with padded sizes is ordinary; extensions are not.
        limits = Http1Limits(chunk_overhead=10)
        decoder(limits).feed(b"00000001\r\na\r\n" * 1000, 0, [])
        decoder(limits).feed(b"1;x\r\na\r\n" * 5, 0, [])
        self.assertEqual(self.refused(b"1;x\r\na\r\n" * 6, limits), "chunk_overhead")

    def test_extension_grammar(self) -> None:
        for extension in (b";a", b";a=b", b'; a="b c";d', b';a="\\""'):
            decoder().feed(b"1" + extension + b"\r\na\r\n", 0, [])
        for extension in (b";", b";=b", b";a=", b';a="', b";a=b c", b";;", b";a,b"):
            self.assertEqual(self.refused(b"1" + extension + b"\r\na\r\n"), "bad_chunk_extension", extension)

    def test_trailer_caps(self) -> None:
        limits = Http1Limits(trailer=20, fields=2)
        decoder(limits).feed(b"0\r\nA: 1\r\nB: 2\r\n\r\n", 0, [])
        self.assertEqual(self.refused(b"0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", limits), "trailer_too_large")
        self.assertEqual(self.refused(b"0\r\nA: " + b"1" * 30 + b"\r\n\r\n", limits), "trailer_too_large")

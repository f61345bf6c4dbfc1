"""RFC 9110 14: which bytes."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.targets.ranges import Span, content_range, length_of, multipart, parse_ranges


class Ranges(SynchronousTestCase):
    # Range, spans of a file of 100 bytes (None: the whole file, []: 416)
    TABLE: list[tuple[bytes | None, list[tuple[int, int]] | None]] = [
        (None, None),
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=0-9", [(0, 10)]),
        (b"bytes=90-", [(90, 100)]),
        (b"bytes=-10", [(90, 100)]),
        (b"bytes=-1000", [(0, 100)]),
        (b"bytes=50-1000", [(50, 100)]),
        (b"Bytes = 1-2 ", [(1, 3)]),
        (b"bytes=0-1,4-5", [(0, 2), (4, 6)]),
        (b"bytes=4-5 , ,0-1,", [(4, 6), (0, 2)]),
        (b"bytes=0-1,200-300", [(0, 2)]),
        (b"bytes=100-", []),
        (b"bytes=-0", []),
        (b"bytes=200-300,400-", []),
        (b"bytes=9-0", None),
        (b"bytes=", None),
        (b"bytes=,", None),
        (b"bytes=-", None),
        (b"bytes=a-b", None),
        (b"bytes=1-2-3", None),
        (b"bytes=+1-2", None),
        (b"bytes=1.0-2", None),
        (b"bytes=\xb2-3", None),
        (b"bytes 0-1", None),
        (b"lines=0-1", None),
        (b"bytes=" + b"9" * 19 + b"-", None),
        # More ranges than a reader needs, or more bytes than there are.
        (b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(16)), [(n, n + 1) for n in range(16)]),
        (b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(17)), None),
        (b"bytes=0-,0-", None),
    ]

    def test_table(self) -> None:
        for value, wanted in self.TABLE:
            with self.subTest(range=value):
                self.assertEqual(parse_ranges(value, 100), wanted, value)

    def test_empty_file(self) -> None:
        self.assertEqual(parse_ranges(b"bytes=0-", 0), [])

    @given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=5), st.integers(0, 50))
    def test_spans_are_inside_and_never_more_than_the_file(self, pairs: list[tuple[int, int]], size: int) -> None:
        value = b"bytes=" + b",".join(b"%d-%d" % pair for pair in pairs)
        spans = parse_ranges(value, size)
        self.assertTrue(all(0 <= span.begin < span.end <= size for span in spans or []))
        self.assertLessEqual(sum(span.end - span.begin for span in spans or []), size)

    def test_multipart(self) -> None:
        spans = [Span(0, 2), Span(4, 6)]
        pieces = multipart(spans, 10, b"text/plain", b"XX")
        data = b"0123456789"
        whole = b"".join(piece if isinstance(piece, bytes) else data[piece.begin : piece.end] for piece in pieces)
        part = b"\r\n--XX\r\nContent-Type: text/plain\r\nContent-Range: bytes %s/10\r\n\r\n%s"
        self.assertEqual(whole, part % (b"0-1", b"01") + part % (b"4-5", b"45") + b"\r\n--XX--\r\n")
        self.assertEqual(length_of(pieces), len(whole))
        self.assertEqual(content_range(spans[1], 10), b"bytes 4-5/10")

"""Where a body ends, read from its two framing fields alone; whole messages are in test_http1_tables."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.events import UNTIL_CLOSE
from edgegw.wire.headers import Headers
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_framing import LONGEST_LENGTH, body_length

Pairs = list[tuple[bytes, bytes]]


def framed(pairs: Pairs, version: str = "1.1", absent: int = 0) -> object:
    """The length, or (status, reason) of the refusal."""
    try:
        return body_length(Headers.of(pairs), version, absent)
    except Refused as error:
        return error.status, error.reason


def length(value: bytes) -> object:
    return framed([(b"Content-Length", value)])


def coding(*values: bytes) -> object:
    return framed([(b"Transfer-Encoding", value) for value in values])


class BodyLengthTests(SynchronousTestCase):
    """A number, None for chunks, or a refusal."""

    def test_without_framing_fields_the_caller_decides(self) -> None:
        for absent in (0, UNTIL_CLOSE):
            self.assertEqual(framed([(b"Content-Type", b"a")], absent=absent), absent)

    def test_content_length(self) -> None:
        too_large, bad = (400, "content_length_too_large"), (400, "bad_content_length")
        for value, wanted in (
            (b"0", 0),
            (b"00", 0),
            (b"7", 7),
            (b"%d" % LONGEST_LENGTH, LONGEST_LENGTH),
            (b"%d" % (LONGEST_LENGTH + 1), too_large),
            (b"9" * 19, too_large),
            (b"0" * 18 + b"1", 1),
            (b"0" * 19 + b"1", too_large),
            (b"1" * 5000, too_large),
            (b"", bad),
            (b"-0", bad),
            (b"1,1", bad),
            (b"1.0", bad),
            (b"\xb9", bad),
        ):
            self.assertEqual(length(value), wanted, value[:30])

    def test_content_length_comes_once_wherever_else_names_repeat(self) -> None:
        one = (b"Content-Length", b"1")
        self.assertEqual(framed([(b"X", b"1"), one, (b"x", b"2")]), 1)
        self.assertEqual(framed([one, (b"X", b"1"), one]), (400, "duplicate_content_length"))

    def test_both_are_refused_in_either_order_and_version(self) -> None:
        pair = [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")]
        for pairs in (pair, pair[::-1]):
            for version in ("1.0", "1.1"):
                self.assertEqual(framed(pairs, version), (400, "both_te_cl"))

    def test_transfer_encoding(self) -> None:
        for values, wanted in (
            ((b"chunked",), None),
            ((b"CHUNKED",), None),
            ((b"chunked", b"chunked"), (400, "chunked_twice")),
            ((b"gzip,chunked , chunked",), (400, "chunked_twice")),
            ((b"chunked,gzip",), (400, "chunked_not_last")),
            ((b"Chunked", b"gzip"), (400, "chunked_not_last")),
            ((b"gzip, chunked",), (501, "unknown_transfer_coding")),
            ((b"gzip;q=1, chunked",), (501, "unknown_transfer_coding")),
            ((b"chunked,",), (400, "bad_transfer_encoding")),
            ((b"chunk ed",), (400, "bad_transfer_encoding")),
            ((b";q=1",), (400, "bad_transfer_encoding")),
        ):
            self.assertEqual(coding(*values), wanted, values)

    def test_http10_has_no_chunks(self) -> None:
        self.assertEqual(framed([(b"Transfer-Encoding", b"chunked")], "1.0"), (400, "te_in_http10"))

    @given(st.one_of(st.binary(max_size=24), st.text("0123456789+-_ ,", max_size=24).map(str.encode)))
    @example(b"%d" % LONGEST_LENGTH)
    def test_only_a_row_of_ascii_digits_is_a_length(self, value: bytes) -> None:
        found = length(value)
        if isinstance(found, int):
            self.assertRegex(value, rb"\A[0-9]+\Z")
            self.assertEqual(found, int(value))
            self.assertLessEqual(found, LONGEST_LENGTH)
        elif found == (400, "content_length_too_large"):
            self.assertTrue(int(value) > LONGEST_LENGTH or len(value) > 19)
        else:
            self.assertEqual(found, (400, "bad_content_length"))
            self.assertNotRegex(value, rb"\A[0-9]+\Z")

    @given(
        st.lists(
            st.sampled_from([b"chunked", b"Chunked", b"gzip", b"x y", b"", b",", b"chunked;a=b"]),
            min_size=1,
            max_size=3,
        )
    )
    def test_chunks_are_taken_for_the_bare_word_only(self, values: list[bytes]) -> None:
        accepted = coding(*values) is None
        self.assertEqual(accepted, len(values) == 1 and values[0].lower() == b"chunked")

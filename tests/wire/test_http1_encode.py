"""The encoders, and what they refuse to write."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Side
from edgegw.wire import http1_encode
from edgegw.wire.headers import Field, Headers
from edgegw.wire.http1_encode import (
    CONTINUE,
    encode_chunk,
    encode_informational,
    encode_last_chunk,
    encode_request_head,
    encode_response_head,
)

FIELDS = Headers.of([(b"Host", b"a"), (b"X-Two", b"b: c"), (b"x-two", b"")]).fields


class EncodeTests(SynchronousTestCase):
    """Bytes on the wire."""

    def test_request(self) -> None:
        self.assertEqual(
            encode_request_head("GET", "/a?b", FIELDS),
            b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-Two: b: c\r\nx-two: \r\n\r\n",
        )

    def test_response(self) -> None:
        self.assertEqual(encode_response_head(200, b"Fine", FIELDS[:1]), b"HTTP/1.1 200 Fine\r\nHost: a\r\n\r\n")
        self.assertEqual(encode_response_head(404, b"", []), b"HTTP/1.1 404 Not Found\r\n\r\n")
        self.assertEqual(encode_response_head(599, b"", []), b"HTTP/1.1 599 \r\n\r\n")

    def test_standard_phrases_survive_many_odd_ones(self) -> None:
        for number in range(1000):
            encode_response_head(200, b"Phrase %d" % number, [])
        self.assertLessEqual(len(http1_encode._STATUS_LINES), 512)
        self.assertEqual(encode_response_head(200, b"", []), b"HTTP/1.1 200 OK\r\n\r\n")

    def test_informational(self) -> None:
        self.assertEqual(CONTINUE, encode_informational(100, []))
        self.assertEqual(encode_informational(103, FIELDS[:1]), b"HTTP/1.1 103 Early Hints\r\nHost: a\r\n\r\n")
        self.assertRaises(GatewayError, encode_informational, 200, [])

    def test_chunks(self) -> None:
        self.assertEqual(encode_chunk(b"x" * 17), b"11\r\n" + b"x" * 17 + b"\r\n")
        self.assertEqual(encode_chunk(b""), b"")
        self.assertEqual(encode_last_chunk(), b"0\r\n\r\n")
        self.assertEqual(encode_last_chunk(tuple(FIELDS[:1])), b"0\r\nHost: a\r\n\r\n")


class SecondLockTests(SynchronousTestCase):
    """Nothing that could split a message leaves."""

    def refused(self, call: object, *args: object) -> None:
        error = self.assertRaises(GatewayError, call, *args)
        assert isinstance(error, GatewayError)
        self.assertEqual(
            (error.status, error.reason, error.side, error.close), (500, "unsafe_head", Side.GATEWAY, True)
        )

    def test_fields(self) -> None:
        for name, value in (
            (b"X", b"a\r\nSet-Cookie: b"), (b"X", b"a\nb"), (b"X", b"a\rb"), (b"X", b"a\x00b"), (b"X\r\nY", b"a"), (b"X\n", b"a"),
            (b"X: y\r\nZ", b"a"), (b"X ", b"a"), (b"", b"a"), (b"X:", b"a"), (b"X\x00", b"a"), (b"\xe9", b"a"),
        ):  # fmt: skip
            fields: list[Field] = [(b"host", b"Host", b"a"), (name.lower(), name, value)]
            for _ in range(2):  # A name must not become good by having been seen.
                self.refused(encode_request_head, "GET", "/", fields)
                self.refused(encode_response_head, 200, b"", fields)
                self.refused(encode_informational, 103, fields)
                self.refused(encode_last_chunk, fields)

    def test_start_lines(self) -> None:
        for method, target in (
            ("GET /x HTTP/1.1\r\nX:", "/"),
            ("G T", "/"),
            ("", "/"),
            ("GET", "/a b"),
            ("GET", "/a\r\n"),
            ("GET", ""),
            ("GET", "/\u00e9"),
            ("GET", "/\x00"),
        ):
            self.refused(encode_request_head, method, target, [])
        for status, reason in ((200, b"a\r\nX: b"), (200, b"a\n"), (200, b"\x00"), (99, b""), (600, b""), (0, b"")):
            for _ in range(2):
                self.refused(encode_response_head, status, reason, [])

    def test_the_table_of_names_is_bounded(self) -> None:
        for number in range(3000):
            encode_response_head(200, b"", [(b"x", b"X-%d" % number, b"")])
        self.assertLessEqual(len(http1_encode._OPENINGS), 2048)

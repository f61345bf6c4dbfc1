"""A response head from its lines, without a codec: the status line, the body's length and whether the connection lives."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import http1_response
from edgegw.wire.events import UNTIL_CLOSE, ResponseHead
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_limits import RESPONSE_LIMITS, Http1Limits
from edgegw.wire.http1_response import build_response, parse_status_line


def build(
    *lines: bytes,
    status: bytes = b"200 OK",
    method: str = "GET",
    version: bytes = b"1.1",
    limits: Http1Limits = RESPONSE_LIMITS,
) -> ResponseHead:
    return build_response(b"HTTP/" + version + b" " + status, list(lines), sum(map(len, lines)), limits, method)


class StatusLineTests(SynchronousTestCase):
    """`HTTP/x.y SP status [SP reason]`."""

    def test_accepted(self) -> None:
        for line, wanted in (
            (b"HTTP/1.1 200 OK", ("1.1", 200, b"OK")),
            (b"HTTP/1.0 100 ", ("1.0", 100, b"")),
            (b"HTTP/1.1 599", ("1.1", 599, b"")),
            (b"HTTP/1.1 404 Not  \t\xe9 ", ("1.1", 404, b"Not  \t\xe9 ")),
        ):
            for _ in range(2):  # The second answer comes from memory.
                self.assertEqual(parse_status_line(line), wanted, line)

    def test_refused(self) -> None:
        for line, reason in (
            (b"", "bad_status_line"),
            (b"HTTP/1.1", "bad_status_line"),
            (b"HTTP/11 200 OK", "bad_status_line"),
            (b"HTTP/1.1\t200 OK", "bad_status_line"),
            (b" HTTP/1.1 200 OK", "bad_status_line"),
            (b"HTTP/1.1 ", "bad_status"),
            (b"HTTP/1.1 20", "bad_status"),
            (b"HTTP/1.1 2x0 OK", "bad_status"),
            (b"HTTP/1.1 200OK", "bad_status"),
            (b"HTTP/1.1 -20 OK", "bad_status"),
            (b"HTTP/1.1 099 OK", "bad_status"),
            (b"HTTP/1.1 600 OK", "bad_status"),
            (b"HTTP/0.9 200 OK", "version_not_supported"),
            (b"HTTP/2.0 999 OK", "version_not_supported"),
        ):
            for _ in range(2):
                with self.assertRaises(Refused) as caught:
                    parse_status_line(line)
                self.assertEqual((caught.exception.status, caught.exception.reason), (502, reason), line)

    def test_what_is_remembered_is_bounded(self) -> None:
        memory = http1_response._status_lines
        long = b"HTTP/1.1 200 " + b"a" * 60
        for number in range(1200):
            parse_status_line(b"HTTP/1.1 200 reason %d" % number)
        parse_status_line(long)
        self.assertLessEqual(len(memory), 512)
        self.assertIn(b"HTTP/1.1 200 reason 1199", memory)
        self.assertNotIn(long, memory)


class BuildTests(SynchronousTestCase):
    """A head for a request of some method."""

    def test_length(self) -> None:
        for method, status, lines, length in (
            ("GET", b"200 OK", (), UNTIL_CLOSE),
            ("GET", b"200 OK", (b"Content-Length: 5",), 5),
            ("GET", b"200 OK", (b"Transfer-Encoding: chunked",), None),
            ("HEAD", b"200 OK", (b"Content-Length: 5",), 0),
            ("HEAD", b"200 OK", (), 0),
            ("GET", b"304 N", (b"Content-Length: 5",), 0),
            ("GET", b"303 N", (b"Content-Length: 5",), 5),
            ("GET", b"204 N", (b"Content-Length: 5",), 0),
            ("GET", b"205 N", (b"Content-Length: 5",), 5),
            ("GET", b"103 N", (b"Content-Length: 5",), 0),
            ("CONNECT", b"200 OK", (b"Content-Length: 5",), 0),
            ("CONNECT", b"299 OK", (), 0),
            ("CONNECT", b"300 N", (b"Content-Length: 5",), 5),
        ):
            self.assertEqual(build(*lines, status=status, method=method).length, length, (method, status, lines))

    def test_a_head_without_a_body_claims_no_length(self) -> None:
        for status, kept in ((b"103 N", False), (b"204 N", False), (b"304 N", True), (b"200 N", True)):
            head = build(b"Content-Length: 5", b"X: 1", status=status)
            self.assertEqual((b"content-length" in head.headers, b"x" in head.headers), (kept, True), status)

    def test_framing_is_checked_even_where_no_body_follows(self) -> None:
        for method, status in (("HEAD", b"200 OK"), ("GET", b"304 N")):
            with self.assertRaises(Refused) as caught:
                build(b"Content-Length: 1", b"Transfer-Encoding: chunked", status=status, method=method)
            self.assertEqual(caught.exception.reason, "both_te_cl")

    def test_keep_alive(self) -> None:
        for version, value, keep_alive in (
            (b"1.1", None, True),
            (b"1.1", b"close", False),
            (b"1.1", b"x, Close", False),
            (b"1.1", b"keep-alive", True),
            (b"1.1", b"not a token list", False),
            (b"1.0", None, False),
            (b"1.0", b"keep-alive", True),
            (b"1.0", b"keep-alive, close", False),
        ):
            lines = [b"Content-Length: 0"] + ([b"Connection: " + value] if value is not None else [])
            self.assertEqual(build(*lines, version=version).keep_alive, keep_alive, (version, value))
        self.assertFalse(build().keep_alive, "its end is the end of the connection")

    def test_words_are_kept(self) -> None:
        head = build(b"X_Y: 1", status=b"418 I'm a teapot", version=b"1.0")
        self.assertEqual((head.status, head.reason, head.version), (418, b"I'm a teapot", "1.0"))
        self.assertEqual(head.headers.get(b"x_y"), b"1")

    def test_caps(self) -> None:
        limits = Http1Limits(fields=1, field=6)
        build(b"X: 456", limits=limits)
        for lines, reason in (((b"X: 4567",), "field_too_large"), ((b"X: 1", b"Y: 1"), "too_many_fields")):
            with self.assertRaises(Refused) as caught:
                build(*lines, limits=limits)
            self.assertEqual(caught.exception.reason, reason)
